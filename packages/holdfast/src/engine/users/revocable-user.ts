import { isSessionId } from "../../token/token.js";
import type { Engine } from "../engine.js";
import { assertUserId } from "../rotation.js";
import { checkedRevokeOptions, emitRevoked, type RevokeOptions } from "./revocation.js";

/** A user whose sessions live in cookies, with a list of the ended ones: `sessions.ofUser(userId)`. */
export class RevocableUser {
  readonly #engine: Engine;
  readonly #userId: string;

  /** @internal */
  constructor(engine: Engine, userId: string) {
    assertUserId(userId);
    this.#engine = engine;
    this.#userId = userId;
  }

  /** Ends one session of this user, at once and everywhere. A session of somebody else's is not affected. */
  async revoke(sessionId: string, options?: RevokeOptions): Promise<void> {
    const { reason, actor } = checkedRevokeOptions("revoke", options);
    if (!isSessionId(sessionId)) return;
    await this.#engine.cookieHeld!.revocations!.revoke(sessionId, this.#userId, reason);
    emitRevoked(this.#engine, { sessionId, userId: this.#userId, by: "revoke", reason, actor });
  }

  /**
   * Ends every session of this user that exists now, but for the one in `except` (usually `req.session.id`).
   * Call it when a password or another factor changes, and, without `except`, when the account is disabled.
   */
  async revokeAll(options: RevokeOptions & { except?: string } = {}): Promise<void> {
    const { reason, actor } = checkedRevokeOptions("revokeAll", options);
    const except = isSessionId(options.except) ? options.except : undefined;
    await this.#engine.cookieHeld!.revocations!.revokeAll(this.#userId, except, reason);
    const userId = this.#userId;
    emitRevoked(this.#engine, { sessionId: undefined, userId, by: "revokeAll", reason, actor });
  }
}
