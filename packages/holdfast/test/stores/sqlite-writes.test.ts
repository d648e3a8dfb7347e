import { createRequire } from "node:module";
import Database from "libsql";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { type SqliteDatabase, sqliteStore } from "../../src/stores/sqlite.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { SECRET } from "../support/shop.js";
import { call, newId, recordOf } from "../support/sql.js";
import { temporaryFile } from "../support/stores.js";

/** The writes of one turn of the event loop share a transaction, and nobody notices but the disk. */

/** Every driver that is here. */
const DRIVERS: Array<[string, (path: string) => any]> = [["libsql", (path) => new Database(path)]];
const sqlite: any = process.getBuiltinModule("node:sqlite");
if (sqlite !== undefined) DRIVERS.push(["node:sqlite", (path) => new sqlite.DatabaseSync(path)]);
try {
  const Better = createRequire(import.meta.url)("better-sqlite3");
  DRIVERS.push(["better-sqlite3", (path) => new Better(path)]);
} catch {
  // Not installed: it is compiled on most systems.
}

const closing: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe.each(DRIVERS)("on %s", (_driver, openDatabase) => {
  /** A store on a database whose statements are noted: their first word, in the order in which they run. */
  const watched = (prepared: (sql: string, statement: any) => any = (_sql, statement) => statement) => {
    const path = temporaryFile("sessions.db");
    const real = openDatabase(path);
    real.exec("PRAGMA journal_mode = WAL");
    closing.push(() => real.close());
    const ran: string[] = [];
    const database: SqliteDatabase = {
      exec: (sql) => real.exec(sql),
      close() {},
      prepare(sql) {
        const statement = prepared(sql, real.prepare(sql));
        const noted =
          (method: "run" | "get" | "all") =>
          (...values: any[]) => {
            ran.push(sql.split(" ")[0]!);
            return statement[method](...values);
          };
        return { run: noted("run"), get: noted("get"), all: noted("all") };
      },
    };
    const store = sqliteStore({ database });
    closing.push(() => store.close());
    ran.length = 0;
    const other = openDatabase(path);
    closing.push(() => other.close());
    /** Payloads as another connection finds them: what is committed. */
    const committed = () =>
      other
        .prepare("SELECT payload FROM holdfast_sessions")
        .all()
        .map((row: any) => row.payload)
        .sort();
    return { store, real, ran, committed };
  };

  const create = (store: Store, payload: string) =>
    store.create(newId(), recordOf("ada", { payload }), call());
  const commits = (ran: readonly string[]) => ran.filter((word) => word === "COMMIT").length;

  it("a write that is alone in its turn runs at once, in one statement", async () => {
    const { store, ran } = watched();
    for (let n = 0; n < 3; n++) {
      expect(create(store, "alone")).toBe(true);
      await turn();
    }
    expect(ran).toEqual(["INSERT", "INSERT", "INSERT"]);
  });

  it("fifty writes of one turn cost two commits, and where the turns stay crowded one each", async () => {
    const { store, ran, committed } = watched();
    const fifty = () => Promise.all(Array.from({ length: 50 }, (_, n) => create(store, `n${n}`)));
    expect(await fifty()).toEqual(Array(50).fill(true));
    // The first did not know of the others.
    expect(ran).toEqual(["INSERT", "BEGIN", ...Array(49).fill("INSERT"), "COMMIT"]);
    for (let n = 0; n < 4; n++) await fifty();
    expect(commits(ran)).toBe(5);
    expect(committed()).toHaveLength(250);
  });

  it("is answered after the commit, and no read comes between", async () => {
    const { store, ran, committed } = watched();
    const ids = Array.from({ length: 20 }, newId);
    const answered = ids.map(async (id) => {
      expect(await store.create(id, recordOf("ada", { payload: id }), call())).toBe(true);
      // Committed, and seen by readers of this handle at once.
      expect(committed()).toContain(id);
      expect(await store.load(id, call())).toMatchObject({ payload: id });
    });
    // All but the first, which ran at once, are not acknowledged, and not seen.
    for (const id of ids.slice(1)) expect(await store.load(id, call())).toBeUndefined();
    await Promise.all(answered);
    const group = ran.slice(ran.indexOf("BEGIN"), ran.indexOf("COMMIT"));
    expect(group).toEqual(["BEGIN", ...Array(19).fill("INSERT")]);
  });

  it("of writers of one version that share a transaction one wins, and the others get its record", async () => {
    const { store } = watched();
    const id = newId();
    await store.create(id, recordOf("ada"), call());
    await turn();
    const records = Array.from({ length: 30 }, (_, n) => recordOf("ada", { version: 2, payload: `n${n}` }));
    const answers = await Promise.all(records.map((record) => store.replace(id, 1, record, call())));
    expect(answers.filter(({ status }) => status === "done")).toHaveLength(1);
    const winner = records[answers.findIndex(({ status }) => status === "done")];
    for (const answer of answers)
      if (answer.status !== "done") expect(answer).toEqual({ status: "conflict", record: winner });
    // And each sees what those before it did.
    const [, removed, gone] = await Promise.all([
      create(store, "x"),
      store.delete(id, call()),
      store.replace(id, 2, recordOf("ada"), call()),
    ]);
    expect([removed, gone]).toEqual([undefined, { status: "gone" }]);
  });

  describe("one that fails takes none of the others with it", () => {
    // SQLite undoes the statement, or the whole transaction (sqlite.org/lang_conflict.html).
    it.each(["ABORT", "FAIL", "ROLLBACK"])("where SQLite answers %s", async (resolution) => {
      const { store, real, committed } = watched();
      real.exec(`CREATE TRIGGER no BEFORE INSERT ON holdfast_sessions WHEN NEW.payload = 'bad'
        BEGIN SELECT RAISE(${resolution}, 'bad payload'); END`);
      for (let round = 0; round < 2; round++) {
        const settled = await Promise.allSettled(
          ["a", "b", "bad", "c", "bad", "d"].map(async (payload) =>
            create(store, payload + (payload === "bad" ? "" : round)),
          ),
        );
        expect(settled.map(({ status }) => status)).toEqual([
          "fulfilled",
          "fulfilled",
          "rejected",
          "fulfilled",
          "rejected",
          "fulfilled",
        ]);
        expect((settled[2] as PromiseRejectedResult).reason.message).toContain("bad payload");
      }
      expect(committed()).toEqual(["a0", "a1", "b0", "b1", "c0", "c1", "d0", "d1"]);
    });

    it("where it is found out at the commit", async () => {
      const { store, real, committed } = watched();
      real.exec(`PRAGMA foreign_keys = ON;
        CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER orphan AFTER INSERT ON holdfast_sessions WHEN NEW.payload = 'bad'
          BEGIN INSERT INTO child VALUES (7); END`);
      const settled = await Promise.allSettled(
        ["a", "b", "bad", "c"].map(async (payload) => create(store, payload)),
      );
      expect(settled.map(({ status }) => status)).toEqual([
        "fulfilled",
        "fulfilled",
        "rejected",
        "fulfilled",
      ]);
      expect(committed()).toEqual(["a", "b", "c"]);
    });

    it("nothing counts as written in a transaction that can't be ended", async () => {
      const { store, committed } = watched((sql, statement) => {
        if (sql !== "COMMIT" && sql !== "ROLLBACK") return statement;
        return {
          run() {
            throw new Error(`disk I/O error at ${sql}`);
          },
        };
      });
      expect(create(store, "first")).toBe(true);
      const settled = await Promise.allSettled(["a", "b"].map(async (payload) => create(store, payload)));
      for (const each of settled)
        expect(each).toMatchObject({ status: "rejected", reason: { message: "disk I/O error at COMMIT" } });
      await turn();
      expect(() => create(store, "later")).toThrow("disk I/O error at COMMIT");
      expect(committed()).toEqual(["first"]);
    });
  });

  describe("while another has the write lock", () => {
    const contested = () => {
      const path = temporaryFile("sessions.db");
      // Two builds of SQLite in one process would not see each other's locks.
      const [database, other] = [openDatabase(path), openDatabase(path)];
      closing.push(
        () => database.close(),
        () => other.close(),
      );
      database.exec("PRAGMA journal_mode = WAL");
      const store = sqliteStore({ database });
      database.exec("PRAGMA busy_timeout = 20");
      other.exec("BEGIN IMMEDIATE");
      return { store, other };
    };

    it("all that comes waits, in one group, and a call whose deadline passes is refused", async () => {
      const { store, other } = contested();
      const late = new AbortController();
      const waiting = ["a", "b", "c"].map(async (payload) => create(store, payload));
      const refused = Promise.resolve(store.create(newId(), recordOf(null), { now: 0, signal: late.signal }));
      late.abort();
      await expect(refused).rejects.toThrow(/locked|busy/i);
      waiting.push(Promise.resolve(create(store, "d")));
      // Reading goes on.
      expect(await store.listByUser("ada", call())).toEqual([]);
      other.exec("COMMIT");
      expect(await Promise.all(waiting)).toEqual([true, true, true, true]);
      expect(await store.listByUser("ada", call())).toHaveLength(4);
    });

    it("close refuses what can't be written any more", async () => {
      const { store, other } = contested();
      const waiting = ["a", "b"].map(async (payload) => create(store, payload));
      await turn();
      store.close();
      for (const each of await Promise.allSettled(waiting))
        expect(each).toMatchObject({ status: "rejected", reason: { message: "the store is closed" } });
      other.exec("COMMIT");
    });
  });

  it("close writes what is waiting", async () => {
    const { store, committed } = watched();
    const writes = ["a", "b", "c"].map(async (payload) => create(store, payload));
    await store.close();
    expect(await Promise.all(writes)).toEqual([true, true, true]);
    expect(committed()).toEqual(["a", "b", "c"]);
  });

  it("in a transaction of the application's on its handle, leaves that to the application", async () => {
    const { store, real, committed } = watched();
    real.exec("CREATE TABLE mine (a)");
    real.exec("BEGIN");
    real.exec("INSERT INTO mine VALUES (1)");
    const writes = ["a", "b", "c"].map(async (payload) => create(store, payload));
    expect(await Promise.all(writes)).toEqual([true, true, true]);
    expect(committed()).toEqual([]);
    real.exec("COMMIT");
    expect(committed()).toEqual(["a", "b", "c"]);
    expect(real.prepare("SELECT count(*) AS n FROM mine").get().n).toBe(1);
  });
});

it("goes on under the fake timers of an application's tests", async () => {
  const store = sqliteStore({ path: temporaryFile("sessions.db") });
  const sessions = createSessions<any>({ secrets: [SECRET], store, sweepInterval: false });
  vi.useFakeTimers();
  try {
    const login = async () => {
      const exchange = await sessions.open(requestWith(undefined));
      await exchange.session.login("ada");
      return finishedCookie(exchange);
    };
    for (let round = 0; round < 2; round++) {
      const cookies = await Promise.all(Array.from({ length: 10 }, login));
      expect(new Set(cookies).size).toBe(10);
    }
    expect(await sessions.ofUser("ada").list()).toHaveLength(20);
  } finally {
    vi.useRealTimers();
    await sessions.close();
  }
});
