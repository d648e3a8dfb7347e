import type { CookieRejection } from "./events.js";
import type { Tombstone } from "./record.js";
import { type EndReason, isEndReason } from "./users/revocation.js";

/** Why a request has a session, or hasn't got the one that its cookie names: for telling the user, and for finding faults. */
export type SessionReason =
  /** It came with the token of a living session. */
  | "living"
  /** No session cookie, or token, came. */
  | "none-sent"
  /** Another site has made the request, so the browser kept the cookie back (SameSite). */
  | "withheld"
  /** What came leads to no session; see `CookieRejection`. */
  | Exclude<CookieRejection, "ended">
  /** Its user logged out, or the application destroyed it. */
  | "logout"
  /** A login or a change of privileges has given it another token. */
  | "rotated"
  /**
   * It was ended from outside: "revoked" where nobody said what for, else as `revoke` and `revokeAll` were told, by the limit of
   * sessions for each user, or by a change of the client.
   */
  | EndReason
  /** Nothing was done for longer than `idleTimeout`. */
  | "idle-timeout"
  /** It had reached its `absoluteTimeout`. */
  | "absolute-timeout";

/** What a tombstone tells who comes with its token. */
export function reasonOf({ ended, reason }: Tombstone): SessionReason {
  if (ended === "revoked") return isEndReason(reason) ? reason : "revoked";
  return ended === "destroyed" ? "logout" : ended;
}
