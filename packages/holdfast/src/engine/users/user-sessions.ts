import type { StoreRecord } from "../../stores/contract.js";
import { isSessionId } from "../../token/token.js";
import { type Authentication, authenticationOf, elevationOf } from "../authentication.js";
import { findToEnd } from "../ending.js";
import type { Engine } from "../engine.js";
import type { ClientDescription } from "../guard/client.js";
import { refuseOldOf } from "../migration.js";
import type { SessionMeta } from "../record.js";
import { assertUserId } from "../rotation.js";
import {
  type Ending,
  endLiving,
  endLivingSessions,
  type LivingSession,
  lastSeen,
  livingSessions,
  loginOf,
  removeRest,
} from "./living-sessions.js";
import { checkedRevokeOptions, type RevokeOptions } from "./revocation.js";

/** One session of a user, as shown in a list of their devices. */
export interface SessionSummary {
  readonly id: string;
  readonly createdAt: Date;
  /** Accurate to the touch interval. */
  readonly lastSeenAt: Date;
  /** When it ends if the user does nothing more. */
  readonly expiresAt: Date;
  readonly authenticatedAt: Date | undefined;
  /** How its user has proved who they are, by now; undefined where nobody has logged in. */
  readonly authentication: Authentication | undefined;
  /** Whether its user asked to be remembered. */
  readonly remembered: boolean;
  /** When what `session.elevate` gave ends; undefined where nothing is in force. */
  readonly elevatedUntil: Date | undefined;
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
    const engine = this.#engine;
    const living = await livingSessions(engine, this.#userId);
    return living
      .sort((a, b) => lastSeen(engine, b.record, b.meta) - lastSeen(engine, a.record, a.meta))
      .map(({ id, record, meta }) => summarise(engine, id, record, meta));
  }

  /**
   * Ends one session of this user, at once and everywhere, also where it takes a new token meanwhile. False where it is not a
   * living session of this user, whoever else's it may be.
   * @throws InvalidArgumentError
   */
  async revoke(sessionId: string, options?: RevokeOptions): Promise<boolean> {
    const ending: Ending = { by: "revoke", ...checkedRevokeOptions("revoke", options) };
    if (!isSessionId(sessionId)) return false;
    const destination = await findToEnd(this.#engine, sessionId);
    if (destination?.kind !== "live" || destination.stored.record.userId !== this.#userId) return false;
    return endLiving(this.#engine, { id: destination.id, record: destination.stored.record }, ending);
  }

  /**
   * Ends every session that this user has now, but for the one in `except` (usually `req.session.id`), also those that take a
   * new token meanwhile. The number ended. Call it when a password or another factor changes, and, without `except`, when the
   * account is disabled.
   * @throws InvalidArgumentError
   */
  async revokeAll(options: RevokeOptions & { except?: string } = {}): Promise<number> {
    const engine = this.#engine;
    const userId = this.#userId;
    const ending: Ending = { by: "revokeAll", ...checkedRevokeOptions("revokeAll", options) };
    const except = await this.#loginOf(options.except);
    if (engine.migration !== undefined) await refuseOldOf(engine, userId);
    await removeRest(engine, userId, options.except);

    const start = engine.clock();
    const found = new Set<string>();
    // What is found first is what there is now. After that, only what moves to another token: not a login that begins.
    const choose = (living: readonly LivingSession[], look: number) => {
      const others = living.filter((session) => loginOf(session) !== except);
      if (look === 0) for (const session of others) found.add(loginOf(session));
      return others.filter((session) => found.has(loginOf(session)) || session.meta.createdAt < start);
    };
    return endLivingSessions(engine, userId, ending, choose);
  }

  /** The login that a session began with, under whatever token it is by now. */
  async #loginOf(sessionId: string | undefined): Promise<string | undefined> {
    if (!isSessionId(sessionId)) return undefined;
    const destination = await findToEnd(this.#engine, sessionId);
    if (destination?.kind !== "live") return undefined;
    return loginOf({ id: destination.id, meta: destination.stored.meta });
  }
}

export function summarise(
  engine: Engine,
  id: string,
  record: StoreRecord,
  meta: SessionMeta,
): SessionSummary {
  const now = engine.clock();
  const elevation = elevationOf(meta, now);
  return {
    id,
    createdAt: new Date(meta.createdAt),
    lastSeenAt: new Date(lastSeen(engine, record, meta)),
    expiresAt: new Date(record.idleDeadline),
    authenticatedAt:
      meta.authenticatedAt === undefined || meta.suspect === true
        ? undefined
        : new Date(meta.authenticatedAt),
    authentication: record.userId === null ? undefined : authenticationOf(meta, now),
    remembered: meta.remembered === true,
    elevatedUntil: elevation && new Date(elevation.until),
    client: meta.client ?? {},
  };
}
