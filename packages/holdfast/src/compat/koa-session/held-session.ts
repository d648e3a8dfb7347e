import { SessionGoneError } from "../../errors.js";
import type { Store as HoldfastStore } from "../../stores/contract.js";
import { type Held, HeldRecords, mergedText } from "../held-records.js";
import { passportUser } from "../passport-user.js";
import type { CreateSessionOptions } from "./options.js";

const DAY = 86_400_000;

/** What all requests share of a Holdfast store. */
export function heldRecords(store: HoldfastStore, userId: CreateSessionOptions["userId"]): HeldRecords {
  return new HeldRecords(store, {
    // The longest that browsers keep a cookie.
    absoluteTimeout: 400 * DAY,
    storeTimeout: 5000,
    clock: () => Date.now(),
    userId: userId ?? passportUser,
  });
}

/**
 * A Holdfast store as one request uses it, in the shape of a store for koa-session: it knows what the request has read, so
 * that what it writes is merged with what others wrote meanwhile. Where another request has ended the session, its methods
 * throw a SessionGoneError.
 */
export class HeldSession {
  readonly #records: HeldRecords;
  /** Whether the key is in the browser's cookie, which a late response must not overwrite. */
  readonly #inCookie: boolean;
  readonly #held = new Map<string, Held>();
  /** The request came with a key that had just been replaced. */
  #late = false;
  /** The session that was left for a new key: as the request knew it, and as it was in the store. */
  #left: { readonly known: string; readonly stored: string } | undefined;

  constructor(records: HeldRecords, inCookie: boolean) {
    this.#records = records;
    this.#inCookie = inCookie;
  }

  async get(key: string): Promise<unknown> {
    const found = await this.#records.read(key);
    this.#late = found === "rotated" && this.#inCookie;
    if (found === "rotated" || found === undefined) return undefined;
    this.#held.set(key, found);
    return JSON.parse(found.text);
  }

  async set(key: string, session: object, maxAge: number | "session"): Promise<void> {
    if (this.#late) throw new SessionGoneError();
    const idleTimeout = maxAge === "session" ? DAY : maxAge;
    const text = JSON.stringify(session);
    const held = this.#held.get(key);
    if (held !== undefined) {
      this.#held.set(key, await this.#records.write(key, held, text, idleTimeout));
      return;
    }
    const left = this.#left;
    const whole = left === undefined ? text : mergedText(left.known, text, left.stored);
    this.#held.set(key, { ...(await this.#records.create(key, whole, idleTimeout)), text });
    this.#left = undefined;
  }

  async destroy(key: string): Promise<void> {
    if (this.#late) throw new SessionGoneError();
    await this.#end(key, "destroyed");
    this.#left = undefined;
  }

  /** Ends the session, whose data goes on under a new key. */
  async leave(key: string): Promise<void> {
    // A late request that asks for a new key starts a session of its own, with nothing of the old one.
    this.#late = false;
    const known = this.#held.get(key)?.text;
    const stored = await this.#end(key, "rotated");
    if (known !== undefined && stored !== undefined) this.#left = { known, stored };
  }

  /** What was stored last; undefined where nothing had been stored. */
  async #end(key: string, reason: "destroyed" | "rotated"): Promise<string | undefined> {
    const held = this.#held.get(key);
    if (held === undefined) return undefined;
    const stored = await this.#records.end(key, held, reason);
    this.#held.delete(key);
    return stored;
  }
}
