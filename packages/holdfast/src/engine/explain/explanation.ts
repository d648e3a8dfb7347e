import {
  CsrfError,
  HoldfastError,
  PayloadTooLargeError,
  StoreError,
  TooManyGuessesError,
} from "../../errors.js";
import { cookieValues } from "../../token/cookie.js";
import type { ActiveSession } from "../active-session.js";
import type { Engine } from "../engine.js";
import type { DroppedWriteReason } from "../events.js";
import type { SessionReason } from "../reason.js";
import { isHttps, pathOf, type SessionRequest } from "../request.js";
import type { Transport } from "../transport.js";

/** One thing that a request's explanation says: `code` for programs, `text` for people. */
export interface Remark {
  readonly code: RemarkCode;
  readonly text: string;
}

/** What can be said of a request. Why it has its session, or none, is a `SessionReason`. */
export type RemarkCode =
  | SessionReason
  /** The cookie came under the name that it has over the other protocol, HTTP or HTTPS. */
  | "other-name"
  /** Another site sent the request, so browsers withhold a cookie that is SameSite, or don't keep it. */
  | "cross-site"
  /** The cookie is Secure, and the request looks like plain HTTP. */
  | "plain-http"
  /** The CSRF guard, or the limit of guesses, refused it. */
  | "refused"
  /** The store, or the commit, failed. */
  | "failed"
  /** The session is larger than the cookie that it lives in can be. */
  | "cookie-too-large"
  /** The response's headers had left before the session's could join them. */
  | "headers-sent"
  | "created"
  | "login"
  | "rotated"
  | "renewed"
  | "saved"
  | "touched"
  | "ended"
  | "dropped"
  | "nothing-to-save"
  | "cookie-set"
  | "cookie-deleted"
  | "no-cookie"
  /** The option `lazy`, and nobody opened the session. */
  | "not-opened"
  /** The option `skip` left it out. */
  | "skipped"
  /** No response carries a cookie, as with a WebSocket. */
  | "upgrade";

/** Why a request has its session or none, what became of it, and of its cookie. It holds no token, no data and no query. */
export interface Explanation {
  readonly at: Date;
  readonly method: string;
  /** Without the query; what looks like a token in it is left out. */
  readonly path: string;
  /** Undefined where no session was looked for. */
  readonly reason: SessionReason | undefined;
  /** Of the session that the request ended with. */
  readonly sessionId: string | undefined;
  readonly remarks: readonly Remark[];
  /** All of it as one line. */
  readonly line: string;
}

/** What is known of a request when it is explained. */
export interface Observation {
  readonly engine: Engine;
  readonly request: SessionRequest;
  /** The option `cookie.sameSite`. */
  readonly sameSite: "lax" | "strict" | "none";
  /** The session, once it was looked for. */
  readonly active: ActiveSession | undefined;
  /** The session as it was found. */
  readonly found: (Pick<ActiveSession, "record" | "meta"> & { id: string | undefined }) | undefined;
  /** What opening, storing or writing the headers threw. */
  readonly failure: unknown;
  /** What was written for the client: `Set-Cookie` lines, with their values. */
  readonly cookies: readonly string[];
  readonly sentToken: boolean;
  /** How the request ended, where no headers were written. */
  readonly ending: "headers-sent" | "upgrade" | "late" | undefined;
}

export function explain(observation: Observation): Explanation {
  const { engine, request, active } = observation;
  const remarks = remarksOf(observation);
  return explanation(
    engine,
    request,
    remarks,
    active?.reason,
    active?.record === undefined ? undefined : active.id,
  );
}

export function explanation(
  engine: Pick<Engine, "clock">,
  request: SessionRequest,
  remarks: readonly Remark[],
  reason?: SessionReason,
  sessionId?: string,
): Explanation {
  const method = printable(request.method);
  const path = shownPath(request.target);
  const line = `holdfast: ${method} ${path}: ${remarks.map(({ text }) => text).join("; ")}`;
  return { at: new Date(engine.clock()), method, path, reason, sessionId, remarks, line };
}

function remarksOf(seen: Observation): Remark[] {
  const { engine, active, failure, ending } = seen;
  const inCookie = engine.cookieHeld !== undefined;
  const remarks: Remark[] = [];
  const add = (code: RemarkCode, text: string) => remarks.push({ code, text });
  if (ending === "late") {
    add(
      "headers-sent",
      "changed after the response's headers had left, so the change is not stored: call `session.save()`",
    );
    return remarks;
  }
  if (active === undefined) {
    if (failure === undefined) add("not-opened", "nobody opened the session (lazy)");
    else remarks.push(failed(failure, inCookie));
    return remarks;
  }
  remarks.push(...cameRemarks(seen, active));
  if (failure !== undefined) remarks.push(failed(failure, inCookie));
  else remarks.push(doneRemark(seen, active));
  if (ending === "upgrade") add("upgrade", "no response carries a cookie");
  else if (ending === "headers-sent")
    add("headers-sent", "the response's headers had left already, so no cookie could join them");
  else remarks.push(...cookieRemarks(seen, active));
  return remarks;
}

const CAME: Readonly<Record<SessionReason, string>> = {
  living: "came, of a living session",
  "none-sent": "did not come",
  withheld: "did not come",
  malformed: "came, but hasn't the shape of a signed token",
  forged:
    "came, but its signature fits none of the secrets: one was dropped, another application uses this name, or somebody guesses",
  "too-many": "came more often than is looked at",
  ambiguous:
    "came several times, for different living sessions, so none is used: somebody may have planted one",
  unknown:
    "came well signed, but the store has no such session: it expired and was swept, ended long ago, or is in another store",
  renewed: "came with a token that a renewal had replaced, long ago: an old copy of it",
  logout: "came, of a session that was logged out or destroyed",
  rotated: "came, of a session to which a login or `rotate` had given another token",
  revoked: "came, of a session that was revoked from outside",
  "password-changed": "came, of a session that was ended for its user's password was changed",
  "account-disabled": "came, of a session that was ended for its user's account was disabled",
  limit: "came, of a session that was ended for its user had more than `maxSessionsPerUser`",
  anomaly: "came, of a session that was ended for its client was another",
  "idle-timeout": "came, of a session that had reached its idle timeout",
  "absolute-timeout": "came, of a session that had reached its absolute timeout",
};

function cameRemarks(seen: Observation, { reason, transport }: ActiveSession): Remark[] {
  const { engine, request, sameSite } = seen;
  const remarks: Remark[] = [
    {
      code: reason,
      text: `${nameOf(transport)} ${CAME[reason] ?? `came, of a session that was ended (${reason})`}`,
    },
  ];
  if (!isMissing(reason) || transport.reads !== "Cookie") return remarks;
  const other = otherName(seen, transport);
  if (other !== undefined) remarks.push({ code: "other-name", text: other });
  const lax = sameSite === "lax" && isTopLevel(request) && /^(?:GET|HEAD)$/.test(request.method);
  if (isCrossSite(request) && sameSite !== "none" && !lax) {
    const text = `another site sent the request, and browsers withhold a ${attribute(sameSite)} cookie then`;
    remarks.push({ code: "cross-site", text });
  }
  if (transport.secure && !isHttps(request, engine.trustsProxy)) {
    const text = `browsers send a Secure cookie over HTTPS only, and ${plainHttp(seen)}`;
    remarks.push({ code: "plain-http", text });
  }
  return remarks;
}

function isMissing(reason: SessionReason): boolean {
  return reason === "none-sent" || reason === "withheld";
}

/** The cookie has another name over HTTP than over HTTPS: the browser may have the one, and the server look for the other. */
function otherName({ engine, request }: Observation, { name }: Transport): string | undefined {
  const { overHttp, overHttps } = engine.explainer!.cookies;
  const [other, protocol] =
    name === overHttp.name ? [overHttps.name, "HTTPS"] : [overHttp.name, "plain HTTP"];
  if (other === name || cookieValues(request.header("cookie"), other, 0).length === 0) return undefined;
  return `${other} came, its name over ${protocol}`;
}

const DROPPED: Readonly<Record<DroppedWriteReason, string>> = {
  gone: "the session ended meanwhile",
  stale: "the request came with a token that had just been replaced or ended",
  "cross-site": "a session of its own would take the place of the user's",
  "headers-sent": "they came after the response's headers had left",
};

function doneRemark({ found }: Observation, active: ActiveSession): Remark {
  const { record, id, meta } = active;
  const before = found?.record;
  if (active.dropped !== undefined)
    return { code: "dropped", text: `dropped the changes, for ${DROPPED[active.dropped]}` };
  if (active.cookieIntent === "delete" && record === undefined)
    return { code: "ended", text: "ended the session" };
  if (record === before || record === undefined) return { code: "nothing-to-save", text: "nothing to save" };
  const name = `session ${id.slice(0, 8)}…`;
  if (meta.authenticatedAt !== found?.meta.authenticatedAt)
    return { code: "login", text: `logged in, ${name}` };
  if (before === undefined) return { code: "created", text: `stored a new ${name}` };
  if (id !== found?.id) {
    if (meta.renewedFrom === found?.id) return { code: "renewed", text: `renewed the token, ${name}` };
    return { code: "rotated", text: `gave the session another token, ${name}` };
  }
  if (record.version === before.version) return { code: "touched", text: "moved the idle deadline" };
  return { code: "saved", text: "stored the changes" };
}

function cookieRemarks(seen: Observation, active: ActiveSession): Remark[] {
  const { engine, request, cookies, sentToken, sameSite, failure } = seen;
  const { transport } = active;
  const remarks: Remark[] = [];
  for (const line of cookies) {
    const [pair = "", ...attributes] = line.split("; ");
    const [name, value] = pair.split("=", 2);
    if (value === "") remarks.push({ code: "cookie-deleted", text: `deleted the cookie ${name}` });
    else remarks.push({ code: "cookie-set", text: `set the cookie ${name} (${attributes.join("; ")})` });
  }
  if (sentToken) remarks.push({ code: "cookie-set", text: "sent the token in Session-Token" });
  if (remarks.length === 0) {
    if (failure === undefined) remarks.push({ code: "no-cookie", text: whyNoCookie(active) });
    return remarks;
  }
  if (transport.reads !== "Cookie" || !remarks.some(({ code }) => code === "cookie-set")) return remarks;
  if (isCrossSite(request) && sameSite !== "none" && !isTopLevel(request)) {
    const text = `another site sent the request, and browsers don't keep a ${attribute(sameSite)} cookie then`;
    remarks.push({ code: "cross-site", text });
  }
  if (!isMissing(active.reason) && transport.secure && !isHttps(request, engine.trustsProxy))
    remarks.push({
      code: "plain-http",
      text: `browsers ignore a Secure cookie from plain HTTP, and ${plainHttp(seen)}`,
    });
  return remarks;
}

function whyNoCookie({ transport, standing, reason, record }: ActiveSession): string {
  const what = transport.reads === "Cookie" ? "set no cookie" : "sent no token";
  if (reason === "withheld" && standing === "stale")
    return `${what}: it would overwrite one that the browser may have`;
  if (standing === "stale") return `${what}: a late request must not overwrite a newer one`;
  if (record === undefined) return `${what}: there is no session`;
  if (standing === "in-grace") return `${what}: the request that renewed it brings the new one`;
  return `${what}: the client has it`;
}

/** Why a request isn't HTTPS to the server, and why its SameSite=None cookie is Secure all the same. */
function plainHttp({ engine, request, sameSite }: Observation): string {
  const none = sameSite === "none" ? " (SameSite=None needs Secure)" : "";
  const header = ["X-Forwarded-Proto", "Forwarded"].find(
    (name) => request.header(name.toLowerCase()) !== undefined,
  );
  if (header === undefined)
    return `this request looks like plain HTTP: neither X-Forwarded-Proto nor Forwarded came${none}`;
  const peer = printable(request.remoteAddress ?? "an unknown address");
  if (engine.trustsProxy(request.remoteAddress))
    return `this request looks like plain HTTP: ${header} of the trusted proxy ${peer} doesn't say https${none}`;
  return `this request looks like plain HTTP: ${header} came from ${peer}, which \`trustProxy\` doesn't trust${none}`;
}

function failed(failure: unknown, inCookie: boolean): Remark {
  if (failure instanceof CsrfError)
    return { code: "refused", text: `refused by the CSRF guard (${failure.rule})` };
  if (failure instanceof TooManyGuessesError)
    return { code: "refused", text: "refused, for the client has tried too many tokens that don't verify" };
  if (failure instanceof StoreError)
    return {
      code: "failed",
      text: `the store "${failure.store}" failed to ${failure.operation} (${failure.code})`,
    };
  const code = failure instanceof HoldfastError ? failure.code : "another error";
  if (code === "ERR_HOLDFAST_COOKIE_TOO_LARGE" || (inCookie && failure instanceof PayloadTooLargeError))
    return {
      code: "cookie-too-large",
      text: "the session is larger than a cookie can be, so it is not stored",
    };
  if (code === "ERR_HOLDFAST_HEADERS_SENT")
    return {
      code: "headers-sent",
      text: "the response's headers had left already, so nothing that needs a cookie was done",
    };
  return { code: "failed", text: `failed (${code})` };
}

function nameOf({ reads, name }: Transport): string {
  return reads === "Cookie" ? `the cookie ${name}` : "the bearer token";
}

function isCrossSite(request: SessionRequest): boolean {
  return request.header("sec-fetch-site") === "cross-site";
}

/** Whether a person follows a link, or a form, in a window of its own. */
function isTopLevel(request: SessionRequest): boolean {
  const destination = request.header("sec-fetch-dest") ?? "document";
  return request.header("sec-fetch-mode") === "navigate" && destination === "document";
}

function attribute(sameSite: "lax" | "strict" | "none"): string {
  return `SameSite=${sameSite.charAt(0).toUpperCase()}${sameSite.slice(1)}`;
}

const MAX_PATH = 200;

/** A path may hold a token of the application's own, as in a link that resets a password. */
function shownPath(target: string): string {
  const path = pathOf(target).replace(/[\w-]{40,}(?:\.[\w-]+)*/g, "…");
  return printable(path.length > MAX_PATH ? `${path.slice(0, MAX_PATH)}…` : path);
}

/** One line stays one line, and a terminal's control characters do nothing. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a1-\u2027\u2030-\ufefe]/g, "_");
}
