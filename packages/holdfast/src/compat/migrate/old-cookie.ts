import type { ResponseHeaders } from "../../engine/transport.js";
import { cookieValues } from "../../token/cookie.js";

/** Where an old cookie was set: a browser drops it only for the same path and domain. */
export interface OldCookieScope {
  /** Default: "/". */
  path?: string;
  /** Default: none. */
  domain?: string;
}

/** The value of the first cookie of a name, as it was sent. */
export function oldCookie(header: string | undefined, name: string): string | undefined {
  return cookieValues(header, name, 1)[0];
}

export function eraseOldCookie(
  headers: ResponseHeaders,
  name: string,
  { path = "/", domain }: OldCookieScope,
): void {
  const scope = `; Path=${path}${domain === undefined ? "" : `; Domain=${domain}`}`;
  // Browsers ignore a line without Secure for a name that begins like this (RFC 6265bis 4.1.3).
  const secure = /^__(?:host|secure)-/i.test(name) ? "; Secure" : "";
  headers.append(
    "Set-Cookie",
    `${name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT${scope}; HttpOnly${secure}`,
  );
}
