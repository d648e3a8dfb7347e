import { readFileSync } from "node:fs";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migration, postgresStore } from "../../src/stores/postgres.js";
import { testStore } from "../../src/testing/store.js";
import { startPostgres } from "../services/postgres.js";
import { call, newId, postgresBackend, recordOf } from "../support/sql.js";
import { testInjection } from "./sql-injection.js";
import { testInterleavings } from "./sql-interleavings.js";

const server = await startPostgres();
if (server === undefined) {
  it.skip("PostgreSQL: no server");
} else {
  const { url } = server;
  const backend = postgresBackend(url);
  const pool = new pg.Pool({ connectionString: url });
  beforeAll(async () => {
    const store = backend.open();
    await store.migrate();
    await store.close();
  });
  afterAll(async () => {
    await pool.end();
    await server.close();
  });

  testStore("postgresStore", () => backend.open(), { describe, it });
  testInterleavings("PostgreSQL", backend, () => backend.open());
  for (const level of ["repeatable read", "serializable"]) {
    const options = encodeURIComponent(`-c default_transaction_isolation=${level.replace(" ", "\\ ")}`);
    const open = () => postgresStore({ connectionString: `${url}?options=${options}` });
    testInterleavings(`PostgreSQL with ${level} as the default`, backend, open);
  }
  testInjection("PostgreSQL", backend);

  describe("postgresStore", () => {
    it("without its table, says at the first call what to do, and works once that is done", async () => {
      const store = postgresStore({ pool, table: "made_late" });
      await expect(store.load("id", call())).rejects.toMatchObject({
        code: "ERR_HOLDFAST_CONFIG",
        message: expect.stringContaining("run `await store.migrate()` once"),
      });
      await store.migrate();
      expect(await store.load("id", call())).toBeUndefined();
      await pool.query("DROP TABLE made_late");
      await expect(store.load("id", call())).rejects.toThrow("run `await store.migrate()` once");
    });

    it("refuses a table of a newer version", async () => {
      const table = "from_the_future";
      await postgresStore({ pool, table }).migrate();
      await pool.query("UPDATE holdfast_schema SET version = 2 WHERE table_name = $1", [table]);
      await expect(postgresStore({ pool, table }).load("id", call())).rejects.toThrow("upgrade holdfast");
      await expect(postgresStore({ pool, table }).migrate()).rejects.toThrow("upgrade holdfast");
    });

    it("makes an unlogged table where that is asked for, and takes no table for what it is not", async () => {
      const options = { pool, table: "not_logged" };
      await postgresStore({ ...options, unlogged: true }).migrate();
      expect(await postgresStore({ ...options, unlogged: true }).load("id", call())).toBeUndefined();
      await expect(postgresStore(options).load("id", call())).rejects.toThrow("SET LOGGED");
      await pool.query("ALTER TABLE not_logged SET LOGGED");
      expect(await postgresStore(options).load("id", call())).toBeUndefined();
    });

    it("keeps to its schema, and says where there is none", async () => {
      await pool.query("CREATE SCHEMA sessions");
      const store = postgresStore({ pool, schema: "sessions", table: "Mixed_Case" });
      await store.migrate();
      await store.create("id", recordOf("ada"), call());
      expect((await pool.query(`SELECT id FROM sessions."Mixed_Case"`)).rows).toEqual([{ id: "id" }]);
      await expect(postgresStore({ pool, schema: "missing" }).migrate()).rejects.toThrow(
        "postgresStore.schema",
      );
    });

    it("shares a pool with an application that reads bigint its own way, and with other tables", async () => {
      for (const parse of [BigInt, Number, String]) {
        const types = {
          getTypeParser: (oid: number, format: any) =>
            oid === 20 ? parse : pg.types.getTypeParser(oid, format),
        };
        const theirs = new pg.Pool({ connectionString: url, types: types as any, max: 1 });
        for (const table of ["holdfast_sessions", "Second"]) {
          const store = postgresStore({ pool: theirs, table });
          await store.migrate();
          const [id, record] = [newId(), recordOf("ada")];
          await store.create(id, record, call());
          expect(await store.load(id, call())).toEqual(record);
          await store.close();
        }
        expect((await theirs.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
        await theirs.end();
      }
    });

    it("takes a client, and no prepared statements", async () => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const store = postgresStore({ client, prepare: false });
      await store.migrate();
      const [id, record] = [newId(), recordOf("ada")];
      await store.create(id, record, call());
      expect(await store.load(id, call())).toEqual(record);
      expect((await client.query("SELECT name FROM pg_prepared_statements")).rows).toEqual([]);
      await store.close();
      await client.end();
    });

    it("does each call in one round trip, but for a replace that had to wait for its rival", async () => {
      const queries: string[] = [];
      const counted = {
        query(query: any) {
          queries.push(query.text);
          return pool.query(query);
        },
      };
      const store = postgresStore({ pool: counted });
      const [id, user] = [newId(), newId()];
      await store.load(id, call()); // and the look at the schema version
      queries.length = 0;
      await store.create(id, recordOf(user), call());
      await store.replace(id, 1, recordOf(user, { version: 2 }), call());
      await store.replace(id, 1, recordOf(user, { version: 2 }), call());
      await store.touch(id, Date.now() + 2_000_000, call());
      await store.listByUser(user, call());
      await store.deleteByUser(user, undefined, call());
      await store.delete(id, call());
      expect(queries).toHaveLength(7);
    });

    it.each([
      [{}, "postgresStore: expected one of"],
      [{ pool, connectionString: url }, "postgresStore: expected one of"],
      [{ pool: {} }, "postgresStore.pool"],
      [{ connectionString: "mysql://localhost/db" }, "postgresStore.connectionString"],
      [{ pool, unlogged: "yes" }, "postgresStore.unlogged"],
      [{ pool, schema: 'public"; DROP TABLE users; --' }, "postgresStore.schema"],
      [{ pool, table: "x; DROP TABLE users" }, "postgresStore.table"],
      [{ pool, table: 'x"y' }, "postgresStore.table"],
      [{ pool, table: "" }, "postgresStore.table"],
      [{ pool, table: "é" }, "postgresStore.table"],
      [{ pool, table: "a".repeat(51) }, "postgresStore.table"],
      [{ pool, table: ["holdfast_sessions"] }, "postgresStore.table"],
    ])("refuses the options %#", (options: any, message) => {
      expect(() => postgresStore(options)).toThrow(message);
    });

    it("quotes no password in an error", () => {
      const connectionString = "postgres://me:secret word@[";
      expect(() => postgresStore({ connectionString })).toThrow(/^((?!secret).)*$/s);
    });

    it("says that the server can't be reached", async () => {
      const store = postgresStore({ connectionString: "postgres://localhost:9/none" });
      await expect(store.load("id", call())).rejects.toThrow("ECONNREFUSED");
      await store.close();
    });

    it("ships the SQL that migrate() runs", () => {
      const file = readFileSync(new URL("../../sql/postgres.sql", import.meta.url), "utf8");
      expect(file).toContain(migration("public", "holdfast_sessions", false));
    });
  });
}
