/**
 * The contract between the engine and a store: a versioned key-value map with expiry and a user index.
 *
 * A store keeps opaque records and compares versions; it holds no session logic. Merging, deadlines, rotation and
 * retries live in the engine. `holdfast/testing/store` states this contract as tests that every store passes.
 *
 * Methods may answer at once or with a promise. A failure is thrown (or rejected) as it comes from the driver: the
 * engine wraps it, gives every call a deadline, and answers 503.
 */

/** What a store keeps for one session id. All times are milliseconds since the epoch, by the engine's clock. */
export interface StoreRecord {
  /** 1 when created, one more with each `replace`. Chosen by the engine, compared by the store. */
  readonly version: number;
  /** Opaque text without NUL or lone surrogates; well-formed UTF-8 at any length up to the engine's limit. */
  readonly payload: string;
  /** From here on the record counts as absent, and the store may remove it. Never later than `absoluteDeadline`. */
  readonly idleDeadline: number;
  /** The end that `touch` can't move. */
  readonly absoluteDeadline: number;
  /** Whose session it is: 1 to 255 characters of well-formed text without control characters, or null. */
  readonly userId: string | null;
}

/** What comes with every call. */
export interface StoreCall {
  /** Aborts when the engine no longer waits for the answer. Made when it is first read. */
  readonly signal: AbortSignal;
  /** The engine's clock at the start of the call: take it, not your own, to compute a time to live. */
  readonly now: number;
  /**
   * With `load`: an answer from a near cache will do. The engine says so for the load that a request begins with, and for
   * nothing that decides whether a session still lives or what is written to it.
   */
  readonly mayBeCached?: boolean;
}

/** A value now or later. */
export type Awaitable<T> = T | Promise<T>;

/** The answer of `replace`. */
export type ReplaceResult =
  | { readonly status: "done" }
  /** Another version is stored: `record` is that newer record. */
  | { readonly status: "conflict"; readonly record: StoreRecord }
  /** Nothing is stored under this id. */
  | { readonly status: "gone" };

/** A record with the id that it is stored under. */
export interface StoredSession {
  readonly id: string;
  readonly record: StoreRecord;
}

/** One page of `scan`. */
export interface ScanPage {
  readonly sessions: readonly StoredSession[];
  /** Where to go on; undefined at the end. */
  readonly next: string | undefined;
}

/** What a store can tell of the place where it keeps its records. What it doesn't know is not there. */
export interface StoreInspection {
  /** Program and version, as in "PostgreSQL 15.8". */
  readonly server?: string | undefined;
  /** "file", or a server on "this machine" or on "another machine". */
  readonly place?: "file" | "this machine" | "another machine" | undefined;
  /** The file's path. */
  readonly file?: string | undefined;
  /** Whether the connection to the server is encrypted. */
  readonly encrypted?: boolean | undefined;
  /** The server's clock, in milliseconds since the epoch. */
  readonly clock?: number | undefined;
  /** Whether what is stored survives a restart of the server. */
  readonly durable?: boolean | undefined;
  /** By what rule the server removes living records when its memory is full; undefined where it never does. */
  readonly evicts?: string | undefined;
  /** Whether the server removes by itself what has expired. Default: false. */
  readonly expires?: boolean | undefined;
}

export interface Store {
  /** A short name for messages, as in "sqlite". */
  readonly name: string;

  /** The record of this id, or undefined. Deadlines are the engine's business: a record past them may be returned. */
  load(id: string, call: StoreCall): Awaitable<StoreRecord | undefined>;

  /** Stores a record under a new id. False, and no change, where the id is taken. */
  create(id: string, record: StoreRecord, call: StoreCall): Awaitable<boolean>;

  /** In one atomic step: stores `record` if the stored version is `expectedVersion`, else changes nothing. */
  replace(
    id: string,
    expectedVersion: number,
    record: StoreRecord,
    call: StoreCall,
  ): Awaitable<ReplaceResult>;

  /**
   * Moves the idle deadline forward, and nothing else: not back, not past the stored `absoluteDeadline` (then it stays
   * where it is), never creating a record, never changing version or payload. True if it moved.
   */
  touch(id: string, idleDeadline: number, call: StoreCall): Awaitable<boolean>;

  /** Removes the record, if there is one. */
  delete(id: string, call: StoreCall): Awaitable<void>;

  /** Removes records whose `idleDeadline` is not later than `call.now`. The number removed (0 where the server does it). */
  sweep(call: StoreCall): Awaitable<number>;

  /** The records of one user, in any order; those past their deadline may be among them. */
  listByUser(userId: string, call: StoreCall): Awaitable<readonly StoredSession[]>;

  /** Removes every record of one user that exists now, but for the id `except`. The ids removed. */
  deleteByUser(userId: string, except: string | undefined, call: StoreCall): Awaitable<readonly string[]>;

  /**
   * Optional: every record, page by page, in any order, for administration. About `limit` a page; a page may be empty with
   * more to come. A record that is there from the first page to the last comes at least once, and may come twice; one that
   * comes or goes meanwhile may come or not. Records past their deadlines, tombstones and notes of the library's own may be
   * among them.
   * @param cursor the `next` of the page before; undefined for the first.
   */
  scan?(cursor: string | undefined, limit: number, call: StoreCall): Awaitable<ScanPage>;

  /**
   * Optional: in one atomic step, stores another payload as the version after `expectedVersion`, if that is the stored one,
   * and leaves deadlines and user as they are by then. False, and no change, where it is not. Without it, `reencrypt` does
   * the same by `replace`, and may undo a touch that comes between its reading and its writing.
   */
  rewrite?(id: string, expectedVersion: number, payload: string, call: StoreCall): Awaitable<boolean>;

  /** Optional: what the store can tell of where it keeps its records, for `npx holdfast doctor`. */
  inspect?(call: StoreCall): Awaitable<StoreInspection>;

  /**
   * Optional: from soon after the call on, `onChange` is called with the id of each record that is replaced, rewritten or
   * deleted by anybody, a moment after it happened, and may be called for touches and records that are new or expire. With
   * `undefined`, anything may have changed: once listening begins, and where word may have been lost, as with a connection.
   * Failures are the store's business: it warns, and tries again until `close` or until the function that it returned is called.
   */
  watch?(onChange: (id: string | undefined) => void): () => void;

  /** Ends timers and closes the connections that the store opened itself. */
  close(): Awaitable<void>;
}
