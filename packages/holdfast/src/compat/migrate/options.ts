import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { OldCookieScope } from "./old-cookie.js";

/** What the sources have in common. */
export interface SourceOptions {
  /** Where the old cookie was set. Default: path "/", no domain. */
  cookie?: OldCookieScope;
  /** Whose session it is. Default: what Passport notes, `session.passport.user`, where that is text or a number. */
  userId?: (session: Record<string, any>) => string | undefined;
  /** Makes the new data from the old; undefined leaves the session where it is. Default: all of it. */
  data?: (session: Record<string, any>) => Record<string, unknown> | undefined;
}

/** Refuses what is no object, and what isn't among the names: a setting with a typing error would be a default in silence. */
export function checkNames(option: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== "object" || options === null)
    throw new ConfigurationError(option, "expected an object");
  for (const name of Object.keys(options)) {
    if (!names.includes(name))
      throw new ConfigurationError(`${option}.${name}`, `is not an option; there are ${names.join(", ")}`);
  }
}

export function checkSource(option: string, source: SourceOptions): void {
  const { cookie = {}, userId, data } = source;
  checkNames(`${option}.cookie`, cookie, ["path", "domain"]);
  for (const [name, value] of Object.entries(cookie)) {
    if (value !== undefined && (typeof value !== "string" || !ATTRIBUTE_CHARACTERS.test(value)))
      throw new ConfigurationError(`${option}.cookie.${name}`, `${shown(value)} is no value of a cookie's`);
  }
  for (const [name, value] of Object.entries({ userId, data })) {
    if (value !== undefined && typeof value !== "function")
      throw new ConfigurationError(`${option}.${name}`, `expected a function, got ${shown(value)}`);
  }
}

export function checkCookieName(option: string, name: unknown): void {
  if (typeof name !== "string" || !TOKEN_CHARACTERS.test(name))
    throw new ConfigurationError(option, `${shown(name)} is not a cookie name (RFC 6265 4.1.1)`);
}

const ATTRIBUTE_CHARACTERS = /^[\x20-\x3a\x3c-\x7e]+$/;
const TOKEN_CHARACTERS = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
