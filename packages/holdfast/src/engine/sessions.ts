import { ConfigurationError } from "../errors.js";
import type { Awaitable } from "../stores/contract.js";
import { warn } from "../warn.js";
import { type ReencryptOptions, type ReencryptProgress, reencrypt } from "./encryption/reencrypt.js";
import type { Engine } from "./engine.js";
import type { SessionEventListener, SessionEventName } from "./events.js";
import { Exchange } from "./exchange.js";
import { explainedExchange } from "./explain/explained-exchange.js";
import type { Explanation } from "./explain/explanation.js";
import { offerExplanations } from "./explain/socket.js";
import { BEHIND } from "./given.js";
import type { SessionRequest } from "./request.js";
import type { DefaultData } from "./session.js";
import { AllSessions } from "./users/all-sessions.js";
import { RevocableUser } from "./users/revocable-user.js";
import { UserSessions } from "./users/user-sessions.js";

/** What an adapter needs of the sessions. */
export interface SessionSource<Data extends object = DefaultData> {
  open(request: SessionRequest): Awaitable<Exchange<Data>>;
  defer(request: SessionRequest): Exchange<Data>;
  skipped?: ((request: SessionRequest) => void) | undefined;
}

/** @internal What is behind sessions, for the library's other parts. */
export let engineOf: (sessions: BaseSessions<any>) => Engine;

/** What all sessions offer, wherever they are kept. */
export abstract class BaseSessions<Data extends object> implements SessionSource<Data> {
  readonly #engine: Engine;
  #sweepTimer: NodeJS.Timeout | undefined;
  #closed = false;
  #unoffer: (() => void) | undefined;

  static {
    engineOf = (sessions) => sessions.#engine;
  }

  /** @internal */
  constructor(engine: Engine, sweepInterval: number | undefined) {
    this.#engine = engine;
    const { explainer, production } = engine;
    if (explainer !== undefined) {
      this.skipped = (request) => explainer.skipped(request);
      if (!production) this.#unoffer = offerExplanations(() => explainer.last);
    }
    if (sweepInterval !== undefined) this.#scheduleSweep(sweepInterval);
  }

  /** For the command line. @internal */
  get [BEHIND](): Engine {
    return this.#engine;
  }

  /**
   * Opens the session of a request. For authors of adapters: everybody else uses one.
   * @throws StoreError when the store fails: the request must not be answered as if nobody were logged in.
   */
  open(request: SessionRequest): Awaitable<Exchange<Data>> {
    const exchange = this.defer(request);
    const opened = exchange.open();
    return opened instanceof Promise ? opened.then(() => exchange) : exchange;
  }

  /** The same without asking the store yet: `exchange.open()` does, when the session is first needed. */
  defer(request: SessionRequest): Exchange<Data> {
    const { explainer } = this.#engine;
    if (explainer !== undefined) return explainedExchange<Data>(this.#engine, request, explainer);
    return new Exchange<Data>(this.#engine, request);
  }

  /** For adapters: explains a request that the option `skip` leaves out. Undefined where nothing is explained. */
  readonly skipped: ((request: SessionRequest) => void) | undefined;

  /** With the option `explain`, why each of the last 50 requests had its session or none, oldest first; else nothing. */
  explanations(): readonly Explanation[] {
    return this.#engine.explainer?.last ?? [];
  }

  /** Listens to what happens to sessions, to one kind of event or, by "*", to all. No event holds a token, a secret or session data. */
  on<Name extends SessionEventName | "*">(name: Name, listener: SessionEventListener<Name>): this {
    this.#engine.events.on(name, listener);
    return this;
  }

  off<Name extends SessionEventName | "*">(name: Name, listener: SessionEventListener<Name>): this {
    this.#engine.events.off(name, listener);
    return this;
  }

  /** Removes expired sessions from the store now; it happens by itself every `sweepInterval`. The number removed. */
  async sweep(): Promise<number> {
    return this.#engine.store.sweep();
  }

  /** Ends the background sweep and the watch over secrets, and closes the store. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#sweepTimer);
    this.#unoffer?.();
    this.#engine.endings.close();
    this.#engine.keyring.close();
    await this.#engine.store.close();
  }

  /** Sweeps at intervals that vary at random, so that several processes on one store don't sweep at once. */
  #scheduleSweep(interval: number): void {
    this.#sweepTimer = setTimeout(
      async () => {
        // A failure is an event already, and the next sweep tries again.
        await this.sweep().catch((error) => warn("HOLDFAST_SWEEP", String(error)));
        if (!this.#closed) this.#scheduleSweep(interval);
      },
      interval * (0.75 + Math.random() / 2),
    );
    this.#sweepTimer.unref?.();
  }
}

/** What `createSessions` gives: hand it to a framework's adapter. */
export class Sessions<Data extends object = DefaultData> extends BaseSessions<Data> {
  /** One user's sessions on all devices: list, revoke. */
  ofUser(userId: string): UserSessions {
    return new UserSessions(engineOf(this), userId);
  }

  /**
   * Goes through the store and writes anew what is not kept as `encrypt` says: plain records are sealed, and those sealed with
   * an older key are with the first. For sessions that nobody writes to by themselves, before an older key is dropped or
   * `plain` becomes "refuse"; with `seal: false` it writes all of them plain. Requests go on meanwhile, and where one is
   * faster, its write wins. How far it came: `complete` says whether anything is left.
   * @throws ConfigurationError where `encrypt` is off; UnsupportedError where the store can't list its records.
   */
  async reencrypt(options: ReencryptOptions = {}): Promise<ReencryptProgress> {
    const { encryption } = engineOf(this);
    if (encryption === undefined)
      throw new ConfigurationError("encrypt", "is off, so there is nothing to encrypt anew");
    return reencrypt(encryption, options);
  }

  /** All sessions, for administration: list, find, revoke. */
  ofEveryone(): AllSessions {
    return new AllSessions(engineOf(this));
  }
}

/** What `createSessions` gives with a `cookieStore()`: no server can list or end what only browsers hold. */
export class CookieSessions<Data extends object = DefaultData> extends BaseSessions<Data> {}

/** What `createSessions` gives with a `cookieStore({ revocations })`. */
export class RevocableCookieSessions<Data extends object = DefaultData> extends BaseSessions<Data> {
  /** One user's sessions on all devices: revoke. */
  ofUser(userId: string): RevocableUser {
    return new RevocableUser(engineOf(this), userId);
  }
}
