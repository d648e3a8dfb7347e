import { ConfigurationError, HoldfastError } from "../errors.js";
import { shown } from "../shown.js";

/** How the session cookie is written. Every default is the safe one; see `docs/cookies.md`. */
export interface CookieOptions {
  /**
   * The name, without a prefix: over HTTPS `__Host-` is put before it (`__Secure-` where `domain` or another `path` is
   * set), so that no other site and no sibling domain can plant the cookie (RFC 6265bis 4.1.3). A name that already has
   * such a prefix is taken as it is. Default: "sid".
   */
  name?: string;
  /** Default: "/". */
  path?: string;
  /** Default: none, so the cookie goes to this host only. With it, every subdomain receives the cookie. */
  domain?: string;
  /** Default: "lax". "none" lets other sites send the cookie, and needs `secure`. */
  sameSite?: "lax" | "strict" | "none";
  /**
   * Send the cookie over HTTPS only. "auto" (the default) is `true`, but for development on plain-HTTP localhost.
   * `false` is for a site without TLS, where anybody on the way can read the cookie.
   */
  secure?: boolean | "auto";
  /** Partition the cookie by top-level site (CHIPS), for an app embedded in others. Needs `secure`. Default: false. */
  partitioned?: boolean;
  /** Chromium's eviction priority. Default: none. */
  priority?: "low" | "medium" | "high";
  /**
   * Keep the cookie when the browser closes, until the session expires on the server (Max-Age follows the deadlines,
   * 400 days at most). Default: false, a browser-session cookie, as OWASP recommends.
   */
  persistent?: boolean;
}

/** The session cookie in one of its two forms, Secure or not: its name, and the lines that set and delete it. */
export interface SessionCookie {
  readonly name: string;
  readonly secure: boolean;
  readonly sameSite: "lax" | "strict" | "none";
  /** A `Set-Cookie` line. `maxAge` in milliseconds makes it persistent; undefined, a browser-session cookie. */
  set(value: string, maxAge: number | undefined): string;
  /** The line that deletes it: the same attributes, an empty value, Max-Age=0 and an Expires in the past. */
  readonly deletion: string;
  /** The cookie for one more part of a value that is too large for a single one, from 1: `sid.1`, `sid.2`, … */
  part(index: number): SessionCookie;
  /** The characters that a value may have, so that browsers keep the whole line, Max-Age and attributes included. */
  readonly room: number;
}

/** The cookie's policy, checked at start-up. */
export interface CookiePolicy {
  readonly persistent: boolean;
  /** "always" and "never" whatever the request; "auto" looks at it. */
  readonly secure: "always" | "never" | "auto";
  readonly overHttps: SessionCookie;
  readonly overHttp: SessionCookie;
}

const OPTION_NAMES: readonly string[] = [
  "name",
  "path",
  "domain",
  "sameSite",
  "secure",
  "partitioned",
  "priority",
  "persistent",
] satisfies (keyof CookieOptions)[];

/** Browsers cap Max-Age at 400 days (RFC 6265bis 5.5). */
const MAX_AGE_LIMIT = 400 * 86_400;
/** Name plus value of one cookie, in bytes (RFC 6265bis 5.7, OWASP ASVS 5.0 3.3.5). */
const MAX_COOKIE_BYTES = 4096;
const MAX_ATTRIBUTE_BYTES = 1024;
const MAX_NAME = 128;

const TOKEN_CHARACTERS = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ATTRIBUTE_CHARACTERS = /^[\x20-\x3a\x3c-\x7e]+$/;
const DOMAIN = /^\.?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i;

/**
 * Checks the options and prepares the cookie's lines.
 * @throws ConfigurationError where browsers would refuse or ignore the cookie (RFC 6265bis 4.1.3, 5.7).
 */
export function createCookiePolicy(options: CookieOptions = {}): CookiePolicy {
  if (typeof options !== "object" || options === null)
    throw new ConfigurationError("cookie", "expected an object");
  for (const option of Object.keys(options)) {
    if (!OPTION_NAMES.includes(option))
      refuse(option, `is not an option; there are ${OPTION_NAMES.join(", ")}`);
  }
  const {
    name = "sid",
    path = "/",
    domain,
    sameSite = "lax",
    secure = "auto",
    partitioned = false,
  } = options;
  const { priority, persistent = false } = options;

  if (typeof name !== "string" || !TOKEN_CHARACTERS.test(name) || name.length > MAX_NAME)
    refuse("name", `${shown(name)} is not a cookie name of ${MAX_NAME} characters at most (RFC 6265 4.1.1)`);
  if (
    typeof path !== "string" ||
    !path.startsWith("/") ||
    !ATTRIBUTE_CHARACTERS.test(path) ||
    path.length > MAX_ATTRIBUTE_BYTES
  ) {
    refuse("path", `${shown(path)} must start with "/" and hold no ";", control or non-ASCII characters`);
  }
  if (domain !== undefined && (typeof domain !== "string" || !DOMAIN.test(domain) || domain.length > 253)) {
    refuse("domain", `${shown(domain)} is not a domain name`);
  }
  oneOf("sameSite", sameSite, ["lax", "strict", "none"]);
  oneOf("secure", secure, [true, false, "auto"]);
  oneOf("partitioned", partitioned, [true, false]);
  oneOf("persistent", persistent, [true, false]);
  oneOf("priority", priority, [undefined, "low", "medium", "high"]);

  const prefix = /^__(host|secure)-/i.exec(name)?.[0];
  const hostPrefixFits = domain === undefined && path === "/";
  if (prefix?.toLowerCase() === "__host-" && !hostPrefixFits) {
    refuse("name", 'browsers take a __Host- cookie only without `domain` and with `path` "/"');
  }
  const needsSecure =
    (prefix && `a ${prefix} cookie`) ||
    (sameSite === "none" && "SameSite=None") ||
    (partitioned && "Partitioned");
  if (needsSecure && secure === false) refuse("secure", `browsers take ${needsSecure} only with Secure`);

  const attributes = [
    `; Path=${path}`,
    domain === undefined ? "" : `; Domain=${domain}`,
    "; HttpOnly",
    "; Secure",
    `; SameSite=${capitalised(sameSite)}`,
    partitioned ? "; Partitioned" : "",
    priority === undefined ? "" : `; Priority=${capitalised(priority)}`,
  ];
  const safePrefix = hostPrefixFits ? "__Host-" : "__Secure-";
  return {
    persistent,
    secure: secure === "auto" && !needsSecure ? "auto" : secure === false ? "never" : "always",
    overHttps: sessionCookie(prefix ? name : safePrefix + name, true, sameSite, attributes.join("")),
    overHttp: sessionCookie(
      name,
      false,
      sameSite,
      attributes.filter((attribute) => attribute !== "; Secure").join(""),
    ),
  };
}

function sessionCookie(
  name: string,
  secure: boolean,
  sameSite: SessionCookie["sameSite"],
  attributes: string,
): SessionCookie {
  return {
    name,
    secure,
    sameSite,
    set(value, maxAge) {
      const bytes = name.length + value.length;
      if (bytes > MAX_COOKIE_BYTES) throw new CookieTooLargeError(name, bytes);
      if (maxAge === undefined) return `${name}=${value}${attributes}`;
      const seconds = Math.min(Math.max(Math.floor(maxAge / 1000), 0), MAX_AGE_LIMIT);
      return `${name}=${value}; Max-Age=${seconds}${attributes}`;
    },
    deletion: `${name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT${attributes}`,
    part: (index) => sessionCookie(`${name}.${index}`, secure, sameSite, attributes),
    room: MAX_COOKIE_BYTES - `${name}=; Max-Age=${MAX_AGE_LIMIT}${attributes}`.length,
  };
}

/** The cookie's name and value together are larger than browsers store. */
export class CookieTooLargeError extends HoldfastError {
  constructor(name: string, bytes: number) {
    super(
      "ERR_HOLDFAST_COOKIE_TOO_LARGE",
      500,
      `The cookie ${name} would take ${bytes} bytes, and browsers store ${MAX_COOKIE_BYTES} at most. Shorten its name.`,
    );
  }
}

/**
 * The values of every cookie of one name in a `Cookie` header, in order (RFC 6265bis 5.8.3), at most `limit + 1` of them:
 * one more than the limit tells that there are too many. A value's double quotes are not part of it.
 */
export function cookieValues(header: string | undefined, name: string, limit: number): string[] {
  const values: string[] = [];
  if (header === undefined) return values;
  let at = 0;
  while (at < header.length && values.length <= limit) {
    const semicolon = header.indexOf(";", at);
    const end = semicolon === -1 ? header.length : semicolon;
    while (at < end && isBlank(header.charCodeAt(at))) at++;
    if (
      header.startsWith(name, at) &&
      header.charCodeAt(at + name.length) === EQUALS &&
      at + name.length < end
    ) {
      let from = at + name.length + 1;
      let to = end;
      while (to > from && isBlank(header.charCodeAt(to - 1))) to--;
      if (to - from >= 2 && header.charCodeAt(from) === QUOTE && header.charCodeAt(to - 1) === QUOTE) {
        from++;
        to--;
      }
      values.push(header.slice(from, to));
    }
    at = end + 1;
  }
  return values;
}

const EQUALS = 0x3d;
const QUOTE = 0x22;

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function oneOf(option: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) {
    const choices = allowed.filter((choice) => choice !== undefined).map((choice) => JSON.stringify(choice));
    refuse(option, `expected ${choices.join(" or ")}, got ${shown(value)}`);
  }
}

function refuse(option: string, message: string): never {
  throw new ConfigurationError(`cookie.${option}`, message);
}
