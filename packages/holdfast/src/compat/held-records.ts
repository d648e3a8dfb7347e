import { jsonCodec } from "../engine/codec.js";
import { tombstoneFor } from "../engine/ending.js";
import type { StoredSessions } from "../engine/engine.js";
import { EventBus } from "../engine/events.js";
import { contentsOf, find } from "../engine/follow.js";
import { mergeData } from "../engine/merge.js";
import { encodeSession, type SessionMeta } from "../engine/record.js";
import { assertUserId } from "../engine/rotation.js";
import { StoreClient } from "../engine/store-client.js";
import { swap } from "../engine/write.js";
import { ConflictError, SessionGoneError } from "../errors.js";
import type { Store, StoreRecord } from "../stores/contract.js";
import { sessionIdOf } from "../token/token.js";

/** Times in milliseconds. */
export interface HeldRecordsOptions {
  /** How long a session may live whatever its user does. */
  readonly absoluteTimeout: number;
  readonly storeTimeout: number;
  readonly clock: () => number;
  /** Whose session it is. */
  readonly userId: (data: Record<string, any>) => string | number | undefined | null;
}

/** A session as one request knows it: what its next write is compared with, and merged onto. */
export interface Held {
  readonly record: StoreRecord;
  /** The data as JSON, as the request read or wrote it last; the record may hold what others wrote besides. */
  readonly text: string;
  /** Tells this session from one that came under the same key after its end. */
  readonly createdAt: number;
}

/** How long a late request may still come for a session that was ended, in milliseconds. */
const GRACE = 30_000;
const MAX_ATTEMPTS = 10;

/**
 * The sessions of another library in a Holdfast store, by the key that its cookie holds. Of writes that overlap none is
 * lost, and what was ended stays ended.
 */
export class HeldRecords {
  readonly #stored: StoredSessions;
  readonly #options: HeldRecordsOptions;

  constructor(store: Store, options: HeldRecordsOptions) {
    const { clock, storeTimeout } = options;
    const events = new EventBus();
    this.#stored = { store: new StoreClient(store, storeTimeout, clock, events), events, clock };
    this.#options = options;
  }

  /** The living session of a key; "rotated" where it has just been given a new key, so that the request is late. */
  async read(key: string): Promise<Held | "rotated" | undefined> {
    const found = await find(this.#stored, sessionIdOf(key));
    if (found.kind === "ended" && found.tombstone.ended === "rotated") return "rotated";
    if (found.kind !== "live") return undefined;
    const { record, text, meta } = found.stored;
    return { record, text, createdAt: meta.createdAt };
  }

  /** Stores the first record of a session, in place of what may be left under its key. */
  async create(key: string, text: string, idleTimeout: number): Promise<Held> {
    const id = sessionIdOf(key);
    const { store, clock } = this.#stored;
    let left: StoreRecord | undefined;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const createdAt = Math.max(clock(), this.#endOf(left) + 1);
      const meta = { createdAt, seenAt: createdAt, tokenAt: createdAt };
      const absoluteDeadline = clock() + this.#options.absoluteTimeout;
      const record = this.#compose(left, { meta, text, idleTimeout, absoluteDeadline });
      if (left === undefined) {
        if (await store.create(id, record)) return { record, text, createdAt };
        left = await store.load(id);
      } else {
        const answer = await store.replace(id, left.version, record);
        if (answer.status === "done") return { record, text, createdAt };
        left = answer.status === "conflict" ? answer.record : undefined;
      }
    }
    throw new ConflictError(MAX_ATTEMPTS);
  }

  /**
   * Stores what a session holds now, merged with what others have written to it since.
   * @throws SessionGoneError where it has ended.
   */
  async write(key: string, held: Held, text: string, idleTimeout: number): Promise<Held> {
    const { clock } = this.#stored;
    let current = held.record;
    for (let attempt = 1; ; attempt++) {
      const { meta, text: stored } = this.#livingContents(current, held);
      const record = this.#compose(current, {
        meta: { ...meta, seenAt: clock() },
        text: mergedText(held.text, text, stored),
        idleTimeout,
        absoluteDeadline: current.absoluteDeadline,
      });
      const elsewhere = await swap(this.#stored, sessionIdOf(key), current, record, attempt);
      if (elsewhere === undefined) return { ...held, record, text };
      if (elsewhere.kind !== "live") throw new SessionGoneError();
      current = elsewhere.stored.record;
    }
  }

  /**
   * Ends a session for good, or its old key where it goes on under a new one. The data that it had at its end, by whomever it was written.
   * @throws SessionGoneError where another request has ended it.
   */
  async end(key: string, held: Held, ended: "destroyed" | "rotated"): Promise<string> {
    let current = held.record;
    for (let attempt = 1; ; attempt++) {
      const { text } = this.#livingContents(current, held);
      const reason = { ended, at: this.#stored.clock() };
      const tombstone = tombstoneFor({ idleTimeout: GRACE, grace: GRACE }, current, reason);
      const elsewhere = await swap(this.#stored, sessionIdOf(key), current, tombstone, attempt);
      if (elsewhere === undefined) return text;
      if (elsewhere.kind !== "live") throw new SessionGoneError();
      current = elsewhere.stored.record;
    }
  }

  #livingContents(record: StoreRecord, { createdAt }: Held): { meta: SessionMeta; text: string } {
    const contents = contentsOf(this.#stored, record);
    if ("meta" in contents && contents.meta.createdAt === createdAt) return contents;
    throw new SessionGoneError();
  }

  /** The latest time at which what is left under a key can have begun. */
  #endOf(left: StoreRecord | undefined): number {
    if (left === undefined) return 0;
    const contents = contentsOf(this.#stored, left);
    return "meta" in contents ? contents.meta.createdAt : contents.tombstone.at;
  }

  #compose(
    current: StoreRecord | undefined,
    next: { meta: SessionMeta; text: string; idleTimeout: number; absoluteDeadline: number },
  ): StoreRecord {
    const { meta, text, idleTimeout, absoluteDeadline } = next;
    return {
      version: (current?.version ?? 0) + 1,
      payload: encodeSession(meta, text),
      idleDeadline: Math.floor(Math.min(this.#stored.clock() + idleTimeout, absoluteDeadline)),
      absoluteDeadline,
      userId: this.#ownerOf(text),
    };
  }

  #ownerOf(text: string): string | null {
    const userId = this.#options.userId(JSON.parse(text));
    if (userId === undefined || userId === null) return null;
    assertUserId(String(userId));
    return String(userId);
  }
}

/** Three ways: `mine` with what `theirs` has changed since `base`. */
export function mergedText(base: string, mine: string, theirs: string): string {
  if (base === theirs) return mine;
  return JSON.stringify(mergeData(JSON.parse(base), JSON.parse(mine), JSON.parse(theirs), {}, jsonCodec));
}
