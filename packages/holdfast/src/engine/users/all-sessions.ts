import { StoreCorruptError } from "../../errors.js";
import type { StoreRecord } from "../../stores/contract.js";
import { isSessionId } from "../../token/token.js";
import { findToEnd } from "../ending.js";
import type { Engine } from "../engine.js";
import { contentsOf, find, isExpired } from "../follow.js";
import { holdsSession, type SessionMeta } from "../record.js";
import { type Ending, endLiving } from "./living-sessions.js";
import { checkedRevokeOptions, type RevokeOptions } from "./revocation.js";
import { type SessionSummary, summarise } from "./user-sessions.js";

/** A session of anybody's, as administrators see it. */
export interface StoredSessionSummary extends SessionSummary {
  /** Undefined where nobody has logged in. */
  readonly userId: string | undefined;
}

/** Records that one page of a store is asked for: few enough that no request has to wait long behind it. */
const PAGE = 200;

/**
 * All sessions, of all users and of nobody: `sessions.ofEveryone()`, for administration. Listing reads the whole store page by
 * page, so it costs what is stored.
 */
export class AllSessions {
  readonly #engine: Engine;

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * The living sessions, in no order. What begins or ends meanwhile may be among them or not, and Redis may give one twice.
   * A record that can't be read, which is a session for nobody, is passed over, with the event `store-error`.
   * @throws UnsupportedError where the store can't list them.
   */
  async *list(): AsyncGenerator<StoredSessionSummary, void> {
    for await (const { id, record, meta } of livingSessions(this.#engine))
      yield this.#summary(id, record, meta);
  }

  /** One living session, under the id that it has now; undefined where there is none. */
  async find(sessionId: string): Promise<StoredSessionSummary | undefined> {
    if (!isSessionId(sessionId)) return undefined;
    const destination = await find(this.#engine, sessionId);
    if (destination.kind !== "live") return undefined;
    const { record, meta } = destination.stored;
    return this.#summary(destination.id, record, meta);
  }

  /**
   * Ends one session, whosever it is, at once and everywhere, also where it takes a new token meanwhile. False where it is not a
   * living session.
   * @throws InvalidArgumentError
   */
  async revoke(sessionId: string, options?: RevokeOptions): Promise<boolean> {
    const ending: Ending = { by: "revoke", ...checkedRevokeOptions("revoke", options) };
    if (!isSessionId(sessionId)) return false;
    const destination = await findToEnd(this.#engine, sessionId);
    if (destination?.kind !== "live") return false;
    return endLiving(this.#engine, { id: destination.id, record: destination.stored.record }, ending);
  }

  /**
   * Ends every session that exists now, of all users and of nobody (OWASP ASVS 5.0, 7.4.5). The number ended. Who logs in
   * while it works may have to do so again.
   * @throws InvalidArgumentError
   */
  async revokeAll(options?: RevokeOptions): Promise<number> {
    const ending: Ending = { by: "revokeAll", ...checkedRevokeOptions("revokeAll", options) };
    const engine = this.#engine;
    const start = engine.clock();
    // One that takes a new token meanwhile may be passed over under both ids, so this looks until there are none; and twice at
    // least, for it doesn't do so in each look.
    for (let total = 0, look = 1; ; look++) {
      let ended = 0;
      for await (const { id, record, meta } of livingSessions(engine)) {
        // The first look takes what it finds: a session of a server whose clock is ahead seems to begin later.
        if (look > 1 && meta.createdAt > start) continue;
        if (await endLiving(engine, { id, record }, ending)) ended++;
      }
      if (ended === 0 && look > 1) return total;
      total += ended;
    }
  }

  #summary(id: string, record: StoreRecord, meta: SessionMeta): StoredSessionSummary {
    return { ...summarise(this.#engine, id, record, meta), userId: record.userId ?? undefined };
  }
}

async function* livingSessions(
  engine: Engine,
): AsyncGenerator<{ id: string; record: StoreRecord; meta: SessionMeta }, void> {
  let cursor: string | undefined;
  do {
    const page = await engine.store.scan(cursor, PAGE);
    for (const { id, record } of page.sessions) {
      if (!holdsSession(record) || isExpired(record, engine.clock())) continue;
      const meta = readableMeta(engine, record);
      if (meta !== undefined) yield { id, record, meta };
    }
    cursor = page.next;
  } while (cursor !== undefined);
}

/** One record that can't be read must not keep an administrator from ending all others. */
function readableMeta(engine: Engine, record: StoreRecord): SessionMeta | undefined {
  try {
    const contents = contentsOf(engine, record);
    return "meta" in contents ? contents.meta : undefined;
  } catch (error) {
    if (error instanceof StoreCorruptError) return undefined;
    throw error;
  }
}
