import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Redis, Cluster as RedisCluster } from "ioredis";
import { createClient, createCluster, createSentinel } from "redis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Store, StoreRecord } from "../../src/stores/contract.js";
import { type RedisStoreOptions, redisStore } from "../../src/stores/redis.js";
import { testStore } from "../../src/testing/store.js";
import { noteService, temporaryFolder } from "../services/provision.js";
import {
  type RedisServer,
  redisProgram,
  startCluster,
  startRedis,
  startSentinels,
} from "../services/redis.js";

/** The Redis store on real servers: the contract on each topology with each client, and what is Redis's own. */

const program = await redisProgram();
const { REDIS_URL } = process.env;

const call = (now = Date.now()) => ({ now, signal: new AbortController().signal });
const newRecord = (changes: Partial<StoreRecord> = {}): StoreRecord => ({
  version: 1,
  payload: "payload",
  idleDeadline: Date.now() + 1_800_000,
  absoluteDeadline: Date.now() + 43_200_000,
  userId: null,
  ...changes,
});

/** The server of the environment is only used, never stopped or reconfigured: for those tests there are others. */
describe.skipIf(REDIS_URL === undefined)("on the server in REDIS_URL", () => {
  let client: ReturnType<typeof createClient>;
  beforeAll(async () => {
    client = createClient({ url: REDIS_URL! });
    await client.connect();
    const [version] = /(redis|valkey)_version:\S+/.exec(await client.info("server")) ?? ["unknown version"];
    noteService("redis", `the server in REDIS_URL (${version.replace("_version:", " ")})`);
  });
  afterAll(() => client.destroy());

  testStore("redisStore(nodeRedis)", () => redisStore({ client }), { describe, it }, { sweeps: false });
  testStore("redisStore(url)", () => redisStore({ url: REDIS_URL! }), { describe, it }, { sweeps: false });
});

describe.skipIf(program === undefined)("redisStore", () => {
  let server: RedisServer;
  let sentinels: Awaited<ReturnType<typeof startSentinels>>;
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  const closing: Array<() => unknown> = [];

  beforeAll(async () => {
    [server, sentinels, cluster] = await Promise.all([
      startRedis(program!),
      startSentinels(program!),
      startCluster(program!),
    ]);
    noteService("redis", "topologies: one server; a replica and three Sentinels; a Cluster of three masters");
  });
  afterAll(async () => {
    for (const close of closing) await close();
    await Promise.all([server.stop(), sentinels.stop(), cluster.stop()]);
  });

  const clients = {
    async nodeRedis() {
      const client = createClient({ url: server.url });
      await client.connect();
      closing.push(() => client.destroy());
      return client;
    },
    async ioredis() {
      const client = new Redis(server.url);
      closing.push(() => client.disconnect());
      return client;
    },
    async nodeRedisSentinel() {
      const client = createSentinel({
        name: sentinels.name,
        sentinelRootNodes: sentinels.sentinels,
        // Reads would go to the replica, were they not kept from it.
        replicaPoolSize: 1,
      });
      await client.connect();
      closing.push(() => client.destroy());
      return client;
    },
    async ioredisSentinel() {
      const client = new Redis({ name: sentinels.name, sentinels: sentinels.sentinels });
      closing.push(() => client.disconnect());
      return client;
    },
    async nodeRedisCluster() {
      const client = createCluster({
        rootNodes: cluster.nodes.map((socket) => ({ socket })),
        useReplicas: true,
      });
      await client.connect();
      closing.push(() => client.destroy());
      return client;
    },
    async ioredisCluster() {
      const client = new RedisCluster(cluster.nodes, { scaleReads: "slave" });
      closing.push(() => client.disconnect());
      return client;
    },
  };
  type ClientName = keyof typeof clients;
  const opened = new Map<ClientName, Promise<any>>();
  const client = (name: ClientName) => {
    const promise = opened.get(name) ?? clients[name]();
    opened.set(name, promise);
    return promise;
  };
  const stores: Store[] = [];
  const open = async (name: ClientName, options: RedisStoreOptions = {}) => {
    const store = redisStore({ client: await client(name), ...options });
    stores.push(store);
    return store;
  };
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
  });

  const names = Object.keys(clients) as ClientName[];
  for (const name of names)
    testStore(`redisStore(${name})`, () => open(name), { describe, it }, { sweeps: false });
  testStore(
    "redisStore(url)",
    () => redisStore({ url: server.url }),
    { describe, it },
    { sweeps: false, runs: 10 },
  );

  /** A server for one test, which ends with the others where the test fails before it ends it. */
  const startOwn = async (...settings: string[]) => {
    const own = await startRedis(program!, ...settings);
    closing.push(() => own.stop("SIGKILL"));
    return own;
  };

  /** One Redis, asked and changed beside the store. */
  const redis = async (...args: string[]) => (await client("nodeRedis")).sendCommand(args);

  describe("time to live", () => {
    const remaining = async (key: string) => Number(await redis("PTTL", key));

    it("follows the deadline, by the time that remains on the engine's clock", async () => {
      const store = await open("nodeRedis", { prefix: "ttl:" });
      // An engine whose clock is years from Redis's.
      const now = Date.UTC(2050, 0, 1);
      const within = async (key: string, most: number) => {
        const left = await remaining(key);
        expect(left).toBeLessThanOrEqual(most);
        expect(left).toBeGreaterThan(most - 30_000);
      };
      const record = newRecord({
        idleDeadline: now + 100_000,
        absoluteDeadline: now + 900_000,
        userId: "ada",
      });
      await store.create("a", record, call(now));
      await within("ttl:s:a", 100_000);
      await within("ttl:u:ada", 900_000);
      await store.touch("a", now + 200_000, call(now));
      await within("ttl:s:a", 200_000);
      await store.replace("a", 1, { ...record, version: 2, idleDeadline: now + 50_000 }, call(now));
      await within("ttl:s:a", 50_000);
      // The list lasts as long as the longest of its sessions, and no longer session makes it shorter.
      await store.create("b", { ...record, absoluteDeadline: now + 100_000 }, call(now));
      await within("ttl:u:ada", 900_000);
      await store.create("c", { ...record, absoluteDeadline: now + 5_000_000 }, call(now));
      await within("ttl:u:ada", 5_000_000);
      await store.replace("b", 1, { ...record, version: 2, absoluteDeadline: now + 9_000_000 }, call(now));
      await within("ttl:u:ada", 9_000_000);
    });

    it("is never missing, and refused moves leave it", async () => {
      const store = await open("nodeRedis", { prefix: "ttl:" });
      const record = newRecord({ userId: "grace" });
      await store.create("d", record, call());
      await redis("PEXPIRE", "ttl:s:d", "1000000");
      expect(await store.touch("d", record.idleDeadline, call())).toBe(false);
      expect(await store.touch("d", record.absoluteDeadline + 1, call())).toBe(false);
      await store.replace("d", 7, { ...record, version: 8 }, call());
      await store.create("d", record, call());
      expect(await remaining("ttl:s:d")).toBeLessThanOrEqual(1_000_000);
      for (const key of (await redis("KEYS", "ttl:*")) as string[])
        expect(await remaining(key)).toBeGreaterThan(0);
    });

    it("keeps nothing whose deadline has passed", async () => {
      const store = await open("nodeRedis", { prefix: "ttl:" });
      const past = newRecord({ idleDeadline: Date.now() - 1 });
      expect(await store.create("e", past, call())).toBe(true);
      expect(await store.load("e", call())).toBeUndefined();
      await store.create("e", newRecord(), call());
      expect(await store.create("e", past, call())).toBe(false);
      expect(await store.replace("e", 2, { ...past, version: 3 }, call())).toMatchObject({
        status: "conflict",
      });
      expect(await store.replace("e", 1, { ...past, version: 2 }, call())).toEqual({ status: "done" });
      expect(await redis("EXISTS", "ttl:s:e")).toBe(0);
      const record = newRecord();
      await store.create("f", record, call());
      await store.touch("f", record.idleDeadline + 1, call(record.idleDeadline + 1));
      expect(await redis("EXISTS", "ttl:s:f")).toBe(0);
    });

    it("is Redis's to keep: a session is gone at its deadline", async () => {
      const store = await open("nodeRedis");
      await store.create("brief", newRecord({ idleDeadline: Date.now() + 30 }), call());
      await expect.poll(() => store.load("brief", call())).toBeUndefined();
    });
  });

  describe("scripts", () => {
    for (const name of names) {
      it(`are sent again after a flush (${name})`, async () => {
        const store = await open(name);
        const id = `flush-${name}`;
        const flush = async () => {
          for (const { command } of [server, sentinels.primary, ...cluster.masters])
            await command("SCRIPT", "FLUSH");
        };
        const record = newRecord({ userId: id });
        await flush();
        expect(await store.create(id, record, call())).toBe(true);
        await flush();
        expect(await store.touch(id, record.idleDeadline + 1, call())).toBe(true);
        await flush();
        expect(await store.replace(id, 1, { ...record, version: 2 }, call())).toEqual({ status: "done" });
        await flush();
        expect(await store.load(id, call())).toMatchObject({ version: 2 });
        expect(await store.listByUser(id, call())).toHaveLength(1);
        await flush();
        expect(await store.deleteByUser(id, undefined, call())).toEqual([id]);
      });
    }

    it("keep versions and deadlines to the last digit", async () => {
      const store = await open("nodeRedis");
      const record = newRecord({
        version: Number.MAX_SAFE_INTEGER - 1,
        idleDeadline: Number.MAX_SAFE_INTEGER - 3,
        absoluteDeadline: Number.MAX_SAFE_INTEGER - 1,
      });
      const now = Number.MAX_SAFE_INTEGER - 100_000;
      await store.create("big", record, call(now));
      const next = { ...record, version: Number.MAX_SAFE_INTEGER };
      expect(await store.replace("big", record.version - 1, next, call(now))).toEqual({
        status: "conflict",
        record,
      });
      expect(await store.touch("big", record.absoluteDeadline + 1, call(now))).toBe(false);
      expect(await store.touch("big", record.absoluteDeadline - 1, call(now))).toBe(true);
      expect(await store.touch("big", record.absoluteDeadline - 1, call(now))).toBe(false);
      expect(await store.replace("big", record.version, next, call(now))).toEqual({ status: "done" });
      expect(await store.load("big", call(now))).toEqual(next);
      const fraction = newRecord({
        idleDeadline: Date.now() + 1000.25,
        absoluteDeadline: Date.now() + 2000.5,
      });
      await store.create("fraction", fraction, call());
      expect(await store.load("fraction", call())).toEqual(fraction);
    });

    it("a write that the driver sent twice counts as the one that it is", async () => {
      const real = await client("ioredis");
      // Each script runs twice and the second answer is the one that arrives, as after a connection lost in between.
      const twice = Object.assign(Object.create(real), {
        async evalsha(...args: [string, number]) {
          await real.evalsha(...args).catch(() => {});
          return real.evalsha(...args);
        },
      });
      const store = redisStore({ client: twice });
      const record = newRecord({ userId: "twice" });
      expect(await store.create("twice", record, call())).toBe(true);
      const next = { ...record, version: 2, payload: "next" };
      expect(await store.replace("twice", 1, next, call())).toEqual({ status: "done" });
      // Another's write of the very same record is another's all the same.
      expect(await store.replace("twice", 1, next, call())).toEqual({ status: "conflict", record: next });
      expect(await store.create("twice", record, call())).toBe(false);
      await store.close();
    });
  });

  it("one command to read, one to write, one to touch; none that takes a second key", async () => {
    const own = await startOwn();
    const connection = createClient({ url: own.url });
    await connection.connect();
    const store = redisStore({ client: connection });
    const record = newRecord({ userId: "ada" });
    await store.create("a", record, call());
    await store.replace("a", 1, { ...record, version: 2 }, call());
    await store.touch("a", record.idleDeadline + 1, call());
    const commands = async (work: () => unknown) => {
      await own.command("CONFIG", "RESETSTAT");
      await work();
      return [...(await own.command("INFO", "commandstats")).matchAll(/cmdstat_([a-z|]+):calls=(\d+)/g)]
        .map(([, name, calls]) => `${calls} ${name}`)
        .filter((line) => !/config|info|quit/.test(line))
        .sort();
    };
    expect(await commands(() => store.load("a", call()))).toEqual(["1 get"]);
    const write = { ...record, idleDeadline: record.idleDeadline + 1, version: 3 };
    expect(await commands(() => store.replace("a", 2, write, call()))).toEqual([
      "1 evalsha",
      "1 get",
      "1 pexpire",
      "1 set",
    ]);
    await store.create("b", newRecord(), call());
    expect(await commands(() => store.touch("b", Date.now() + 1_900_000, call()))).toEqual([
      "1 evalsha",
      "1 get",
      "1 pexpire",
      "1 set",
    ]);
    connection.destroy();
    await own.stop();
  });

  it.each(["nodeRedisSentinel", "ioredisSentinel"] as const)("reads the primary only (%s)", async (name) => {
    const store = await open(name);
    await sentinels.replica.command("CONFIG", "RESETSTAT");
    await store.create(`primary-${name}`, newRecord({ userId: name }), call());
    for (let n = 0; n < 20; n++) expect(await store.load(`primary-${name}`, call())).toBeDefined();
    expect(await store.listByUser(name, call())).toHaveLength(1);
    expect(await sentinels.replica.command("INFO", "commandstats")).not.toMatch(
      /cmdstat_(get|zrange|eval|evalsha):/,
    );
  });

  describe("whatever is in ids, user ids and payloads", () => {
    const NASTY = [
      "{tag}",
      "a{b",
      "}a{",
      "with spaces  and\ttabs",
      "\r\nDEL holdfast:s:victim\r\n",
      "*3\r\n$3\r\nDEL\r\n",
      "'; redis.call('FLUSHALL') --",
      "%7Btag%7D",
      "{user}:%s%n",
      "$where a.b.c ]] --[[",
      "nul\u0000byte",
      "é e\u0301 漢字 😀 \u2028 \u202e",
      "__proto__",
      "constructor",
      "*",
      "holdfast:s:victim",
      ":",
    ];

    for (const name of ["nodeRedis", "ioredis", "nodeRedisCluster", "ioredisCluster"] as const) {
      it(`stays data (${name})`, async () => {
        const store = await open(name, { prefix: `nasty ${name}:` });
        await store.create("victim", newRecord({ userId: "victim" }), call());
        for (const [n, nasty] of NASTY.entries()) {
          const record = newRecord({ userId: nasty.replace(/\p{Cc}/gu, "_"), payload: nasty });
          expect(await store.create(nasty, record, call())).toBe(true);
          expect(await store.load(nasty, call())).toEqual(record);
          expect(await store.touch(nasty, record.idleDeadline + 1, call())).toBe(true);
          const next = { ...record, version: 2, payload: `{"${nasty}":${n}}\n${nasty}` };
          expect(await store.replace(nasty, 1, next, call())).toEqual({ status: "done" });
        }
        for (const nasty of NASTY) {
          const userId = nasty.replace(/\p{Cc}/gu, "_");
          expect((await store.listByUser(userId, call())).map(({ id }) => id)).toEqual([nasty]);
          expect(await store.deleteByUser(userId, undefined, call())).toEqual([nasty]);
          expect(await store.load(nasty, call())).toBeUndefined();
        }
        expect(await store.listByUser("victim", call())).toHaveLength(1);
      });
    }

    it("a user id brings no hash tag, a prefix may", async () => {
      const store = await open("nodeRedis", { prefix: "tags:" });
      await store.create("t", newRecord({ userId: "{tag}" }), call());
      expect(await redis("EXISTS", "tags:u:%7Btag%7D")).toBe(1);
      const tagged = await open("nodeRedisCluster", { prefix: "{all}:" });
      await tagged.create("t", newRecord({ userId: "ada" }), call());
      expect(await tagged.listByUser("ada", call())).toHaveLength(1);
    });

    it("a foreign value under a session's key is an error, and left alone", async () => {
      const store = await open("nodeRedis", { prefix: "foreign:" });
      await redis("SET", "foreign:s:a", "something else");
      await redis("HSET", "foreign:s:b", "x", "1");
      for (const id of ["a", "b"]) {
        await expect(store.load(id, call())).rejects.toThrow();
        await expect(store.replace(id, 1, newRecord({ version: 2 }), call())).rejects.toThrow();
        await expect(store.touch(id, Date.now() + 1, call())).rejects.toThrow();
      }
      expect(await redis("GET", "foreign:s:a")).toBe("something else");
    });
  });

  describe("a user's list", () => {
    let store: Store;
    const prefix = "list:";
    const entries = (userId: string) =>
      redis("ZRANGE", `${prefix}u:${userId}`, "0", "-1") as Promise<string[]>;
    const age = async (userId: string, id: string, seconds: number) =>
      redis("ZADD", `${prefix}u:${userId}`, String(Math.floor(Date.now() / 1000) - seconds), id);
    /** Until what runs in the background has run: the same connection keeps the order. */
    const settled = () => redis("PING");
    const listed = async (userId: string) =>
      (await store.listByUser(userId, call())).map(({ id }) => id).sort();

    beforeEach(async () => {
      store = await open("nodeRedis", { prefix });
    });

    it("holds the entry before the session is there", async () => {
      const real = await client("nodeRedis");
      const steps: string[] = [];
      const watched = Object.assign(Object.create(real), {
        evalSha(sha: string, options: { keys: string[] }) {
          steps.push(options.keys[0]!);
          return real.evalSha(sha, options);
        },
      });
      const watchedStore = redisStore({ client: watched, prefix });
      steps.length = 0;
      await watchedStore.create("ordered", newRecord({ userId: "order" }), call());
      expect(steps.filter((key) => !key.endsWith("policy"))).toEqual([
        `${prefix}u:order`,
        `${prefix}s:ordered`,
      ]);
      await watchedStore.close();
    });

    it("bears an entry whose session was never created, and drops it when it is old", async () => {
      await store.create("alive", newRecord({ userId: "cut" }), call());
      await age("cut", "never-created", 0);
      expect(await listed("cut")).toEqual(["alive"]);
      await settled();
      // It may be that the session is just being created.
      expect(await entries("cut")).toContain("never-created");
      await store.create("never-created", newRecord({ userId: "cut" }), call());
      expect(await listed("cut")).toEqual(["alive", "never-created"]);
      await store.delete("never-created", call());
      await age("cut", "never-created", 601);
      expect(await listed("cut")).toEqual(["alive"]);
      await settled();
      expect(await entries("cut")).toEqual(["alive"]);
    });

    it("drops what expired, logged out or went to another user, when it is old", async () => {
      const record = newRecord({ userId: "drop" });
      for (const id of ["kept", "expired", "moved", "ended"]) {
        await store.create(id, record, call());
        await age("drop", id, 10_000);
      }
      await redis("DEL", `${prefix}s:expired`);
      await store.replace("moved", 1, { ...record, version: 2, userId: "other" }, call());
      await store.replace("ended", 1, { ...record, version: 2, userId: null }, call());
      await settled();
      // These two are known to have left, so nobody has to list them first.
      expect((await entries("drop")).sort()).toEqual(["expired", "kept"]);
      expect(await listed("drop")).toEqual(["kept"]);
      expect(await listed("other")).toEqual(["moved"]);
      await settled();
      expect(await entries("drop")).toEqual(["kept"]);
    });

    it("gets back an entry that was lost, with the next touch or the first write a minute later", async () => {
      const record = newRecord({ userId: "lost" });
      await store.create("touched", record, call());
      await store.create("written", record, call());
      await redis("DEL", `${prefix}u:lost`);
      await store.replace("written", 1, { ...record, version: 2 }, call());
      await settled();
      expect(await entries("lost")).toEqual([]);
      await store.touch("touched", record.idleDeadline + 60_000, call());
      const idleDeadline = record.idleDeadline + 60_000;
      await store.replace("written", 2, { ...record, version: 3, idleDeadline }, call());
      await settled();
      expect(await listed("lost")).toEqual(["touched", "written"]);
      expect(Number(await redis("PTTL", `${prefix}u:lost`))).toBeGreaterThan(43_000_000);
    });

    it("stays away from a session that goes to another user while its old user's are deleted", async () => {
      const record = newRecord({ userId: "from" });
      await store.create("moves", record, call());
      await store.replace("moves", 1, { ...record, version: 2, userId: "to" }, call());
      expect(await store.deleteByUser("from", undefined, call())).toEqual([]);
      expect(await listed("to")).toEqual(["moves"]);
    });

    /** A renewal stops at each of its steps, and deleteByUser at each of its own: every order of the two. */
    it("deleteByUser catches a session that is being renewed, however the two interleave", async () => {
      const real = await client("nodeRedis");
      const orders = interleavings(["R", "R", "R"], ["D", "D", "D", "D", "D", "D", "D", "D"]);
      for (const [n, order] of orders.entries()) {
        const userId = `renewing-${n}`;
        const [before, after] = [`a-${n}`, `b-${n}`];
        const record = newRecord({ userId });
        await store.create(before, record, call());

        const turns = new Turns(order);
        const paced = (party: string) =>
          redisStore({
            prefix,
            client: Object.assign(Object.create(real), {
              on() {},
              evalSha: async (sha: string, options: { keys: string[] }) => {
                if (options.keys[0]?.endsWith("policy")) return "";
                await turns.take(party);
                try {
                  return await real.evalSha(sha, options);
                } finally {
                  turns.done();
                }
              },
            }),
          });
        const [renewing, deleting] = [paced("R"), paced("D")];
        // As the engine renews: the new record, then a tombstone in place of the old; where that fails, no new record.
        const renew = async () => {
          await renewing.create(after, record, call());
          const tombstone = { ...record, version: 2, payload: "tombstone", userId: null };
          const answer = await renewing.replace(before, 1, tombstone, call());
          if (answer.status !== "done") await renewing.delete(after, call());
          turns.leave("R");
        };
        const revoke = async () => {
          const ids = await deleting.deleteByUser(userId, undefined, call());
          turns.leave("D");
          return ids;
        };
        await Promise.all([renew(), revoke()]);
        await Promise.all([renewing.close(), deleting.close()]);
        expect(await listed(userId), `in the order ${order.join("")}`).toEqual([]);
        expect(await store.load(after, call()), `in the order ${order.join("")}`).toBeUndefined();
      }
    });

    it("deleteByUser gives up, with an error, on a user whose sessions never hold still", async () => {
      const real = await client("nodeRedis");
      let made = 0;
      const restless = redisStore({
        prefix,
        client: Object.assign(Object.create(real), {
          async evalSha(sha: string, options: { keys: string[]; arguments: string[] }) {
            const answer = await real.evalSha(sha, options);
            if (Array.isArray(answer))
              await store.create(`restless-${made++}`, newRecord({ userId: "restless" }), call());
            return answer;
          },
        }),
      });
      await expect(restless.deleteByUser("restless", undefined, call())).rejects.toThrow("kept changing");
      await restless.close();
    });
  });

  describe("scan", () => {
    /** All ids, and the cursors that led there; `between` runs after each page. */
    const scanned = async (store: Store, limit: number, between: () => unknown = () => {}) => {
      const [ids, cursors]: [string[], string[]] = [[], []];
      let cursor: string | undefined;
      do {
        const page = await store.scan!(cursor, limit, call());
        ids.push(...page.sessions.map(({ id }) => id));
        cursor = page.next;
        if (cursor !== undefined) cursors.push(cursor);
        await between();
      } while (cursor !== undefined);
      return { ids, cursors };
    };
    const names = Array.from({ length: 100 }, (_, n) => `id-${n}`).sort();
    const filled = async (store: Store) => {
      for (const id of names) await store.create(id, newRecord({ userId: "ada" }), call());
      return store;
    };

    it("keeps to its own keys, whatever the prefix looks like and the driver puts before it", async () => {
      const keyPrefix = "app*:";
      const prefixing = new Redis(server.url, { keyPrefix });
      const prefixes = [
        ["s*:", "sx:"],
        ["s?[a-z]:", "sxb:"],
        ["s\\*:", "s*:"],
        ["{s}:", "s:"],
        ["s^$.*:", "s^$.x:"],
      ] as const;
      for (const [prefix, alike] of prefixes) {
        await (await open("nodeRedis", { prefix: alike })).create("no", newRecord(), call());
        const store = await filled(await open("nodeRedis", { prefix }));
        expect((await scanned(store, 20)).ids.toSorted()).toEqual(names);
        const own = redisStore({ client: prefixing, prefix });
        await own.create("mine", newRecord(), call());
        expect((await scanned(own, 1000)).ids).toEqual(["mine"]);
        await own.close();
      }
      prefixing.disconnect();
    });

    it("passes over what is no record, and what goes while a page is read", async () => {
      const store = await open("nodeRedis", { prefix: "mixed:" });
      await store.create("a", newRecord(), call());
      await redis("SET", "mixed:s:foreign", "something else");
      await redis("LPUSH", "mixed:s:list", "something else");
      expect((await scanned(store, 10)).ids).toEqual(["a"]);
    });

    it("begins anew where the server it was on has been replaced, for its cursors mean nothing to another", async () => {
      const own = await startOwn("--appendonly", "yes", "--appendfsync", "always");
      const store = await filled(redisStore({ url: own.url }));
      let restarts = 0;
      const { ids, cursors } = await scanned(store, 20, async () => {
        if (restarts++ > 0) return;
        await own.stop();
        await own.start();
        await expect
          .poll(() =>
            Promise.resolve()
              .then(() => store.load("id-1", call()))
              .catch(() => {}),
          )
          .toBeDefined();
      });
      expect([...new Set(ids)].sort()).toEqual(names);
      expect(new Set(cursors.map((cursor) => cursor.split(" ")[0])).size).toBe(2);
      await store.close();
      await own.stop();
    });

    it.each(["nodeRedisCluster", "ioredisCluster"] as const)(
      "goes through every primary of a Cluster, and through one that took another's place (%s)",
      async (name) => {
        const store = await filled(await open(name, { prefix: `scan-${name}:` }));
        const { ids, cursors } = await scanned(store, 20);
        expect([...new Set(ids)].sort()).toEqual(names);
        const addresses = cluster.nodes.map(({ host, port }) => `${host}:${port}`);
        expect([...new Set(cursors.map((cursor) => cursor.split(" ")[2]!))].sort()).toEqual(
          addresses.toSorted(),
        );
        // As after a failover: the one under way is gone, and of those that are done one has another address now.
        const [run, at] = cursors[0]!.split(" ");
        const seen = new Set<string>();
        let cursor: string | undefined = [run, at, "127.0.0.1:1", "127.0.0.1:2"].join(" ");
        do {
          const page = await store.scan!(cursor, 20, call());
          for (const { id } of page.sessions) seen.add(id);
          cursor = page.next;
        } while (cursor !== undefined);
        expect([...seen].sort()).toEqual(names);
      },
    );

    it("refuses a cursor that is none of its own", async () => {
      const store = await open("nodeRedis");
      await expect(store.scan!("0", 10, call())).rejects.toMatchObject({
        code: "ERR_HOLDFAST_INVALID_ARGUMENT",
      });
      await expect(store.scan!("- x y", 10, call())).rejects.toThrow("cursor");
    });
  });

  describe("warnings", () => {
    const warningsOf = async (count: number, open: () => Promise<Store>) => {
      const warnings: Array<{ code: string; message: string }> = [];
      const collect = (warning: any) => warnings.push(warning);
      process.on("warning", collect);
      const store = await open();
      await expect.poll(() => warnings.length).toBeGreaterThanOrEqual(count);
      await store.close();
      process.off("warning", collect);
      return warnings;
    };

    it("one, when Redis may evict sessions; none with noeviction, nor where the question is forbidden", async () => {
      const own = await startOwn();
      const connection = createClient({ url: own.url });
      await connection.connect();
      const use = async (options: RedisStoreOptions) => {
        const store = redisStore(options);
        for (let n = 0; n < 3; n++) await store.load("a", call());
        return store;
      };
      expect(await warningsOf(0, () => use({ client: connection }))).toEqual([]);
      await own.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru");
      for (const options of [{ client: connection }, { url: own.url }]) {
        const warnings = await warningsOf(1, () => use(options));
        expect(warnings).toMatchObject([{ code: "HOLDFAST_REDIS_EVICTION" }]);
        expect(warnings[0]!.message).toContain("volatile-lru");
      }
      await own.command("ACL", "SETUSER", "default", "-info");
      expect(await warningsOf(0, () => use({ client: connection }))).toEqual([]);
      connection.destroy();
      await own.stop();
    });

    it("one for a connection that can't be made, and calls fail at once meanwhile", async () => {
      const own = await startOwn();
      await own.stop();
      const warnings = await warningsOf(1, async () => {
        const store = redisStore({ url: `redis://:secret-password@127.0.0.1:${own.port}` });
        // A call before it was known may be queued; the engine's deadline is for that one.
        void Promise.resolve(store.load("a", call())).catch(() => {});
        await once(process, "warning");
        const later = Promise.resolve(store.load("a", call()));
        await expect(later).rejects.toThrow("not connected to Redis: connect ECONNREFUSED");
        return store;
      });
      expect(warnings).toMatchObject([{ code: "HOLDFAST_REDIS_CONNECTION" }]);
      expect(warnings[0]!.message).toContain("ECONNREFUSED");
      expect(JSON.stringify(warnings)).not.toContain("secret-password");
    });
  });

  it("needs no more rights than docs/stores/redis.md says", async () => {
    const docs = readFileSync(new URL("../../../../docs/stores/redis.md", import.meta.url), "utf8");
    const rule = /^ACL SETUSER (.*)$/m.exec(docs)![1]!;
    const more = /it also needs `([^`]*)`/.exec(docs)![1]!;
    const own = await startOwn();
    expect(await own.command("ACL", "SETUSER", ...`${rule} ${more}`.split(/\s+/))).toBe("+OK\r\n");
    const login = { username: "shop", password: "a-long-password" };
    const nodeRedis = createClient({ url: own.url, ...login });
    await nodeRedis.connect();
    const ioredis = new Redis(own.url, login);
    for (const client of [nodeRedis, ioredis]) {
      const store = redisStore({ client });
      const record = newRecord({ userId: "ada" });
      expect(await store.create("a", record, call())).toBe(true);
      expect(await store.touch("a", record.idleDeadline + 1, call())).toBe(true);
      expect(await store.replace("a", 1, { ...record, version: 2 }, call())).toEqual({ status: "done" });
      await own.command("ZADD", "holdfast:u:ada", "1", "stray");
      expect(await store.listByUser("ada", call())).toHaveLength(1);
      await expect.poll(() => own.command("ZCARD", "holdfast:u:ada")).toBe(":1\r\n");
      expect((await store.scan!(undefined, 10, call())).sessions).toHaveLength(1);
      const heard: unknown[] = [];
      store.watch!((id) => heard.push(id));
      await expect.poll(() => heard).toEqual([undefined]);
      expect(await store.deleteByUser("ada", undefined, call())).toEqual(["a"]);
      await store.delete("a", call());
      await store.close();
    }
    nodeRedis.destroy();
    ioredis.disconnect();
    await own.stop();
  });

  it("memory that is full is an error, and what is stored stays", async () => {
    const own = await startOwn("--maxmemory-policy", "noeviction");
    const store = redisStore({ url: own.url });
    const record = newRecord();
    await store.create("a", record, call());
    await own.command("CONFIG", "SET", "maxmemory", "1");
    await expect(store.create("b", newRecord(), call())).rejects.toThrow("OOM");
    await expect(store.replace("a", 1, newRecord({ version: 2 }), call())).rejects.toThrow("OOM");
    expect(await store.load("a", call())).toEqual(record);
    await own.command("CONFIG", "SET", "maxmemory", "0");
    expect(await store.replace("a", 1, newRecord({ version: 2 }), call())).toEqual({ status: "done" });
    await store.close();
    await own.stop();
  });

  describe("by URL", () => {
    /** A copy of the built package in a project that has only these drivers. */
    const project = (...drivers: string[]) => {
      const modules = join(temporaryFolder(), "node_modules");
      const require = createRequire(import.meta.url);
      const own = dirname(require.resolve("holdfast/package.json"));
      cpSync(join(own, "dist"), join(modules, "holdfast", "dist"), { recursive: true });
      cpSync(join(own, "package.json"), join(modules, "holdfast", "package.json"));
      for (const driver of drivers) {
        symlinkSync(dirname(require.resolve(`${driver}/package.json`)), join(modules, driver));
      }
      return join(modules, "holdfast", "dist", "stores", "redis.js");
    };
    const startWorker = (path: string, address: string) => {
      const worker = fileURLToPath(new URL("../workers/redis-by-url.mjs", import.meta.url));
      const child = spawn(process.execPath, ["--no-warnings", worker], {
        env: { ...process.env, STORE: path, REDIS_URL: address },
        stdio: ["pipe", "pipe", "inherit"],
      });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const ask = async (what: string) => {
        child.stdin.write(`${what}\n`);
        return (await lines.next()).value as string;
      };
      return { child, ask };
    };

    it("works with either driver alone, fails at once while Redis is away, and recovers", async () => {
      const own = await startOwn("--appendonly", "yes", "--appendfsync", "always");
      const workers = ["redis", "ioredis"].map((driver) => startWorker(project(driver), own.url));
      const all = async (what: string, answer: string) => {
        const answered = ({ ask }: ReturnType<typeof startWorker>) =>
          expect.poll(() => ask(what), { timeout: 30_000 }).toContain(answer);
        await Promise.all(workers.map(answered));
      };
      await all("create", "true");
      await all("load", "payload");
      await own.stop();
      await all("load", "not connected to Redis");
      await own.start();
      await all("load", "payload");
      // It stays connected but is silent. ioredis notices, node-redis can't.
      process.kill(own.pid, "SIGSTOP");
      await all("load", "no answer");
      await expect
        .poll(() => workers[1]!.ask("load"), { timeout: 30_000 })
        .toContain("not connected to Redis");
      process.kill(own.pid, "SIGCONT");
      await all("load", "payload");
      // After close() nothing keeps the process.
      for (const { ask, child } of workers) {
        expect(await ask("close")).toBe("closed");
        await once(child, "exit");
      }
      await own.stop();
    });

    it.each(["redis", "ioredis"])("close ends a connection of %s that is just being made", async (driver) => {
      const own = await startOwn();
      const { child, ask } = startWorker(project(driver), own.url);
      expect(await ask("close")).toBe("closed");
      await once(child, "exit");
      await own.stop();
    });

    it("with none installed: says what to install", async () => {
      const { child, ask } = startWorker(project(), "redis://127.0.0.1:1");
      expect(await ask("create")).toContain("npm install ioredis (or redis)");
      child.kill();
    });

    it("with a wrong password: a warning, without the password in it", async () => {
      const own = await startOwn();
      await own.command("CONFIG", "SET", "requirepass", "right-password");
      const warned = once(process, "warning");
      const store = redisStore({ url: own.url.replace("//", "//:wrong-password@") });
      void Promise.resolve(store.load("a", call())).catch(() => {});
      const [warning] = await warned;
      expect(warning).toMatchObject({ code: "HOLDFAST_REDIS_CONNECTION" });
      expect(warning.message).toContain("WRONGPASS");
      expect(warning.message).not.toContain("wrong-password");
      await store.close();
      const right = redisStore({ url: own.url.replace("//", "//:right-password@") });
      expect(await right.load("a", call())).toBeUndefined();
      await right.close();
      await own.stop();
    });
  });

  it.each(["nodeRedis", "ioredis"] as const)(
    "close leaves the client that it was given open (%s)",
    async (name) => {
      const connection = (await clients[name]()) as Redis;
      if (name === "ioredis") await once(connection, "ready");
      const listeners = () =>
        ["error", "reconnecting", "ready", "connect"].map((event) => connection.listenerCount(event));
      await redisStore({ client: connection }).close();
      const afterTheFirst = listeners();
      for (let n = 0; n < 20; n++) await redisStore({ client: connection }).close();
      expect(listeners()).toEqual(afterTheFirst);
      expect(await connection.ping()).toBe("PONG");
    },
  );

  it("says what is wrong with its options", () => {
    for (const options of [
      {},
      { client: {} },
      // A client of node-redis 3, with callbacks, and a Cluster client of node-redis 4.
      { client: { get() {}, on() {}, eval() {}, evalsha() {} } },
      { client: { get() {}, on() {}, eval() {}, evalSha() {}, masters: [] } },
    ]) {
      expect(() => redisStore(options as any)).toThrow("redisStore");
    }
    expect(() => redisStore({ url: "http://:secret-password@localhost" })).toThrow(
      /^(?!.*secret).*redis:\/\//,
    );
    expect(() => redisStore({ url: "redis://[" })).toThrow("redisStore");
    expect(() => redisStore({ url: "redis://localhost", prefix: 7 as any })).toThrow("redisStore.prefix");
  });
});

/** Lets parties take steps in a given order; one that has left, or no longer steps, is passed over. */
class Turns {
  readonly #order: string[];
  readonly #left = new Set<string>();
  readonly #waiting: Array<{ party: string; go: () => void }> = [];
  #running = 0;

  constructor(order: readonly string[]) {
    this.#order = [...order];
  }

  async take(party: string): Promise<void> {
    await new Promise<void>((go) => {
      this.#waiting.push({ party, go });
      this.#next();
    });
  }

  done(): void {
    this.#running--;
    // What the party does next is queued before the other one gets its turn.
    setImmediate(() => this.#next());
  }

  leave(party: string): void {
    this.#left.add(party);
    this.#next();
  }

  #next(): void {
    if (this.#running > 0) return;
    while (this.#order.length > 0 && this.#left.has(this.#order[0]!)) this.#order.shift();
    const index =
      this.#order.length === 0 ? 0 : this.#waiting.findIndex(({ party }) => party === this.#order[0]);
    const [turn] = index === -1 ? [] : this.#waiting.splice(index, 1);
    if (turn === undefined) return;
    this.#order.shift();
    this.#running++;
    turn.go();
  }
}

/** Every way to merge two lists. */
function interleavings(left: string[], right: string[]): string[][] {
  if (left.length === 0) return [right];
  if (right.length === 0) return [left];
  return [
    ...interleavings(left.slice(1), right).map((rest) => [left[0]!, ...rest]),
    ...interleavings(left, right.slice(1)).map((rest) => [right[0]!, ...rest]),
  ];
}
