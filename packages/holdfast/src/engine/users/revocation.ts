import { InvalidArgumentError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { Engine } from "../engine.js";

/**
 * What a session was ended for, as the application says it to `revoke` and `revokeAll`, and as `session.reason` tells the
 * browser that comes with its token. `app:` and lower-case letters, digits and hyphens make a reason of the application's own.
 */
export type RevokeReason = "revoked" | "password-changed" | "account-disabled" | `app:${string}`;

/** The same, with what the library ends sessions for by itself. */
export type EndReason = RevokeReason | "limit" | "anomaly";

/** What `revoke` and `revokeAll` may say beside what to end. */
export interface RevokeOptions {
  /** What it is ended for: the browser's next request finds it in `session.reason`. Default: "revoked". */
  reason?: RevokeReason;
  /** Who ends it, as in "admin:ada", for the event `revoked` only (as `actor`): 1 to 255 characters, no control characters. */
  by?: string;
}

/** By what a session was ended from outside. */
export type RevokedBy = "revoke" | "revokeAll" | "limit" | "anomaly";

const REASONS: readonly string[] = ["revoked", "password-changed", "account-disabled"];
const LIBRARY_REASONS: readonly string[] = ["limit", "anomaly"];
const APP_REASON = /^app:[a-z0-9][a-z0-9-]{0,39}$/;

/** Whether a tombstone names a reason that this version knows: one written by a later version counts as "revoked". */
export function isEndReason(reason: unknown): reason is EndReason {
  return isRevokeReason(reason) || LIBRARY_REASONS.includes(reason as string);
}

/** Whether an application may say this as the reason. */
export function isRevokeReason(reason: unknown): reason is RevokeReason {
  return typeof reason === "string" && (REASONS.includes(reason) || APP_REASON.test(reason));
}

/** @throws InvalidArgumentError for a reason, or an actor, that is none. @param method for the message */
export function checkedRevokeOptions(
  method: "revoke" | "revokeAll",
  { reason = "revoked", by }: RevokeOptions = {},
): { reason: RevokeReason; actor: string | undefined } {
  if (!isRevokeReason(reason)) {
    throw new InvalidArgumentError(
      `${method}() takes "${REASONS.join('", "')}", or "app:" and at most 40 lower-case letters, digits and hyphens, as ` +
        `\`reason\`; got ${shown(reason)}.`,
    );
  }
  const isActor = typeof by === "string" && by.length > 0 && by.length <= 255 && !/\p{Cc}/u.test(by);
  if (by !== undefined && !isActor) {
    throw new InvalidArgumentError(
      `${method}() takes 1 to 255 characters without control characters as \`by\`.`,
    );
  }
  return { reason, actor: by };
}

/** A session that was ended from outside, for the event. */
export interface Revoked {
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
  readonly by: RevokedBy;
  readonly reason: EndReason;
  readonly actor?: string | undefined;
}

export function emitRevoked({ events, clock }: Pick<Engine, "events" | "clock">, revoked: Revoked): void {
  events.emit("revoked", { at: new Date(clock()), ...revoked, actor: revoked.actor });
}
