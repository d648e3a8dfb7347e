import type { Awaitable } from "../stores/contract.js";
import type { ActiveSession } from "./active-session.js";
import { commit, headersFor, reportLateChanges } from "./commit.js";
import { type DefaultData, Session } from "./session.js";

/** The response's headers as an adapter lets the engine see them. Names are case-insensitive. */
export interface ResponseHeaders {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
}

/**
 * One request and its response, from a session's point of view. An adapter opens one, exposes `session`, waits for
 * `commit` before the response's headers leave, and hands `writeHeaders` the response.
 */
export class Exchange<Data extends object = DefaultData> {
  readonly #active: ActiveSession;
  #session: Session<Data> | undefined;

  /** @internal */
  constructor(active: ActiveSession) {
    this.#active = active;
  }

  get session(): Session<Data> {
    this.#session ??= new Session<Data>(this.#active);
    return this.#session;
  }

  /** Stores what changed. Call once; answers at once where nothing has to wait. @throws HoldfastError */
  commit(): Awaitable<void> {
    return commit(this.#active);
  }

  /**
   * Writes the session's headers, after `commit` and right before the headers leave: on an error page for a commit that
   * failed as well, for a login or a logout before it holds.
   */
  writeHeaders(headers: ResponseHeaders): void {
    const { setCookie, clearSiteData } = headersFor(this.#active);
    if (setCookie !== undefined) {
      headers.append("Set-Cookie", setCookie);
      this.#preventCaching(headers);
    }
    if (clearSiteData !== undefined) headers.set("Clear-Site-Data", clearSiteData);
    if (this.#session !== undefined) varyByCookie(headers);
  }

  /** A shared cache must not hand one browser's session cookie to another (RFC 9111 5.2.2, OWASP: web content caching). */
  #preventCaching(headers: ResponseHeaders): void {
    const { cacheControl } = this.#active.engine;
    if (cacheControl === "off") return;
    const current = headers.get("Cache-Control");
    if (current !== undefined && (cacheControl === "unless-set" || /\b(?:private|no-store)\b/i.test(current)))
      return;
    headers.set("Cache-Control", "no-store");
  }

  /** Reports changes that came too late to be stored. An adapter calls it when the response has ended. */
  reportLateChanges(): void {
    if (this.#session !== undefined) reportLateChanges(this.#active);
  }
}

function varyByCookie(headers: ResponseHeaders): void {
  const vary = headers.get("Vary");
  if (vary === undefined || vary === "") headers.set("Vary", "Cookie");
  else if (vary !== "*" && !/(?:^|,)\s*cookie\s*(?:,|$)/i.test(vary)) headers.set("Vary", `${vary}, Cookie`);
}
