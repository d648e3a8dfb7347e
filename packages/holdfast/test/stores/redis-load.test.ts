import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import { redisStore } from "../../src/stores/redis.js";
import { type RedisServer, redisProgram, startRedis } from "../services/redis.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { checkManyLogins } from "../support/many-logins.js";
import { openShop, SECRET } from "../support/shop.js";

/** Many processes, many requests and many sessions on one Redis. The workers run the built package. */

const program = await redisProgram();

describe.skipIf(program === undefined)("many at once on one Redis", () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis(program!);
  });
  afterAll(() => server.stop());

  const openSessions = () =>
    createSessions<any>({ secrets: [SECRET], store: redisStore({ url: server.url }), sweepInterval: false });

  const startWorker = (name: string, env: Record<string, string>): ChildProcess =>
    spawn(process.execPath, [fileURLToPath(new URL(`../workers/${name}.mjs`, import.meta.url))], {
      env: { ...process.env, REDIS_URL: server.url, SECRET, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });

  it("four processes lose none of 5,000 increments", async () => {
    const sessions = openSessions();
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.counter = 0;
    const cookie = (await finishedCookie(exchange))!;

    const count = async (driver: string) => {
      const worker = startWorker("redis-increment", { COOKIE: cookie, TIMES: "1250", DRIVER: driver });
      let output = "";
      worker.stdout!.on("data", (chunk) => {
        output += chunk;
      });
      await once(worker, "close");
      return JSON.parse(output) as number[];
    };
    const results = (await Promise.all(["redis", "redis", "ioredis", "ioredis"].map(count))).flat();
    expect(results).toHaveLength(5000);
    expect(new Set(results).size).toBe(5000);
    expect((await sessions.open(requestWith(cookie))).session.data.counter).toBe(5000);
    await sessions.close();
  });

  it.each([
    [1, "end-oldest"],
    [3, "end-oldest"],
    [3, "refuse"],
  ] as const)("twenty logins of one user at once, in four processes, leave %i (%s)", (most, atLimit) =>
    checkManyLogins(server.url, redisStore({ url: server.url }), most, atLimit),
  );

  it("200 overlapping requests of one session, on two servers, keep each other's keys", async () => {
    const client = new Redis(server.url);
    const shops = [
      await openShop(redisStore({ url: server.url })),
      await openShop(redisStore({ client })),
    ] as const;
    const user = shops[0].browser();
    await user.post("/set/first/0");
    const requests = shops.flatMap((shop, s) =>
      Array.from({ length: 100 }, (_, n) => {
        const browser = shop.browser();
        for (const [name, value] of user.cookies) browser.cookies.set(name, value);
        return browser.post(`/set/key-${s}-${n}/${n}?hold=all`);
      }),
    );
    // All have read the session before the first of them writes.
    for (const shop of shops) await shop.barrier("all").arrived(100);
    for (const shop of shops) shop.barrier("all").open();
    for (const { status } of await Promise.all(requests)) expect(status).toBe(200);
    const { data } = JSON.parse((await user.get("/session")).body);
    expect(Object.keys(data)).toHaveLength(201);
    for (let n = 0; n < 100; n++) {
      expect(data[`key-0-${n}`]).toBe(String(n));
      expect(data[`key-1-${n}`]).toBe(String(n));
    }
    for (const shop of shops) await shop.close();
    client.disconnect();
  });

  it.each(["logout", "rotate", "revokeAll"] as const)(
    "a slow writer in another process brings nothing back after %s",
    async (ender) => {
      const sessions = openSessions();
      const first = await sessions.open(requestWith(undefined));
      await first.session.login("ada");
      const cookie = (await finishedCookie(first))!;

      const worker = startWorker("redis-slow-writer", { COOKIE: cookie });
      const lines = createInterface({ input: worker.stdout! })[Symbol.asyncIterator]();
      expect((await lines.next()).value).toBe("opened by ada");

      const ending = await sessions.open(requestWith(cookie));
      if (ender === "revokeAll") await sessions.ofUser("ada").revokeAll();
      else await ending.session[ender]();
      const next = await finishedCookie(ending);

      worker.stdin!.write("go on\n");
      expect((await lines.next()).value).toBe("null");
      await once(worker, "close");
      const after = await sessions.open(requestWith(cookie));
      expect(after.session.isNew).toBe(true);
      expect(after.session.data).toEqual({});
      const listed = await sessions.ofUser("ada").list();
      expect(listed).toHaveLength(ender === "rotate" ? 1 : 0);
      if (ender === "rotate") {
        const renewed = (await sessions.open(requestWith(next))).session;
        expect(renewed.userId).toBe("ada");
        expect(renewed.data).toEqual({});
      }
      await sessions.ofUser("ada").revokeAll();
      await sessions.close();
    },
  );

  it("among 100,000 sessions, listing one user's takes commands for that user's only", async () => {
    const client = createClient({ url: server.url });
    await client.connect();
    const store = redisStore({ client, prefix: "flood:" });
    const call = () => ({ now: Date.now(), signal: new AbortController().signal });
    const record = (userId: string) => ({
      version: 1,
      payload: "x".repeat(300),
      idleDeadline: Date.now() + 1_800_000,
      absoluteDeadline: Date.now() + 43_200_000,
      userId,
    });
    const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await client.info("memory"))![1]);
    const before = await usedMemory();
    for (let made = 0; made < 100_000; made += 2000) {
      const batch = Array.from({ length: 2000 }, (_, n) => made + n);
      await Promise.all(
        batch.map((n) =>
          store.create(`${String(n).padStart(43, "s")}`, record(`user-${n % 20_000}`), call()),
        ),
      );
    }
    for (let n = 0; n < 5; n++) await store.create(`ada-${n}`, record("ada"), call());
    expect(await client.dbSize()).toBeGreaterThan(120_000);
    console.log(
      `bytes of memory for a session of 300 bytes: ${Math.round(((await usedMemory()) - before) / 100_000)}`,
    );

    const commands = async (work: () => Promise<unknown>) => {
      await client.configResetStat();
      await work();
      return Object.fromEntries(
        [...(await client.info("commandstats")).matchAll(/cmdstat_([a-z|]+):calls=(\d+)/g)]
          .map(([, name, calls]) => [name, Number(calls)] as const)
          .filter(([name]) => !/config|info/.test(name!)),
      );
    };
    expect(await commands(() => Promise.resolve(store.listByUser("ada", call())))).toEqual({
      evalsha: 1,
      zrange: 1,
      get: 5,
    });
    const deleted = await commands(async () => {
      expect(await store.deleteByUser("ada", "ada-0", call())).toHaveLength(4);
    });
    // Each of the four twice, as somebody may be renewing, the list at each round, and the list tidied at the end.
    expect(deleted).toMatchObject({ zrange: 2, del: 4, get: 8, zrem: 4 });
    expect(await store.listByUser("ada", call())).toHaveLength(1);
    expect(await store.listByUser("user-7", call())).toHaveLength(5);

    // All of them, page by page: some commands for each page, and one for each session.
    const seen = new Set<string>();
    let pages = 0;
    const scanning = await commands(async () => {
      for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
        const page = await store.scan!(cursor, 200, call());
        expect(page.sessions.length).toBeLessThan(400);
        for (const { id } of page.sessions) seen.add(id);
        cursor = page.next;
        pages++;
      }
    });
    expect(seen.size).toBe(100_001);
    expect(scanning).toMatchObject({ eval: pages, scan: pages });
    // Some come twice, no more.
    expect(scanning.get).toBeLessThan(110_000);
    await store.close();
    client.destroy();
  });
});
