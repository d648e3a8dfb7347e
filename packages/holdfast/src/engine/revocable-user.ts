import { isSessionId } from "../token/token.js";
import type { Engine } from "./engine.js";
import { assertUserId } from "./rotation.js";

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
  async revoke(sessionId: string): Promise<void> {
    if (!isSessionId(sessionId)) return;
    await this.#engine.cookieHeld!.revocations!.revoke(sessionId, this.#userId);
    this.#emit(sessionId, "revoke");
  }

  /**
   * Ends every session of this user that exists now, but for the one in `except` (usually `req.session.id`).
   * Call it when a password or another factor changes, and, without `except`, when the account is disabled.
   */
  async revokeAll(options: { except?: string } = {}): Promise<void> {
    const except = isSessionId(options.except) ? options.except : undefined;
    await this.#engine.cookieHeld!.revocations!.revokeAll(this.#userId, except);
    this.#emit(undefined, "revokeAll");
  }

  #emit(sessionId: string | undefined, by: "revoke" | "revokeAll"): void {
    const { clock, events } = this.#engine;
    events.emit("revoked", { at: new Date(clock()), sessionId, userId: this.#userId, by });
  }
}
