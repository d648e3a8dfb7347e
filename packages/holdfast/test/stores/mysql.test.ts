import { readFileSync } from "node:fs";
import callbackMysql from "mysql2";
import mysql from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migration, mysqlStore } from "../../src/stores/mysql.js";
import { testStore } from "../../src/testing/store.js";
import { startMysql } from "../services/mysql.js";
import { call, mysqlBackend, newId, recordOf } from "../support/sql.js";
import { testInjection } from "./sql-injection.js";
import { testInterleavings } from "./sql-interleavings.js";

const server = await startMysql();
if (server === undefined) {
  it.skip("MySQL: no server");
} else {
  const { url: uri } = server;
  const backend = mysqlBackend(uri);
  const pool = mysql.createPool(uri);
  const pools = [pool];
  /** A pool whose connections each begin with a statement. */
  const poolWith = (sql: string) => {
    const made = mysql.createPool(uri);
    made.on("connection", (connection: any) => connection.query(sql));
    pools.push(made);
    return made;
  };
  beforeAll(async () => {
    const store = backend.open();
    await store.migrate();
    await store.close();
  });
  afterAll(async () => {
    for (const each of pools) await each.end();
    await server.close();
  });

  testStore("mysqlStore", () => backend.open(), { describe, it });
  testInterleavings("MySQL", backend, () => backend.open());
  for (const level of ["READ COMMITTED", "SERIALIZABLE"]) {
    const open = () => mysqlStore({ pool: poolWith(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`) });
    testInterleavings(`MySQL with ${level} as the default`, backend, open);
  }
  testInjection("MySQL", backend);

  describe("mysqlStore", () => {
    it("without its table, says at the first call what to do, and works once that is done", async () => {
      const store = mysqlStore({ pool, table: "made_late" });
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
      await mysqlStore({ pool, table }).migrate();
      await pool.query("UPDATE holdfast_schema SET version = 2 WHERE table_name = ?", [table]);
      await expect(mysqlStore({ pool, table }).load("id", call())).rejects.toThrow("upgrade holdfast");
      await expect(mysqlStore({ pool, table }).migrate()).rejects.toThrow("upgrade holdfast");
    });

    it("keeps text exactly, whatever the application has set for its own queries", async () => {
      const settings = {
        supportBigNumbers: true,
        bigNumberStrings: true,
        rowsAsArray: true,
        dateStrings: true,
      };
      const odd = {
        ...settings,
        charset: "latin1_swedish_ci",
        typeCast: () => "mine",
        namedPlaceholders: true,
      };
      const theirs = mysql.createPool({ uri, ...odd });
      pools.push(theirs);
      for (const each of [
        theirs,
        poolWith("SET NAMES latin1"),
        poolWith("SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'"),
      ]) {
        const store = mysqlStore({ pool: each });
        const [id, user] = [newId(), `ünï-😀-${newId()}`];
        const record = recordOf(user, { payload: "\\'\"` ünïcödé 漢字 😀 \u202e", version: 2 ** 40 });
        expect(await store.create(id, record, call())).toBe(true);
        expect(await store.load(id, call())).toEqual(record);
        expect(await store.listByUser(user, call())).toEqual([{ id, record }]);
        expect(await store.replace(id, 7, record, call())).toEqual({ status: "conflict", record });
        expect(await store.deleteByUser(user, undefined, call())).toEqual([id]);
      }
    });

    it("takes a callback pool, and leaves it open", async () => {
      const theirs = callbackMysql.createPool(uri);
      pools.push(theirs.promise());
      const store = mysqlStore({ pool: theirs });
      const [id, record] = [newId(), recordOf("ada")];
      await store.create(id, record, call());
      expect(await store.load(id, call())).toEqual(record);
      await store.close();
      expect((await theirs.promise().query("SELECT 1 AS one"))[0]).toEqual([{ one: 1 }]);
    });

    it("removes hundreds of one user's sessions at once", async () => {
      const store = mysqlStore({ pool });
      const [user, ids] = [`user-${newId()}`, Array.from({ length: 250 }, newId)];
      for (const id of ids) await store.create(id, recordOf(user), call());
      const removed = await store.deleteByUser(user, ids[7], call());
      expect(removed).toHaveLength(249);
      expect((await store.listByUser(user, call())).map(({ id }) => id)).toEqual([ids[7]]);
    });

    it.each([
      [{}, "mysqlStore: expected either"],
      [{ pool, uri }, "mysqlStore: expected either"],
      [{ pool: {} }, "mysqlStore.pool"],
      [{ uri: "mysql://localhost" }, "mysqlStore.uri"],
      [{ uri: "postgres://localhost/db" }, "mysqlStore.uri"],
      [{ pool, table: "x; DROP TABLE users" }, "mysqlStore.table"],
      [{ pool, table: "x`y" }, "mysqlStore.table"],
      [{ pool, table: "" }, "mysqlStore.table"],
      [{ pool, table: "é" }, "mysqlStore.table"],
      [{ pool, table: "a".repeat(65) }, "mysqlStore.table"],
      [{ pool, table: ["holdfast_sessions"] }, "mysqlStore.table"],
    ])("refuses the options %#", (options: any, message) => {
      expect(() => mysqlStore(options)).toThrow(message);
    });

    it("quotes no password in an error", () => {
      expect(() => mysqlStore({ uri: "mysql://me:secret word@[" })).toThrow(/^((?!secret).)*$/s);
    });

    it("says that the server can't be reached", async () => {
      const store = mysqlStore({ uri: "mysql://localhost:9/none" });
      await expect(store.load("id", call())).rejects.toThrow("ECONNREFUSED");
      await store.close();
    });

    it("ships the SQL that migrate() runs", () => {
      const file = readFileSync(new URL("../../sql/mysql.sql", import.meta.url), "utf8");
      expect(file).toContain(migration("holdfast_sessions"));
    });
  });
}
