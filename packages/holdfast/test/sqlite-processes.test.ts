import { type ChildProcess, spawn } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import Database from "libsql";
import { describe, expect, it, vi } from "vitest";
import { createSessions } from "../src/engine/create-sessions.js";
import { sqliteStore } from "../src/stores/sqlite.js";
import { finishedCookie, requestWith } from "./support/exchange.js";
import { SECRET } from "./support/shop.js";
import { temporaryFile } from "./support/stores.js";

/** Several processes, and processes that are killed, on one SQLite file. The workers run the built package. */

function start(worker: string, env: Record<string, string>): ChildProcess & { output: Promise<string> } {
  const path = fileURLToPath(new URL(`./workers/${worker}.mjs`, import.meta.url));
  const child = spawn(process.execPath, [path], {
    env: { ...process.env, SECRET, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += chunk;
  });
  const output = new Promise<string>((resolve) => child.once("close", () => resolve(text)));
  return Object.assign(child, { output });
}

const open = (path: string) =>
  createSessions<any>({ secrets: [SECRET], store: sqliteStore({ path }), sweepInterval: false });

describe("several processes on one SQLite file", () => {
  it("four of them lose none of 10,000 increments", async () => {
    const path = temporaryFile("sessions.db");
    const sessions = open(path);
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.counter = 0;
    const cookie = (await finishedCookie(exchange))!;

    const workers = Array.from({ length: 4 }, () =>
      start("increment", { STORE: path, COOKIE: cookie, TIMES: "2500" }),
    );
    const results = (await Promise.all(workers.map(({ output }) => output))).flatMap(
      (text) => JSON.parse(text) as number[],
    );
    expect(results).toHaveLength(10_000);
    expect(new Set(results).size).toBe(10_000);
    expect((await sessions.open(requestWith(cookie))).session.data.counter).toBe(10_000);
    await sessions.close();
  }, 240_000);

  it("may start and make the table at the same time", async () => {
    const path = temporaryFile("sessions.db");
    const workers = Array.from({ length: 4 }, () =>
      start("increment", { STORE: path, COOKIE: "", TIMES: "1" }),
    );
    for (const { output } of workers) expect(await output).toBe("[1]");
  });
});

it.each(["1", "20"])(
  "what was acknowledged before a kill -9 in the middle of writes, %s at a time, is there afterwards",
  async (atOnce) => {
    const path = temporaryFile("sessions.db");
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const writer = start("write-until-killed", { PATH_TO_STORE: path, AT_ONCE: atOnce });
      await new Promise<void>((resolve) => {
        let lines = 0;
        writer.stdout!.on("data", (chunk: Buffer) => {
          lines += chunk.toString().split("\n").length - 1;
          if (lines > 200) resolve();
        });
      });
      writer.kill("SIGKILL");
      const lines = (await writer.output).split("\n");
      lines.pop(); // what was cut off, or nothing
      acknowledged.push(...lines);
    }
    expect(acknowledged.length).toBeGreaterThan(600);
    const sessions = open(path);
    for (const line of acknowledged) {
      const [n, cookie] = line.split(" ");
      expect((await sessions.open(requestWith(cookie))).session.data).toEqual({ n: Number(n) });
    }
    await sessions.close();
  },
  120_000,
);

describe("sqliteStore", () => {
  it("waits without blocking while another process holds the write lock, and gives up at the deadline", async () => {
    const path = temporaryFile("sessions.db");
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: sqliteStore({ path }),
      storeTimeout: 500,
      sweepInterval: false,
    });
    const other = start("hold-lock", { PATH_TO_STORE: path });
    await new Promise((resolve) => other.stdout!.once("data", resolve));
    const write = async () => {
      const exchange = await sessions.open(requestWith(undefined));
      exchange.session.data.a = 1;
      return finishedCookie(exchange);
    };
    await expect(write()).rejects.toMatchObject({ code: "ERR_HOLDFAST_STORE_TIMEOUT" });
    const waiting = write();
    await new Promise((resolve) => setImmediate(resolve));
    other.stdin!.end();
    await expect(waiting).resolves.toBeDefined();
    await other.output;
    await sessions.close();
  });

  it("is opened while another process begins to write to the new file", () => {
    const path = temporaryFile("sessions.db");
    // By the driver that the store takes: in one process, two of them don't see each other's locks.
    const Driver: typeof Database =
      (process.getBuiltinModule as any)("node:sqlite")?.DatabaseSync ?? Database;
    const other = new Driver(path);
    other.exec("BEGIN IMMEDIATE");
    const wait = vi.spyOn(Atomics, "wait").mockImplementationOnce(() => {
      other.exec("COMMIT");
      return "timed-out";
    });
    sqliteStore({ path }).close();
    expect(wait).toHaveBeenCalledTimes(1);
    wait.mockRestore();
    other.close();
  });

  it("makes a file that only its owner can read", async () => {
    const path = temporaryFile("sessions.db");
    const store = sqliteStore({ path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600);
    store.close();
  });

  it("takes an open database, leaves it open, and keeps to its own table", async () => {
    const database = new Database(temporaryFile("app.db"));
    database.exec("CREATE TABLE mine (a)");
    const store = sqliteStore({ database, table: "my_sessions" });
    const call = { now: Date.now(), signal: new AbortController().signal };
    const record = { version: 1, payload: "p", idleDeadline: 2, absoluteDeadline: 3, userId: null };
    await store.create("id", record, call);
    await store.close();
    expect(database.prepare("SELECT payload FROM my_sessions").get()).toMatchObject({ payload: "p" });
    sqliteStore({ database, table: "my_sessions" });
    expect(() => sqliteStore({ database, table: "x; DROP TABLE mine" })).toThrow("sqliteStore.table");
    database.exec("UPDATE holdfast_schema SET version = 99");
    expect(() => sqliteStore({ database, table: "my_sessions" })).toThrow("upgrade holdfast");
    database.close();
  });

  it("refuses work once it is closed", async () => {
    const store = sqliteStore({ path: temporaryFile("sessions.db") });
    const call = { now: Date.now(), signal: new AbortController().signal };
    store.close();
    expect(() => store.load("id", call)).toThrow("closed");
    await expect(store.sweep(call)).rejects.toThrow("closed");
  });

  it("says so where the file is no database", () => {
    const path = temporaryFile("not-a.db");
    writeFileSync(path, "this is text, and enough of it to be read as the header of a database ".repeat(20));
    expect(() => sqliteStore({ path })).toThrow(/sqliteStore\.path: .*can't be opened: .*not a database/);
  });

  it("leaves the settings of a handle that it was given alone", () => {
    const database = new Database(temporaryFile("app.db"));
    database.exec("PRAGMA busy_timeout = 1234");
    sqliteStore({ database });
    expect(JSON.stringify(database.prepare("PRAGMA busy_timeout").all())).toContain("1234");
    expect(JSON.stringify(database.prepare("PRAGMA journal_mode").all())).toContain("delete");
    database.close();
  });

  it("says what is wrong with a path", () => {
    expect(() => sqliteStore({})).toThrow("sqliteStore.path");
    expect(() => sqliteStore({ path: "/no/such/folder/sessions.db" })).toThrow(
      /sqliteStore\.path: .*can't be opened/,
    );
  });

  it("lists a hundred thousand sessions page by page, each page by the primary key and while another process writes", async () => {
    const path = temporaryFile("sessions.db");
    const store = sqliteStore({ path });
    const database = new Database(path);
    database.exec(`INSERT INTO holdfast_sessions
      WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 100000)
      SELECT hex(randomblob(20)), 1, 'payload', 9e12, 9e12, NULL FROM n`);
    const writer = start("write-until-killed", { PATH_TO_STORE: path });
    const call = { now: Date.now(), signal: new AbortController().signal };
    const seen = new Set<string>();
    let written = 0;
    writer.stdout!.on("data", () => written++);
    for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
      const page = await store.scan!(cursor, 200, call);
      expect(page.sessions.length).toBeLessThanOrEqual(200);
      for (const { id } of page.sessions) seen.add(id);
      cursor = page.next;
      await new Promise((resolve) => setImmediate(resolve));
    }
    writer.kill("SIGKILL");
    await writer.output;
    const before = new Set(
      database
        .prepare("SELECT id FROM holdfast_sessions WHERE payload = 'payload'")
        .all()
        .map(({ id }: any) => id),
    );
    expect(before.size).toBe(100_000);
    expect([...before].filter((id: any) => !seen.has(id))).toEqual([]);
    const plan = database
      .prepare("EXPLAIN QUERY PLAN SELECT * FROM holdfast_sessions WHERE id > 'N' ORDER BY id LIMIT 200")
      .all();
    expect(JSON.stringify(plan)).toMatch(
      /SEARCH holdfast_sessions USING INDEX sqlite_autoindex_holdfast_sessions_1 \(id>\?\)/,
    );
    expect(JSON.stringify(plan)).not.toContain("TEMP B-TREE");
    expect(await store.load([...before][0] as string, call)).toBeDefined();
    expect(written).toBeGreaterThan(0);
    database.close();
    await store.close();
  });

  it("uses its indexes for a user's list and for the sweep", () => {
    const database = new Database(temporaryFile("app.db"));
    sqliteStore({ database });
    const plan = (sql: string) => JSON.stringify(database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all());
    expect(plan("SELECT * FROM holdfast_sessions WHERE user_id = 'a'")).toContain(
      "holdfast_sessions_by_user",
    );
    expect(plan("SELECT rowid FROM holdfast_sessions WHERE idle_deadline <= 1 LIMIT 200")).toContain(
      "holdfast_sessions_by_deadline",
    );
    database.close();
  });
});
