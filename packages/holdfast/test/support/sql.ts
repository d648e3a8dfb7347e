import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
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
  /** A store that makes its own pool, by `at` in place of `url` where that is given. */
  open(at?: string): Store & { migrate(): Promise<void> };
  connect(): Promise<SqlConnection>;
  /** Counts the statements that wait for a lock now. */
  readonly blocked: string;
  /** Keeps a connection from being the one that is undone to end a deadlock, where that goes by who looks for one first. */
  readonly patience: string | undefined;
}

export function postgresBackend(url: string): SqlBackend {
  return {
    url,
    open: (at = url) => postgresStore({ connectionString: at }),
    async connect() {
      const client = new pg.Client({ connectionString: url });
      client.on("error", () => {});
      await client.connect();
      return { query: async (sql) => (await client.query(sql)).rows, end: () => client.end() };
    },
    blocked: "SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted",
    patience: "SET deadlock_timeout = '1min'",
  };
}

export function mysqlBackend(url: string): SqlBackend {
  return {
    url,
    open: (at = url) => mysqlStore({ uri: at }),
    async connect() {
      const connection = await mysql.createConnection(url);
      return {
        query: async (sql) => (await connection.query(sql))[0] as any[],
        end: () => connection.end(),
      };
    },
    blocked: "SELECT COUNT(*) AS n FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'",
    patience: undefined,
  };
}

/** Resolves once a statement waits for a lock. */
export async function untilBlocked(connection: SqlConnection, { blocked }: SqlBackend): Promise<void> {
  // MySQL keeps its answer for a tenth of a second since it was last asked.
  await until(async () => Number((await connection.query(blocked))[0].n) > 0, 120);
}

/** Asks again and again until the answer is yes. */
export async function until(condition: () => boolean | Promise<boolean>, pause = 10): Promise<void> {
  while (!(await condition())) await delay(pause);
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

/** A way to a server on which everything that is under way can be cut off in silence, as by a lost route. */
export async function startSilencer(url: string) {
  const { hostname, port } = new URL(url);
  let silent = new Set<Socket>();
  let open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    open.add(near);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("error", () => {});
      from.on("data", (chunk) => {
        if (!silent.has(near)) to.write(chunk);
      });
      from.on("close", () => {
        if (!silent.has(near)) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const through = new URL(url);
  through.hostname = "127.0.0.1";
  through.port = String((server.address() as AddressInfo).port);
  return {
    url: through.href,
    /** From here on nothing passes on the connections that are open, and nobody is told. */
    silence() {
      silent = open;
      open = new Set();
    },
    /** Ends the connections that are open, so that both sides notice. */
    cut() {
      for (const socket of open) socket.destroy();
      open = new Set();
    },
    close() {
      for (const socket of [...silent, ...open]) socket.destroy();
      server.close();
    },
  };
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
