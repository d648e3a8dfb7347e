import { inspect } from "node:util";
import { type Duration, milliseconds } from "../duration.js";
import { ConfigurationError } from "../errors.js";
import type { Store } from "../stores/contract.js";
import { type CookieOptions, createCookiePolicy } from "../token/cookie.js";
import { createKeyring } from "../token/keyring.js";
import type { Secret } from "../token/secret.js";
import { inProduction } from "../warn.js";
import { type Codec, isPlainObject, jsonCodec } from "./codec.js";
import { EventBus } from "./events.js";
import { Lanes } from "./lanes.js";
import type { MergeStrategies, MergeStrategy } from "./merge.js";
import { proxyTrust, type TrustProxy } from "./request.js";
import type { DefaultData } from "./session.js";
import { Sessions } from "./sessions.js";
import { StoreClient } from "./store-client.js";

/** The settings of `createSessions`. Durations are milliseconds, or text like "30m" and "12h". */
export interface SessionsOptions<Data extends object> {
  /**
   * The signing secrets, 32 bytes or more each: the first signs, all verify. To rotate in one process, put a new one first
   * and drop the old one after `absoluteTimeout`; nobody is logged out. Where several processes are restarted one after
   * the other, add the new one last at first, so that each knows it before any signs with it.
   */
  secrets: readonly Secret[];
  /** Where sessions are kept: `sqliteStore({ path })`, `memoryStore()`, … */
  store: Store;
  cookie?: CookieOptions;
  /** A session ends when its user has done nothing for so long (OWASP: idle timeout). Default: "30m". */
  idleTimeout?: Duration;
  /** A session ends so long after it began or its user logged in, whatever they do (OWASP: absolute timeout). Default: "12h". */
  absoluteTimeout?: Duration;
  /** A session gets a new token this often (OWASP: renewal timeout); false for never. Default: "1h". */
  renewAfter?: Duration | false;
  /**
   * How long requests may still come that were sent before a new token reached the browser. For so long the old token of
   * a renewed session leads to it, and the token of an ended session doesn't start another. Default: "30s".
   */
  grace?: Duration;
  /** Reading moves the stored idle deadline at most this often. Default: a tenth of `idleTimeout`, one minute at most. */
  touchInterval?: Duration;
  /** Each call to the store has to end within this. Default: "5s". */
  storeTimeout?: Duration;
  /** Expired sessions are removed this often, where the store doesn't by itself; false for never. Default: "5m". */
  sweepInterval?: Duration | false;
  /** The most that a session may take, in bytes. Default: 65536. */
  maxPayloadBytes?: number;
  /** The most sessions that one user may have; a login beyond it ends the one last seen longest ago. Default: 100. */
  maxSessionsPerUser?: number;
  /** How keys that two requests change at the same time are merged; see `MergeStrategy`. */
  merge?: MergeStrategies<Data>;
  /** How data becomes text. Default: JSON that refuses what it can't carry. */
  codec?: Codec;
  /**
   * Whose `X-Forwarded-Proto` and `Forwarded` headers to believe: nobody's (false), everybody's (true), a list of
   * addresses and CIDR blocks, or a function. Default: false.
   */
  trustProxy?: TrustProxy;
  /** Keep the client's IP address with the session, for the list of devices. Default: false. */
  rememberIp?: boolean;
  /**
   * What happens to `Cache-Control` on a response that sets the cookie: "no-store" unless the application's own is private
   * or no-store ("no-store"), whatever the application has set ("unless-set"), or nothing ("off"). Default: "no-store".
   */
  cacheControl?: "no-store" | "unless-set" | "off";
  /** The time in milliseconds since the epoch. Default: `Date.now`. */
  clock?: () => number;
}

/** Makes the data of each new session: needed where the type of the data has keys that are not optional. */
export type InitialData<Data extends object> =
  Partial<Data> extends Data ? { initial?: () => Data } : { initial: () => Data };

/**
 * Sets up sessions. Every setting is checked here.
 * @throws ConfigurationError that names the option.
 */
export function createSessions<Data extends object = DefaultData>(
  options: SessionsOptions<Data> & InitialData<Data>,
): Sessions<Data> {
  const production = inProduction();
  if (typeof options !== "object" || options === null)
    throw new ConfigurationError("options", "expected an object");
  rejectUnknown(options);
  const { store, codec = jsonCodec, clock = Date.now, initial = () => ({}), merge = {} } = options;
  assertStore(store);
  assertCodec(codec);
  if (typeof clock !== "function")
    throw new ConfigurationError("clock", "expected a function that gives milliseconds");
  // Stores keep whole milliseconds.
  const now = clock === Date.now ? clock : () => Math.floor(clock());

  const idleTimeout = milliseconds("idleTimeout", options.idleTimeout ?? "30m", 1000);
  const absoluteTimeout = milliseconds("absoluteTimeout", options.absoluteTimeout ?? "12h", 1000);
  if (idleTimeout > absoluteTimeout) {
    throw new ConfigurationError("idleTimeout", "must not be longer than absoluteTimeout");
  }
  const touchInterval = milliseconds(
    "touchInterval",
    options.touchInterval ?? Math.round(Math.min(idleTimeout / 10, 60_000)),
  );
  if (touchInterval >= idleTimeout)
    throw new ConfigurationError("touchInterval", "must be shorter than idleTimeout");
  const storeTimeout = milliseconds("storeTimeout", options.storeTimeout ?? "5s", 1, LONGEST_TIMER);
  const { renewAfter = "1h", sweepInterval = "5m" } = options;

  const events = new EventBus();
  return new Sessions<Data>(
    {
      store: new StoreClient(store, storeTimeout, now, events),
      keyring: createKeyring(options.secrets ?? [], production),
      cookies: createCookiePolicy(options.cookie),
      codec,
      events,
      lanes: new Lanes(storeTimeout),
      clock: now,
      trustsProxy: proxyTrust(options.trustProxy ?? false),
      production,
      idleTimeout,
      absoluteTimeout,
      renewAfter: renewAfter === false ? undefined : milliseconds("renewAfter", renewAfter, 1000),
      grace: milliseconds("grace", options.grace ?? "30s", 0),
      touchInterval,
      maxPayloadBytes: wholeNumber("maxPayloadBytes", options.maxPayloadBytes ?? 64 * 1024, 1024),
      maxSessionsPerUser: wholeNumber("maxSessionsPerUser", options.maxSessionsPerUser ?? 100, 1),
      mergeStrategies: checkedStrategies(merge),
      initialText: initialText(codec, initial),
      rememberIp: flag("rememberIp", options.rememberIp ?? false),
      cacheControl: checkedCacheControl(options.cacheControl ?? "no-store"),
    },
    sweepInterval === false ? undefined : milliseconds("sweepInterval", sweepInterval, 1000, LONGEST_TIMER),
  );
}

/** Timers of 24.9 days and more fire at once, and sweeps vary by a quarter. */
const LONGEST_TIMER = 14 * 86_400_000;

const OPTION_NAMES: Record<keyof (SessionsOptions<object> & InitialData<object>), true> = {
  secrets: true,
  store: true,
  cookie: true,
  idleTimeout: true,
  absoluteTimeout: true,
  renewAfter: true,
  grace: true,
  touchInterval: true,
  storeTimeout: true,
  sweepInterval: true,
  maxPayloadBytes: true,
  maxSessionsPerUser: true,
  merge: true,
  codec: true,
  trustProxy: true,
  rememberIp: true,
  cacheControl: true,
  clock: true,
  initial: true,
};

/** A setting with a typing error would be a default in silence. */
function rejectUnknown(options: object): void {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(OPTION_NAMES, name)) {
      throw new ConfigurationError(
        name,
        `is not an option; there are ${Object.keys(OPTION_NAMES).join(", ")}`,
      );
    }
  }
}

const STORE_METHODS = [
  "load",
  "create",
  "replace",
  "touch",
  "delete",
  "sweep",
  "listByUser",
  "deleteByUser",
  "close",
];

function assertStore(store: unknown): void {
  const candidate = store as Record<string, unknown> | null | undefined;
  const missing = STORE_METHODS.filter((method) => typeof candidate?.[method] !== "function");
  if (missing.length > 0) {
    throw new ConfigurationError(
      "store",
      `expected a Holdfast store, such as sqliteStore({ path }) or memoryStore(); it has no ${missing.join(", ")}`,
    );
  }
}

function assertCodec(codec: unknown): void {
  const { encode, decode } = (codec ?? {}) as Partial<Codec>;
  if (typeof encode !== "function" || typeof decode !== "function")
    throw new ConfigurationError("codec", "expected an object with the functions encode and decode");
}

/** Tried once now, so that a mistake in it shows at start-up. */
function initialText(codec: Codec, initial: () => object): () => string {
  if (typeof initial !== "function")
    throw new ConfigurationError("initial", "expected a function that gives the data");
  const text = () => {
    const data = initial();
    if (!isPlainObject(data)) throw new ConfigurationError("initial", "must give a plain object");
    return codec.encode(data);
  };
  text();
  return text;
}

function checkedStrategies(strategies: unknown) {
  if (!isPlainObject(strategies))
    throw new ConfigurationError("merge", "expected an object with a strategy for each key");
  for (const [key, strategy] of Object.entries(strategies)) {
    if (strategy !== "append" && strategy !== "counter" && typeof strategy !== "function") {
      throw new ConfigurationError(`merge.${key}`, 'expected "append", "counter" or a function');
    }
  }
  return strategies as Record<string, MergeStrategy>;
}

function checkedCacheControl(option: "no-store" | "unless-set" | "off") {
  if (["no-store", "unless-set", "off"].includes(option)) return option;
  throw new ConfigurationError("cacheControl", 'expected "no-store", "unless-set" or "off"');
}

function flag(option: string, value: boolean): boolean {
  if (typeof value === "boolean") return value;
  throw new ConfigurationError(option, `expected true or false, got ${inspect(value)}`);
}

function wholeNumber(option: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigurationError(option, `expected a whole number, ${least} or more, got ${String(value)}`);
}
