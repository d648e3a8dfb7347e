import { ConflictError } from "../errors.js";
import type { StoreRecord } from "../stores/contract.js";
import { sessionIdOf } from "../token/token.js";
import { isPlainObject } from "./codec.js";
import { decodePayload, encodeTombstone, type Tombstone } from "./record.js";
import type { StoreClient } from "./store-client.js";

/** What is noted about one user, or about one session that has no user. */
interface Note {
  /** Sessions that began at this time or before have ended, but for `except`. Milliseconds. */
  readonly issuedBefore?: number;
  readonly except?: string | undefined;
  /** By session id: the tombstone, and the session's absolute deadline, after which it needs none. */
  readonly ended: Readonly<Record<string, readonly [tombstone: string, until: number]>>;
}

const NOTHING: Note = { ended: {} };
const MAX_ATTEMPTS = 100;

/**
 * The list of ended sessions for those that live in their cookie: which sessions of a user have ended, and before what time
 * all of them. A user has one record in the store, and a session without a user one of its own, so that a check is one read.
 */
export class Revocations {
  readonly #store: StoreClient;
  readonly #absoluteTimeout: number;
  readonly #clock: () => number;

  constructor(store: StoreClient, absoluteTimeout: number, clock: () => number) {
    this.#store = store;
    this.#absoluteTimeout = absoluteTimeout;
    this.#clock = clock;
  }

  /** The tombstone of a session that has ended; undefined for a living one. */
  async find(id: string, { userId, payload }: StoreRecord): Promise<Tombstone | undefined> {
    const contents = decodePayload(payload);
    if ("tombstone" in contents) return contents.tombstone;
    const { createdAt } = contents.meta;
    const now = this.#clock();
    // Notes are kept as long as sessions live by today's settings, so one made to live longer can't rely on them.
    if (createdAt + this.#absoluteTimeout <= now) return { ended: "revoked", at: now };

    const { issuedBefore, except, ended } = this.#read(await this.#store.load(keyOf(id, userId)));
    if (Object.hasOwn(ended, id)) return tombstoneIn(ended[id]![0]);
    if (issuedBefore === undefined || createdAt > issuedBefore || id === except) return undefined;
    return { ended: "revoked", at: issuedBefore };
  }

  /** Notes that a session has ended. */
  async add(id: string, record: Pick<StoreRecord, "userId" | "absoluteDeadline">, tombstone: Tombstone) {
    const entry = [encodeTombstone(tombstone), record.absoluteDeadline] as const;
    await this.#change(keyOf(id, record.userId), (note) => ({
      ...note,
      ended: { ...note.ended, [id]: note.ended[id] ?? entry },
    }));
  }

  /** Notes that all sessions have ended which a user has now, but for `except`. */
  async addAll(userId: string, except: string | undefined): Promise<void> {
    const issuedBefore = this.#clock();
    await this.#change(keyOf("", userId), (note) => ({ ...note, issuedBefore, except }));
    // A login right after this one must not count as one before it.
    for (let wait = 0; wait < 5 && this.#clock() <= issuedBefore; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async #change(key: string, change: (note: Note) => Note): Promise<void> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const current = await this.#store.load(key);
      const next = this.#recordOf(change(this.#pruned(this.#read(current))), current);
      if (current === undefined) {
        if (await this.#store.create(key, next)) return;
      } else if ((await this.#store.replace(key, current.version, next)).status === "done") return;
    }
    throw new ConflictError(MAX_ATTEMPTS);
  }

  #pruned({ ended, ...rest }: Note): Note {
    const now = this.#clock();
    return {
      ...rest,
      ended: Object.fromEntries(Object.entries(ended).filter(([, [, until]]) => until > now)),
    };
  }

  #recordOf(note: Note, current: StoreRecord | undefined): StoreRecord {
    const ends = Object.values(note.ended).map(([, until]) => until);
    const deadline = Math.max(this.#clock() + this.#absoluteTimeout, ...ends);
    return {
      version: (current?.version ?? 0) + 1,
      payload: JSON.stringify(note),
      idleDeadline: deadline,
      absoluteDeadline: deadline,
      userId: null,
    };
  }

  #read(record: StoreRecord | undefined): Note {
    if (record === undefined) return NOTHING;
    let note: unknown;
    try {
      note = JSON.parse(record.payload);
    } catch {
      throw this.#store.corrupt("load", "a note of ended sessions is not JSON");
    }
    if (!isPlainObject(note) || !isPlainObject(note.ended))
      throw this.#store.corrupt("load", "a note of ended sessions is malformed");
    return note as unknown as Note;
  }
}

/** Keys look like any session id, so that any store takes them; no session can have one of them for its id. */
function keyOf(id: string, userId: string | null): string {
  return sessionIdOf(userId === null ? `revoked session ${id}` : `revoked user ${userId}`);
}

function tombstoneIn(text: string): Tombstone | undefined {
  const contents = decodePayload(text);
  return "tombstone" in contents ? contents.tombstone : undefined;
}
