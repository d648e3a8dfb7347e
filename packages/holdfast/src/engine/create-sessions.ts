import { type Duration, LONGEST_TIMER, milliseconds } from "../duration.js";
import { ConfigurationError } from "../errors.js";
import { shown } from "../shown.js";
import type { Store } from "../stores/contract.js";
import type { CookieStore } from "../stores/cookie.js";
import { type CookieOptions, createCookiePolicy, type SessionCookie } from "../token/cookie.js";
import { createKeyring, type Keyring } from "../token/keyring.js";
import type { Secret } from "../token/secret.js";
import type { SecretSource } from "../token/secret-source.js";
import { inProduction, warn } from "../warn.js";
import { type Codec, isPlainObject, jsonCodec } from "./codec.js";
import { type CookieHeld, payloadRoom, RequestStore } from "./cookie-held.js";
import { checkedEncrypt, type EncryptOptions, sealingOf } from "./encryption/encrypt.js";
import { SealedStore } from "./encryption/sealed-store.js";
import type { Engine } from "./engine.js";
import { EventBus } from "./events.js";
import { Explainer, explanationOutput } from "./explain/explainer.js";
import type { Explanation } from "./explain/explanation.js";
import { given } from "./given.js";
import {
  type ClientChangeAnswer,
  type ClientChangeOptions,
  checkedClientChange,
} from "./guard/client-change.js";
import { type CsrfOptions, checkedCsrf } from "./guard/csrf.js";
import { checkedGuessLimit, type GuessLimitOptions } from "./guard/guess-limit.js";
import { Lanes } from "./lanes.js";
import { checkedRemember, type RememberOptions } from "./lifetime.js";
import type { MergeStrategies, MergeStrategy } from "./merge.js";
import type { Migration } from "./migration.js";
import { Endings } from "./on-end.js";
import { proxyTrust, type TrustProxy } from "./request.js";
import type { DefaultData } from "./session.js";
import { CookieSessions, RevocableCookieSessions, Sessions } from "./sessions.js";
import { StoreClient } from "./store-client.js";
import {
  cookiesTransport,
  cookieTransport,
  roomInCookies,
  type TransportOption,
  transportChoice,
} from "./transport.js";
import { Revocations } from "./users/revocations.js";

/** The settings of `createSessions`. Durations are milliseconds, or text like "30m" and "12h". */
export interface SessionsOptions<Data extends object> {
  /**
   * The signing secrets, 32 bytes or more each: the first signs, all verify. To rotate in one process, put a new one first
   * and drop the old one after `absoluteTimeout` (that of `remember`, where it is on); nobody is logged out. Where several
   * processes are restarted one after the other, add the new one last at first, so that each knows it before any signs with it. Or where they come from:
   * `secretsFromFile`, `secretsFromEnv`, `secretsFrom`, `scheduledSecrets`; then no restart is needed.
   */
  secrets: readonly Secret[] | SecretSource;
  /** Where sessions are kept: `sqliteStore({ path })`, `memoryStore()`, … */
  store: Store;
  /**
   * Encrypts what the store holds with AES-256-GCM, under keys derived from `secrets` (true) or keys of its own
   * (`{ keys }`); see `EncryptOptions`. Each record is bound to its session, user, version and absolute deadline, so nobody
   * who can write to the store can exchange them. Default: false.
   */
  encrypt?: boolean | EncryptOptions;
  cookie?: CookieOptions;
  /**
   * Where the signed token travels: in a cookie, or, for native apps, in `Authorization: Bearer`, with each new token in
   * the response header `Session-Token`. A function decides for each request. Never both for one. Default: "cookie".
   */
  transport?: TransportOption;
  /** A session ends when its user has done nothing for so long (OWASP: idle timeout). Default: "30m". */
  idleTimeout?: Duration;
  /** A session ends so long after it began or its user logged in, whatever they do (OWASP: absolute timeout). Default: "12h". */
  absoluteTimeout?: Duration;
  /**
   * Lets `login(userId, { remember: true })` begin sessions that live longer, in cookies that outlive the browser: true for the
   * default times, or the times. Default: false, and `remember` is refused.
   */
  remember?: boolean | RememberOptions;
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
  /** The most sessions that one user may have (OWASP ASVS 5.0, 7.1.2); 1 for a single session. Default: 100. */
  maxSessionsPerUser?: number;
  /**
   * What a login beyond `maxSessionsPerUser` does: it ends the session whose login is the oldest ("end-oldest"), or throws
   * TooManySessionsError ("refuse"). Default: "end-oldest".
   */
  atSessionLimit?: "end-oldest" | "refuse";
  /** How keys that two requests change at the same time are merged; see `MergeStrategy`. */
  merge?: MergeStrategies<Data>;
  /** How data becomes text. Default: JSON that refuses what it can't carry. */
  codec?: Codec;
  /**
   * Whose `X-Forwarded-Proto` and `Forwarded` headers to believe: nobody's (false), everybody's (true), a list of
   * addresses and CIDR blocks, or a function. Default: false.
   */
  trustProxy?: TrustProxy;
  /**
   * Refuse what pages of other origins make a browser send in its user's name (cross-site request forgery), before the handler
   * runs: `CsrfError`, 403. True, or an object with the application's `origins`, what is `exempt`, and how tokens for old
   * clients come. Default: false.
   */
  csrf?: boolean | CsrfOptions;
  /**
   * Refuse clients that try many session tokens which don't verify: `TooManyGuessesError`, 429. A living session always passes.
   * True stands for 20 of them in a minute. Each process counts for itself. Default: false.
   */
  guessLimit?: boolean | GuessLimitOptions;
  /**
   * Tell for each request why it has its session or none, and what became of its cookie: true writes one line to stderr, a
   * function gets it as an object. No token, no data, no query is in it. For development; it warns in production. Default:
   * false, or true where the environment variable `DEBUG` names "holdfast".
   */
  explain?: boolean | ((explanation: Explanation) => void);
  /**
   * What happens when the token of a user's session comes from another client than the session began with: "observe",
   * "reauthenticate", "end", or an object with what to look at. Default: false, nobody looks.
   */
  clientChange?: false | ClientChangeAnswer | ClientChangeOptions;
  /** Keep the client's IP address with the session, for the list of devices. Default: false. */
  rememberIp?: boolean;
  /**
   * What happens to `Cache-Control` on a response that sets the cookie: "no-store" unless the application's own is private
   * or no-store ("no-store"), whatever the application has set ("unless-set"), or nothing ("off"). Default: "no-store".
   */
  cacheControl?: "no-store" | "unless-set" | "off";
  /** Sessions of another library to take over: `migrateFrom` of "holdfast/compat/migrate". Default: none. */
  migration?: Migration;
  /** The time in milliseconds since the epoch. Default: `Date.now`. */
  clock?: () => number;
}

/** The settings of `createSessions` for sessions that live in their cookie. What needs a server's memory is not among them. */
export interface CookieSessionsOptions<Data extends object, Revocable extends boolean = boolean>
  extends Omit<SessionsOptions<Data>, "store" | (typeof NEEDS_SERVER)[number]> {
  store: CookieStore<Revocable>;
}

/** Settings that only mean something where a server keeps the sessions. */
const NEEDS_SERVER = [
  "renewAfter",
  "maxSessionsPerUser",
  "atSessionLimit",
  "maxPayloadBytes",
  "transport",
  "migration",
  "encrypt",
  "clientChange",
] as const;

/** Makes the data of each new session: needed where the type of the data has keys that are not optional. */
export type InitialData<Data extends object> =
  Partial<Data> extends Data ? { initial?: () => Data } : { initial: () => Data };

/**
 * Sets up sessions. Every setting is checked here.
 * @throws ConfigurationError that names the option.
 */
export function createSessions<Data extends object = DefaultData>(
  options: CookieSessionsOptions<Data, true> & InitialData<Data>,
): RevocableCookieSessions<Data>;
export function createSessions<Data extends object = DefaultData>(
  options: CookieSessionsOptions<Data, false> & InitialData<Data>,
): CookieSessions<Data>;
export function createSessions<Data extends object = DefaultData>(
  options: SessionsOptions<Data> & InitialData<Data>,
): Sessions<Data>;
export function createSessions<Data extends object = DefaultData>(
  options: (SessionsOptions<Data> | CookieSessionsOptions<Data>) & InitialData<Data>,
): Sessions<Data> | CookieSessions<Data> | RevocableCookieSessions<Data> {
  const production = inProduction();
  if (typeof options !== "object" || options === null)
    throw new ConfigurationError("options", "expected an object");
  rejectUnknown(options);
  const { store, codec = jsonCodec, clock = Date.now, initial, merge = {} } = options;
  if (isCookieStore(store)) rejectServerOnly(options);
  else assertStore(store);
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
  const remember = checkedRemember(options.remember ?? false, { idleTimeout, absoluteTimeout });
  const longest = remember?.absoluteTimeout ?? absoluteTimeout;
  const storeTimeout = milliseconds("storeTimeout", options.storeTimeout ?? "5s", 1, LONGEST_TIMER);
  const { sweepInterval: interval = "5m" } = options;
  const sweepInterval =
    interval === false ? undefined : milliseconds("sweepInterval", interval, 1000, LONGEST_TIMER);

  const encrypt = checkedEncrypt((options as SessionsOptions<Data>).encrypt);
  const events = new EventBus();
  const cookies = createCookiePolicy(options.cookie);
  const output = explanationOutput(options.explain, production);
  const shared = {
    given: given(options),
    keyring: watchedKeyring("secrets", options.secrets ?? [], {
      production,
      clock: now,
      life: longest,
      // Under one that is forgotten at the next start nothing could be read any more.
      required: encrypt !== undefined && encrypt.keys === undefined,
      events,
    }),
    persistent: cookies.persistent,
    codec,
    events,
    lanes: new Lanes(storeTimeout),
    endings: new Endings(events),
    clock: now,
    csrf: checkedCsrf(options.csrf ?? false),
    guessLimit: checkedGuessLimit(options.guessLimit ?? false),
    explainer: output && new Explainer(output, cookies, options.cookie?.sameSite ?? "lax", now),
    trustsProxy: proxyTrust(options.trustProxy ?? false),
    production,
    idleTimeout,
    absoluteTimeout,
    remember,
    grace: milliseconds("grace", options.grace ?? "30s", 0),
    touchInterval,
    storeTimeout,
    mergeStrategies: checkedStrategies(merge),
    initialText: initialText(codec, initial),
    rememberIp: flag("rememberIp", options.rememberIp ?? false),
    cacheControl: checkedCacheControl(options.cacheControl ?? "no-store"),
  };
  const guarded = (unguarded: Store) => new StoreClient(unguarded, storeTimeout, now, events);

  if (isCookieStore(store)) {
    const { maxCookies, revocations } = store;
    const list = revocations && guarded(revocations);
    const cookieHeld: CookieHeld = {
      sealer: shared.keyring.sealer("cookie"),
      revocations: list && new Revocations(list, longest, now),
    };
    const inCookies = (cookie: SessionCookie) => cookiesTransport(cookie, maxCookies);
    const engine: Engine = {
      ...shared,
      store: list ?? new RequestStore(cookieHeld),
      encryption: undefined,
      cookieHeld,
      migration: undefined,
      transportFor: transportChoice("cookie", cookies, inCookies, shared.trustsProxy, production),
      renewAfter: undefined,
      maxPayloadBytes: payloadRoom(roomInCookies(cookies.overHttps, maxCookies)),
      maxSessionsPerUser: Number.POSITIVE_INFINITY,
      atSessionLimit: "end-oldest",
      clientWatch: undefined,
    };
    if (revocations === undefined) return new CookieSessions<Data>(engine, undefined);
    return new RevocableCookieSessions<Data>(engine, sweepInterval);
  }

  const {
    renewAfter = "1h",
    transport = "cookie",
    maxPayloadBytes = 64 * 1024,
    maxSessionsPerUser = 100,
    atSessionLimit = "end-oldest",
    clientChange = false,
    migration,
  } = options as SessionsOptions<Data>;
  const sealing =
    encrypt &&
    sealingOf(encrypt, shared.keyring, (keys) =>
      watchedKeyring("encrypt.keys", keys, {
        production,
        clock: now,
        life: Number.POSITIVE_INFINITY,
        required: true,
        events,
      }),
    );
  const engine: Engine = {
    ...shared,
    store: guarded(sealing === undefined ? store : new SealedStore(store, sealing)),
    encryption: sealing && { sealing, store: guarded(store) },
    cookieHeld: undefined,
    migration: checkedMigration(migration),
    transportFor: transportChoice(transport, cookies, cookieTransport, shared.trustsProxy, production),
    renewAfter: renewAfter === false ? undefined : milliseconds("renewAfter", renewAfter, 1000),
    maxPayloadBytes: wholeNumber("maxPayloadBytes", maxPayloadBytes, 1024),
    maxSessionsPerUser: wholeNumber("maxSessionsPerUser", maxSessionsPerUser, 1),
    atSessionLimit: checkedAtSessionLimit(atSessionLimit),
    clientWatch: checkedClientChange(clientChange),
  };
  return new Sessions<Data>(engine, sweepInterval);
}

interface KeyringSettings {
  readonly production: boolean;
  readonly clock: () => number;
  /** How long something lives that is signed or sealed, in milliseconds. */
  readonly life: number;
  /** Whether a missing secret is an error in development, too. */
  readonly required: boolean;
  readonly events: EventBus;
}

/** A keyring that tells when its secrets change, and when they can't. */
function watchedKeyring(
  option: string,
  secrets: readonly Secret[] | SecretSource,
  { production, clock, life, required, events }: KeyringSettings,
): Keyring {
  return createKeyring(secrets, production, {
    option,
    clock,
    life,
    required,
    onChange: (count) => events.emit("secrets-changed", { at: new Date(clock()), option, count }),
    onRefusal(reason) {
      warn("HOLDFAST_SECRETS", `${reason}. The secrets of before stay in force.`);
      events.emit("secrets-refused", { at: new Date(clock()), option, reason });
    },
  });
}

function isCookieStore(store: Store | CookieStore): store is CookieStore {
  return (store as { maxCookies?: unknown } | undefined)?.maxCookies !== undefined;
}

function rejectServerOnly(options: object): void {
  for (const name of NEEDS_SERVER) {
    if (!Object.hasOwn(options, name)) continue;
    const why =
      name === "encrypt"
        ? "sessions that live in their cookie are always sealed, with keys derived from `secrets`"
        : "means nothing for sessions that live in their cookie";
    throw new ConfigurationError(name, `${why}: leave it out`);
  }
}

const OPTION_NAMES: Record<keyof (SessionsOptions<object> & InitialData<object>), true> = {
  secrets: true,
  store: true,
  encrypt: true,
  cookie: true,
  transport: true,
  migration: true,
  idleTimeout: true,
  absoluteTimeout: true,
  remember: true,
  renewAfter: true,
  grace: true,
  touchInterval: true,
  storeTimeout: true,
  sweepInterval: true,
  maxPayloadBytes: true,
  maxSessionsPerUser: true,
  atSessionLimit: true,
  merge: true,
  codec: true,
  trustProxy: true,
  rememberIp: true,
  clientChange: true,
  cacheControl: true,
  csrf: true,
  guessLimit: true,
  explain: true,
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
function initialText(codec: Codec, initial: (() => object) | undefined): () => string {
  if (initial === undefined) {
    const empty = codec.encode({});
    return () => empty;
  }
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

function checkedMigration(migration: Migration | undefined): Migration | undefined {
  if (migration === undefined || typeof migration?.find === "function") return migration;
  throw new ConfigurationError("migration", "expected what migrateFrom() of holdfast/compat/migrate gives");
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

function checkedAtSessionLimit(option: "end-oldest" | "refuse") {
  if (option === "end-oldest" || option === "refuse") return option;
  throw new ConfigurationError("atSessionLimit", 'expected "end-oldest" or "refuse"');
}

function flag(option: string, value: boolean): boolean {
  if (typeof value === "boolean") return value;
  throw new ConfigurationError(option, `expected true or false, got ${shown(value)}`);
}

function wholeNumber(option: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigurationError(option, `expected a whole number, ${least} or more, got ${String(value)}`);
}
