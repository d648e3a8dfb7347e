import type { Keyring } from "../token/keyring.js";
import type { Codec } from "./codec.js";
import type { CookieHeld } from "./cookie-held.js";
import type { Encryption } from "./encryption/reencrypt.js";
import type { EventBus } from "./events.js";
import type { Explainer } from "./explain/explainer.js";
import type { Given } from "./given.js";
import type { ClientWatch } from "./guard/client-change.js";
import type { CsrfGuard } from "./guard/csrf.js";
import type { GuessLimit } from "./guard/guess-limit.js";
import type { Lanes } from "./lanes.js";
import type { Lifetime } from "./lifetime.js";
import type { MergeStrategy } from "./merge.js";
import type { Migration } from "./migration.js";
import type { Endings } from "./on-end.js";
import type { SessionRequest } from "./request.js";
import type { EngineStore } from "./store-client.js";
import type { Transport } from "./transport.js";

/** The checked settings and the parts that every request shares. All times in milliseconds. */
export interface Engine {
  readonly given: Given;
  readonly store: EngineStore;
  /** Where what the store holds is encrypted; else undefined. */
  readonly encryption: Encryption | undefined;
  /** Where sessions live in their cookie; else undefined. */
  readonly cookieHeld: CookieHeld | undefined;
  readonly keyring: Keyring;
  /** Where sessions of another library are taken over; else undefined. */
  readonly migration: Migration | undefined;
  /** Where unsafe requests of other origins are refused; else undefined. */
  readonly csrf: CsrfGuard | undefined;
  /** Where each request is explained; else undefined. */
  readonly explainer: Explainer | undefined;
  /** Where those who try many tokens are refused; else undefined. */
  readonly guessLimit: GuessLimit | undefined;
  /** How the session of a request travels. */
  readonly transportFor: (request: SessionRequest) => Transport;
  /** Whether cookies outlive the browser. */
  readonly persistent: boolean;
  readonly codec: Codec;
  readonly events: EventBus;
  readonly lanes: Lanes;
  readonly endings: Endings;
  readonly clock: () => number;
  readonly trustsProxy: (remoteAddress: string | undefined) => boolean;
  readonly production: boolean;
  /** How long sessions live whose user asked to be remembered; undefined where nobody is. */
  readonly remember: Lifetime | undefined;
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  /** Undefined: no routine renewal. */
  readonly renewAfter: number | undefined;
  /** How long requests that were sent with a replaced or ended token may still be on their way. */
  readonly grace: number;
  readonly touchInterval: number;
  readonly storeTimeout: number;
  readonly maxPayloadBytes: number;
  readonly maxSessionsPerUser: number;
  /** What a login beyond it does. */
  readonly atSessionLimit: "end-oldest" | "refuse";
  readonly mergeStrategies: Readonly<Record<string, MergeStrategy | undefined>>;
  /** The data that a new session starts with, as the codec's text. Made anew for each. */
  readonly initialText: () => string;
  readonly rememberIp: boolean;
  /** Whether, and how, each request's client is compared with the one that its session began with. */
  readonly clientWatch: ClientWatch | undefined;
  readonly cacheControl: "no-store" | "unless-set" | "off";
}

/** What it takes to find stored sessions and to write to them, without a request. */
export type StoredSessions = Pick<Engine, "store" | "events" | "clock">;
