import { SessionNotOpenError } from "../errors.js";
import type { Awaitable } from "../stores/contract.js";
import { ActiveSession } from "./active-session.js";
import { commit, reportLateChanges } from "./commit.js";
import type { Engine } from "./engine.js";
import { type CsrfDemand, refused } from "./guard/csrf.js";
import { isCsrfTokenOf } from "./guard/csrf-token.js";
import { writeSessionHeaders } from "./headers.js";
import { openSession } from "./open.js";
import type { SessionRequest } from "./request.js";
import { type DefaultData, Session } from "./session.js";
import type { ResponseHeaders } from "./transport.js";

/**
 * One request and its response, from a session's point of view. An adapter makes one, exposes `session`, waits for
 * `commit` before the response's headers leave, and hands `writeHeaders` the response.
 */
export class Exchange<Data extends object = DefaultData> {
  readonly #engine: Engine;
  readonly #request: SessionRequest;
  #opening: Promise<void> | undefined;
  #active: ActiveSession | undefined;
  #session: Session<Data> | undefined;
  #headersSent = false;
  /** What the CSRF guard asks for before anybody gets the session. */
  #demand: CsrfDemand | undefined;

  /** @internal @throws CsrfError */
  constructor(engine: Engine, request: SessionRequest) {
    this.#engine = engine;
    this.#request = request;
    if (engine.csrf !== undefined) this.#demand = engine.csrf.admit(engine, request);
  }

  /**
   * Finds the session of the request, with one call to the store where a cookie came that verifies. Only the first call
   * does anything.
   * @throws StoreError when the store fails: the request must not be answered as if nobody were logged in.
   */
  open(): Awaitable<void> {
    if (this.#active !== undefined || this.#opening !== undefined) return this.#opening;
    const found = openSession(this.#engine, this.#request);
    if (found instanceof ActiveSession) return this.#opened(found);
    this.#opening = found.then((active) => this.#opened(active));
    return this.#opening;
  }

  #opened(active: ActiveSession): void {
    this.#active = active;
    active.headersSent = this.#headersSent;
    if (this.#demand?.token !== undefined) this.confirm(this.#demand.token);
  }

  /**
   * Shows the CSRF guard the session's token, where it asks for one.
   * @throws CsrfError where it is not one of this session's.
   */
  confirm(token: unknown): void {
    if (this.#demand === undefined) return;
    const active = this.#active;
    if (active === undefined) throw new SessionNotOpenError();
    if (!isCsrfTokenOf(active, token)) {
      const id = active.record === undefined ? undefined : active.id;
      const rule = token === undefined ? this.#demand.rule : "wrong-token";
      throw refused(this.#engine, this.#request, rule, id);
    }
    this.#demand = undefined;
  }

  /** `open` and then `session`, as frameworks offer it to the handlers of a lazy request. */
  async openSession(): Promise<Session<Data>> {
    await this.open();
    return this.session;
  }

  /** @throws SessionNotOpenError before `open` has found it. @throws CsrfError before `confirm`, where the guard asks for it. */
  get session(): Session<Data> {
    if (this.#active === undefined) throw new SessionNotOpenError();
    if (this.#demand !== undefined) this.confirm(undefined);
    this.#session ??= new Session<Data>(this.#active);
    return this.#session;
  }

  /** Stores what changed. Call once; answers at once where nothing has to wait. @throws HoldfastError */
  commit(): Awaitable<void> {
    if (this.#active !== undefined) return commit(this.#active);
    if (this.#opening !== undefined) return this.#opening.then(() => commit(this.#active!));
    this.#headersSent = true;
  }

  /**
   * Says that no response will carry a cookie, as with a WebSocket: what is stored already can be changed, and what needs a
   * new token throws `HeadersSentError`.
   */
  withoutResponse(): this {
    this.#headersSent = true;
    if (this.#active !== undefined) this.#active.headersSent = true;
    return this;
  }

  /**
   * Writes the session's headers, after `commit` and right before the headers leave: on an error page for a commit that
   * failed as well, for a login or a logout before it holds.
   */
  writeHeaders(headers: ResponseHeaders): void {
    if (this.#active !== undefined) writeSessionHeaders(this.#active, headers, this.#session !== undefined);
  }

  /** Says that nothing more can be written, for the headers had left before. */
  headersWereSent(): void {}

  /** The session's state, once it is open. */
  protected get active(): ActiveSession | undefined {
    return this.#active;
  }

  /** Reports changes that came too late to be stored. An adapter calls it when the response has ended. */
  reportLateChanges(): void {
    if (this.#session !== undefined && this.#active !== undefined) reportLateChanges(this.#active);
  }
}
