import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import mongoose from "mongoose";
import pg from "pg";
import { createClient } from "redis";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { signConnectId } from "../../../src/compat/express-session/signature.js";
import {
  type ExpressSessionSource,
  expressSessionsStore,
  migrateFrom,
  type OldConnectStore,
} from "../../../src/compat/migrate/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { provideMongodb } from "../../services/mongodb.js";
import { startPostgres } from "../../services/postgres.js";
import { redisProgram, startRedis } from "../../services/redis.js";
import type { Browser } from "../../support/browser.js";
import { openShop, type TestShop } from "../../support/shop.js";
import {
  expressSession,
  HOUR,
  loggedIn,
  OLD_SECRET,
  type OldApplication,
  oldExpress,
} from "./old-applications.js";

const program = await redisProgram();
const redis = program === undefined ? undefined : await startRedis(program);
const postgres = await startPostgres();
const mongodb = await provideMongodb();
const closing: Array<() => unknown> = [];
afterAll(async () => {
  for (const close of closing) await close();
  await redis?.stop();
  await postgres?.close();
  await mongodb?.close();
});

let shop: TestShop;
let old: OldApplication | undefined;
afterEach(async () => {
  await shop?.close();
  await old?.close();
  old = undefined;
});

async function open(source: Partial<ExpressSessionSource> & { store: OldConnectStore }, keepOld = false) {
  const migration = migrateFrom({ expressSession: { secret: OLD_SECRET, ...source }, keepOld });
  shop = await openShop(memoryStore(), { migration });
  shop.clock.time = Date.now();
  return migration;
}

const session = async (browser: Browser) => JSON.parse((await browser.get("/session")).body);

/** Takes over the sessions of three users, of one by ten requests at once; none is left in the old store. */
async function testTakeover(store: any, count: () => Promise<number>, canCount: boolean) {
  old = await oldExpress({ store, cookie: { maxAge: HOUR } });
  const migration = await open({ store });
  const before = await count();
  const browsers: Browser[] = [];
  for (const user of ["ada", "bob", "carol"]) browsers.push(await loggedIn(old, shop.browser(), user));
  expect(await count()).toBe(before + 3);
  expect((await migration.progress()).remaining).toBe(canCount ? before + 3 : undefined);

  const twins = Array.from({ length: 10 }, () => browsers[0]!.twin());
  const answers = twins.map((twin, index) => twin.post(`/set/key${index}/value?hold=all`));
  await shop.barrier("all").arrived(10);
  shop.barrier("all").open();
  await Promise.all(answers);
  const [ada] = twins.filter((twin) => twin.cookies.has("sid"));
  const { userId, data } = await session(ada!);
  expect([userId, Object.keys(data).length, data.cart]).toEqual(["ada", 12, ["book"]]);
  expect(await session(browsers[1]!)).toMatchObject({ userId: "bob", data: { cart: ["book"] } });
  expect(await session(browsers[2]!)).toMatchObject({ userId: "carol" });
  expect(await count()).toBe(before);
  expect(await migration.progress()).toEqual({ migrated: 3, remaining: canCount ? before : undefined });
}

describe.skipIf(redis === undefined)("on Redis", () => {
  it("sessions that connect-redis keeps are taken over", async () => {
    const { RedisStore } = (await import("connect-redis" as string)) as { RedisStore: any };
    const client = createClient({ url: redis!.url });
    await client.connect();
    closing.push(() => client.close());
    const count = async () => (await client.keys("sess:*")).length;
    await testTakeover(new RedisStore({ client }), count, true);
  });

  it.each(["ioredis", "redis"])("records of express-sessions are taken over, with %s", async (name) => {
    const writer = new Redis(redis!.url);
    const client = name === "redis" ? createClient({ url: redis!.url }) : new Redis(redis!.url);
    if (!(client instanceof Redis)) await client.connect();
    closing.push(
      () => writer.quit(),
      () => client.quit(),
    );
    for (const collection of [undefined, "shop"]) {
      const sid = `sid-${name}-${collection}`;
      const key = `${collection ?? "sessions"}:${sid}`;
      // As its `set` writes it: JSON.stringify of the session, and EXPIRE.
      const cookie = {
        originalMaxAge: HOUR,
        expires: new Date(Date.now() + HOUR),
        httpOnly: true,
        path: "/",
      };
      await writer.set(key, JSON.stringify({ cookie, passport: { user: "ada" }, cart: ["book"] }));
      await writer.expire(key, 86_400);
      const store = expressSessionsStore({
        storage: "redis",
        instance: client as any,
        ...(collection && { collection }),
      });
      const migration = await open({ store });
      const browser = shop.browser();
      browser.cookies.set("connect.sid", encodeURIComponent(signConnectId(sid, OLD_SECRET)));
      expect(await session(browser)).toMatchObject({ userId: "ada", data: { cart: ["book"] } });
      expect(await writer.exists(key)).toBe(0);
      expect(await migration.progress()).toEqual({ migrated: 1, remaining: undefined });
      await shop.close();
    }
  });
});

describe.skipIf(postgres === undefined)("on PostgreSQL", () => {
  it("sessions that connect-pg-simple keeps are taken over", async () => {
    const connectPgSimple = ((await import("connect-pg-simple" as string)) as { default: any }).default;
    const pool = new pg.Pool({ connectionString: postgres!.url });
    const tableName = "old_sessions";
    const store = new (connectPgSimple(expressSession))({
      pool,
      tableName,
      createTableIfMissing: true,
      pruneSessionInterval: false,
    });
    closing.push(() => pool.end());
    await pool.query("DROP TABLE IF EXISTS old_sessions");
    await new Promise((resolve, reject) =>
      store.get("none", (e: unknown) => (e ? reject(e) : resolve(undefined))),
    );
    const count = async () => Number((await pool.query("SELECT count(*) AS n FROM old_sessions")).rows[0].n);
    await testTakeover(store, count, false);
  });
});

describe.skipIf(mongodb === undefined)(`on ${mongodb?.what}`, () => {
  it.each(["mongodb", "mongoose"])("documents of express-sessions are taken over, with %s", async (name) => {
    const client = new MongoClient(mongodb!.url);
    if (name === "mongoose") await mongoose.connect(mongodb!.url);
    closing.push(
      () => client.close(),
      () => mongoose.disconnect(),
    );
    const documents = client.db().collection("sessions");
    await documents.deleteMany({});
    // As its `set` writes it, through Mongoose: the session as JSON brings it back, and the end as a date.
    const document = (sid: string, expires: Date | undefined) => {
      const cookie = { originalMaxAge: HOUR, expires, httpOnly: true, path: "/" };
      const data = JSON.parse(JSON.stringify({ cookie, passport: { user: sid }, cart: ["book"] }));
      return { sid, data, lastAccess: new Date(), __v: 0, ...(expires && { expires }) };
    };
    const later = new Date(Date.now() + HOUR);
    await documents.insertMany([
      document("ada", later),
      document("bob", undefined),
      document("carol", new Date(Date.now() - 1000)),
      document("dan", later),
    ]);
    const instance = name === "mongoose" ? mongoose : client.db();
    const migration = await open({
      store: expressSessionsStore({ storage: "mongodb", instance: instance as any }),
    });
    const withCookie = (sid: string) => {
      const browser = shop.browser();
      browser.cookies.set("connect.sid", encodeURIComponent(signConnectId(sid, OLD_SECRET)));
      return browser;
    };
    expect(await migration.progress()).toEqual({ migrated: 0, remaining: 4 });
    expect(await session(withCookie("ada"))).toMatchObject({ userId: "ada", data: { cart: ["book"] } });
    expect(await session(withCookie("bob"))).toMatchObject({ userId: "bob" });
    expect(await session(withCookie("carol"))).toMatchObject({ isNew: true });
    expect(await migration.progress()).toEqual({ migrated: 2, remaining: 2 });
    expect((await documents.find().toArray()).map(({ sid }) => sid)).toEqual(["carol", "dan"]);
  });
});
