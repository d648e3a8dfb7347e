import { InvalidArgumentError } from "../../errors.js";
import { shown } from "../../shown.js";
import { deprecate } from "./deprecate.js";

/** What the option `cookie` takes. */
export interface CookieOptions {
  /** Milliseconds; null or undefined for a cookie that the browser forgets when it closes. */
  maxAge?: number | Date | null | undefined;
  expires?: Date | null | undefined;
  httpOnly?: boolean | undefined;
  path?: string | undefined;
  domain?: string | undefined;
  secure?: boolean | "auto" | undefined;
  sameSite?: boolean | "lax" | "strict" | "none" | "auto" | undefined;
  priority?: "low" | "medium" | "high" | undefined;
  partitioned?: boolean | undefined;
  /** As a record brings it back from a store. */
  originalMaxAge?: number | null | undefined;
}

/** The attributes of a session's cookie, as stores keep them beside the data. */
export interface CookieData {
  originalMaxAge: number | null;
  partitioned?: boolean | undefined;
  priority?: string | undefined;
  expires: Date | null | undefined;
  secure?: boolean | undefined;
  httpOnly: boolean;
  domain?: string | undefined;
  path: string;
  sameSite?: boolean | string | undefined;
}

/** `req.session.cookie`: the attributes of this session's cookie, and with `expires` the session's own deadline. */
export class Cookie {
  // Declared only: own properties are those that the original has, for stores and applications copy them.
  declare path: string;
  declare httpOnly: boolean;
  declare secure: boolean | "auto" | undefined;
  declare domain: string | undefined;
  declare sameSite: CookieOptions["sameSite"];
  declare priority: CookieOptions["priority"];
  declare partitioned: boolean | undefined;
  /** The lifetime that each request starts anew, in milliseconds; null for a cookie without one. */
  declare originalMaxAge: number | null;
  declare _expires: Date | null | undefined;

  constructor(options?: CookieOptions) {
    this.path = "/";
    this.maxAge = null;
    this.httpOnly = true;
    if (!options) return;
    if (typeof options !== "object") throw new TypeError("argument options must be a object");
    // One after the other: of maxAge and expires the last counts.
    const { data: _, ...attributes } = options as CookieOptions & { data?: unknown };
    Object.assign(this, attributes);
    this.originalMaxAge ??= this.maxAge as number | null;
  }

  get expires(): Date | null | undefined {
    return this._expires;
  }

  set expires(date: Date | null | undefined) {
    this._expires = date;
    this.originalMaxAge = this.maxAge as number | null;
  }

  /** Milliseconds that are left. */
  get maxAge(): number | null | undefined {
    return this._expires instanceof Date ? this._expires.valueOf() - Date.now() : this._expires;
  }

  set maxAge(maxAge: number | Date | null | undefined) {
    if (maxAge && typeof maxAge !== "number" && !(maxAge instanceof Date))
      throw new TypeError("maxAge must be a number or Date");
    if (maxAge instanceof Date) deprecate("maxAge as Date; pass number of milliseconds instead");
    if (typeof maxAge !== "number") this.expires = maxAge;
    else {
      this._expires = new Date(Date.now() + maxAge);
      // Not what is left by now: request by request it would lose the milliseconds between.
      this.originalMaxAge = maxAge;
    }
  }

  get data(): CookieData {
    return {
      originalMaxAge: this.originalMaxAge,
      partitioned: this.partitioned,
      priority: this.priority,
      expires: this._expires,
      secure: this.secure as boolean | undefined,
      httpOnly: this.httpOnly,
      domain: this.domain,
      path: this.path,
      sameSite: this.sameSite,
    };
  }

  /** The `Set-Cookie` line. @throws InvalidArgumentError for what no browser would take. */
  serialize(name: string, value: string): string {
    return serializeCookie(name, value, this.data);
  }

  toJSON(): CookieData {
    return this.data;
  }
}

/** A cookie's value as it was before `serializeCookie`: escapes are undone, where they are good. */
export function unescaped(value: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const DOMAIN = /^\.?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const PATH = /^[\x20-\x3a\x3d-\x7e]*$/;
const PRIORITIES = { low: "Low", medium: "Medium", high: "High" } as const;
const SAME_SITES = { lax: "Lax", strict: "Strict", none: "None" } as const;

/** One `Set-Cookie` line, in the order of attributes that the original has (RFC 6265 4.1). */
export function serializeCookie(name: string, value: string, data: CookieData): string {
  const { domain, path, expires, httpOnly, secure, partitioned, priority, sameSite } = data;
  let line = `${fitting("name", name, NAME)}=${encodeURIComponent(value)}`;
  if (domain) line += `; Domain=${fitting("domain", domain, DOMAIN)}`;
  if (path) line += `; Path=${fitting("path", path, PATH)}`;
  if (expires) {
    if (!(expires instanceof Date) || Number.isNaN(expires.valueOf())) throw unfit("expires", expires);
    line += `; Expires=${expires.toUTCString()}`;
  }
  if (httpOnly) line += "; HttpOnly";
  if (secure) line += "; Secure";
  if (partitioned) line += "; Partitioned";
  if (priority) line += `; Priority=${choice("priority", priority, PRIORITIES)}`;
  if (sameSite === true) line += "; SameSite=Strict";
  else if (sameSite) line += `; SameSite=${choice("sameSite", sameSite, SAME_SITES)}`;
  return line;
}

function fitting(option: string, text: string, pattern: RegExp): string {
  if (typeof text !== "string" || !pattern.test(text)) throw unfit(option, text);
  return text;
}

function choice(option: string, value: unknown, choices: Readonly<Record<string, string>>): string {
  const key = typeof value === "string" ? value.toLowerCase() : "";
  if (!Object.hasOwn(choices, key)) throw unfit(option, value);
  return choices[key]!;
}

function unfit(option: string, value: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`cookie.${option}: ${shown(value)} can't be written into a cookie.`);
}
