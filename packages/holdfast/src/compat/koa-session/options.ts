import { randomUUID } from "node:crypto";
import type { Context } from "koa";
import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { Awaitable, Store as HoldfastStore } from "../../stores/contract.js";
import type { Session } from "./session.js";

/** What a store for koa-session has. Times in milliseconds. */
export interface SessionStore {
  get(
    key: string,
    maxAge: number | "session" | undefined,
    options: { rolling: boolean; ctx: Context },
  ): Awaitable<any>;
  set(
    key: string,
    session: any,
    maxAge: number | "session",
    /** `changed` is false where only the lifetime is new. */
    options: { rolling: boolean; changed: boolean; ctx: Context },
  ): Awaitable<unknown>;
  destroy(key: string, options: { ctx: Context }): Awaitable<unknown>;
}

/**
 * The options of koa-session 7, as `ctx.sessionOptions` has them. Those that it doesn't know go to `ctx.cookies` with the
 * others: `domain`, `path`, `priority`, `partitioned`.
 */
export interface SessionOptions {
  /** The name of the cookie. Default: "koa.sess". */
  key: string;
  /**
   * Milliseconds, or "session" for a cookie that the browser forgets when it closes. Default: one day, and a cookie without
   * an expiry until the second response.
   */
  maxAge?: number | "session" | undefined;
  /** Default: true. */
  autoCommit: boolean;
  /** Default: true. */
  overwrite: boolean;
  /** Default: true. */
  httpOnly: boolean;
  /** With `app.keys`. Default: true. */
  signed: boolean;
  /** Set the cookie, and store the session, with each response. Default: false. */
  rolling: boolean;
  /** Store a session anew that has less than half of its lifetime left. Default: false. */
  renew: boolean;
  /** Default: as the request came. */
  secure?: boolean | undefined;
  sameSite?: string | boolean | null | undefined;
  domain?: string | undefined;
  path?: string | undefined;
  expires?: Date | undefined;
  priority?: "low" | "medium" | "high" | undefined;
  partitioned?: boolean | undefined;
  /** Where the key comes from and goes to, if not the cookie. */
  externalKey?: { get(ctx: Context): string | undefined; set(ctx: Context, key: string): void } | undefined;
  /** A store for koa-session, or a Holdfast store; without one, the session is in the cookie. */
  store?: SessionStore | HoldfastStore | undefined;
  /** A store that is made for each request. Goes before `store`. */
  ContextStore?: (new (ctx: Context) => SessionStore) | undefined;
  /** Data to the cookie's value. Default: JSON as base64. */
  encode: (data: any) => string;
  decode: (text: string) => any;
  /** A new key. Default: a random UUID. */
  genid?: ((ctx: Context) => string) | undefined;
  /** Before the default key. */
  prefix?: string | undefined;
  /** Whether a session that was found is to be used. */
  valid?: ((ctx: Context, data: any) => unknown) | undefined;
  /** Called right before a session is stored. */
  beforeSave?: ((ctx: Context, session: Session) => void) | undefined;
  /**
   * Whose session it is, for listing and revoking by user. Only with a Holdfast store. Default: what Passport notes,
   * `session.passport.user`, where that is text or a number.
   */
  userId?: ((session: Record<string, any>) => string | number | undefined | null) | undefined;
}

/** What `session` takes. */
export type CreateSessionOptions = Partial<SessionOptions>;

interface Check {
  readonly expected: string;
  readonly fits: (value: any) => boolean;
}

const text: Check = { expected: "text", fits: (value) => typeof value === "string" };
const flag: Check = { expected: "true or false", fits: (value) => typeof value === "boolean" };
const callable: Check = { expected: "a function", fits: (value) => typeof value === "function" };
const having = (...methods: string[]): Check => ({
  expected: `an object with ${methods.join(", ")}`,
  fits: (value) => typeof value === "object" && hasMethods(value, methods),
});

const STORE_METHODS = ["get", "set", "destroy"];

const CHECKS: Readonly<Record<string, Check>> = {
  key: text,
  maxAge: {
    expected: 'milliseconds or "session"',
    fits: (value) => value === "session" || (typeof value === "number" && !Number.isNaN(value)),
  },
  autoCommit: flag,
  overwrite: flag,
  httpOnly: flag,
  signed: flag,
  rolling: flag,
  renew: flag,
  secure: flag,
  sameSite: { expected: "text", fits: (value) => value === null || typeof value === "string" },
  externalKey: having("get", "set"),
  store: {
    expected: "a store for koa-session, with get, set and destroy, or a Holdfast store",
    fits: (value) => isHoldfastStore(value) || having(...STORE_METHODS).fits(value),
  },
  ContextStore: {
    expected: "a class with the methods get, set and destroy",
    fits: (value) => isClass(value) && hasMethods(value.prototype, STORE_METHODS),
  },
  encode: callable,
  decode: callable,
  genid: callable,
  prefix: text,
  valid: callable,
  beforeSave: callable,
  userId: callable,
};

/** Whether a store is one of Holdfast's own. */
export function isHoldfastStore(store: unknown): store is HoldfastStore {
  return typeof store === "object" && hasMethods(store, ["load", "create", "replace"]);
}

/**
 * Checks the options and puts the defaults in, on the application's own object: what it changes there later, holds for the
 * requests after that, as it does in the original.
 * @throws ConfigurationError that names the option.
 */
export function completeOptions(given: CreateSessionOptions & { maxage?: unknown }): SessionOptions {
  if (!("maxAge" in given) && "maxage" in given) {
    given.maxAge = given.maxage as number;
    process.emitWarning("session(): the option `maxage` is called `maxAge`", "DeprecationWarning");
  }
  for (const [name, { expected, fits }] of Object.entries(CHECKS)) {
    const value = given[name as keyof CreateSessionOptions];
    if (value !== undefined && !fits(value))
      throw new ConfigurationError(name, `expected ${expected}, got ${shown(value)}`);
  }
  if (given.userId !== undefined && (given.ContextStore !== undefined || !isHoldfastStore(given.store)))
    throw new ConfigurationError("userId", "needs a Holdfast store");
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (given[name as keyof CreateSessionOptions] === undefined) Object.assign(given, { [name]: value });
  }
  if (given.sameSite == null) delete given.sameSite;
  given.genid ??= () => `${given.prefix ?? ""}${randomUUID()}`;
  return given as SessionOptions;
}

const DEFAULTS: Pick<
  SessionOptions,
  "key" | "autoCommit" | "overwrite" | "httpOnly" | "signed" | "rolling" | "renew" | "encode" | "decode"
> = {
  key: "koa.sess",
  autoCommit: true,
  overwrite: true,
  httpOnly: true,
  signed: true,
  rolling: false,
  renew: false,
  encode: (data) => Buffer.from(JSON.stringify(data)).toString("base64"),
  decode: (text) => JSON.parse(Buffer.from(text, "base64").toString("utf8")),
};

function hasMethods(value: any, names: readonly string[]): boolean {
  return value !== null && names.every((name) => typeof value[name] === "function");
}

/** A function that can't be called without `new`. */
function isClass(value: unknown): value is { prototype: any } {
  return typeof value === "function" && /^class[\s{]/.test(Function.prototype.toString.call(value));
}
