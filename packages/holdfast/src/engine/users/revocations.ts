import type { StoreRecord } from "../../stores/contract.js";
import { sessionIdOf } from "../../token/token.js";
import { changeRecord } from "../change-record.js";
import { isPlainObject } from "../codec.js";
import { isExpired } from "../follow.js";
import { decodePayload, fixedRecord, type Tombstone } from "../record.js";
import type { StoreClient } from "../store-client.js";
import type { EndReason } from "./revocation.js";

/** One session that has ended. Times in milliseconds. */
interface Ended {
  readonly tombstone: Tombstone;
  /** When its token was issued. */
  readonly issuedAt: number;
  /** Its absolute deadline, after which it needs no tombstone. */
  readonly until: number;
}

/** What is noted about one user, or about one session that has no user. Times in milliseconds. */
interface Note {
  /** Every token issued at this time or before is dead, but for that of `except`. */
  readonly issuedBefore?: number | undefined;
  /** What those were ended for. */
  readonly reason?: EndReason | undefined;
  readonly except?: string | undefined;
  /** What was `issuedBefore` when `except` was named: it doesn't bring back a session that had ended by then. */
  readonly exceptIssuedAfter?: number | undefined;
  /** By session id. */
  readonly ended: Readonly<Record<string, Ended>>;
}

const NOTHING: Note = { ended: {} };

/** The most that one note names. It is read with each request of its user, so it has to stay small: about 40 KB. */
const MAX_ENDED = 250;

/**
 * The list of ended sessions for those that live in their cookie: which sessions of a user have ended, and before what time
 * all of them. A user has one record in the store, and a session without a user one of its own, so that a check is one read.
 */
export class Revocations {
  readonly #store: StoreClient;
  readonly #longest: number;
  readonly #clock: () => number;

  /** @param longest how long a session may live, in milliseconds. */
  constructor(store: StoreClient, longest: number, clock: () => number) {
    this.#store = store;
    this.#longest = longest;
    this.#clock = clock;
  }

  /** The tombstone of a session that has ended; undefined for a living one, and for one past its deadlines. */
  async find(id: string, record: StoreRecord): Promise<Tombstone | undefined> {
    const now = this.#clock();
    const contents = decodePayload(record.payload);
    if ("tombstone" in contents) return contents.tombstone;
    if (isExpired(record, now)) return undefined;
    const { createdAt, tokenAt } = contents.meta;
    // Notes are kept as long as sessions live by today's settings, so one made to live longer can't rely on them.
    if (createdAt + this.#longest <= now) return { ended: "revoked", at: now };
    return tombstoneIn(this.#read(await this.#store.load(keyOf(id, record.userId))), id, tokenAt);
  }

  /**
   * Ends a session, in one step with the question whether it has ended already: then nothing is noted, and the answer is
   * its tombstone.
   */
  async end(id: string, record: StoreRecord, tombstone: Tombstone): Promise<Tombstone | undefined> {
    const contents = decodePayload(record.payload);
    if ("tombstone" in contents) return contents.tombstone;
    const { tokenAt } = contents.meta;
    let before: Tombstone | undefined;
    await this.#change(keyOf(id, record.userId), (note) => {
      before = tombstoneIn(note, id, tokenAt);
      if (before !== undefined) return note;
      return withEnded(note, id, { tombstone, issuedAt: tokenAt, until: record.absoluteDeadline });
    });
    return before;
  }

  /** Ends a session of which only the id is known, and whose it is, under the token that it has been rotated to by now. */
  async revoke(id: string, userId: string, reason: EndReason): Promise<void> {
    const at = this.#clock();
    const ended = {
      tombstone: { ended: "revoked", at, reason },
      issuedAt: at,
      until: at + this.#longest,
    } as const;
    await this.#change(keyOf(id, userId), (note) => {
      const newest = rotatedIn(note, id);
      return Object.hasOwn(note.ended, newest) ? note : withEnded(note, newest, ended);
    });
  }

  /** Ends all sessions that a user has now, but for `except`. */
  async revokeAll(userId: string, except: string | undefined, reason: EndReason): Promise<void> {
    let issuedBefore = 0;
    await this.#change(keyOf("", userId), (note) => {
      // By the clock of this attempt: what another has noted before it, as for a rotation, counts as earlier. And never
      // back, as by a server whose clock is behind: that would revive what has ended.
      issuedBefore = Math.max(this.#clock(), note.issuedBefore ?? 0);
      const same = except === note.except;
      return {
        ...note,
        issuedBefore,
        reason,
        except,
        exceptIssuedAfter: same ? note.exceptIssuedAfter : note.issuedBefore,
      };
    });
    // A login right after this one must not count as one before it.
    for (let wait = 0; wait < 5 && this.#clock() <= issuedBefore; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Changes a note by compare-and-swap. Where `change` gives back the note that it got, nothing is stored. */
  async #change(key: string, change: (note: Note) => Note): Promise<void> {
    await changeRecord(this.#store, key, (current) => {
      const before = this.#pruned(this.#read(current));
      const note = change(before);
      return note === before ? undefined : this.#recordOf(note, current);
    });
  }

  #pruned({ ended, ...rest }: Note): Note {
    const now = this.#clock();
    return {
      ...rest,
      ended: Object.fromEntries(Object.entries(ended).filter(([, { until }]) => until > now)),
    };
  }

  #recordOf(note: Note, current: StoreRecord | undefined): StoreRecord {
    const ends = Object.values(note.ended).map(({ until }) => until);
    const deadline = Math.max(this.#clock() + this.#longest, ...ends);
    return fixedRecord((current?.version ?? 0) + 1, JSON.stringify(note), deadline);
  }

  #read(record: StoreRecord | undefined): Note {
    if (record === undefined) return NOTHING;
    let note: unknown;
    try {
      note = JSON.parse(record.payload);
    } catch {
      throw this.#store.corrupt("load", "a note of ended sessions is not JSON");
    }
    if (!isPlainObject(note) || !isPlainObject(note.ended) || !Object.values(note.ended).every(isEnded))
      throw this.#store.corrupt("load", "a note of ended sessions is malformed");
    return note as unknown as Note;
  }
}

function tombstoneIn(note: Note, id: string, issuedAt: number): Tombstone | undefined {
  const { issuedBefore, reason, except, exceptIssuedAfter, ended } = note;
  if (Object.hasOwn(ended, id)) return ended[id]!.tombstone;
  if (issuedBefore === undefined || issuedAt > issuedBefore) return undefined;
  if (id === except && (exceptIssuedAfter === undefined || issuedAt > exceptIssuedAfter)) return undefined;
  return { ended: "revoked", at: issuedBefore, reason };
}

/** The id that rotations have given a session by now. */
function rotatedIn({ ended }: Note, id: string): string {
  for (let hop = 0; hop < MAX_ENDED && Object.hasOwn(ended, id); hop++) {
    const { rotatedTo } = ended[id]!.tombstone;
    if (rotatedTo === undefined) break;
    id = rotatedTo;
  }
  return id;
}

/** Beyond the limit the session whose token is the oldest is named no more: with it all end that are as old or older. */
function withEnded(note: Note, id: string, entry: Ended): Note {
  const ended = { ...note.ended, [id]: entry };
  const entries = Object.entries(ended);
  if (entries.length <= MAX_ENDED) return { ...note, ended };
  const [oldestId, oldest] = entries.reduce((a, b) => (b[1].issuedAt < a[1].issuedAt ? b : a));
  delete ended[oldestId];
  return {
    ...note,
    ended,
    issuedBefore: Math.max(oldest.issuedAt, note.issuedBefore ?? 0),
    except: oldestId === note.except ? undefined : note.except,
  };
}

function isEnded(entry: unknown): boolean {
  if (!isPlainObject(entry)) return false;
  const { tombstone, issuedAt, until } = entry;
  return isPlainObject(tombstone) && Number.isFinite(issuedAt) && Number.isFinite(until);
}

/** Keys look like any session id, so that any store takes them; no session can have one of them for its id. */
function keyOf(id: string, userId: string | null): string {
  return sessionIdOf(userId === null ? `revoked session ${id}` : `revoked user ${userId}`);
}
