import { setImmediate } from "node:timers";
import { setTimeout as delay } from "node:timers/promises";
import type { Awaitable, StoreCall } from "./contract.js";
import type { SqliteDatabase, SqliteStatement } from "./sqlite.js";

interface Write {
  readonly call: StoreCall;
  readonly statements: () => unknown;
  resolve(answer: any): void;
  reject(error: unknown): void;
}

/**
 * The writes of one turn of the event loop, in one transaction: what is durable costs a commit, and with synchronous = FULL
 * a wait for the disk, so many requests share one. Each is answered after the COMMIT, and for itself: where one fails,
 * the others are written all the same.
 *
 * A write that is alone in its turn runs at once, without a promise. Reads need not wait: a group runs in one go, so on this handle
 * nothing comes between its BEGIN and its COMMIT, and what a read finds is acknowledged or about to be.
 */
export class GroupedWrites {
  readonly #begin: SqliteStatement;
  readonly #commit: SqliteStatement;
  readonly #rollback: SqliteStatement;
  readonly #shared: boolean;
  #waiting: Write[] = [];
  /** Something has been written in this turn. */
  #taken = false;
  /** The turn before had several writes, so this one may too: its first waits for the others. */
  #crowded = false;
  #scheduled = false;
  /** A transaction that could not be ended: what would be written now would be in it, and be lost with it. */
  #stuck: unknown;
  #retrying = false;

  /** @param shared the application uses the handle too, and may have a transaction of its own open. */
  constructor(database: SqliteDatabase, shared: boolean) {
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    this.#shared = shared;
  }

  /** Runs statements of which one at most writes; together they are atomic. */
  run<T>(call: StoreCall, statements: () => T): Awaitable<T> {
    if (this.#stuck !== undefined) throw this.#stuck;
    if (!this.#taken && !this.#crowded && !this.#retrying) {
      this.#taken = true;
      this.#schedule();
      try {
        return statements();
      } catch (error) {
        if (!isBusy(error)) throw error;
      }
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, statements, resolve, reject });
      this.#schedule();
    });
  }

  /** Writes what waits, or refuses it. */
  close(): void {
    this.#writeAll();
    for (const { reject } of this.#waiting.splice(0)) reject(new Error("the store is closed"));
  }

  #schedule(): void {
    if (this.#scheduled || this.#retrying) return;
    this.#scheduled = true;
    // That of node:timers itself: tests of applications put another in the place of the global one.
    setImmediate(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#scheduled = false;
    this.#taken = false;
    this.#crowded = this.#waiting.length > 1;
    const busy = this.#writeAll();
    if (busy !== undefined) void this.#writeWhenFree(busy);
  };

  /** Another process keeps writing: waits without blocking the thread, and tries again with all that has come meanwhile. */
  async #writeWhenFree(busy: unknown): Promise<void> {
    this.#retrying = true;
    for (let wait = 5; this.#waiting.length > 0; wait = Math.min(wait * 2, 100)) {
      await delay(wait * (0.5 + Math.random()));
      const [late, live]: [Write[], Write[]] = [[], []];
      for (const write of this.#waiting) (write.call.signal.aborted ? late : live).push(write);
      this.#waiting = live;
      for (const { reject } of late) reject(busy);
      this.#writeAll();
    }
    this.#retrying = false;
  }

  /** Writes and answers all that waits. Where the database is busy, what could not be written waits on; that error. */
  #writeAll(): unknown {
    const writes = this.#waiting;
    this.#waiting = [];
    if (writes.length < 2) return this.#writeEach(writes);
    try {
      this.#begin.run();
    } catch (error) {
      if (isBusy(error)) {
        this.#waiting = writes;
        return error;
      }
      // In a transaction of the application's, as with any statement on its handle.
      if (this.#shared) return this.#writeEach(writes);
      return refuseAll(writes, error);
    }
    let answers: unknown[];
    try {
      answers = writes.map(({ statements }) => statements());
      this.#commit.run();
    } catch (error) {
      // Nobody has an answer yet, so each may be written once more, for itself, and get its own.
      if (this.#rolledBack()) return this.#writeEach(writes);
      this.#stuck = error;
      return refuseAll(writes, error);
    }
    for (const [n, { resolve }] of writes.entries()) resolve(answers[n]);
  }

  #writeEach(writes: readonly Write[]): unknown {
    let busy: unknown;
    for (const write of writes) {
      try {
        // With one writer too many, another try for each would block the thread for long.
        if (busy === undefined) write.resolve(write.statements());
        else this.#waiting.push(write);
      } catch (error) {
        if (isBusy(error)) {
          busy = error;
          this.#waiting.push(write);
        } else write.reject(error);
      }
    }
    return busy;
  }

  /** Undoes the transaction, unless SQLite has done it. Whether that worked. */
  #rolledBack(): boolean {
    try {
      this.#rollback.run();
      return true;
    } catch (error) {
      return /no transaction is active/.test((error as Error).message);
    }
  }
}

function refuseAll(writes: readonly Write[], error: unknown): void {
  for (const { reject } of writes) reject(error);
}

/** SQLITE_BUSY and its extended codes (sqlite.org/rescode.html), as each driver reports them. */
export function isBusy(error: unknown): boolean {
  const { code, errcode, rawCode } = error as { code?: unknown; errcode?: unknown; rawCode?: unknown };
  const number = Number(errcode ?? rawCode);
  return (typeof code === "string" && code.startsWith("SQLITE_BUSY")) || (number & 0xff) === 5;
}
