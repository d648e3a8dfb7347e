import type { IncomingMessage } from "node:http";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { ConfigurationError, CrossOriginError } from "../errors.js";
import { shown } from "../shown.js";
import { NodeRequest } from "./node-request.js";

export interface UpgradeOptions {
  /**
   * The origins whose pages may open a WebSocket, as in "https://shop.example"; "any" for all of them. Browsers send the
   * cookie with a WebSocket that a page of another site opens, and no CORS rule stops it (OWASP: cross-site WebSocket
   * hijacking). A request without an Origin comes from no browser, and is let through. Default: the host of the request.
   */
  origins?: readonly string[] | "any";
}

/**
 * The session of a request to upgrade, for `ws`, Socket.IO and the like. No response will carry a cookie, so what needs one
 * (a new session, `login`, `rotate`) throws `HeadersSentError`; changes to a stored session are stored by `await
 * session.save()` or `update`. Close the socket in `session.onEnd`.
 *
 * @throws CrossOriginError for a page of another origin: answer 403.
 * @throws StoreError when the store fails: answer 503.
 */
export async function upgradeSession<Data extends object = DefaultData>(
  sessions: SessionSource<Data>,
  request: IncomingMessage,
  { origins }: UpgradeOptions = {},
): Promise<Session<Data>> {
  if (origins !== undefined && origins !== "any" && !Array.isArray(origins)) {
    throw new ConfigurationError("origins", `expected a list of origins or "any", got ${shown(origins)}`);
  }
  assertOrigin(request, origins);
  return (await sessions.open(new NodeRequest(request))).withoutResponse().session;
}

function assertOrigin(
  { headers: { origin, host } }: IncomingMessage,
  origins: readonly string[] | "any" | undefined,
): void {
  if (origin === undefined || origins === "any") return;
  const allowed = origins === undefined ? hostOf(origin) === host?.toLowerCase() : origins.includes(origin);
  if (!allowed) throw new CrossOriginError();
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
