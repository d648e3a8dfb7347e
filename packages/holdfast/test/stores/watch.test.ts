import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Redis, Cluster as RedisCluster } from "ioredis";
import pg from "pg";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { nearCache } from "../../src/stores/near-cache.js";
import { postgresStore } from "../../src/stores/postgres.js";
import { redisStore } from "../../src/stores/redis.js";
import { checkInterleavings } from "../../src/testing/interleavings.js";
import { testStore } from "../../src/testing/store.js";
import { startPostgres } from "../services/postgres.js";
import {
  type RedisServer,
  redisProgram,
  startCluster,
  startRedis,
  startSentinels,
} from "../services/redis.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { Clock, SECRET } from "../support/shop.js";
import { call, newId, recordOf, startSilencer, until } from "../support/sql.js";

/** Stores that tell of changes, on real servers: what they tell, near caches that hear it, and what holds where they don't. */

const program = await redisProgram();
const postgres = await startPostgres();

const closing: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => postgres?.close());

/** The warnings of the near cache's connection from here on. */
function watchWarnings(): Array<{ code: string; message: string }> {
  const warnings: any[] = [];
  const collect = (warning: any) => {
    if (warning.code === "HOLDFAST_WATCH") warnings.push(warning);
  };
  process.on("warning", collect);
  closing.push(() => process.off("warning", collect));
  return warnings;
}

/** What a store tells, from when it listens on. */
async function heardFrom(store: Store, connections = 1): Promise<Array<string | undefined>> {
  const heard: Array<string | undefined> = [];
  closing.push(() => store.close());
  store.watch!((id) => heard.push(id));
  await until(() => heard.length >= connections);
  expect(heard).toEqual(Array(connections).fill(undefined));
  heard.length = 0;
  return heard;
}

async function tellsOfEverything(watching: Store, writing: Store, connections = 1): Promise<void> {
  const heard = await heardFrom(watching, connections);
  const user = `user-${newId()}`;
  const toldOf = (ids: readonly string[]) => until(() => ids.every((id) => heard.includes(id)));
  /** So many that in a Cluster every primary has some. */
  const ids = Array.from({ length: 30 }, newId);
  const [last, ...others] = [newId(), ...ids] as [string, ...string[]];
  for (const id of [last, ...others]) await writing.create(id, recordOf(user), call());
  const each = async (write: (id: string) => unknown) => {
    heard.length = 0;
    for (const id of others) await write(id);
    await toldOf(others);
  };
  await each((id) => writing.replace(id, 1, recordOf(user, { version: 2 }), call()));
  await each((id) => writing.rewrite!(id, 2, "rewritten", call()));
  await each((id) => writing.delete(id, call()));
  for (const id of others) await writing.create(id, recordOf(user), call());
  await toldOf(others);
  heard.length = 0;
  expect(await writing.deleteByUser(user, last, call())).toHaveLength(others.length);
  await toldOf(others);
  // And of nothing where nothing changed: what is told of it comes before this.
  heard.length = 0;
  expect(await writing.replace(last, 7, recordOf(user), call())).toMatchObject({ status: "conflict" });
  expect(await writing.load(last, call())).toBeDefined();
  const after = newId();
  await writing.create(after, recordOf(null), call());
  await writing.delete(after, call());
  await toldOf([after]);
  if (connections === 1) expect(new Set(heard)).toEqual(new Set([after]));
}

/** Through caches that hear of changes in time, or too late, requests end as the model says. */
async function interleaves(open: () => Store): Promise<void> {
  const [raw, one, two] = [open(), nearCache(open(), { maxAge: "1h" }), nearCache(open(), { maxAge: "1h" })];
  closing.push(...[raw, one, two].map((store) => () => store.close()));
  await checkInterleavings(raw, 60, [one, two]);
}

interface Remote {
  readonly url: string;
  open(url: string): Store;
}

/** What holds whichever store it is: between two processes, and with a connection for changes that is cut. */
function testNearCache(title: string, remote: () => Remote): void {
  const sessionsOn = (store: Store, clock = new Clock()) => {
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store,
      clock: clock.read,
      sweepInterval: false,
    });
    closing.push(() => sessions.close());
    return { sessions, clock };
  };
  const login = async ({ sessions }: ReturnType<typeof sessionsOn>) => {
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.cart = ["tea"];
    await exchange.session.login("ada");
    return (await finishedCookie(exchange))!;
  };
  const startReader = async (now: number) => {
    const path = fileURLToPath(new URL("../workers/near-reader.mjs", import.meta.url));
    const child: ChildProcess = spawn(process.execPath, ["--no-warnings", path], {
      env: { ...process.env, STORE_URL: remote().url, SECRET, NOW: String(now) },
      stdio: ["pipe", "pipe", "inherit"],
    });
    closing.push(async () => {
      child.stdin!.end();
      if (child.exitCode === null) await once(child, "exit");
    });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value as string;
    const ask = async (what: string, cookie: string) => {
      child.stdin!.write(`${what} ${cookie}\n`);
      return next();
    };
    expect(await next()).toBe("ready");
    return { ask, next, read: async (cookie: string) => JSON.parse(await ask("read", cookie)) };
  };

  describe(title, () => {
    it("a read-only request asks the store for nothing, and another process's write, revoke and logout arrive by themselves", async () => {
      const here = sessionsOn(remote().open(remote().url));
      const cookie = await login(here);
      const reader = await startReader(here.clock.time);
      const seen = { userId: "ada", data: { cart: ["tea"] } };
      expect(await reader.read(cookie)).toEqual({ ...seen, loads: 1 });
      for (let n = 0; n < 3; n++) expect(await reader.read(cookie)).toEqual({ ...seen, loads: 0 });

      const exchange = await here.sessions.open(requestWith(cookie));
      await exchange.session.update((data) => data.cart.push("mug"));
      await until(async () => (await reader.read(cookie)).data.cart.length === 2);
      expect(await reader.read(cookie)).toMatchObject({ loads: 0 });
      // Its clock stands still, so it is not by its age that it goes.
      await here.sessions.ofUser("ada").revokeAll();
      await until(async () => (await reader.read(cookie)).userId === null);

      const other = await login(here);
      expect(await reader.read(other)).toMatchObject(seen);
      await (await here.sessions.open(requestWith(other))).session.logout();
      await until(async () => (await reader.read(other)).userId === null);
    });

    it("session.onEnd hears of what another process ends, without asking", async () => {
      const here = sessionsOn(remote().open(remote().url));
      const reader = await startReader(here.clock.time);
      const ended: string[] = [];
      for (const end of ["logout", "rotate", "revokeAll"] as const) {
        const cookie = await login(here);
        expect(await reader.ask("wait", cookie)).toBe("waiting");
        const { session } = await here.sessions.open(requestWith(cookie));
        if (end === "revokeAll") await here.sessions.ofUser("ada").revokeAll();
        else await session[end]();
        ended.push(await reader.next());
      }
      expect(ended.slice(0, 2)).toEqual(["logout", "rotated"]);
      expect(["gone", "revoked"]).toContain(ended[2]);
    });

    it("with the connection for changes cut, a revoke takes effect at maxAge, and not later", async () => {
      const silencer = await startSilencer(remote().url);
      closing.push(() => silencer.close());
      const here = sessionsOn(remote().open(remote().url));
      // What is asked for goes to the server; what it tells comes by a line that falls silent.
      const inner = remote().open(remote().url);
      const telling = remote().open(silencer.url);
      const listening: Array<string | undefined> = [];
      const store: Store = {
        ...inner,
        watch: (onChange) =>
          telling.watch!((id) => {
            listening.push(id);
            onChange(id);
          }),
        async close() {
          await telling.close();
          await inner.close();
        },
      };
      const there = sessionsOn(nearCache(store, { maxAge: "5s" }), here.clock);
      await until(() => listening.length > 0);
      const cookie = await login(here);
      const userOf = async () => (await there.sessions.open(requestWith(cookie))).session.userId;
      expect(await userOf()).toBe("ada");
      silencer.silence();
      await here.sessions.ofUser("ada").revokeAll();
      expect(await userOf()).toBe("ada");
      here.clock.advance(4999);
      expect(await userOf()).toBe("ada");
      here.clock.advance(1);
      expect(await userOf()).toBeUndefined();
    });

    it("a connection for changes that is lost is made again, and what was known is dropped twice", async () => {
      const silencer = await startSilencer(remote().url);
      closing.push(() => silencer.close());
      const telling = remote().open(silencer.url);
      const warnings = watchWarnings();
      const heard = await heardFrom(telling);
      silencer.cut();
      await until(() => heard.length >= 2);
      expect(heard).toEqual([undefined, undefined]);
      const writing = remote().open(remote().url);
      closing.push(() => writing.close());
      const id = newId();
      await writing.create(id, recordOf(null), call());
      await writing.replace(id, 1, recordOf(null, { version: 2 }), call());
      await until(() => heard.includes(id));
      await until(() => warnings.length > 0);
      expect(warnings).toHaveLength(1);
      expect(JSON.stringify(warnings)).not.toContain("password");
    });
  });
}

describe.skipIf(program === undefined)("Redis", () => {
  let server: RedisServer;
  let sentinels: Awaited<ReturnType<typeof startSentinels>>;
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  beforeAll(async () => {
    [server, sentinels, cluster] = await Promise.all([
      startRedis(program!),
      startSentinels(program!),
      startCluster(program!),
    ]);
  });
  afterAll(() => Promise.all([server.stop(), sentinels.stop(), cluster.stop()]));

  const clients: Record<string, () => Promise<any>> = {
    async nodeRedis() {
      const client = createClient({ url: server.url });
      closing.push(() => client.destroy());
      return client.connect();
    },
    async nodeRedisPool() {
      const pool = createClientPool({ url: server.url });
      closing.push(() => pool.destroy());
      return pool.connect();
    },
    async nodeRedisWithResp3() {
      const client = createClient({ url: server.url, RESP: 3, clientSideCache: { ttl: 0, maxEntries: 10 } });
      closing.push(() => client.destroy());
      return client.connect();
    },
    async ioredis() {
      const client = new Redis(server.url, { keyPrefix: "app:" });
      closing.push(() => client.disconnect());
      return client;
    },
    async ioredisSentinel() {
      const client = new Redis({ name: sentinels.name, sentinels: sentinels.sentinels });
      closing.push(() => client.disconnect());
      return client;
    },
    async nodeRedisCluster() {
      const client = createCluster({ rootNodes: cluster.nodes.map((socket) => ({ socket })) });
      closing.push(() => client.destroy());
      return client.connect();
    },
    async ioredisCluster() {
      const client = new RedisCluster(cluster.nodes);
      closing.push(() => client.disconnect());
      return client;
    },
  };

  it.each(Object.keys(clients))(
    "tells of what is replaced, rewritten and deleted, by anybody (%s)",
    async (name) => {
      const client = await clients[name]!();
      const primaries = name.endsWith("Cluster") ? 3 : 1;
      await tellsOfEverything(redisStore({ client }), redisStore({ client }), primaries);
    },
  );

  it("tells of nothing under another prefix, of a flush that anything may have changed, and after close of nothing", async () => {
    const store = redisStore({ url: server.url });
    const heard = await heardFrom(store);
    const other = redisStore({ url: server.url, prefix: "other:" });
    const same = redisStore({ url: server.url });
    closing.push(
      () => other.close(),
      () => same.close(),
    );
    await other.create("a", recordOf(null), call());
    await same.create("b", recordOf(null), call());
    await until(() => heard.includes("b"));
    expect(heard).toEqual(["b"]);
    await server.command("FLUSHDB");
    await until(() => heard.includes(undefined));
    await store.close();
    heard.length = 0;
    await same.create("c", recordOf(null), call());
    await same.load("c", call());
    expect(heard).toEqual([]);
    await until(async () => !/cmd=subscribe/.test(await server.command("CLIENT", "LIST")));
  });

  it("hears nothing more where it may not listen, says so once, and serves all the same", async () => {
    const own = await startRedis(program!);
    closing.push(() => own.stop());
    await own.command("ACL", "SETUSER", "default", "-client|tracking");
    const warnings = watchWarnings();
    const store = nearCache(redisStore({ url: own.url }));
    closing.push(() => store.close());
    await until(() => warnings.length > 0);
    expect(warnings).toMatchObject([{ message: expect.stringContaining("tracking") }]);
    const id = newId();
    await store.create(id, recordOf(null), call());
    expect(await store.load(id, { ...call(), mayBeCached: true })).toBeDefined();
  });

  it("where node-redis keeps its options to itself (Sentinel), there is no watch", async () => {
    const client = createSentinel({ name: sentinels.name, sentinelRootNodes: sentinels.sentinels });
    await client.connect();
    closing.push(() => client.destroy());
    expect(redisStore({ client }).watch).toBeUndefined();
  });

  it("after a failover, the new primary is listened to", async () => {
    const own = await startSentinels(program!);
    closing.push(() => own.stop());
    const client = new Redis({ name: own.name, sentinels: own.sentinels, maxRetriesPerRequest: 1 });
    client.on("error", () => {});
    closing.push(() => client.disconnect());
    const store = redisStore({ client });
    const heard = await heardFrom(store);
    await own.primary.stop("SIGKILL");
    // That it is lost, and that there is another.
    await until(() => heard.length >= 2);
    const id = newId();
    const written = async () => {
      await store.create(id, recordOf(null), call());
      return (await store.replace(id, 1, recordOf(null, { version: 2 }), call())).status === "done";
    };
    await until(() => written().catch(() => false));
    await until(() => heard.includes(id));
  });

  it("a read that the near cache answers takes no command", async () => {
    const store = nearCache(redisStore({ url: server.url }));
    closing.push(() => store.close());
    const id = newId();
    await store.create(id, recordOf(null), call());
    await until(async () => {
      // The word of its own write may come after it.
      await server.command("CONFIG", "RESETSTAT");
      for (let n = 0; n < 5; n++)
        expect(await store.load(id, { ...call(), mayBeCached: true })).toBeDefined();
      return !/cmdstat_(get|eval|evalsha):/.test(await server.command("INFO", "commandstats"));
    });
  });

  testStore(
    "nearCache(redisStore)",
    () => nearCache(redisStore({ url: server.url })),
    { describe, it },
    { sweeps: false },
  );
  it("requests on near caches of three processes end as the model says", () =>
    interleaves(() => redisStore({ url: server.url })));
  testNearCache("near cache of Redis", () => ({ url: server.url, open: (url) => redisStore({ url }) }));
});

describe.skipIf(postgres === undefined)("PostgreSQL", () => {
  const { url } = postgres ?? { url: "" };
  const open = (at = url) => postgresStore({ connectionString: at, notify: true });
  beforeAll(async () => {
    const store = open();
    await store.migrate();
    await store.close();
  });

  it("tells of what is replaced, rewritten and deleted, by anybody", async () => {
    const writing = open();
    closing.push(() => writing.close());
    await tellsOfEverything(open(), writing);
  });

  it("by an application's pool too, whose password is not to be seen, and takes none of its connections", async () => {
    const { username, password, hostname, port, pathname } = new URL(url);
    const pool = new pg.Pool({
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
      host: hostname,
      port: Number(port),
      database: pathname.slice(1),
      max: 1,
    });
    closing.push(() => pool.end());
    await tellsOfEverything(postgresStore({ pool, notify: true }), postgresStore({ pool, notify: true }));
    expect(pool.totalCount).toBe(1);
  });

  it("tells of nothing without `notify`, nor of another table", async () => {
    const heard = await heardFrom(open());
    const pool = new pg.Pool({ connectionString: url });
    closing.push(() => pool.end());
    const silent = postgresStore({ pool });
    const other = postgresStore({ pool, table: "others", notify: true });
    await other.migrate();
    for (const store of [silent, other]) {
      await store.create("quiet", recordOf(null), call());
      await store.replace("quiet", 1, recordOf(null, { version: 2 }), call());
      await store.delete("quiet", call());
    }
    const telling = open();
    closing.push(() => telling.close());
    const id = newId();
    await telling.create(id, recordOf(null), call());
    await telling.delete(id, call());
    await until(() => heard.length > 0);
    expect(heard).toEqual([id]);
    expect(silent.watch).toBeUndefined();
    expect(
      postgresStore({ pool: { query: pool.query.bind(pool) } as any, notify: true }).watch,
    ).toBeUndefined();
    expect(() => postgresStore({ pool, notify: "yes" as any })).toThrow("postgresStore.notify");
  });

  it("tells of a change with its commit, in the same statement", async () => {
    const statements: string[] = [];
    const pool = new pg.Pool({ connectionString: url });
    closing.push(() => pool.end());
    const counted = {
      query(query: any) {
        statements.push(query.text);
        return pool.query(query);
      },
    };
    const store = postgresStore({ pool: counted, notify: true });
    const id = newId();
    await store.create(id, recordOf(null), call());
    statements.length = 0;
    await store.replace(id, 1, recordOf(null, { version: 2 }), call());
    await store.touch(id, Date.now() + 2_000_000, call());
    await store.delete(id, call());
    expect(statements).toHaveLength(3);
  });

  testStore("nearCache(postgresStore)", () => nearCache(open()), { describe, it });
  it("requests on near caches of three processes end as the model says", () => interleaves(open));
  testNearCache("near cache of PostgreSQL", () => ({ url, open }));
});
