import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import mysql from "mysql2/promise";
import pg from "pg";
import type { Store, StoreCall, StoreRecord } from "../../src/stores/contract.js";
import { mysqlStore } from "../../src/stores/mysql.js";
import { postgresStore } from "../../src/stores/postgres.js";
import { SECRET } from "./shop.js";

/** A connection of the test's own, past the store. */
export interface SqlConnection {
  query(sql: string): Promise<any[]>;
  end(): Promise<void>;
}

/** What the tests of both SQL stores need to know of a server. */
export interface SqlBackend {
  readonly url: string;
  open(table?: string): Store & { migrate(): Promise<void> };
  connect(): Promise<SqlConnection>;
  /** Counts the statements that wait for a lock now. */
  readonly blocked: string;
}

export function postgresBackend(url: string): SqlBackend {
  return {
    url,
    open: (table) => postgresStore({ connectionString: url, ...(table && { table }) }),
    async connect() {
      const client = new pg.Client({ connectionString: url });
      client.on("error", () => {});
      await client.connect();
      return { query: async (sql) => (await client.query(sql)).rows, end: () => client.end() };
    },
    blocked: "SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted",
  };
}

export function mysqlBackend(url: string): SqlBackend {
  return {
    url,
    open: (table) => mysqlStore({ uri: url, ...(table && { table }) }),
    async connect() {
      const connection = await mysql.createConnection(url);
      return {
        query: async (sql) => (await connection.query(sql))[0] as any[],
        end: () => connection.end(),
      };
    },
    blocked: "SELECT COUNT(*) AS n FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'",
  };
}

/** Resolves once a statement waits for a lock. */
export async function untilBlocked(connection: SqlConnection, { blocked }: SqlBackend): Promise<void> {
  await until(async () => Number((await connection.query(blocked))[0].n) > 0);
}

/** Asks again and again until the answer is yes. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(10);
}

export function call(now = Date.now()): StoreCall {
  return { now, signal: new AbortController().signal };
}

export function newId(): string {
  return randomBytes(32).toString("base64url");
}

export function recordOf(userId: string | null, changes: Partial<StoreRecord> = {}): StoreRecord {
  const now = Date.now();
  const deadlines = { idleDeadline: now + 1_800_000, absoluteDeadline: now + 43_200_000 };
  return { version: 1, payload: "mine", ...deadlines, userId, ...changes };
}

/** A process of its own that takes steps on the store; see workers/sql-session.mjs. */
export function startWorker(url: string, table = "holdfast_sessions") {
  const path = fileURLToPath(new URL("../workers/sql-session.mjs", import.meta.url));
  const child = fork(path, { env: { ...process.env, STORE_URL: url, TABLE: table, SECRET } });
  return {
    step: (...message: unknown[]) =>
      new Promise<any>((resolve, reject) => {
        const ended = () => reject(new Error("the worker has ended"));
        child.once("exit", ended);
        child.once("message", ({ result, error }: any) => {
          child.off("exit", ended);
          if (error === undefined) resolve(result);
          else reject(new Error(error));
        });
        child.send(message);
      }),
  };
}
