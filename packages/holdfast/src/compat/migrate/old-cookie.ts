import type { ResponseHeaders } from "../../engine/transport.js";
import { cookieValues } from "../../token/cookie.js";

/** Where an old cookie was set: a browser drops it only for the same path and domain. */
export interface OldCookieScope {
  /** Default: "/". */
  path?: string;
  /** Default: none. */
  domain?: string;
}

/** The value of the first cookie of a name, decoded. */
export function oldCookie(header: string | undefined, name: string): string | undefined {
  const [value] = cookieValues(header, name, 1);
  if (!value?.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

export function eraseOldCookie(
  headers: ResponseHeaders,
  name: string,
  { path = "/", domain }: OldCookieScope,
): void {
  const scope = `; Path=${path}${domain === undefined ? "" : `; Domain=${domain}`}`;
  headers.append(
    "Set-Cookie",
    `${name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT${scope}; HttpOnly`,
  );
}

/** What Passport notes: the user's id, where that is text or a number. */
export function passportUser(data: Record<string, any>): string | undefined {
  const user = data.passport?.user;
  return typeof user === "string" || typeof user === "number" ? String(user) : undefined;
}
