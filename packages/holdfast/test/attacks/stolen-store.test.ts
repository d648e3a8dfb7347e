import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import mysql from "mysql2/promise";
import pg from "pg";
import { afterAll, describe, expect, it } from "vitest";
import type { Store } from "../../src/stores/contract.js";
import { memoryStore } from "../../src/stores/memory.js";
import { mongodbStore } from "../../src/stores/mongodb.js";
import { mysqlStore } from "../../src/stores/mysql.js";
import { postgresStore } from "../../src/stores/postgres.js";
import { redisStore } from "../../src/stores/redis.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { createKeyring } from "../../src/token/keyring.js";
import { provideMongodb } from "../services/mongodb.js";
import { startMysql } from "../services/mysql.js";
import { startPostgres } from "../services/postgres.js";
import { redisProgram, startRedis } from "../services/redis.js";
import { openShop, SECRET } from "../support/shop.js";
import { call } from "../support/sql.js";
import { temporaryFile } from "../support/stores.js";
import { attack, browserWith, userOf } from "./attack.js";

/** What looks like an id or a token in a text. */
function candidatesIn(text: string): Set<string> {
  return new Set(text.match(/[A-Za-z0-9_-]{20,}/g) ?? []);
}

describe("a stolen copy of the store", async () => {
  attack("with the secret that everybody knows, its keys are cookies", async ({ url, site, browser }) => {
    const victim = browser();
    await victim.post("/login/victim");
    const [name] = [...victim.cookies.keys()];
    for (const found of candidatesIn(await site.dump())) {
      const cookies =
        name === "connect.sid"
          ? [encodeURIComponent(`s:${found}.${base64Mac(found)}`)]
          : [found, createKeyring(["keyboard cat"], false).sign(found.slice(0, 43))];
      for (const cookie of cookies) {
        if ((await userOf(browserWith(url, name!, cookie))) === "victim") return true;
      }
    }
    return false;
  });

  const path = temporaryFile("stolen.db");
  const opened: Array<() => unknown> = [];
  afterAll(async () => {
    for (const close of opened) await close();
  });

  const memory = memoryStore();
  stolen("memory", memory, async () => JSON.stringify(await memory.scan!(undefined, 1000, call())));
  stolen("SQLite", sqliteStore({ path }), () =>
    [path, `${path}-wal`].map((file) => readFileSync(file, "latin1")).join(),
  );

  const program = await redisProgram();
  const redis = program && (await startRedis(program));
  if (!redis) it.skip("Redis: no server");
  else {
    const client = new Redis(redis.url, { lazyConnect: true });
    opened.push(
      () => client.disconnect(),
      () => redis.stop(),
    );
    stolen("Redis", redisStore({ url: redis.url }), async () => {
      const dump: unknown[] = [];
      for (const key of await client.keys("*")) {
        const isText = (await client.type(key)) === "string";
        dump.push(key, isText ? await client.get(key) : await client.zrange(key, 0, -1));
      }
      return dump.join();
    });
  }

  const postgres = await startPostgres();
  if (postgres === undefined) it.skip("PostgreSQL: no server");
  else {
    const pool = new pg.Pool({ connectionString: postgres.url });
    opened.push(
      () => pool.end(),
      () => postgres.close(),
    );
    const store = postgresStore({ connectionString: postgres.url });
    await store.migrate();
    stolen("PostgreSQL", store, async () =>
      JSON.stringify((await pool.query("SELECT * FROM holdfast_sessions")).rows),
    );
  }

  const maria = await startMysql();
  if (maria === undefined) it.skip("MySQL: no server");
  else {
    const pool = mysql.createPool(maria.url);
    opened.push(
      () => pool.end(),
      () => maria.close(),
    );
    const store = mysqlStore({ uri: maria.url });
    await store.migrate();
    stolen("MySQL", store, async () =>
      inspect(await pool.query("SELECT CONVERT(id USING utf8mb4) AS text, s.* FROM holdfast_sessions AS s"), {
        depth: 9,
        maxStringLength: null,
      }),
    );
  }

  const mongodb = await provideMongodb();
  if (mongodb === undefined) it.skip("MongoDB: no server");
  else {
    const client = new MongoClient(mongodb.url);
    opened.push(
      () => client.close(),
      () => mongodb.close(),
    );
    stolen("MongoDB", mongodbStore({ url: mongodb.url }), async () =>
      JSON.stringify(await client.db().collection("holdfast_sessions").find().toArray()),
    );
  }
});

/** Tries all that a copy of a store holds as the token of a session, signed with the application's own secret as well. */
function stolen(name: string, store: Store, dump: () => string | Promise<string>): void {
  it(`gives no working cookie, not even with the secret: ${name}`, async () => {
    const shop = await openShop(store, { renewAfter: "1m" });
    try {
      const victim = shop.browser();
      await victim.post("/set/theme/dark");
      await victim.post("/login/victim");
      // Every kind of record: a living session, tombstones of a login and of a renewal.
      shop.clock.advance(120_000);
      await victim.get("/session");
      const [[cookie, signed] = []] = [...victim.cookies];
      expect(JSON.parse((await victim.get("/session")).body).userId).toBe("victim");

      const copy = await dump();
      const id = JSON.parse((await victim.get("/session")).body).id;
      expect(copy).toContain(id);
      expect(copy).not.toContain(signed!.slice(0, 43));

      const keyring = createKeyring([SECRET], false);
      for (const found of candidatesIn(copy)) {
        for (const value of [found, keyring.sign(found.slice(0, 43)), keyring.sign(found.padEnd(43, "A"))]) {
          const thief = shop.browser();
          thief.cookies.set(cookie!, value);
          const { userId, data } = JSON.parse((await thief.get("/session")).body);
          expect({ userId, data }).toEqual({ userId: undefined, data: {} });
        }
      }
    } finally {
      await shop.close();
    }
  });
}

function base64Mac(id: string): string {
  return createHmac("sha256", "keyboard cat").update(id).digest("base64").replace(/=+$/, "");
}
