import { setImmediate as turn } from "node:timers/promises";
import type { Engine } from "../engine/engine.js";
import { find } from "../engine/follow.js";
import { isUserId } from "../engine/rotation.js";
import { engineOf, type Sessions } from "../engine/sessions.js";
import type { StoredSessionSummary } from "../engine/users/all-sessions.js";
import { summarise } from "../engine/users/user-sessions.js";
import { isSessionId } from "../token/token.js";
import { warn } from "../warn.js";
import type { History } from "./history.js";

/** Sessions that the list reads at the most, whatever the store holds. */
export const LIST_LIMIT = 1000;
/** Sessions that a count reads at the most. */
export const COUNT_LIMIT = 100_000;
/** Milliseconds between two counts, while somebody looks. */
const COUNT_EVERY = 60_000;
/** Milliseconds for which what was read is good for all that look. */
const FRESH = 3_000;
/** Sessions read in one go, before other work of the process gets its turn. */
const STRIDE = 200;

/** Sessions to show. */
export interface Listing {
  /** The last seen first. */
  readonly sessions: readonly StoredSessionSummary[];
  /** Whether the store has more than were read. */
  readonly hasMore: boolean;
}

/** Everything that the console shows of one session. */
export interface SessionDetails extends StoredSessionSummary {
  /** When it ends at the latest. */
  readonly endsAt: Date;
  readonly tokenAt: Date;
  readonly issuer: string | undefined;
}

/** Reads of the store for the console: bounded, and shared by all that look at the same time. */
export class Reading {
  readonly #sessions: Sessions<any>;
  readonly #engine: Engine;
  readonly #history: History;
  #listing: { readonly at: number; readonly listing: Promise<Listing> } | undefined;
  #countedAt = Number.NEGATIVE_INFINITY;
  #counting: Promise<void> | undefined;
  /** Whether the last count ended at `COUNT_LIMIT`. */
  isCountCut = false;

  constructor(sessions: Sessions<any>, history: History) {
    this.#sessions = sessions;
    this.#engine = engineOf(sessions);
    this.#history = history;
  }

  /** What a search finds: a user's sessions, or one by its id; without one, the first that the store gives. */
  async list(search: string): Promise<Listing> {
    if (search !== "") {
      const found = await this.#search(search);
      // As it is at first: somebody may be called the same as another but for a blank.
      const trimmed = search.trim();
      return found.sessions.length > 0 || trimmed === search || trimmed === ""
        ? found
        : this.#search(trimmed);
    }
    const now = this.#engine.clock();
    if (this.#listing === undefined || Math.abs(now - this.#listing.at) > FRESH) {
      const listing = this.#first();
      this.#listing = { at: now, listing };
      // A failure is for those that wait for it, and not for who looks next.
      listing.catch(() => {
        this.#listing = undefined;
      });
    }
    return this.#listing.listing;
  }

  /** What was read is good no more. */
  forget(): void {
    this.#listing = undefined;
  }

  async details(id: string): Promise<SessionDetails | undefined> {
    if (!isSessionId(id)) return undefined;
    const destination = await find(this.#engine, id);
    if (destination.kind !== "live") return undefined;
    const { record, meta } = destination.stored;
    return {
      ...summarise(this.#engine, destination.id, record, meta),
      userId: record.userId ?? undefined,
      endsAt: new Date(record.absoluteDeadline),
      tokenAt: new Date(meta.tokenAt),
      issuer: meta.identity?.issuer,
    };
  }

  /** Counts the living sessions anew, in the background, where the last count is a while ago. */
  countIfDue(): void {
    const now = this.#engine.clock();
    if (this.#counting !== undefined || Math.abs(now - this.#countedAt) < COUNT_EVERY) return;
    this.#countedAt = now;
    this.#counting = this.#count()
      // The store's failure is an event already.
      .catch((error) => warn("HOLDFAST_CONSOLE", `the sessions could not be counted: ${String(error)}`))
      .finally(() => {
        this.#counting = undefined;
      });
  }

  /** Until a count that is under way has ended. */
  async idle(): Promise<void> {
    await this.#counting;
  }

  async #count(): Promise<void> {
    let count = 0;
    let cut = false;
    for await (const _session of this.#sessions.ofEveryone().list()) {
      if (count === COUNT_LIMIT) {
        cut = true;
        break;
      }
      count++;
      if (count % STRIDE === 0) await turn();
    }
    this.isCountCut = cut;
    this.#history.counted(count);
  }

  async #first(): Promise<Listing> {
    const sessions = new Map<string, StoredSessionSummary>();
    for await (const session of this.#sessions.ofEveryone().list()) {
      if (sessions.size === LIST_LIMIT) return { sessions: byLastSeen(sessions.values()), hasMore: true };
      sessions.set(session.id, session);
      if (sessions.size % STRIDE === 0) await turn();
    }
    return { sessions: byLastSeen(sessions.values()), hasMore: false };
  }

  async #search(search: string): Promise<Listing> {
    const byId = await this.#sessions.ofEveryone().find(search);
    // A user may be called what looks like a session's id.
    const ofUser = isUserId(search) ? await this.#sessions.ofUser(search).list() : [];
    const found = ofUser.filter(({ id }) => id !== byId?.id).map((one) => ({ ...one, userId: search }));
    const sessions = [...(byId === undefined ? [] : [byId]), ...found];
    return { sessions: sessions.slice(0, LIST_LIMIT), hasMore: sessions.length > LIST_LIMIT };
  }
}

function byLastSeen(sessions: Iterable<StoredSessionSummary>): StoredSessionSummary[] {
  return [...sessions].sort((a, b) => b.lastSeenAt.getTime() - a.lastSeenAt.getTime());
}
