import type { ActiveSession, TokenStanding } from "./active-session.js";
import type { Engine } from "./engine.js";
import type { CookieRejection } from "./events.js";
import type { Destination } from "./follow.js";
import { reasonOf } from "./reason.js";
import type { Tombstone } from "./record.js";

/** A token that has come with a request and verifies, before the store is asked for it. */
export interface Candidate {
  readonly token: string;
  readonly id: string;
  readonly signedByOlderKey: boolean;
}

/** Binds a new active session to where its token has led. */
export async function arrive(
  active: ActiveSession,
  candidate: Candidate,
  destination: Destination,
): Promise<ActiveSession> {
  const { engine } = active;
  switch (destination.kind) {
    case "live": {
      const { renewals, stored } = destination;
      const lost = stored.meta.renewedFrom !== undefined;
      const standing = standingOf(engine, candidate, renewals, lost);
      if (standing === undefined) {
        active.reason = reject(engine, "renewed", candidate.id);
      } else {
        active.standing = standing;
        active.reason = "living";
        active.adopt(
          destination.id,
          destination.renewals.length > 0 ? undefined : candidate.token,
          destination.stored,
        );
      }
      return active;
    }
    case "expired": {
      const { id, record } = destination;
      await engine.store.delete(id);
      const timeout = record.idleDeadline < record.absoluteDeadline ? "idle" : "absolute";
      active.reason = `${timeout}-timeout`;
      engine.events.emit("expired", {
        at: new Date(engine.clock()),
        sessionId: id,
        userId: record.userId ?? undefined,
        timeout,
      });
      return active;
    }
    case "ended": {
      const { renewals, tombstone } = destination;
      reject(engine, "ended", candidate.id);
      // A token that was good no more before the session ended is not told how it ended.
      const isOwn = standingOf(engine, candidate, renewals, tombstone.lost === true) !== undefined;
      active.reason = isOwn ? reasonOf(tombstone) : "renewed";
      // Whoever logged out, or got a new token, has been told by a cookie that this late request must not overwrite. A
      // browser whose session was revoked from elsewhere has not.
      if (tombstone.ended !== "revoked" && engine.clock() < tombstone.at + engine.grace) {
        active.standing = "stale";
      }
      return active;
    }
    case "none":
      active.reason = reject(engine, "unknown", candidate.id);
      return active;
  }
}

/**
 * How a verified token stands to the session that it leads to; undefined where it is good no more.
 * @param lost whether nobody has come with the session's newest token.
 */
function standingOf(
  engine: Engine,
  candidate: Candidate,
  renewals: readonly Tombstone[],
  lost: boolean,
): TokenStanding | undefined {
  const [first, ...later] = renewals;
  if (first === undefined) return candidate.signedByOlderKey ? "signed-by-older-key" : "current";
  const isInGrace = ({ at }: Tombstone) => engine.clock() < at + engine.grace;
  if (isInGrace(first)) return "in-grace";
  // The browser has had one of the tokens between: this one is dead, however often that is renewed.
  if (later.some((renewal) => !renewal.lost)) return undefined;
  if (later.some(isInGrace)) return "in-grace";
  // Nobody has come with the new token: its response got lost, and this browser has only the old one.
  return lost ? "renewal-lost" : undefined;
}

/** Tells that what came with a request is not taken for a session. */
export function reject<Reason extends CookieRejection>(
  engine: Engine,
  reason: Reason,
  sessionId?: string,
): Reason {
  engine.events.emit("rejected-cookie", { at: new Date(engine.clock()), reason, sessionId });
  return reason;
}
