import type { IncomingMessage } from "node:http";
import { assertOrigins } from "../engine/guard/origins.js";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { CrossOriginError } from "../errors.js";
import { NodeRequest } from "./node-request.js";

export interface UpgradeOptions {
  /**
   * The origins whose pages may open a WebSocket, as in "https://shop.example"; "any" for all of them. Browsers send the
   * cookie with a WebSocket that a page of another site opens, and no CORS rule stops it (OWASP: cross-site WebSocket
   * hijacking). A request without an Origin comes from no page of another site, and is let through. Default: the host of the
   * request; behind a proxy that sends on another host, name the origins.
   */
  origins?: readonly string[] | "any";
}

/**
 * The session of a request to upgrade, for `ws`, Socket.IO and the like. No response will carry a cookie, so what needs one
 * (a new session, `login`, `rotate`) throws `HeadersSentError`; changes to a stored session are stored by `await
 * session.save()` or `update`. Close the socket in `session.onEnd`.
 *
 * @throws CrossOriginError for a page of another origin: answer 403. ConfigurationError for what is no list of origins.
 * @throws StoreError when the store fails: answer 503.
 */
export async function upgradeSession<Data extends object = DefaultData>(
  sessions: SessionSource<Data>,
  request: IncomingMessage,
  { origins }: UpgradeOptions = {},
): Promise<Session<Data>> {
  if (origins !== undefined && origins !== "any")
    assertOrigins("origins", origins, 'a list of origins or "any"');
  assertOrigin(request, origins);
  return (await sessions.open(new NodeRequest(request))).withoutResponse().session;
}

function assertOrigin(request: IncomingMessage, origins: readonly string[] | "any" | undefined): void {
  const { origin } = request.headers;
  if (origin === undefined || origins === "any") return;
  if (!(origins?.includes(origin) ?? isOwn(origin, request))) throw new CrossOriginError();
}

/** Whether the page came from the host that the request goes to; from HTTPS, where the server knows that it speaks it. */
function isOwn(origin: string, { headers: { host }, socket }: IncomingMessage): boolean {
  const page = URL.canParse(origin) ? new URL(origin) : undefined;
  const schemes = (socket as { encrypted?: boolean }).encrypted ? ["https:"] : ["https:", "http:"];
  if (host === undefined || page === undefined || !schemes.includes(page.protocol)) return false;
  // Some proxies write the default port, which an origin never has.
  const asked = `${page.protocol}//${host}`;
  return URL.canParse(asked) && new URL(asked).host === page.host;
}
