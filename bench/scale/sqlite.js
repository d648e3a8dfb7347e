import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqliteStore } from "holdfast/stores/sqlite";
import { idOf, userOf } from "./population.js";

const TABLE = "holdfast_sessions";
const ROWS_A_TRANSACTION = 50_000;

export function openSqlite() {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-scale-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "sessions.db");
  const store = sqliteStore({ path });
  const database = openDatabase(path);
  // Random ids go all over the index: it has to be in memory while it is filled.
  database.exec("PRAGMA cache_size = -2000000");
  database.exec("PRAGMA synchronous = OFF");
  return {
    store,

    /** Many rows in one transaction, and the indexes made afterwards. */
    async fill({ from, to, users, record, payloadFor, idleDeadline }) {
      const manyRows = to - from > ROWS_A_TRANSACTION;
      const indexes = database
        .prepare(
          "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND type = 'index' AND sql IS NOT NULL",
        )
        .all(TABLE);
      if (manyRows) for (const { name } of indexes) database.exec(`DROP INDEX ${name}`);
      const insert = database.prepare(
        `INSERT INTO ${TABLE} (id, version, payload, idle_deadline, absolute_deadline, user_id) VALUES (?, ?, ?, ?, ?, ?)`,
      );
      for (let n = from; n < to; ) {
        const end = Math.min(n + ROWS_A_TRANSACTION, to);
        database.exec("BEGIN IMMEDIATE");
        for (; n < end; n++) {
          const user = userOf(n, users);
          insert.run(idOf(n), record.version, payloadFor(user), idleDeadline, record.absoluteDeadline, user);
        }
        database.exec("COMMIT");
      }
      if (manyRows) for (const { sql } of indexes) database.exec(sql);
      database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
    },

    async bytes() {
      return statSync(path).size;
    },

    async count() {
      return database.prepare(`SELECT count(*) AS count FROM ${TABLE}`).get().count;
    },

    async close() {
      database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function openDatabase(path) {
  const require = createRequire(import.meta.url);
  try {
    return new (require("node:sqlite").DatabaseSync)(path);
  } catch {
    return new (require("libsql"))(path);
  }
}
