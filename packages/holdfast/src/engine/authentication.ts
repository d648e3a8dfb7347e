import { type Duration, milliseconds } from "../duration.js";
import { InvalidArgumentError, ReauthenticationRequiredError } from "../errors.js";
import { shown } from "../shown.js";
import { isPlainObject } from "./codec.js";
import type { Elevation, Means, SessionMeta } from "./record.js";

/** How a user proved who they are. */
export interface MeansOfAuthentication {
  /** The methods, by the names of RFC 8176 where there is one: "pwd", "otp", "hwk", "mfa", … At most 16, of 1 to 32 characters. */
  methods?: readonly string[];
  /** How much that is worth, as the application counts it: 1 for a password, 2 for a second factor, … A whole number from 0 to 255. */
  level?: number;
}

/** How the user of a session has proved who they are, by now: at the login, and, while that lasts, by `elevate`. */
export interface Authentication {
  /** When they proved it last. Undefined where that is not known, or no longer counts because the client has changed. */
  readonly at: Date | undefined;
  readonly methods: readonly string[];
  readonly level: number | undefined;
  /** The class that the identity provider names (`acr`, OpenID Connect Core 2). */
  readonly acr: string | undefined;
}

/** What a route needs: at least this level, and each of these methods. */
export interface ElevationNeeds {
  level?: number;
  methods?: readonly string[];
}

const MAX_METHODS = 16;
const MAX_LEVEL = 255;
/** As in "pwd", "otp" and "urn:example:face". */
const METHOD = /^[\x21-\x7e]{1,32}$/;

/** @throws InvalidArgumentError */
export function checkedMeans(method: string, { methods, level }: MeansOfAuthentication): Means {
  if (
    methods !== undefined &&
    !(Array.isArray(methods) && methods.length <= MAX_METHODS && methods.every(isMethod))
  ) {
    throw new InvalidArgumentError(
      `session.${method}() takes a list of at most ${MAX_METHODS} names of 1 to 32 characters as \`methods\`, as in ["pwd"].`,
    );
  }
  if (level !== undefined && !(Number.isInteger(level) && level >= 0 && level <= MAX_LEVEL)) {
    throw new InvalidArgumentError(
      `session.${method}() takes a whole number from 0 to ${MAX_LEVEL} as \`level\`, got ${shown(level)}.`,
    );
  }
  return {
    ...(methods !== undefined && methods.length > 0 && { methods: [...new Set(methods)] }),
    ...(level !== undefined && { level }),
  };
}

function isMethod(method: unknown): boolean {
  return typeof method === "string" && METHOD.test(method);
}

/** Whether a payload's means are such: what they hold is used without a further look. */
export function areMeans(means: unknown): boolean {
  if (!isPlainObject(means)) return false;
  const { methods, level } = means;
  const areMethods =
    methods === undefined || (Array.isArray(methods) && methods.every((each) => typeof each === "string"));
  return areMethods && (level === undefined || Number.isFinite(level));
}

/** The elevation of a session, while it lasts. */
export function elevationOf({ elevation, suspect }: SessionMeta, now: number): Elevation | undefined {
  return elevation !== undefined && suspect !== true && now < elevation.until ? elevation : undefined;
}

/** How its user has proved who they are, by now. */
export function authenticationOf(meta: SessionMeta, now: number): Authentication {
  const { authentication, authenticatedAt = Number.NEGATIVE_INFINITY, suspect } = meta;
  const elevation = elevationOf(meta, now);
  const at =
    suspect === true
      ? Number.NEGATIVE_INFINITY
      : Math.max(authenticatedAt, elevation?.at ?? Number.NEGATIVE_INFINITY);
  const methods = [...new Set([...(authentication?.methods ?? []), ...(elevation?.methods ?? [])])];
  const levels = [authentication?.level, elevation?.level].filter((level) => level !== undefined);
  return {
    at: at === Number.NEGATIVE_INFINITY ? undefined : new Date(at),
    methods,
    level: levels.length === 0 ? undefined : Math.max(...levels),
    acr: authentication?.acr,
  };
}

/** @throws ReauthenticationRequiredError */
export function assertRecent(
  userId: string | undefined,
  meta: SessionMeta,
  within: Duration,
  now: number,
): void {
  const longest = milliseconds("within", within, 0);
  if (userId === undefined) throw new ReauthenticationRequiredError("login");
  const { at } = authenticationOf(meta, now);
  if (at === undefined || now - at.valueOf() >= longest)
    throw new ReauthenticationRequiredError("recent-login", { maxAge: Math.floor(longest / 1000) });
}

/** @throws ReauthenticationRequiredError */
export function assertElevated(
  userId: string | undefined,
  meta: SessionMeta,
  needs: ElevationNeeds,
  now: number,
): void {
  const { level, methods = [] } = checkedMeans("requireElevation", needs);
  if (userId === undefined) throw new ReauthenticationRequiredError("login");
  const has = authenticationOf(meta, now);
  // Without a word of what it is to be, it is whatever `elevate` gave.
  const suffices =
    level === undefined && methods.length === 0
      ? elevationOf(meta, now) !== undefined
      : meta.suspect !== true &&
        (level === undefined || (has.level ?? 0) >= level) &&
        methods.every((method) => has.methods.includes(method));
  if (!suffices) throw new ReauthenticationRequiredError("elevation", { level, methods });
}
