import { closeSync, existsSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import { ConfigurationError } from "../errors.js";
import type { Awaitable, Store, StoreCall, StoredSession, StoreRecord } from "./contract.js";
import { GroupedWrites, isBusy } from "./grouped-writes.js";

/**
 * What the store needs of a SQLite driver; `node:sqlite`'s DatabaseSync, better-sqlite3's and libsql's Database have it.
 */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): unknown;
}

export interface SqliteStatement {
  run(...values: any[]): { changes: number | bigint };
  get(...values: any[]): any;
  all(...values: any[]): any[];
}

export interface SqliteStoreOptions {
  /** The file; made if it isn't there. Several processes may use one file on a local disk. */
  path?: string;
  /** An open database of `node:sqlite`, `better-sqlite3` or `libsql`, in place of `path`. `close()` leaves it open, and its settings (journal mode, busy timeout) stay yours. */
  database?: SqliteDatabase;
  /** The table's name: letters, digits and underscores. Default: "holdfast_sessions". */
  table?: string;
  /**
   * "normal": an acknowledged write survives the end of the process, kill -9 included, but a power cut may take the last
   * ones. "full": it survives a power cut too, at the price of a sync to disk for each group of writes. Default: "normal".
   */
  durability?: "normal" | "full";
}

const SCHEMA_VERSION = 1;
/** Milliseconds that SQLite itself waits for another process's write, with this thread blocked. Then we wait asleep. */
const BUSY_TIMEOUT = 20;
/** Milliseconds that opening a file may wait for other processes that open it, too. */
const SETUP_TIMEOUT = 5000;
const SWEEP_BATCH = 200;

/**
 * Sessions in a SQLite file: the embedded default, for one machine and any number of processes on it. Takes `node:sqlite`
 * where Node has it, else `better-sqlite3` or `libsql`, whichever is installed.
 *
 * @throws ConfigurationError where an option is wrong or no driver is there.
 */
export function sqliteStore(options: SqliteStoreOptions): Store {
  const { path, table = "holdfast_sessions", durability = "normal" } = options;
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(table)) {
    throw new ConfigurationError("sqliteStore.table", `${JSON.stringify(table)} is not a plain table name`);
  }
  if (durability !== "normal" && durability !== "full") {
    throw new ConfigurationError("sqliteStore.durability", 'expected "normal" or "full"');
  }
  const database = options.database ?? openDatabase(path, durability);
  migrate(database, table);
  if (options.database === undefined) database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);

  const columns = "version, payload, idle_deadline, absolute_deadline, user_id";
  const load = database.prepare(`SELECT ${columns} FROM ${table} WHERE id = ?`);
  const insert = database.prepare(
    `INSERT INTO ${table} (id, ${columns}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
  );
  const update = database.prepare(
    `UPDATE ${table} SET version = ?, payload = ?, idle_deadline = ?, absolute_deadline = ?, user_id = ?
     WHERE id = ? AND version = ?`,
  );
  const touch = database.prepare(
    `UPDATE ${table} SET idle_deadline = ?1 WHERE id = ?2 AND idle_deadline < ?1 AND absolute_deadline >= ?1`,
  );
  const rewrite = database.prepare(
    `UPDATE ${table} SET version = version + 1, payload = ? WHERE id = ? AND version = ?`,
  );
  const remove = database.prepare(`DELETE FROM ${table} WHERE id = ?`);
  const sweepBatch = database.prepare(
    `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE idle_deadline <= ? LIMIT ${SWEEP_BATCH})`,
  );
  const list = database.prepare(`SELECT id, ${columns} FROM ${table} WHERE user_id = ?`);
  const page = database.prepare(`SELECT id, ${columns} FROM ${table} WHERE id > ? ORDER BY id LIMIT ?`);
  const removeByUser = database.prepare(
    `DELETE FROM ${table} WHERE user_id = ? AND id IS NOT ? RETURNING id`,
  );
  const writes = new GroupedWrites(database, options.database !== undefined);
  let closed = false;

  /** Each driver does something else with statements of a closed database. */
  function assertOpen(): void {
    if (closed) throw new Error("the store is closed");
  }

  function read<T>(call: StoreCall, statement: () => T): Awaitable<T> {
    assertOpen();
    return whenFree(call, statement);
  }

  function write<T>(call: StoreCall, statements: () => T): Awaitable<T> {
    assertOpen();
    return writes.run(call, statements);
  }

  return {
    name: "sqlite",

    load(id, call) {
      return read(call, () => toRecord(load.get(id)));
    },

    create(id, record, call) {
      return write(call, () => insert.run(id, ...toRow(record)).changes > 0);
    },

    replace(id, expectedVersion, record, call) {
      return write(call, () => {
        if (update.run(...toRow(record), id, expectedVersion).changes > 0) return { status: "done" };
        // Between the two statements the record may go or change once more: either way this is what it is by now.
        const current = toRecord(load.get(id));
        return current === undefined ? { status: "gone" } : { status: "conflict", record: current };
      });
    },

    touch(id, idleDeadline, call) {
      return write(call, () => touch.run(idleDeadline, id).changes > 0);
    },

    delete(id, call) {
      return write(call, () => {
        remove.run(id);
      });
    },

    async sweep(call) {
      let removed = 0;
      for (;;) {
        const batch = Number(await write(call, () => sweepBatch.run(call.now).changes));
        removed += batch;
        if (batch < SWEEP_BATCH) return removed;
        // Requests that are waiting get their turn between two batches.
        await delay(1);
        if (closed) return removed;
      }
    },

    listByUser(userId, call) {
      return read(call, () => list.all(userId).map(toSession));
    },

    deleteByUser(userId, except, call) {
      return write(call, () => removeByUser.all(userId, except ?? null).map((row) => row.id));
    },

    scan(cursor, limit, call) {
      return read(call, () => {
        const sessions = page.all(cursor ?? "", limit).map(toSession);
        return { sessions, next: sessions.length < limit ? undefined : sessions.at(-1)!.id };
      });
    },

    rewrite(id, expectedVersion, payload, call) {
      return write(call, () => rewrite.run(payload, id, expectedVersion).changes > 0);
    },

    inspect(call) {
      return read(call, () => {
        const { version } = database.prepare("SELECT sqlite_version() AS version").get();
        const files = database.prepare("PRAGMA database_list").all();
        const file = files.find(({ name }) => name === "main")?.file;
        return {
          server: `SQLite ${version}`,
          place: "file",
          file: file || undefined,
          durable: Boolean(file),
        };
      });
    },

    close() {
      if (closed) return;
      closed = true;
      writes.close();
      if (options.database === undefined) database.close();
    },
  };
}

function toRow({ version, payload, idleDeadline, absoluteDeadline, userId }: StoreRecord) {
  return [version, payload, idleDeadline, absoluteDeadline, userId] as const;
}

function toRecord(row: any): StoreRecord | undefined {
  if (row === undefined) return undefined;
  return {
    version: row.version,
    payload: row.payload,
    idleDeadline: row.idle_deadline,
    absoluteDeadline: row.absolute_deadline,
    userId: row.user_id,
  };
}

function toSession(row: any): StoredSession {
  return { id: row.id, record: toRecord(row)! };
}

/**
 * Reads, at once unless another process keeps readers out, as it does where the journal is no WAL. Then this waits without
 * blocking the thread and tries again, until it works or the call's deadline has passed.
 */
function whenFree<T>(call: StoreCall, statement: () => T): Awaitable<T> {
  try {
    return statement();
  } catch (error) {
    if (!isBusy(error)) throw error;
    return retryWhileBusy(call, statement, error);
  }
}

async function retryWhileBusy<T>(call: StoreCall, statement: () => T, busy: unknown): Promise<T> {
  const { signal } = call;
  for (let wait = 5; !signal.aborted; wait = Math.min(wait * 2, 100)) {
    await delay(wait * (0.5 + Math.random()));
    try {
      return statement();
    } catch (error) {
      if (!isBusy(error)) throw error;
    }
  }
  throw busy;
}

/** For a database of our own only: these settings hold for the whole handle. */
function configure(database: SqliteDatabase, durability: "normal" | "full"): void {
  // Setting up may meet other processes that do the same, so until that is done a long wait is right.
  database.exec(`PRAGMA busy_timeout = ${SETUP_TIMEOUT}`);
  useWriteAheadLog(database);
  database.exec(`PRAGMA synchronous = ${durability === "full" ? "FULL" : "NORMAL"}`);
}

/** SQLite waits for who reads or writes a file whose journal is to be another, but not for who has just begun to. */
function useWriteAheadLog(database: SqliteDatabase): void {
  for (const end = Date.now() + SETUP_TIMEOUT; ; ) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (!isBusy(error) || Date.now() >= end) throw error;
    }
    // Nothing else runs yet: a store is opened at start-up.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
}

/** Brings the table to this version's schema. The table's own version is kept beside it, so the file may hold other things. */
function migrate(database: SqliteDatabase, table: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    database.exec(
      "CREATE TABLE IF NOT EXISTS holdfast_schema (table_name TEXT PRIMARY KEY, version INTEGER NOT NULL)",
    );
    const row = database.prepare("SELECT version FROM holdfast_schema WHERE table_name = ?").get(table);
    const version = Number(row?.version ?? 0);
    if (version > SCHEMA_VERSION) {
      throw new ConfigurationError(
        "sqliteStore",
        `the table ${table} has schema version ${version}, and this Holdfast knows ${SCHEMA_VERSION}: upgrade holdfast`,
      );
    }
    if (version < 1) {
      database.exec(`CREATE TABLE ${table} (
        id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        payload TEXT NOT NULL,
        idle_deadline INTEGER NOT NULL,
        absolute_deadline INTEGER NOT NULL,
        user_id TEXT
      )`);
      database.exec(`CREATE INDEX ${table}_by_deadline ON ${table} (idle_deadline)`);
      database.exec(`CREATE INDEX ${table}_by_user ON ${table} (user_id) WHERE user_id IS NOT NULL`);
    }
    database
      .prepare(
        "INSERT INTO holdfast_schema VALUES (?, ?) ON CONFLICT (table_name) DO UPDATE SET version = excluded.version",
      )
      .run(table, SCHEMA_VERSION);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

function openDatabase(path: string | undefined, durability: "normal" | "full"): SqliteDatabase {
  if (typeof path !== "string" || path === "") {
    throw new ConfigurationError(
      "sqliteStore.path",
      'expected the path of a file, as in sqliteStore({ path: "sessions.db" })',
    );
  }
  if (path !== ":memory:") makePrivateFile(path);
  try {
    const database = openByDriver(path);
    configure(database, durability);
    return database;
  } catch (error) {
    throw unusable(path, error);
  }
}

/** By the first driver that is there. */
function openByDriver(path: string): SqliteDatabase {
  const require = createRequire(import.meta.url);
  const drivers: Array<() => SqliteDatabase> = [
    () => new (require("node:sqlite").DatabaseSync)(path),
    () => new (require("better-sqlite3"))(path),
    () => new (require("libsql"))(path),
  ];
  for (const open of drivers) {
    try {
      return open();
    } catch (error) {
      if (!isMissingModule(error)) throw error;
    }
  }
  throw new ConfigurationError(
    "sqliteStore",
    "no SQLite driver was found. Use Node 22.13 or later, which has one, or run: npm install better-sqlite3 (or libsql)",
  );
}

/** Looks without making or changing anything. @throws ConfigurationError where the file holds no such table of sessions. @internal */
export function assertStored(path: string, table = "holdfast_sessions"): void {
  if (!existsSync(path)) throw new ConfigurationError("sqliteStore.path", `there is no file ${path}`);
  let tables: string[] = [];
  try {
    const database = openByDriver(path);
    try {
      const made = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'holdfast_schema'").get();
      if (made !== undefined)
        tables = database
          .prepare("SELECT table_name FROM holdfast_schema")
          .all()
          .map((row) => row.table_name);
    } finally {
      database.close();
    }
  } catch (error) {
    throw unusable(path, error);
  }
  if (tables.includes(table)) return;
  const others = tables.length === 0 ? "" : `; it has ${tables.join(", ")}`;
  throw new ConfigurationError(
    "sqliteStore.table",
    `${path} has no table of sessions called ${table}${others}`,
  );
}

/** Only its owner may read the file; SQLite gives its side files the same mode. */
function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, "a", 0o600));
  } catch (error) {
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): ConfigurationError {
  if (error instanceof ConfigurationError) return error;
  return new ConfigurationError("sqliteStore.path", `${path} can't be opened: ${(error as Error).message}`);
}

function isMissingModule(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "MODULE_NOT_FOUND" || code === "ERR_UNKNOWN_BUILTIN_MODULE";
}
