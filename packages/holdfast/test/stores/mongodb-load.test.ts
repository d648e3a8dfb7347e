import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { MongoClient } from "mongodb";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { StoreCall } from "../../src/stores/contract.js";
import { type MongodbStore, mongodbStore } from "../../src/stores/mongodb.js";
import { provideMongodb } from "../services/mongodb.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { checkManyLogins } from "../support/many-logins.js";
import { openShop, SECRET, type TestShop } from "../support/shop.js";

/** Several processes, many requests, many sessions, and a server that goes away. The workers run the built package. */

const service = await provideMongodb();
const url = service?.url ?? "mongodb://none.invalid/none";
const client = new MongoClient(url);
const db = client.db();

afterAll(async () => {
  await client.close();
  await service?.close();
});

describe.skipIf(service === undefined)(`on ${service?.what}`, () => {
  describe("several processes", () => {
    it("four of them lose none of 5,000 increments", async () => {
      const sessions = createSessions<any>({
        secrets: [SECRET],
        store: mongodbStore({ url }),
        sweepInterval: false,
      });
      const exchange = await sessions.open(requestWith(undefined));
      exchange.session.data.counter = 0;
      const cookie = (await finishedCookie(exchange))!;

      const started = performance.now();
      const workers = Array.from({ length: 4 }, () =>
        start("increment", { STORE: url, COOKIE: cookie, TIMES: "1250" }),
      );
      const outputs = await Promise.all(workers.map(({ output }) => output));
      report("5,000 increments by four processes", performance.now() - started);
      const results = outputs.flatMap((text) => JSON.parse(text) as number[]);
      expect(results).toHaveLength(5000);
      expect(new Set(results).size).toBe(5000);
      expect((await sessions.open(requestWith(cookie))).session.data.counter).toBe(5000);
      await sessions.close();
    }, 240_000);

    it.each([
      [1, "end-oldest"],
      [3, "end-oldest"],
      [3, "refuse"],
    ] as const)("twenty logins of one user at once leave %i (%s)", (most, atLimit) =>
      checkManyLogins(url, mongodbStore({ url }), most, atLimit),
    );

    it("a slow writer in one brings nothing back that a logout in another has ended", async () => {
      const sessions = createSessions<any>({
        secrets: [SECRET],
        store: mongodbStore({ url }),
        sweepInterval: false,
      });
      const login = await sessions.open(requestWith(undefined));
      login.session.data.item = "kept";
      await login.session.login("ada");
      const cookie = (await finishedCookie(login))!;

      const writer = start("mongodb-slow-writer", { COOKIE: cookie });
      await new Promise((resolve) => writer.stdout!.once("data", resolve));
      const logout = await sessions.open(requestWith(cookie));
      expect(logout.session.userId).toBe("ada");
      await logout.session.logout();
      await finishedCookie(logout);
      writer.stdin!.end();

      const { setCookie } = JSON.parse((await writer.output).split("\n")[1]!);
      expect(setCookie).toEqual([]);
      const after = (await sessions.open(requestWith(cookie))).session;
      expect(after.userId).toBeUndefined();
      expect(after.data).toEqual({});
      expect(await sessions.ofUser("ada").list()).toEqual([]);
      const payloads = await db
        .collection("holdfast_sessions")
        .find({ payload: /slow writer/ })
        .toArray();
      expect(payloads).toEqual([]);
      await sessions.close();
    });
  });

  describe("over HTTP", () => {
    let shop: TestShop;
    afterEach(() => shop.close());

    it("200 overlapping requests of one session that each add another key lose none", async () => {
      // One writes after the other, which takes the slowest of the servers some seconds.
      shop = await openShop(mongodbStore({ url }), { storeTimeout: "30s" });
      const user = shop.browser();
      await user.post("/set/first/0");
      const requests = Array.from({ length: 200 }, (_, n) => user.post(`/set/key${n}/${n}?hold=all`));
      await shop.barrier("all").arrived(200);
      shop.barrier("all").open();
      const answers = await Promise.all(requests);
      expect(answers.map(({ status }) => status)).toEqual(Array(200).fill(200));
      const { data } = JSON.parse((await user.get("/session")).body);
      const expected = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`key${n}`, String(n)]));
      expect(data).toEqual({ first: "0", ...expected });
    });

    it.skipIf(service?.control === undefined)(
      "a server that stops and starts: 503 while it is down, and no session is lost or swapped",
      async () => {
        const { control } = service!;
        shop = await openShop(mongodbStore({ url: withQuickErrors(url) }));
        const users = Array.from({ length: 20 }, (_, n) => ({
          name: `user${n}`,
          browser: shop.browser(),
          acknowledged: 0,
          unknown: 0,
          failures: 0,
          failedSinceStop: 0,
          sinceStart: 0,
        }));
        for (const { browser, name } of users) await browser.post(`/login/${name}`);
        const cookies = users.map(({ browser }) => browser.cookieHeader);

        let phase: "up" | "down" | "up again" | "over" = "up";
        const changes = new Set<() => void>();
        const reached = (condition: () => boolean) =>
          new Promise<void>((resolve) => {
            const check = () => {
              if (!condition()) return;
              changes.delete(check);
              resolve();
            };
            changes.add(check);
            check();
          });

        const load = users.map(async (user) => {
          while (phase !== "over") {
            const answer = await user.browser.post("/increment");
            if (answer.status === 200) {
              user.acknowledged++;
              if (phase === "up again") user.sinceStart++;
            } else {
              expect(answer.status).toBe(503);
              user.unknown++;
              user.failures++;
              if (phase === "down") user.failedSinceStop++;
            }
            expect(answer.setCookie).toEqual([]);
            const read = await user.browser.get("/session");
            if (read.status === 200) {
              const { userId, data } = JSON.parse(read.body);
              expect(userId).toBe(user.name);
              expect(data.counter).toBeGreaterThanOrEqual(user.acknowledged);
              expect(data.counter).toBeLessThanOrEqual(user.acknowledged + user.unknown);
            } else {
              expect(read.status).toBe(503);
            }
            expect(read.setCookie).toEqual([]);
            for (const check of changes) check();
          }
        });
        const settled = Promise.all(load);
        await Promise.race([settled, reached(() => users.every(({ acknowledged }) => acknowledged >= 10))]);
        await control!.stop();
        phase = "down";
        await Promise.race([
          settled,
          reached(() => users.every(({ failedSinceStop }) => failedSinceStop >= 2)),
        ]);
        await control!.start();
        phase = "up again";
        await Promise.race([settled, reached(() => users.every(({ sinceStart }) => sinceStart >= 10))]);
        phase = "over";
        await settled;

        for (const user of users) {
          const { userId, data } = JSON.parse((await user.browser.get("/session")).body);
          expect(userId).toBe(user.name);
          expect(data.counter).toBeGreaterThanOrEqual(user.acknowledged);
          expect(await shop.sessions.ofUser(user.name).list()).toHaveLength(1);
        }
        expect(users.map(({ browser }) => browser.cookieHeader)).toEqual(cookies);
      },
      // A Java server takes its time to start on a busy machine.
      240_000,
    );

    it.skipIf(service?.control === undefined)(
      "a server that hangs: 503 at the deadline, and all is well when it goes on",
      async () => {
        const { control } = service!;
        shop = await openShop(mongodbStore({ url }), { storeTimeout: 500 });
        const user = shop.browser();
        await user.post("/login/ada");
        await control!.freeze();
        const answers = await Promise.all([
          user.get("/session"),
          user.post("/set/a/1"),
          user.post("/increment"),
        ]);
        control!.thaw();
        expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
        expect(answers.flatMap(({ setCookie }) => setCookie)).toEqual([]);
        let again = await user.get("/session");
        for (let attempt = 0; again.status === 503 && attempt < 20; attempt++)
          again = await user.get("/session");
        expect(JSON.parse(again.body)).toMatchObject({ userId: "ada" });
      },
    );
  });

  it.skipIf(service?.control === undefined)(
    "every call to a server that hangs ends when it is aborted",
    async () => {
      const { control } = service!;
      const store = mongodbStore({ url });
      const id = randomBytes(32).toString("base64url");
      const now = Date.now();
      const record = {
        version: 1,
        payload: "{}",
        idleDeadline: now + 60_000,
        absoluteDeadline: now + 90_000,
        userId: "ada",
      };
      await store.create(id, record, { now, signal: new AbortController().signal });
      const calls: Array<(call: StoreCall) => unknown> = [
        (call) => store.load(id, call),
        (call) => store.create("another", record, call),
        (call) => store.replace(id, 1, { ...record, version: 2 }, call),
        (call) => store.touch(id, now + 70_000, call),
        (call) => store.delete("none", call),
        (call) => store.sweep(call),
        (call) => store.listByUser("ada", call),
        (call) => store.deleteByUser("nobody", undefined, call),
      ];
      for (const [n, callStore] of calls.entries()) {
        await control!.freeze();
        const controller = new AbortController();
        const answer = (async () => callStore({ now, signal: controller.signal }))();
        // By now it waits for the server's answer.
        await new Promise((resolve) => setImmediate(resolve));
        controller.abort();
        const [settled] = await Promise.allSettled([answer]);
        control!.thaw();
        expect(settled, String(calls[n])).toMatchObject({
          status: "rejected",
          reason: { name: "AbortError" },
        });
        expect(await store.load(id, { now, signal: new AbortController().signal })).toBeDefined();
      }
      await store.close();
    },
  );

  describe("many sessions", () => {
    // mongo-java-server keeps no such indexes and looks through everything for each batch of a sweep.
    const MANY = service?.explains ? 100_000 : 5_000;

    const listing = service?.explains ? "costs those, by the index" : "finds those";
    it(`${MANY} of them: listing one user's ${listing}, and a sweep runs beside requests`, async () => {
      const collection = db.collection<any>("many");
      const store = mongodbStore({ db, collection: "many" });
      const now = Date.now();
      const call = () => ({ now, signal: new AbortController().signal });
      const record = {
        version: 1,
        payload: "x".repeat(500),
        idleDeadline: now - 1,
        absoluteDeadline: now + 90_000,
      };
      await store.create("model", { ...record, userId: "nobody" }, call());
      const model = await collection.findOne({ _id: "model" });
      for (let made = 0; made < MANY; made += 5000) {
        const batch = Array.from({ length: 5000 }, (_, n) => ({
          ...model,
          _id: `expired${made + n}`,
          userId: `user${made + n}`,
        }));
        await collection.insertMany(batch);
      }
      const living = Array.from({ length: 100 }, (_, n) => `living${n}`);
      for (const [n, id] of living.entries()) {
        await store.create(
          id,
          { ...record, idleDeadline: now + 60_000, userId: n < 5 ? "ada" : null },
          call(),
        );
      }

      const listed = await store.listByUser("ada", call());
      expect(listed.map(({ id }) => id).toSorted()).toEqual(living.slice(0, 5));
      if (service!.explains) {
        const plan: any = await collection.find({ userId: "ada" }).explain("executionStats");
        report("plan of a user's list", JSON.stringify(plan.queryPlanner.winningPlan));
        expect(JSON.stringify(plan.queryPlanner.winningPlan)).toContain('"indexName":"userId_1"');
        expect(plan.executionStats.totalDocsExamined).toBe(5);
      }

      const seen = new Set<string>();
      for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
        const page = await store.scan!(cursor, 500, call());
        expect(page.sessions.length).toBeLessThanOrEqual(500);
        for (const { id } of page.sessions) seen.add(id);
        cursor = page.next;
      }
      expect(seen.size).toBe(MANY + 1 + living.length);

      const alone = await percentile(store, living, () => false);
      let sweeping = true;
      const started = performance.now();
      const sweep = Promise.resolve(store.sweep(call())).finally(() => {
        sweeping = false;
      });
      const beside = await percentile(store, living, () => sweeping);
      expect(await sweep).toBe(MANY + 1);
      report(`sweep of ${MANY}`, performance.now() - started);
      report("p99 of a load, alone and beside the sweep", `${alone.toFixed(1)} and ${beside.toFixed(1)} ms`);
      expect(await collection.countDocuments()).toBe(living.length);
    }, 240_000);
  });
});

/** The 99th percentile of a load's milliseconds, over 1,000 loads at least and as long as `going`. */
async function percentile(
  store: MongodbStore,
  ids: readonly string[],
  going: () => boolean,
): Promise<number> {
  const times: number[] = [];
  while (times.length < 1000 || going()) {
    const started = performance.now();
    const id = ids[times.length % ids.length]!;
    const record = await store.load(id, { now: Date.now(), signal: new AbortController().signal });
    if (record === undefined) throw new Error("a living session was swept");
    times.push(performance.now() - started);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
}

/** Figures for whoever reads the log; nothing depends on them. */
function report(what: string, figure: number | string): void {
  console.log(`${what}: ${typeof figure === "number" ? `${Math.round(figure)} ms` : figure}`);
}

/** The driver's monitor asks, in place of waiting for word: on mongo-java-server the latter may never come after a restart. */
function withQuickErrors(address: string): string {
  const options = "serverSelectionTimeoutMS=500&serverMonitoringMode=poll&heartbeatFrequencyMS=500";
  return `${address}${address.includes("?") ? "&" : "?"}${options}`;
}

function start(worker: string, env: Record<string, string>): ChildProcess & { output: Promise<string> } {
  const path = fileURLToPath(new URL(`../workers/${worker}.mjs`, import.meta.url));
  const child = spawn(process.execPath, [path], {
    env: { ...process.env, SECRET, MONGODB: url, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += chunk;
  });
  const output = new Promise<string>((resolve) => child.once("close", () => resolve(text)));
  return Object.assign(child, { output });
}
