import { type Duration, LONGEST_TIMER, milliseconds } from "../../duration.js";
import { jsonCodec } from "../../engine/codec.js";
import { tombstoneFor } from "../../engine/ending.js";
import { EventBus } from "../../engine/events.js";
import { isExpired } from "../../engine/follow.js";
import { mergeData, replaceContents } from "../../engine/merge.js";
import { decodePayload, encodeSession, type SessionMeta } from "../../engine/record.js";
import { assertUserId } from "../../engine/rotation.js";
import { StoreClient } from "../../engine/store-client.js";
import { ConflictError } from "../../errors.js";
import type { Store as HoldfastStore, StoreRecord } from "../../stores/contract.js";
import { sessionIdOf } from "../../token/token.js";
import { type Callback, type ConnectRequest, noteMerged, type Session } from "../express-session/session.js";
import { type ConnectStore, Store, type StoredData } from "../express-session/store.js";
import { passportUser } from "../passport-user.js";

export interface ToConnectStoreOptions {
  /** How long a session lives that has no `cookie.maxAge`, after its last request. Default: "1d". */
  ttl?: Duration;
  /** How long a session may live whatever its user does. Default: "400d", the longest that browsers keep a cookie. */
  absoluteTimeout?: Duration;
  /**
   * Whose session it is, for listing and revoking by user. Default: what Passport notes, `session.passport.user`, where that
   * is text or a number.
   */
  userId?: (session: Record<string, any>) => string | number | undefined | null;
  /** Each call to the store has to end within this. Default: "5s". */
  storeTimeout?: Duration;
  /** The time in milliseconds since the epoch. Default: `Date.now`. */
  clock?: () => number;
}

/** How long a late request may still try to write to a session that was destroyed, in milliseconds. */
const GRACE = 30_000;
const MAX_ATTEMPTS = 300;

/** A session as it was when it was read: what a later `set` is compared with, and merged onto. */
interface Base {
  readonly record: StoreRecord;
  readonly text: string;
}

/** What the library keeps with a session of express-session's, beside what it keeps with every session. */
interface ConnectMeta extends SessionMeta {
  readonly cookie?: Record<string, unknown>;
}

/**
 * Gives a Holdfast store to express-session, @fastify/session, express-openid-connect and what else takes a store of
 * express-session's shape. The store keeps a hash of each session id. Of two requests that overlap both keep their changes,
 * and a session that was destroyed doesn't come back; for that the store has to see which object was read for which
 * session, as it does under express-session and our drop-in.
 */
export function toConnectStore(store: HoldfastStore, options: ToConnectStoreOptions = {}): ConnectStore {
  return new BridgedStore(store, options) as unknown as ConnectStore;
}

class BridgedStore extends Store {
  readonly #store: StoreClient;
  readonly #clock: () => number;
  readonly #ttl: number;
  readonly #absoluteTimeout: number;
  readonly #userId: NonNullable<ToConnectStoreOptions["userId"]>;
  readonly #bases = new WeakMap<object, Base>();

  constructor(store: HoldfastStore, options: ToConnectStoreOptions) {
    super();
    const { clock = Date.now, userId = passportUser } = options;
    const timeout = milliseconds("storeTimeout", options.storeTimeout ?? "5s", 1, LONGEST_TIMER);
    this.#store = new StoreClient(store, timeout, clock, new EventBus());
    this.#clock = clock;
    this.#ttl = milliseconds("ttl", options.ttl ?? "1d", 1000);
    this.#absoluteTimeout = milliseconds("absoluteTimeout", options.absoluteTimeout ?? "400d", 1000);
    this.#userId = userId;
  }

  override get(sid: string, callback: (error: any, session?: StoredData | null) => void): void {
    answer(this.#read(sid), callback);
  }

  override set(sid: string, session: StoredData, callback?: Callback): void {
    answer(this.#write(sid, session), callback);
  }

  override touch(sid: string, session: StoredData, callback?: Callback): void {
    answer(this.#touch(sid, session), callback);
  }

  override destroy(sid: string, callback?: Callback): void {
    answer(this.#end(sid), callback);
  }

  override createSession(req: ConnectRequest, data: StoredData): Session {
    const session = super.createSession(req, data);
    const base = this.#bases.get(data);
    if (base !== undefined) this.#bases.set(session, base);
    return session;
  }

  async #read(sid: string): Promise<StoredData | null> {
    const record = await this.#living(sessionIdOf(sid));
    if (record === undefined) return null;
    const { meta, text } = this.#contents(record);
    const session = { cookie: this.#cookieOf(meta, record), ...JSON.parse(text) };
    this.#bases.set(session, { record, text });
    return session;
  }

  /** The stored attributes; `expires` as the touches since have moved it. */
  #cookieOf({ cookie = {} }: ConnectMeta, { idleDeadline }: StoreRecord): StoredData["cookie"] {
    const expires: unknown = cookie.expires ? new Date(idleDeadline).toISOString() : null;
    return { ...cookie, expires } as StoredData["cookie"];
  }

  /** A touch only moves the deadline forward: other attributes of the cookie, and a shorter lifetime, are written. */
  async #touch(sid: string, session: StoredData): Promise<void> {
    const base = this.#bases.get(session);
    if (base !== undefined && !isSameCookie(session.cookie, this.#contents(base.record).meta.cookie)) {
      await this.#write(sid, session);
      return;
    }
    await this.#store.touch(sessionIdOf(sid), this.#idleDeadline(session, Number.MAX_SAFE_INTEGER));
  }

  async #write(sid: string, session: StoredData): Promise<void> {
    const id = sessionIdOf(sid);
    let base = this.#bases.get(session);
    let isMerged = false;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const text = dataText(session);
      const current = base?.record ?? (await this.#store.load(id));
      const record = this.#compose(session, text, current);
      if (current === undefined) {
        if (!(await this.#store.create(id, record))) continue;
      } else {
        if (base === undefined && this.#isTombstone(current)) return;
        const answer = await this.#store.replace(id, current.version, record);
        // It was destroyed, or it expired, while this request ran: nothing brings it back.
        if (answer.status === "gone") return;
        if (answer.status === "conflict") {
          if (this.#isTombstone(answer.record)) return;
          if (base !== undefined) {
            base = this.#mergeOnto(session, base, answer.record);
            isMerged = true;
          }
          continue;
        }
      }
      this.#bases.set(session, { record, text });
      if (isMerged) noteMerged(session, text);
      return;
    }
    throw new ConflictError(MAX_ATTEMPTS);
  }

  /** Three ways, into the session itself: what it is saved from next has to know what the others wrote. */
  #mergeOnto(session: StoredData, base: Base, theirs: StoreRecord): Base {
    const { text } = this.#contents(theirs);
    const merged = mergeData(
      JSON.parse(base.text),
      JSON.parse(dataText(session)),
      JSON.parse(text),
      {},
      jsonCodec,
    );
    const { cookie } = session;
    replaceContents(session, { cookie, ...merged });
    return { record: theirs, text };
  }

  #compose(session: StoredData, text: string, current: StoreRecord | undefined): StoreRecord {
    const now = this.#clock();
    const before = current && this.#isTombstone(current) ? undefined : current;
    const meta = before ? this.#contents(before).meta : { createdAt: now, seenAt: now, tokenAt: now };
    const absoluteDeadline = before?.absoluteDeadline ?? now + this.#absoluteTimeout;
    const cookie = JSON.parse(JSON.stringify(session.cookie ?? {}));
    return {
      version: (current?.version ?? 0) + 1,
      payload: encodeSession({ ...meta, seenAt: now, cookie } as ConnectMeta, text),
      idleDeadline: this.#idleDeadline(session, absoluteDeadline),
      absoluteDeadline,
      userId: this.#ownerOf(session),
    };
  }

  #idleDeadline({ cookie }: StoredData, latest: number): number {
    const expires = cookie?.expires ? new Date(cookie.expires).valueOf() : Number.NaN;
    return Math.min(Number.isNaN(expires) ? this.#clock() + this.#ttl : expires, latest);
  }

  #ownerOf(session: StoredData): string | null {
    const userId = this.#userId(session);
    if (userId === undefined || userId === null) return null;
    assertUserId(String(userId));
    return String(userId);
  }

  async #end(sid: string): Promise<void> {
    const id = sessionIdOf(sid);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const record = await this.#store.load(id);
      if (record === undefined || this.#isTombstone(record)) return;
      const timing = { idleTimeout: this.#ttl, grace: GRACE };
      const tombstone = tombstoneFor(timing, record, { ended: "destroyed", at: this.#clock() });
      if ((await this.#store.replace(id, record.version, tombstone)).status === "done") return;
    }
    throw new ConflictError(MAX_ATTEMPTS);
  }

  async #living(id: string): Promise<StoreRecord | undefined> {
    const record = await this.#store.load(id);
    if (record === undefined || isExpired(record, this.#clock()) || this.#isTombstone(record))
      return undefined;
    return record;
  }

  #isTombstone(record: StoreRecord): boolean {
    return "tombstone" in this.#decoded(record);
  }

  #contents(record: StoreRecord): { meta: ConnectMeta; text: string } {
    return this.#decoded(record) as { meta: ConnectMeta; text: string };
  }

  #decoded(record: StoreRecord) {
    try {
      return decodePayload(record.payload);
    } catch (error) {
      throw this.#store.corrupt("load", (error as Error).message);
    }
  }
}

/** The data without the cookie, as what JSON makes of it: what express-session has always stored. */
function dataText({ cookie: _, ...data }: StoredData): string {
  return JSON.stringify(data);
}

/** Milliseconds that `originalMaxAge` may be off: the original counts anew with each touch. */
const DRIFT = 1000;

function isSameCookie(cookie: object, stored: Record<string, unknown> = {}): boolean {
  const { expires: _, originalMaxAge: mine, ...attributes } = JSON.parse(JSON.stringify(cookie ?? {}));
  const { expires: __, originalMaxAge: theirs, ...others } = stored;
  const lasts =
    mine === theirs ||
    (typeof mine === "number" && typeof theirs === "number" && Math.abs(mine - theirs) < DRIFT);
  return lasts && JSON.stringify(attributes) === JSON.stringify(others);
}

function answer<T>(promise: Promise<T>, callback: ((error: any, value?: T) => void) | undefined): void {
  promise.then(
    (value) => callback?.(null, value),
    (error) => callback?.(error),
  );
}
