import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import { ConfigurationError } from "../errors.js";
import type { Store, StoreCall, StoredSession, StoreRecord } from "./contract.js";
import { assertVersion, newerSchema, notMigrated, OneLook, type Table, untilItHolds } from "./sql.js";

/** What the store needs of a pool of `mysql2/promise`. */
export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>;
}

/** A callback pool of `mysql2`: its `promise()` is the same pool with promises. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

export interface MysqlConnection {
  query(sql: string): Promise<any>;
  execute(statement: any): Promise<any>;
  release(): void;
  destroy(): void;
}

export interface MysqlStoreOptions {
  /** A pool of `mysql2/promise`, or of `mysql2`. `close()` leaves it open. */
  pool?: MysqlPool | MysqlCallbackPool;
  /** A URL, as in "mysql://user:password@host:3306/database". The store then makes its own pool, and closes it. */
  uri?: string;
  /** The table's name: letters, digits and underscores, 64 at most. Default: "holdfast_sessions". */
  table?: string;
}

export interface MysqlStore extends Store {
  /**
   * Makes the table, or brings it to this version's schema. Run it once for each deployment; running it again, or in
   * several processes at once, does no harm. `sql/mysql.sql` in this package is the same for other migration tools.
   *
   * @throws ConfigurationError where the table was made by a newer Holdfast.
   */
  migrate(): Promise<void>;
}

const SCHEMA_VERSION = 1;
const SWEEP_BATCH = 200;
/** Ids in one DELETE. Shorter lists are filled up, so that there is one prepared statement and not one for each length. */
const IDS_AT_ONCE = 100;
/** Milliseconds after which work that gets no answer gives its connection up. */
const WORK_TIMEOUT = 10_000;
const CONNECT_TIMEOUT = 5_000;
/** Calls that wait for a connection of the store's own pool; more are refused at once. */
const MAX_WAITING = 1000;
const MIGRATION_TIMEOUT = 60_000;

/**
 * Sessions in MySQL 8.0 or MariaDB 10.6 or later, by the `mysql2` driver.
 *
 * @throws ConfigurationError where an option is wrong or the driver is not installed.
 */
export function mysqlStore(options: MysqlStoreOptions): MysqlStore {
  const { table = "holdfast_sessions" } = options;
  if (typeof table !== "string" || !/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(table)) {
    throw new ConfigurationError("mysqlStore.table", `${JSON.stringify(table)} is not a plain table name`);
  }
  const { pool, end } = openDatabase(options);

  const name = `\`${table}\``;
  const of: Table = { store: "mysqlStore", name: table, version: SCHEMA_VERSION };
  const columns = "version, payload, idle_deadline, absolute_deadline, user_id";
  const load = `SELECT ${columns} FROM ${name} WHERE id = ?`;
  const insert = `INSERT INTO ${name} (id, ${columns}) VALUES (?, ?, ?, ?, ?, ?)`;
  const swap = `UPDATE ${name} SET version = ?, payload = ?, idle_deadline = ?, absolute_deadline = ?, user_id = ?
    WHERE id = ? AND version = ?`;
  const touch = `UPDATE ${name} SET idle_deadline = ? WHERE id = ? AND idle_deadline < ? AND absolute_deadline >= ?`;
  const rewrite = `UPDATE ${name} SET version = version + 1, payload = ? WHERE id = ? AND version = ?`;
  const remove = `DELETE FROM ${name} WHERE id = ?`;
  const list = `SELECT id, ${columns} FROM ${name} WHERE user_id = ?`;
  // Some servers take no number for a LIMIT that is a parameter.
  const page = (limit: number) =>
    `SELECT id, ${columns} FROM ${name} WHERE id > ? ORDER BY id LIMIT ${limit}`;
  const idsOfUser = `SELECT id FROM ${name} WHERE user_id = ?`;
  // By this index only: a scan of the table would lock the living too.
  const expired = `SELECT id FROM ${name} FORCE INDEX (by_deadline) WHERE idle_deadline <= ?
    ORDER BY idle_deadline LIMIT ${SWEEP_BATCH} FOR UPDATE SKIP LOCKED`;
  const marks = Array(IDS_AT_ONCE).fill("?").join(", ");
  const removeIds = `DELETE FROM ${name} WHERE id IN (${marks})`;
  const removeIdsOfUser = `${removeIds} AND user_id = ?`;

  let closed = false;

  /** Whether the table is there, made by a version that this one understands. */
  const schemaLook = new OneLook(() =>
    connected(async (connection) => assertVersion(of, await schemaVersion(connection, table))),
  );

  /** Work on a connection of the pool. One that may be in an unknown state afterwards doesn't go back. */
  async function connected<T>(
    work: (connection: MysqlConnection) => Promise<T>,
    timeout = WORK_TIMEOUT,
  ): Promise<T> {
    let connection: MysqlConnection | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      connection = await pool.getConnection();
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`MySQL gave no answer within ${timeout} ms`)), timeout);
      });
      const result = await Promise.race([work(connection), late]);
      connection.release();
      return result;
    } catch (error) {
      if (leavesConnectionWhole(error)) connection?.release();
      else connection?.destroy();
      throw explained(error, of);
    } finally {
      clearTimeout(timer);
    }
  }

  async function run<T>(call: StoreCall, work: (connection: MysqlConnection) => Promise<T>): Promise<T> {
    await schemaLook.taken();
    return untilItHolds(call, () => connected(work), isRolledBack);
  }

  function write(call: StoreCall, sql: string, values: unknown[]): Promise<number> {
    return run(call, async (connection) => (await execute(connection, sql, values)).affectedRows);
  }

  function read(call: StoreCall, sql: string, values: unknown[]): Promise<any[]> {
    return run(call, (connection) => execute(connection, sql, values));
  }

  async function loadRecord(id: string, call: StoreCall): Promise<StoreRecord | undefined> {
    const [row] = await read(call, load, [bytes(id)]);
    return row && toSession(row).record;
  }

  return {
    name: "mysql",

    async migrate() {
      const [makeVersions, ...statements] = migration(table).split(";\n").filter(Boolean);
      await connected(async (connection) => {
        // The lock belongs to the server, so its name tells the database.
        const lock = "CONCAT('holdfast ', MD5(DATABASE()))";
        const [{ locked }] = await execute(connection, `SELECT GET_LOCK(${lock}, 30) AS locked`, []);
        if (Number(locked) !== 1) throw new Error("another process has been migrating for 30 seconds");
        await connection.query(makeVersions!);
        if ((await schemaVersion(connection, table)) > SCHEMA_VERSION) throw newerSchema(of);
        for (const statement of statements) await connection.query(statement);
        await execute(connection, `SELECT RELEASE_LOCK(${lock})`, []);
      }, MIGRATION_TIMEOUT);
      schemaLook.again();
    },

    load: loadRecord,

    async create(id, record, call) {
      try {
        await write(call, insert, [bytes(id), ...toRow(record)]);
        return true;
      } catch (error) {
        if (numberOf(error) === ER_DUP_ENTRY) return false;
        throw error;
      }
    },

    async replace(id, expectedVersion, record, call) {
      const swapped = await write(call, swap, [...toRow(record), bytes(id), expectedVersion]);
      if (swapped > 0) return { status: "done" };
      // Between the two statements the record may go or change once more: either way this is what it is by now.
      const current = await loadRecord(id, call);
      return current === undefined ? { status: "gone" } : { status: "conflict", record: current };
    },

    async touch(id, idleDeadline, call) {
      return (await write(call, touch, [idleDeadline, bytes(id), idleDeadline, idleDeadline])) > 0;
    },

    async delete(id, call) {
      await write(call, remove, [bytes(id)]);
    },

    async sweep(call) {
      let removed = 0;
      for (let batch = SWEEP_BATCH; batch === SWEEP_BATCH && !closed && !call.signal.aborted; ) {
        batch = await run(call, (connection) =>
          transaction(connection, async () => {
            const ids = (await execute(connection, expired, [call.now])).map(({ id }: { id: Buffer }) => id);
            for (const some of chunks(ids)) await execute(connection, removeIds, some);
            return ids.length;
          }),
        );
        removed += batch;
        // Requests that are waiting for a connection get their turn between two batches.
        await delay(1);
      }
      return removed;
    },

    async listByUser(userId, call) {
      return (await read(call, list, [bytes(userId)])).map(toSession);
    },

    async deleteByUser(userId, except, call) {
      const user = bytes(userId);
      for (;;) {
        const rows: Array<{ id: Buffer }> = await read(call, idsOfUser, [user]);
        const ids = rows.map(({ id }) => id).filter((id) => id.toString() !== except);
        if (ids.length === 0) return [];
        // All that was seen, or nothing: a record that has changed hands in between may have been renewed to one that was
        // not seen. Where all of it is removed, no renewal of it can succeed any more.
        const removed = await run(call, (connection) =>
          transaction(connection, async () => {
            for (const some of chunks(ids)) {
              const { affectedRows } = await execute(connection, removeIdsOfUser, [...some, user]);
              if (affectedRows !== new Set(some).size) return false;
            }
            return true;
          }),
        );
        if (removed) return ids.map((id) => id.toString());
        call.signal.throwIfAborted();
      }
    },

    async scan(cursor, limit, call) {
      const sessions = (await read(call, page(Math.trunc(limit)), [bytes(cursor ?? "")])).map(toSession);
      return { sessions, next: sessions.length < limit ? undefined : sessions.at(-1)!.id };
    },

    async rewrite(id, expectedVersion, payload, call) {
      return (await write(call, rewrite, [bytes(payload), bytes(id), expectedVersion])) > 0;
    },

    async inspect(call) {
      const [[row], [cipher]] = await run(call, async (connection) => {
        const [found] = await connection.query(
          "SELECT VERSION() AS version, USER() AS user, UNIX_TIMESTAMP(NOW(3)) * 1000 AS clock",
        );
        const [status] = await connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
        return [found, status];
      });
      const host = String(row.user).split("@").at(-1)!;
      const isMariadb = /mariadb/i.test(row.version);
      return {
        server: `${isMariadb ? "MariaDB" : "MySQL"} ${/^[\d.]+/.exec(row.version)?.[0]}`,
        place: /^(localhost|127\.|::1|ip6-)/.test(host) ? "this machine" : "another machine",
        encrypted: cipher?.Value !== undefined && cipher.Value !== "",
        clock: Number(row.clock),
        durable: true,
      };
    },

    async close() {
      if (closed) return;
      closed = true;
      await end();
    },
  };
}

/** Text goes as its UTF-8 bytes to binary columns: no charset, collation or padding has a say in it. */
function bytes(text: string): Buffer {
  return Buffer.from(text, "utf8");
}

function toRow({ version, payload, idleDeadline, absoluteDeadline, userId }: StoreRecord) {
  return [version, bytes(payload), idleDeadline, absoluteDeadline, userId === null ? null : bytes(userId)];
}

function toSession(row: any): StoredSession {
  return {
    id: row.id?.toString(),
    record: {
      version: Number(row.version),
      payload: row.payload.toString(),
      idleDeadline: Number(row.idle_deadline),
      absoluteDeadline: Number(row.absolute_deadline),
      userId: row.user_id === null ? null : row.user_id.toString(),
    },
  };
}

/** What the application has set for its own queries must not change the shape of the rows. */
const SHAPE = {
  rowsAsArray: false,
  nestTables: false,
  typeCast: (_field: unknown, next: () => unknown) => next(),
};

/** Runs a prepared statement. */
async function execute(connection: MysqlConnection, sql: string, values: unknown[]): Promise<any> {
  const [result] = await connection.execute({ sql, values, ...SHAPE });
  return result;
}

/** `work` in a transaction, which is undone where it throws or answers false. */
async function transaction<T>(connection: MysqlConnection, work: () => Promise<T>): Promise<T> {
  await connection.query("START TRANSACTION");
  try {
    const result = await work();
    await connection.query(result === false ? "ROLLBACK" : "COMMIT");
    return result;
  } catch (error) {
    // Any other error costs the connection, and with it the transaction.
    if (leavesConnectionWhole(error)) await connection.query("ROLLBACK");
    throw error;
  }
}

/** Lists of `IDS_AT_ONCE` ids, the last one filled up with its last id. */
function chunks(ids: Buffer[]): Buffer[][] {
  const lists: Buffer[][] = [];
  for (let start = 0; start < ids.length; start += IDS_AT_ONCE) {
    const list = ids.slice(start, start + IDS_AT_ONCE);
    lists.push([...list, ...Array(IDS_AT_ONCE - list.length).fill(list.at(-1))]);
  }
  return lists;
}

/**
 * What `migrate()` runs under a lock; `sql/mysql.sql` is the same for the default name. A user id has 255 characters at
 * most, so 1020 bytes.
 *
 * @internal
 */
export function migration(table: string): string {
  return `CREATE TABLE IF NOT EXISTS holdfast_schema (
  table_name VARBINARY(64) NOT NULL PRIMARY KEY,
  version INT NOT NULL
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS \`${table}\` (
  id VARBINARY(128) NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL,
  payload LONGBLOB NOT NULL,
  idle_deadline BIGINT NOT NULL,
  absolute_deadline BIGINT NOT NULL,
  user_id VARBINARY(1020),
  INDEX by_deadline (idle_deadline),
  INDEX by_user (user_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
INSERT INTO holdfast_schema VALUES ('${table}', ${SCHEMA_VERSION}) ON DUPLICATE KEY UPDATE version = ${SCHEMA_VERSION};
`;
}

async function schemaVersion(connection: MysqlConnection, table: string): Promise<number> {
  const sql = "SELECT version FROM holdfast_schema WHERE table_name = ?";
  const [row] = await execute(connection, sql, [bytes(table)]);
  return Number(row?.version ?? 0);
}

const ER_DUP_ENTRY = 1062;
const ER_NO_SUCH_TABLE = 1146;
/** ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT, and MariaDB's ER_CHECKREAD: the statement did nothing, and may run again. */
const ROLLED_BACK = [1213, 1205, 1020];

function numberOf(error: unknown): number | undefined {
  return (error as { errno?: number }).errno;
}

function isRolledBack(error: unknown): boolean {
  return ROLLED_BACK.includes(numberOf(error)!);
}

/** After these a connection goes back to the pool. After others it may be cut off, or lead to what is now a replica. */
function leavesConnectionWhole(error: unknown): boolean {
  return numberOf(error) === ER_DUP_ENTRY || isRolledBack(error);
}

/** An error that says what to do, where the driver's own doesn't. */
function explained(error: unknown, table: Table): unknown {
  if (numberOf(error) === ER_NO_SUCH_TABLE) return notMigrated(table);
  const { code, errors } = error as { code?: string; errors?: unknown[] };
  // Node's error for a host with several addresses has no message.
  if (Array.isArray(errors)) return new Error(`MySQL can't be reached: ${code}`, { cause: error });
  return error;
}

function openDatabase({ pool, uri }: MysqlStoreOptions): { pool: MysqlPool; end(): Promise<void> } {
  if ((pool === undefined) === (uri === undefined)) {
    throw new ConfigurationError(
      "mysqlStore",
      'expected either pool or uri, as in mysqlStore({ uri: "mysql://user:password@host:3306/database" })',
    );
  }
  if (pool === undefined) return openPool(uri);
  const promised =
    "promise" in pool && typeof pool.promise === "function" ? pool.promise() : (pool as MysqlPool);
  if (typeof promised.getConnection !== "function") {
    throw new ConfigurationError("mysqlStore.pool", "expected a pool of mysql2, made by its createPool()");
  }
  return { pool: promised, async end() {} };
}

function openPool(uri: unknown): { pool: MysqlPool; end(): Promise<void> } {
  // The URL holds a password, so no message may quote it.
  const valid = typeof uri === "string" && URL.canParse(uri) && /^(mysql|mariadb):\/\/[^/]*\/[^?]+/.test(uri);
  if (!valid) {
    throw new ConfigurationError(
      "mysqlStore.uri",
      "expected a URL, as in mysql://user:password@host:3306/database (special characters in a password as %XX)",
    );
  }
  const pool = loadDriver().createPool({ uri, connectTimeout: CONNECT_TIMEOUT, queueLimit: MAX_WAITING });
  // A request has gone by then, and the connection is needed.
  pool.on("connection", (connection: any) => {
    connection.query(`SET SESSION innodb_lock_wait_timeout = ${CONNECT_TIMEOUT / 1000}`, () => {});
  });
  return { pool, end: () => pool.end() };
}

function loadDriver(): any {
  try {
    return createRequire(import.meta.url)("mysql2/promise");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "MODULE_NOT_FOUND") throw error;
    throw new ConfigurationError("mysqlStore", "the driver mysql2 is not installed: run npm install mysql2");
  }
}
