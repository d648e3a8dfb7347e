import { warn } from "../warn.js";
import type { ActiveSession } from "./active-session.js";
import { sealSession } from "./cookie-held.js";
import { isHttps } from "./request.js";
import type { ResponseHeaders } from "./transport.js";

/**
 * Tells the client what has become of its session: only what the store has acknowledged.
 * @param looked whether the handler has looked at the session, so that the answer may depend on it.
 */
export function writeSessionHeaders(active: ActiveSession, headers: ResponseHeaders, looked: boolean): void {
  if (writeSecret(active, headers)) {
    preventCaching(active, headers);
    eraseOld(active, headers);
  }
  if (active.clearSiteData !== undefined) headers.set("Clear-Site-Data", active.clearSiteData);
  if (looked) varyBy(active.transport.reads, headers);
}

/** The cookies of the libraries that sessions are taken over from: gone with the takeover, or else with the logout. */
function eraseOld(
  { engine: { migration }, transport, request, cookieIntent }: ActiveSession,
  headers: ResponseHeaders,
): void {
  if (migration === undefined || transport.reads !== "Cookie") return;
  if (migration.keepsOld && cookieIntent !== "delete") return;
  for (const old of migration.find(request)) old.erase(headers, transport.name);
}

/** Whether there was something to write. */
function writeSecret(active: ActiveSession, headers: ResponseHeaders): boolean {
  const { engine, transport, request, token, record } = active;
  if (active.cookieIntent === "delete") {
    transport.erase(headers, request);
    return true;
  }
  if (token === undefined || record === undefined) return false;
  const { cookieHeld } = engine;
  const changed = cookieHeld !== undefined && record !== active.received;
  if (active.cookieIntent === "keep" && !changed) return false;

  if (transport.secure && !isHttps(request, engine.trustsProxy)) warnPlainHttp();
  const secret =
    cookieHeld === undefined ? engine.keyring.sign(token) : sealSession(cookieHeld, transport, token, record);
  const maxAge = active.persistent ? record.idleDeadline - engine.clock() : undefined;
  transport.send(headers, secret, maxAge, request);
  return true;
}

let warnedPlainHttp = false;

function warnPlainHttp(): void {
  if (warnedPlainHttp) return;
  warnedPlainHttp = true;
  warn(
    "HOLDFAST_PLAIN_HTTP",
    "a Secure session cookie was sent on a request that looks like plain HTTP, where browsers ignore it. Behind a proxy " +
      'that ends TLS, set `trustProxy` (and, with Express, its "trust proxy"); without TLS, set `cookie.secure` to false.',
  );
}

/** A shared cache must not hand one browser's session cookie to another (RFC 9111 5.2.2, OWASP: web content caching). */
function preventCaching({ engine: { cacheControl } }: ActiveSession, headers: ResponseHeaders): void {
  if (cacheControl === "off") return;
  const current = headers.get("Cache-Control");
  const fits = cacheControl === "unless-set" || /\b(?:private|no-store)\b/i.test(current ?? "");
  if (current === undefined || !fits) headers.set("Cache-Control", "no-store");
}

function varyBy(header: "Cookie" | "Authorization", headers: ResponseHeaders): void {
  const vary = headers.get("Vary");
  if (vary === undefined || vary === "") {
    headers.set("Vary", header);
  } else if (
    vary !== "*" &&
    !vary.split(",").some((name) => name.trim().toLowerCase() === header.toLowerCase())
  ) {
    headers.set("Vary", `${vary}, ${header}`);
  }
}
