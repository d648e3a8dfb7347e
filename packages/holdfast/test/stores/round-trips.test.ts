import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { mongodbStore } from "../../src/stores/mongodb.js";
import { mysqlStore } from "../../src/stores/mysql.js";
import { nearCache } from "../../src/stores/near-cache.js";
import { postgresStore } from "../../src/stores/postgres.js";
import { redisStore } from "../../src/stores/redis.js";
import { provideMongodb } from "../services/mongodb.js";
import { startMysql } from "../services/mysql.js";
import { startPostgres } from "../services/postgres.js";
import { redisProgram, startRedis } from "../services/redis.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { Clock, SECRET } from "../support/shop.js";
import { call, newId, recordOf, until } from "../support/sql.js";
import { startWire } from "../support/wire.js";

/** How often a request waits for the network: counted between the driver and a real server, not measured. */

const program = await redisProgram();
const [redis, postgres, mysql, mongodb] = await Promise.all([
  program === undefined ? undefined : startRedis(program),
  startPostgres(),
  startMysql(),
  provideMongodb(),
]);
afterAll(async () => {
  await redis?.stop();
  await postgres?.close();
  await mysql?.close();
  await mongodb?.close();
});

const closing: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Subject {
  readonly name: string;
  readonly url: string | undefined;
  open(url: string): Promise<Store>;
  /** Round trips of a write when another was faster: the loser's own, not those of the next try. */
  readonly conflict: number;
}

const SUBJECTS: Subject[] = [
  {
    name: "Redis by node-redis",
    url: redis?.url,
    async open(url) {
      const client = createClient({ url });
      closing.push(() => client.destroy());
      return redisStore({ client: await client.connect() });
    },
    conflict: 1,
  },
  {
    name: "Redis by ioredis",
    url: redis?.url,
    async open(url) {
      const client = new Redis(url);
      closing.push(() => client.disconnect());
      return redisStore({ client });
    },
    conflict: 1,
  },
  {
    name: "PostgreSQL",
    url: postgres?.url,
    async open(url) {
      const store = postgresStore({ connectionString: url });
      await store.migrate();
      return store;
    },
    conflict: 1,
  },
  {
    name: "PostgreSQL with notify",
    url: postgres?.url,
    async open(url) {
      const store = postgresStore({ connectionString: url, notify: true });
      await store.migrate();
      return store;
    },
    conflict: 1,
  },
  {
    name: "MySQL",
    url: mysql?.url,
    async open(url) {
      const store = mysqlStore({ uri: url });
      await store.migrate();
      return store;
    },
    // There is no UPDATE … RETURNING.
    conflict: 2,
  },
  {
    name: "MongoDB",
    url: mongodb?.url,
    // Its monitor has a connection of its own, which asks in its own time.
    open: async (url) =>
      mongodbStore({ url: `${url}${url.includes("?") ? "&" : "?"}heartbeatFrequencyMS=600000` }),
    conflict: 2,
  },
];

describe.each(SUBJECTS)("$name", ({ url, open, conflict }) => {
  const setUp = async () => {
    const wire = await startWire(url!);
    closing.push(() => wire.close());
    const store = await open(wire.url);
    closing.push(() => store.close());
    const trips = async (work: () => unknown) => {
      wire.reset();
      await work();
      return wire.roundTrips;
    };
    // Connections are made and statements prepared once.
    const [id, user] = [newId(), newId()];
    await store.create(id, recordOf(user), call());
    await store.load(id, call());
    await store.replace(id, 1, recordOf(user, { version: 2 }), call());
    await store.replace(id, 1, recordOf(user, { version: 2 }), call());
    await store.touch(id, Date.now() + 1_900_000, call());
    await store.rewrite!(id, 2, "rewritten", call());
    await store.listByUser(user, call());
    await store.delete(id, call());
    // What runs in the background has ended, and a monitor has looked around.
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { wire, store, trips };
  };

  it.skipIf(url === undefined)("one round trip for each call", async () => {
    const { store, trips } = await setUp();
    const [id, user] = [newId(), newId()];
    expect(await trips(() => store.create(id, recordOf(null), call()))).toBe(1);
    expect(await trips(() => store.load(id, call()))).toBe(1);
    expect(await trips(() => store.replace(id, 1, recordOf(null, { version: 2 }), call()))).toBe(1);
    expect(await trips(() => store.replace(id, 1, recordOf(null, { version: 2 }), call()))).toBe(conflict);
    expect(await trips(() => store.touch(id, Date.now() + 1_900_000, call()))).toBe(1);
    expect(await trips(() => store.rewrite!(id, 2, "rewritten", call()))).toBe(1);
    expect(await trips(() => store.listByUser(user, call()))).toBe(1);
    expect(await trips(() => store.delete(id, call()))).toBe(1);
  });

  it.skipIf(url === undefined)(
    "a request that reads waits once, one that writes once more, and one without a session never",
    async () => {
      const { store, trips } = await setUp();
      const clock = new Clock();
      const sessions = createSessions<any>({
        secrets: [SECRET],
        store,
        clock: clock.read,
        sweepInterval: false,
      });
      const request = async (
        cookie: string | undefined,
        work: (session: any) => unknown = (session) => session.data.n,
      ) => {
        const exchange = await sessions.open(requestWith(cookie));
        await work(exchange.session);
        return finishedCookie(exchange);
      };
      let cookie: string | undefined;
      expect(await trips(() => request(undefined))).toBe(0);
      expect(
        await trips(async () => {
          cookie = await request(undefined, (session) => {
            session.data.n = 1;
          });
        }),
      ).toBe(1);
      expect(await trips(() => request(cookie))).toBe(1);
      expect(
        await trips(() =>
          request(cookie, (session) => {
            session.data.n = 2;
          }),
        ),
      ).toBe(2);
      expect(await trips(() => request(cookie, (session) => session.update((data: any) => data.n++)))).toBe(
        2,
      );
      clock.advance(61_000);
      // The idle deadline moves.
      expect(await trips(() => request(cookie))).toBe(2);
      expect(await trips(() => request("sid=forged"))).toBe(0);
    },
  );
});

describe.each(SUBJECTS.filter(({ name }) => name.startsWith("Redis")))("$name", ({ url, open }) => {
  it.skipIf(url === undefined)(
    "a hundred requests at once are on their way before the first is answered",
    async () => {
      const wire = await startWire(url!);
      closing.push(() => wire.close());
      const store = await open(wire.url);
      const ids = Array.from({ length: 100 }, newId);
      for (const id of ids) await store.create(id, recordOf(null), call());
      // Were one to wait for the answer of another, this would never end.
      wire.holdAnswers((sent) => ids.every((id) => sent.includes(`s:${id}`)));
      const read = await Promise.all(ids.map((id) => store.load(id, call())));
      expect(read.every((record) => record?.version === 1)).toBe(true);
      wire.holdAnswers((sent) => ids.every((id) => sent.includes(`s:${id}`)));
      const written = await Promise.all(
        ids.map((id) => store.replace(id, 1, recordOf(null, { version: 2 }), call())),
      );
      expect(written.every(({ status }) => status === "done")).toBe(true);
      await store.close();
    },
  );

  it.skipIf(url === undefined)(
    "behind a near cache, a request that reads what was read lately never waits",
    async () => {
      const wire = await startWire(url!);
      closing.push(() => wire.close());
      const inner = await open(wire.url);
      let heard = 0;
      // It hears by a way of its own, which is not counted here.
      const telling = redisStore({ url: url! });
      const near = nearCache({
        ...inner,
        watch: (onChange) =>
          telling.watch!((id) => {
            heard++;
            onChange(id);
          }),
      });
      const sessions = createSessions<any>({ secrets: [SECRET], store: near, sweepInterval: false });
      closing.push(
        () => telling.close(),
        () => sessions.close(),
      );
      await until(() => heard > 0);
      const exchange = await sessions.open(requestWith(undefined));
      exchange.session.data.n = 1;
      const cookie = await finishedCookie(exchange);
      await until(() => heard > 1);
      const read = async () => {
        const { session } = await sessions.open(requestWith(cookie));
        expect(session.data.n).toBe(1);
      };
      await read();
      wire.reset();
      for (let n = 0; n < 50; n++) await read();
      expect(wire.roundTrips).toBe(0);
    },
  );
});
