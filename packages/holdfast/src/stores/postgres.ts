import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import { ConfigurationError } from "../errors.js";
import type { Store, StoreCall, StoredSession, StoreRecord } from "./contract.js";
import { keepListening, type Listener, type Listening } from "./listening.js";
import { assertVersion, newerSchema, notMigrated, OneLook, type Table, untilItHolds } from "./sql.js";

/** What the store needs of `pg`: a Pool has it, and so has a connected Client. */
export interface PostgresDatabase {
  query(query: PostgresQuery): Promise<{ rows: any[]; rowCount: number | null }>;
}

export interface PostgresQuery {
  text: string;
  name?: string;
  values?: unknown[];
}

export interface PostgresStoreOptions {
  /** A `Pool` of `pg`. `close()` leaves it open. Listen to its "error" event, or a lost connection ends the process. */
  pool?: PostgresDatabase;
  /** A connected `Client` of `pg`, for scripts: it doesn't reconnect, and its queries wait for one another. */
  client?: PostgresDatabase;
  /** A URL, as in "postgres://user:password@host:5432/database". The store then makes its own pool, and closes it. */
  connectionString?: string;
  /** The schema, which must be there. Default: "public". */
  schema?: string;
  /** The table's name: letters, digits and underscores, 50 at most. Default: "holdfast_sessions". */
  table?: string;
  /**
   * `migrate()` makes the table UNLOGGED: writes cost less, but PostgreSQL empties it after a crash, a failover or a
   * restore, and everybody is logged out. Default: false.
   */
  unlogged?: boolean;
  /**
   * Each change of a session tells the processes that listen for it, by NOTIFY: for `nearCache`, and for `session.onEnd` to hear
   * at once of what other processes end. All processes must have it alike. A listening one takes a connection of its
   * own; with `client` there is none to listen on. Default: false.
   */
  notify?: boolean;
  /** Prepared statements. False for a connection pooler that can't carry them. Default: true. */
  prepare?: boolean;
}

export interface PostgresStore extends Store {
  /**
   * Makes the table, or brings it to this version's schema. Run it once for each deployment; running it again, or in
   * several processes at once, does no harm. `sql/postgres.sql` in this package is the same for other migration tools.
   *
   * @throws ConfigurationError where the table was made by a newer Holdfast.
   */
  migrate(): Promise<void>;
}

const SCHEMA_VERSION = 1;
const INSPECTION = `SELECT current_setting('server_version') AS version,
  coalesce(inet_server_addr() = inet_client_addr(), true) AS local,
  (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted,
  extract(epoch FROM clock_timestamp()) * 1000 AS clock`;
const SWEEP_BATCH = 500;
/** Milliseconds after which a statement that nobody answers gives its connection up. */
const STATEMENT_TIMEOUT = 10_000;
const CONNECT_TIMEOUT = 5_000;

/**
 * Sessions in PostgreSQL 12 or later, by the `pg` driver.
 *
 * @throws ConfigurationError where an option is wrong or the driver is not installed.
 */
export function postgresStore(options: PostgresStoreOptions): PostgresStore {
  const {
    schema = "public",
    table = "holdfast_sessions",
    unlogged = false,
    notify = false,
    prepare = true,
  } = options;
  // An index is named after its table, and PostgreSQL cuts names at 63 bytes.
  assertName("schema", schema, 63);
  assertName("table", table, 50);
  assertBoolean("unlogged", unlogged);
  assertBoolean("notify", notify);
  assertBoolean("prepare", prepare);
  const { database, connect, end } = openDatabase(options);

  const name = `"${schema}"."${table}"`;
  const of: Table = { store: "postgresStore", name, version: SCHEMA_VERSION };
  const columns = "version, payload, idle_deadline, absolute_deadline, user_id";
  const statement = (text: string): PostgresQuery => ({ text, ...(prepare && { name: nameOf(text) }) });
  // Stands in a RETURNING, so it is sent with the commit of the very change, or not at all.
  const channel = `holdfast_${digest(`${schema}.${table}`)}`;
  const told = notify ? [`pg_notify('${channel}', id)`] : [];
  const returning = (...values: string[]) => (values.length === 0 ? "" : ` RETURNING ${values.join(", ")}`);
  const load = statement(`SELECT ${columns} FROM ${name} WHERE id = $1`);
  const insert = statement(
    `INSERT INTO ${name} (id, ${columns}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING`,
  );
  const swap = statement(
    `WITH swapped AS (
       UPDATE ${name} SET version = $3, payload = $4, idle_deadline = $5, absolute_deadline = $6, user_id = $7
       WHERE id = $1 AND version = $2${returning("version", ...told)}
     )
     SELECT true AS swapped, NULL::bigint AS version, NULL::text AS payload, NULL::bigint AS idle_deadline,
       NULL::bigint AS absolute_deadline, NULL::text AS user_id FROM swapped
     UNION ALL
     SELECT false, ${columns} FROM ${name} WHERE id = $1 AND NOT EXISTS (SELECT FROM swapped)`,
  );
  const touch = statement(
    `UPDATE ${name} SET idle_deadline = $2 WHERE id = $1 AND idle_deadline < $2 AND absolute_deadline >= $2`,
  );
  const rewrite = statement(
    `UPDATE ${name} SET version = version + 1, payload = $3 WHERE id = $1 AND version = $2${returning(...told)}`,
  );
  const remove = statement(`DELETE FROM ${name} WHERE id = $1${returning(...told)}`);
  // ARRAY has the inner query run once: in a join, its LIMIT and its locks could be taken again for each row.
  const sweepBatch = statement(
    `DELETE FROM ${name} WHERE id = ANY (ARRAY(
       SELECT id FROM ${name} WHERE idle_deadline <= $1 ORDER BY idle_deadline LIMIT ${SWEEP_BATCH}
       FOR UPDATE SKIP LOCKED
     ))`,
  );
  const list = statement(`SELECT id, ${columns} FROM ${name} WHERE user_id = $1`);
  const page = statement(`SELECT id, ${columns} FROM ${name} WHERE id > $1 ORDER BY id LIMIT $2`);
  const removeByUser = statement(
    `WITH removed AS (
       DELETE FROM ${name} WHERE user_id = $1 AND id IS DISTINCT FROM $2::text${returning("id", ...told)}
     )
     SELECT seen.id, removed.id IS NOT NULL AS removed FROM ${name} AS seen LEFT JOIN removed ON removed.id = seen.id
     WHERE seen.user_id = $1 AND seen.id IS DISTINCT FROM $2::text`,
  );

  const watches = new Set<() => void>();
  let closed = false;

  /** Whether the table is there, made by a version that this one understands, and as the options say. */
  const schemaLook = new OneLook(async () => {
    const { rows } = await query({
      text: `SELECT version, (SELECT relpersistence = 'u' FROM pg_class WHERE oid = to_regclass($2)) AS unlogged
             FROM "${schema}".holdfast_schema WHERE table_name = $1`,
      values: [table, name],
    });
    const [row] = rows;
    assertVersion(of, row?.version);
    if (row.unlogged !== null && row.unlogged !== unlogged) {
      throw new ConfigurationError(
        "postgresStore.unlogged",
        `is ${unlogged}, and the table ${name} is not so: run ALTER TABLE ${name} SET ${unlogged ? "UNLOGGED" : "LOGGED"}, ` +
          "or change the option",
      );
    }
  });

  async function query(query: PostgresQuery, timeout = STATEMENT_TIMEOUT) {
    try {
      return await database.query({ ...query, query_timeout: timeout } as PostgresQuery);
    } catch (error) {
      throw explained(error, of);
    }
  }

  async function run(call: StoreCall, statement: PostgresQuery, values: unknown[]) {
    await schemaLook.taken();
    return untilItHolds(call, () => query({ ...statement, values }), isRolledBack);
  }

  async function loadRecord(id: string, call: StoreCall): Promise<StoreRecord | undefined> {
    return toRecord((await run(call, load, [id])).rows[0]);
  }

  const store: PostgresStore = {
    name: "postgres",

    async migrate() {
      try {
        await query({ text: migration(schema, table, unlogged) }, 60_000);
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (code === NEWER_SCHEMA) throw newerSchema(of);
        if (code === WRONG_ENCODING) throw new ConfigurationError("postgresStore", message);
        throw error;
      }
      schemaLook.again();
    },

    load: loadRecord,

    async create(id, record, call) {
      return (await run(call, insert, [id, ...toRow(record)])).rowCount === 1;
    },

    async replace(id, expectedVersion, record, call) {
      const { rows } = await run(call, swap, [id, expectedVersion, ...toRow(record)]);
      if (rows[0]?.swapped) return { status: "done" };
      let current = toRecord(rows[0]);
      // The statement reads what was there when it began. A rival that it had to wait for came after that, so the record
      // that won takes another look (PostgreSQL manual, 13.2.1).
      if (current?.version === expectedVersion) current = await loadRecord(id, call);
      return current === undefined ? { status: "gone" } : { status: "conflict", record: current };
    },

    async touch(id, idleDeadline, call) {
      return (await run(call, touch, [id, idleDeadline])).rowCount === 1;
    },

    async delete(id, call) {
      await run(call, remove, [id]);
    },

    async sweep(call) {
      let removed = 0;
      for (let batch = SWEEP_BATCH; batch === SWEEP_BATCH && !closed && !call.signal.aborted; ) {
        batch = (await run(call, sweepBatch, [call.now])).rowCount ?? 0;
        removed += batch;
        // Requests that are waiting for a connection get their turn between two batches.
        await delay(1);
      }
      return removed;
    },

    async listByUser(userId, call) {
      const { rows } = await run(call, list, [userId]);
      return rows.map(toSession);
    },

    async deleteByUser(userId, except, call) {
      const ids: string[] = [];
      for (;;) {
        const { rows } = await run(call, removeByUser, [userId, except ?? null]);
        for (const { id, removed } of rows) if (removed) ids.push(id);
        // A record that was seen but not removed has changed hands in between, perhaps to a renewed session that this
        // statement couldn't see: look again. Where all that was seen is removed, no renewal of it can succeed any more.
        if (rows.every(({ removed }) => removed)) return ids;
        call.signal.throwIfAborted();
      }
    },

    async scan(cursor, limit, call) {
      const sessions = (await run(call, page, [cursor ?? "", limit])).rows.map(toSession);
      return { sessions, next: sessions.length < limit ? undefined : sessions.at(-1)!.id };
    },

    async rewrite(id, expectedVersion, payload, call) {
      return (await run(call, rewrite, [id, expectedVersion, payload])).rowCount === 1;
    },

    async inspect(call) {
      const { rows } = await run(call, { text: INSPECTION }, []);
      const [{ version, local, encrypted, clock }] = rows;
      return {
        server: `PostgreSQL ${version}`,
        place: local ? "this machine" : "another machine",
        encrypted: encrypted ?? undefined,
        clock: Number(clock),
        durable: !unlogged,
      };
    },

    async close() {
      if (closed) return;
      closed = true;
      for (const stop of watches) stop();
      await end();
    },
  };
  if (notify && connect !== undefined) {
    store.watch = (onChange) => {
      const stop = keepListening("PostgreSQL", (listener) => listen(connect(), channel, listener), onChange);
      watches.add(stop);
      return () => {
        watches.delete(stop);
        stop();
      };
    };
  }
  return store;
}

async function listen(client: any, channel: string, listener: Listener): Promise<Listening> {
  client.on("error", listener.lost);
  client.on("end", () => listener.lost());
  client.on("notification", ({ payload }: { payload: string }) => listener.changed(payload));
  const end = () => void client.end().catch(() => {});
  try {
    await client.connect();
    await client.query(`LISTEN ${channel}`);
  } catch (error) {
    end();
    throw error;
  }
  return { ping: () => client.query("SELECT 1"), end };
}

function toRow({ version, payload, idleDeadline, absoluteDeadline, userId }: StoreRecord) {
  return [version, payload, idleDeadline, absoluteDeadline, userId];
}

/** The driver gives a bigint as text, or as whatever the application made of it. */
function toRecord(row: any): StoreRecord | undefined {
  if (row === undefined) return undefined;
  return {
    version: Number(row.version),
    payload: row.payload,
    idleDeadline: Number(row.idle_deadline),
    absoluteDeadline: Number(row.absolute_deadline),
    userId: row.user_id,
  };
}

function toSession(row: any): StoredSession {
  return { id: row.id, record: toRecord(row)! };
}

/** A prepared statement's name belongs to its text, as several stores may share a pool. */
function nameOf(text: string): string {
  return `holdfast_${digest(text)}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 24);
}

const NEWER_SCHEMA = "HF001";
const WRONG_ENCODING = "HF002";

/**
 * What `migrate()` runs, in one go and so in one transaction; `sql/postgres.sql` is the same for the default names.
 * "C" compares by bytes: exactly, and whatever a new version of the system's locales brings.
 *
 * @internal
 */
export function migration(schema: string, table: string, unlogged: boolean): string {
  return `SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT pg_advisory_xact_lock(7236842270182404);
CREATE TABLE IF NOT EXISTS "${schema}".holdfast_schema (table_name text PRIMARY KEY, version integer NOT NULL);
DO $$ BEGIN
  IF (SELECT version FROM "${schema}".holdfast_schema WHERE table_name = '${table}') > ${SCHEMA_VERSION} THEN
    RAISE EXCEPTION 'newer than ${SCHEMA_VERSION}' USING ERRCODE = '${NEWER_SCHEMA}';
  END IF;
  IF current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION 'the database must have the encoding UTF8' USING ERRCODE = '${WRONG_ENCODING}';
  END IF;
END $$;
CREATE ${unlogged ? "UNLOGGED " : ""}TABLE IF NOT EXISTS "${schema}"."${table}" (
  id text COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL,
  payload text NOT NULL,
  idle_deadline bigint NOT NULL,
  absolute_deadline bigint NOT NULL,
  user_id text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS "${table}_by_deadline" ON "${schema}"."${table}" (idle_deadline);
CREATE INDEX IF NOT EXISTS "${table}_by_user" ON "${schema}"."${table}" (user_id) WHERE user_id IS NOT NULL;
INSERT INTO "${schema}".holdfast_schema VALUES ('${table}', ${SCHEMA_VERSION})
  ON CONFLICT (table_name) DO UPDATE SET version = excluded.version;
`;
}

/** PostgreSQL undid the statement for the sake of another (serialization_failure, deadlock_detected): it may run again. */
function isRolledBack(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === "40001" || code === "40P01";
}

/** An error that says what to do, where the driver's own doesn't. */
function explained(error: unknown, table: Table): unknown {
  const { code, message, errors } = error as { code?: string; message?: string; errors?: unknown[] };
  if (code === "42P01") return notMigrated(table);
  if (code === "3F000") return new ConfigurationError("postgresStore.schema", message ?? "does not exist");
  // Node's error for a host with several addresses has no message.
  if (Array.isArray(errors)) return new Error(`PostgreSQL can't be reached: ${code}`, { cause: error });
  return error;
}

function assertName(option: string, name: unknown, longest: number): void {
  const plain = typeof name === "string" && name.length <= longest && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
  if (plain) return;
  throw new ConfigurationError(
    `postgresStore.${option}`,
    `${JSON.stringify(name)} is not a plain name of letters, digits and underscores, ${longest} at most`,
  );
}

function assertBoolean(option: string, value: unknown): void {
  if (typeof value === "boolean") return;
  throw new ConfigurationError(`postgresStore.${option}`, "expected true or false");
}

interface OpenDatabase {
  readonly database: PostgresDatabase;
  /** Makes a client for a connection besides those of the pool, not connected yet. Undefined where there is no way to. */
  readonly connect: (() => any) | undefined;
  end(): Promise<void>;
}

function openDatabase({ pool, client, connectionString }: PostgresStoreOptions): OpenDatabase {
  const given = [pool, client, connectionString].filter((option) => option !== undefined);
  if (given.length !== 1) {
    throw new ConfigurationError(
      "postgresStore",
      'expected one of pool, client and connectionString, as in postgresStore({ connectionString: "postgres://…" })',
    );
  }
  const database = pool ?? client;
  if (database !== undefined) {
    if (typeof database.query !== "function") {
      throw new ConfigurationError(
        `postgresStore.${pool ? "pool" : "client"}`,
        "expected a Pool or Client of pg",
      );
    }
    return { database, connect: connectLike(pool), async end() {} };
  }
  return openPool(connectionString);
}

/** As a pool of pg makes its clients. */
function connectLike(pool: PostgresDatabase | undefined): (() => any) | undefined {
  const { Client, options } = (pool ?? {}) as { Client?: new (options: object) => any; options?: object };
  if (typeof Client !== "function" || typeof options !== "object") return undefined;
  // The very object: its password is there, but not enumerable.
  return () => new Client(options);
}

function openPool(connectionString: unknown): OpenDatabase {
  // The URL holds a password, so no message may quote it.
  if (
    typeof connectionString !== "string" ||
    !/^postgres(ql)?:/.test(connectionString) ||
    !URL.canParse(connectionString)
  ) {
    throw new ConfigurationError(
      "postgresStore.connectionString",
      "expected a URL, as in postgres://user:password@host:5432/database (special characters in a password as %XX)",
    );
  }
  const pool = new (loadDriver().Pool)({
    connectionString,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    statement_timeout: STATEMENT_TIMEOUT,
    application_name: "holdfast",
    keepAlive: true,
  });
  // A connection that is lost while idle leaves the pool by itself, and the next call opens another.
  pool.on("error", () => {});
  return { database: pool, connect: connectLike(pool), end: () => pool.end() };
}

function loadDriver(): any {
  try {
    return createRequire(import.meta.url)("pg");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "MODULE_NOT_FOUND") throw error;
    throw new ConfigurationError("postgresStore", "the driver pg is not installed: run npm install pg");
  }
}
