import { setImmediate as turn } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient, createSentinel } from "redis";
import { afterEach, describe, expect, it } from "vitest";
import type { Store } from "../../src/stores/contract.js";
import { redisStore } from "../../src/stores/redis.js";
import { redisProgram, startRedis, startSentinels } from "../services/redis.js";
import type { Answer } from "../support/browser.js";
import { openShop, type TestShop } from "../support/shop.js";

/** Redis goes away under load, and comes back. */

const program = await redisProgram();

/** A user who logs in and then clicks without a break, and what the shop answered. */
class Visitor {
  readonly userId: string;
  readonly #browser: ReturnType<TestShop["browser"]>;
  readonly statuses = new Map<number, number>();
  /** What each acknowledged increment returned. */
  readonly counts: number[] = [];
  /** Increments that failed: whether they were stored is not known. */
  unknown = 0;
  /** Answers that are not this visitor's own, or that touch the cookie. */
  readonly wrong: string[] = [];
  #id: string | undefined;
  #clicking: Promise<void> | undefined;
  #stopped = false;

  constructor(shop: TestShop, userId: string) {
    this.userId = userId;
    this.#browser = shop.browser();
  }

  async login(): Promise<void> {
    await this.#browser.post(`/login/${this.userId}`);
    this.#id = JSON.parse((await this.#browser.get("/session")).body).id;
  }

  start(): void {
    const click = async () => {
      while (!this.#stopped) {
        const increment = await this.#browser.post("/increment");
        if (increment.status === 200) this.counts.push(Number(increment.body));
        else this.unknown++;
        this.#look(increment);
        const read = await this.#browser.get("/session");
        this.#look(read);
        if (read.status === 200) {
          const { id, userId } = JSON.parse(read.body);
          if (id !== this.#id || userId !== this.userId) this.wrong.push(read.body);
        }
        await turn();
      }
    };
    this.#clicking = click();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#clicking;
  }

  async session(): Promise<{ id: string; userId: string; data: { counter: number } }> {
    return JSON.parse((await this.#browser.get("/session")).body);
  }

  #look({ status, setCookie, body }: Answer): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (setCookie.length > 0) this.wrong.push(`cookie set with status ${status}`);
    if (status !== 200 && status !== 503) this.wrong.push(`${status} ${body}`);
  }
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 40_000, interval: 20 }).toBe(true);
}

describe.skipIf(program === undefined)("when Redis goes away", () => {
  const closing: Array<() => unknown> = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const visitorsOf = async (shop: TestShop, name: string) => {
    const visitors = Array.from({ length: 8 }, (_, n) => new Visitor(shop, `${name}-${n}`));
    for (const visitor of visitors) await visitor.login();
    return visitors;
  };

  const openers: Array<[string, (url: string) => Promise<Store>]> = [
    ["a URL", async (url) => redisStore({ url })],
    [
      "a node-redis client with default settings",
      async (url) => {
        const client = createClient({ url });
        await client.connect();
        closing.push(() => client.destroy());
        return redisStore({ client });
      },
    ],
    [
      "an ioredis client with default settings",
      async (url) => {
        const client = new Redis(url);
        closing.push(() => client.disconnect());
        return redisStore({ client });
      },
    ],
  ];

  it.each(openers)("and comes back, what was acknowledged is there: store of %s", async (_name, open) => {
    const server = await startRedis(program!, "--appendonly", "yes", "--appendfsync", "always");
    closing.push(() => server.stop("SIGKILL"));
    const shop = await openShop(await open(server.url), { storeTimeout: 1000 });
    closing.push(() => shop.close());
    const visitors = await visitorsOf(shop, "visitor");
    for (const visitor of visitors) visitor.start();

    const ways = [
      // In order, and with no warning.
      { away: () => server.stop("SIGTERM"), back: () => server.start() },
      { away: () => server.stop("SIGKILL"), back: () => server.start() },
      // It stays connected but doesn't answer.
      {
        away: async () => process.kill(server.pid, "SIGSTOP"),
        back: async () => process.kill(server.pid, "SIGCONT"),
      },
    ];
    for (const { away, back } of ways) {
      const sofar = visitors.map(({ counts }) => counts.length);
      await until(() => visitors.every(({ counts }, n) => counts.length >= sofar[n]! + 10));
      await away();
      const failed = visitors.map(({ statuses }) => statuses.get(503) ?? 0);
      await until(() => visitors.every(({ statuses }, n) => (statuses.get(503) ?? 0) >= failed[n]! + 2));
      await back();
      const before = visitors.map(({ counts }) => counts.length);
      await until(() => visitors.every(({ counts }, n) => counts.length >= before[n]! + 10));
    }
    for (const visitor of visitors) await visitor.stop();

    for (const visitor of visitors) {
      expect(visitor.wrong).toEqual([]);
      const { userId, data } = await visitor.session();
      expect(userId).toBe(visitor.userId);
      const { counts, unknown } = visitor;
      // Each acknowledged increment counted once; of those that failed, each at most once.
      expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
      expect(data.counter).toBeGreaterThanOrEqual(counts.length);
      expect(data.counter).toBeLessThanOrEqual(counts.length + unknown);
      expect(data.counter).toBeGreaterThanOrEqual(counts.at(-1)!);
      expect(await shop.sessions.ofUser(userId).list()).toHaveLength(1);
    }
    expect([...new Set(visitors.flatMap(({ statuses }) => [...statuses.keys()]))].sort()).toEqual([200, 503]);
  });

  it("and a replica takes over by Sentinel: what was replicated is there, without a restart", async () => {
    const topology = await startSentinels(program!);
    closing.push(() => topology.stop());
    const { name, sentinels, primary, replica } = topology;
    const ioredis = new Redis({ name, sentinels });
    const nodeRedis = createSentinel({ name, sentinelRootNodes: sentinels });
    nodeRedis.on("error", () => {});
    await nodeRedis.connect();
    closing.push(
      () => ioredis.disconnect(),
      () => nodeRedis.destroy(),
    );
    const shops = await Promise.all(
      [ioredis, nodeRedis].map((client) => openShop(redisStore({ client }), { storeTimeout: 1000 })),
    );
    const visitors = (
      await Promise.all(shops.map((shop, n) => visitorsOf(shop, ["ioredis", "node-redis"][n]!)))
    ).flat();
    for (const visitor of visitors) visitor.start();
    await until(() => visitors.every(({ counts }) => counts.length >= 10));

    // A write after all of these, acknowledged by the replica: so are these.
    const certain = visitors.map(({ counts }) => counts.at(-1)!);
    const guard = new Redis(primary.port);
    await guard.set("guard", "1");
    expect(await guard.wait(1, 5000)).toBe(1);
    guard.disconnect();
    await primary.stop("SIGKILL");
    const killed = performance.now();
    const before = visitors.map(({ counts }) => counts.length);
    await until(() => visitors.every(({ counts }, n) => counts.length >= before[n]! + 10));
    const seconds = ((performance.now() - killed) / 1000).toFixed(1);
    for (const visitor of visitors) await visitor.stop();

    expect(await replica.command("ROLE")).toContain("master");
    let lost = 0;
    for (const [n, visitor] of visitors.entries()) {
      expect(visitor.wrong).toEqual([]);
      const { userId, data } = await visitor.session();
      expect(userId).toBe(visitor.userId);
      const { counts } = visitor;
      // What came between the guard and the end may be lost: replication is asynchronous.
      const resumed = counts[before[n]!]!;
      expect(resumed).toBeGreaterThan(certain[n]!);
      expect(data.counter).toBeGreaterThanOrEqual(counts.at(-1)!);
      lost += Math.max(0, counts[before[n]! - 1]! + 1 - resumed);
    }
    console.log(`the failover took ${seconds} seconds and lost ${lost} acknowledged writes`);
    for (const shop of shops) await shop.close();
  });
});
