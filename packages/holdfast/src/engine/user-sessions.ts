import type { StoredSession, StoreRecord } from "../stores/contract.js";
import { isSessionId } from "../token/token.js";
import type { ClientDescription } from "./client.js";
import type { Engine } from "./engine.js";
import { contentsOf, find, isExpired } from "./follow.js";
import { refuseOldOf, removeOld } from "./migration.js";
import type { SessionMeta } from "./record.js";
import { assertUserId, endStored } from "./rotation.js";

/** One session of a user, as shown in a list of their devices. */
export interface SessionSummary {
  readonly id: string;
  readonly createdAt: Date;
  /** Accurate to the touch interval. */
  readonly lastSeenAt: Date;
  /** When it ends if the user does nothing more. */
  readonly expiresAt: Date;
  readonly authenticatedAt: Date | undefined;
  readonly client: ClientDescription;
}

/** The sessions of one user, on every device: `sessions.ofUser(userId)`. */
export class UserSessions {
  readonly #engine: Engine;
  readonly #userId: string;

  /** @internal */
  constructor(engine: Engine, userId: string) {
    assertUserId(userId);
    this.#engine = engine;
    this.#userId = userId;
  }

  /** The living sessions, the last seen first. Costs that user's sessions, however many others there are. */
  async list(): Promise<SessionSummary[]> {
    const living = await livingSessions(this.#engine, this.#userId);
    return living.map(({ id, record, meta }) => summarise(this.#engine, id, record, meta));
  }

  /**
   * Ends one session of this user, at once and everywhere. False where it is not a living session of this user, whoever
   * else's it may be.
   */
  async revoke(sessionId: string): Promise<boolean> {
    const engine = this.#engine;
    if (!isSessionId(sessionId)) return false;
    const destination = await find(engine, sessionId);
    if (destination.kind !== "live" || destination.stored.record.userId !== this.#userId) return false;
    const id = await endStored(engine, destination.id, destination.stored.record, { ended: "revoked" });
    emitRevoked(engine, id, this.#userId, "revoke");
    return true;
  }

  /**
   * Ends every session of this user, but for the one in `except` (usually `req.session.id`). The number ended.
   * Call it when a password or another factor changes, and, without `except`, when the account is disabled.
   */
  async revokeAll(options: { except?: string } = {}): Promise<number> {
    const engine = this.#engine;
    const except = await this.#current(options.except);
    if (engine.migration !== undefined) {
      await refuseOldOf(engine, this.#userId);
      await this.#removeKept(except);
    }
    const ids = await engine.store.deleteByUser(this.#userId, except);
    for (const id of ids) emitRevoked(engine, id, this.#userId, "revokeAll");
    return ids.length;
  }

  /** Where old records were left in their place, each session's has to be removed with it. */
  async #removeKept(except: string | undefined): Promise<void> {
    for (const { id, meta } of await livingSessions(this.#engine, this.#userId)) {
      if (id !== except && meta.old !== undefined) await removeOld(this.#engine, meta.old);
    }
  }

  /** The id that a session has by now, should another request have renewed it. */
  async #current(sessionId: string | undefined): Promise<string | undefined> {
    if (!isSessionId(sessionId)) return undefined;
    const destination = await find(this.#engine, sessionId);
    return destination.kind === "live" ? destination.id : sessionId;
  }
}

/** Ends the sessions of a user beyond the limit, those last seen longest ago first; never the one in `keep`. */
export async function enforceLimit(engine: Engine, userId: string, keep: string): Promise<void> {
  const living = await livingSessions(engine, userId);
  if (living.length <= engine.maxSessionsPerUser) return;
  const others = living.filter(({ id }) => id !== keep);
  for (const { id, record } of others.slice(engine.maxSessionsPerUser - 1)) {
    emitRevoked(engine, await endStored(engine, id, record, { ended: "revoked" }), userId, "limit");
  }
}

/**
 * Ends those of a user's sessions that `isMeant`, at once and everywhere. The number ended. One that takes a new token
 * meanwhile is found under it, for this looks again until there are none.
 */
export async function endLivingSessions(
  engine: Engine,
  userId: string,
  isMeant: (meta: SessionMeta) => boolean,
): Promise<number> {
  for (let ended = 0; ; ) {
    const meant = (await livingSessions(engine, userId)).filter(({ meta }) => isMeant(meta));
    if (meant.length === 0) return ended;
    for (const { id, record } of meant) {
      emitRevoked(engine, await endStored(engine, id, record, { ended: "revoked" }), userId, "revoke");
      ended++;
    }
  }
}

async function livingSessions(
  engine: Engine,
  userId: string,
): Promise<Array<StoredSession & { meta: SessionMeta }>> {
  const now = engine.clock();
  const living: Array<StoredSession & { meta: SessionMeta }> = [];
  for (const { id, record } of await engine.store.listByUser(userId)) {
    const contents = contentsOf(engine, record);
    if ("meta" in contents && !isExpired(record, now)) living.push({ id, record, meta: contents.meta });
  }
  return living.sort((a, b) => lastSeen(engine, b.record, b.meta) - lastSeen(engine, a.record, a.meta));
}

export function summarise(
  engine: Engine,
  id: string,
  record: StoreRecord,
  meta: SessionMeta,
): SessionSummary {
  return {
    id,
    createdAt: new Date(meta.createdAt),
    lastSeenAt: new Date(lastSeen(engine, record, meta)),
    expiresAt: new Date(record.idleDeadline),
    authenticatedAt: meta.authenticatedAt === undefined ? undefined : new Date(meta.authenticatedAt),
    client: meta.client ?? {},
  };
}

/** The last write or touch, in milliseconds. A touch moves only the idle deadline, which tells when it was. */
export function lastSeen(engine: Engine, record: StoreRecord, meta: SessionMeta): number {
  // Under a longer timeout than today's, the deadline would tell of a time to come.
  return Math.min(Math.max(meta.seenAt, record.idleDeadline - engine.idleTimeout), engine.clock());
}

export function emitRevoked(
  engine: Engine,
  sessionId: string,
  userId: string | undefined,
  by: "revoke" | "revokeAll" | "limit",
): void {
  engine.events.emit("revoked", { at: new Date(engine.clock()), sessionId, userId, by });
}
