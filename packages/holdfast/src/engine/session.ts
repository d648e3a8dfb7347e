import { type Duration, LONGEST_TIMER, milliseconds } from "../duration.js";
import { InvalidArgumentError, SessionGoneError } from "../errors.js";
import type { ActiveSession } from "./active-session.js";
import {
  type Authentication,
  assertElevated,
  assertRecent,
  authenticationOf,
  checkedMeans,
  type ElevationNeeds,
  elevationOf,
  type MeansOfAuthentication,
} from "./authentication.js";
import { jsonCodec } from "./codec.js";
import { touch } from "./commit.js";
import { find } from "./follow.js";
import type { ClientDescription } from "./guard/client.js";
import { csrfTokenOf, isCsrfTokenOf } from "./guard/csrf-token.js";
import type { OnEndOptions, SessionEndListener } from "./on-end.js";
import type { SessionReason } from "./reason.js";
import type { Identity } from "./record.js";
import { end, login, rotate } from "./rotation.js";
import { enforceLimit } from "./users/limit.js";
import { lastSeen } from "./users/living-sessions.js";
import { write } from "./write.js";

/**
 * Augment this interface to type the session data of every framework's request:
 * `declare module "holdfast" { interface SessionData { cart: Item[] } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is there to be augmented
export interface SessionData {}

/** The augmented `SessionData`, or anything while nobody has augmented it. */
export type DefaultData = keyof SessionData extends never ? Record<string, any> : SessionData;

export interface LoginOptions<Data> extends MeansOfAuthentication {
  /** The keys of the anonymous data to keep; the others are dropped. Default: all are kept. */
  keep?: ReadonlyArray<keyof Data & string>;
  /** Who the identity provider says that it is, for `session.identity`. */
  identity?: Identity;
  /** When the session ends at the latest, should that be before its absolute timeout: as the provider's own does. */
  expiresAt?: Date;
  /**
   * Keep the user logged in: longer timeouts (the option `remember`), and a cookie that outlives the browser. A login without it
   * ends that. Default: false.
   */
  remember?: boolean;
  /**
   * When the user proved who they are, where that wasn't now: at a provider that knew them already (`auth_time`, OpenID Connect
   * Core 2). "unknown" is recent to nobody. Default: now.
   */
  authenticatedAt?: Date | "unknown";
  /** The class of the login that the provider names (`acr`, OpenID Connect Core 2). */
  acr?: string | undefined;
}

export interface ElevateOptions extends MeansOfAuthentication {
  /** How long it lasts, whatever the user does meanwhile. At least a second. Default: "10m". */
  for?: Duration;
}

export interface LogoutOptions {
  /**
   * Also send `Clear-Site-Data`, so that the browser drops what it holds of this site: `true` for cache, cookies and
   * storage, or a list of them. HTTPS only. Default: false.
   */
  clearSiteData?: boolean | ReadonlyArray<"cache" | "cookies" | "storage" | "executionContexts">;
}

/** @internal What is behind a session, for the library's other parts. */
export let activeOf: (session: Session<any>) => ActiveSession;

/**
 * The session of one request. Plain changes to `data` are found and stored when the response's headers are about to
 * leave; the methods work at once.
 */
export class Session<Data extends object = DefaultData> {
  readonly #active: ActiveSession;

  static {
    activeOf = (session) => session.#active;
  }

  /** @internal */
  constructor(active: ActiveSession) {
    this.#active = active;
    // `session.cart = …` in place of `session.data.cart = …` would be lost in silence.
    Object.preventExtensions(this);
  }

  /** The session id: a hash of the token, safe to log and to show. It changes with every new token. */
  get id(): string {
    return this.#active.id;
  }

  /** Your data. Assigning replaces all of it. What JSON can't carry is an error when it is stored. */
  get data(): Data {
    return this.#active.data as Data;
  }

  set data(data: Data) {
    this.#active.data = data;
  }

  /** True while nothing of this session is stored. */
  get isNew(): boolean {
    return this.#active.record === undefined;
  }

  /**
   * Why this request has its session, or hasn't got the one that its cookie names: to tell a user why they were signed out,
   * and to find faults. It says how the request came and doesn't change with what its handler does.
   */
  get reason(): SessionReason {
    return this.#active.reason;
  }

  /** Whose session it is, once `login` has bound a user. */
  get userId(): string | undefined {
    return this.#active.userId;
  }

  /** When this session began: with the first write, and anew with each login. */
  get createdAt(): Date {
    return new Date(this.#active.meta.createdAt);
  }

  /** When the user was last seen before this request, accurate to the touch interval. */
  get lastSeenAt(): Date {
    const { engine, record, meta } = this.#active;
    return new Date(record === undefined ? meta.seenAt : lastSeen(engine, record, meta));
  }

  /** When the session ends if its user does nothing more after this request: the idle or the absolute deadline, whichever is first. */
  get expiresAt(): Date {
    const { engine, record, meta, isTouchDue, touchDeadline } = this.#active;
    if (record !== undefined) return new Date(isTouchDue ? touchDeadline! : record.idleDeadline);
    return new Date(meta.createdAt + Math.min(engine.idleTimeout, engine.absoluteTimeout));
  }

  /**
   * When the user logged in, for asking again before something sensitive: see `requireRecentLogin`. Undefined where nobody has, where
   * the time is not known, and where the client has changed so that it counts no longer.
   */
  get authenticatedAt(): Date | undefined {
    const { authenticatedAt, suspect } = this.#active.meta;
    return authenticatedAt === undefined || suspect === true ? undefined : new Date(authenticatedAt);
  }

  /** How the user has proved who they are, by now: at the login, and, while that lasts, by `elevate`. Undefined without a user. */
  get authentication(): Authentication | undefined {
    const { engine, meta, userId } = this.#active;
    return userId === undefined ? undefined : authenticationOf(meta, engine.clock());
  }

  /** Whether the user asked to be remembered at the login. */
  get remembered(): boolean {
    return this.#active.meta.remembered === true;
  }

  /** Whether `elevate` is in force. It ends by the server's clock. */
  get isElevated(): boolean {
    return this.elevatedUntil !== undefined;
  }

  /** When what `elevate` gave ends; undefined where nothing is in force. */
  get elevatedUntil(): Date | undefined {
    const { engine, meta } = this.#active;
    const elevation = elevationOf(meta, engine.clock());
    return elevation && new Date(elevation.until);
  }

  /** Who the identity provider says that the user is, after a login with one. */
  get identity(): Identity | undefined {
    return this.#active.meta.identity;
  }

  /** The browser and system that the session was made for. */
  get client(): ClientDescription {
    return this.#active.meta.client ?? {};
  }

  /**
   * Binds a user after you have checked who it is: a new token at once (the old one is dead), new deadlines, and the
   * anonymous data kept. Call it for a re-login of the same user, too.
   *
   * @param userId 1 to 255 characters.
   * @throws UserMismatchError while the session belongs to another user.
   * @throws TooManySessionsError at `maxSessionsPerUser`, with `atSessionLimit: "refuse"`.
   * @throws InvalidArgumentError for a user id, or an end, that is none.
   * @throws HeadersSentError when the response has begun.
   */
  async login(userId: string, options: LoginOptions<Data> = {}): Promise<void> {
    const active = this.#active;
    await active.exclusively(() => login(active, userId, options));
    await enforceLimit(active.engine, userId);
  }

  /** Ends the session in the store and clears the cookie. The request goes on with a new, empty session. */
  async logout(options: LogoutOptions = {}): Promise<void> {
    const active = this.#active;
    await active.exclusively(() => end(active, "logout"));
    // Among the cookies would be the newer one, or the one that another site's request came without.
    if (active.standing !== "stale") active.clearSiteData = clearSiteData(options.clearSiteData);
  }

  /** The same as `logout`, for a session that may have no user. */
  async destroy(): Promise<void> {
    const active = this.#active;
    await active.exclusively(() => end(active, "destroyed"));
  }

  /**
   * Gives the session a new token at once; the old one is dead. Call it after any change of privileges that is not a login.
   * @throws SessionGoneError when the session ended meanwhile. @throws HeadersSentError when the response has begun.
   */
  async rotate(): Promise<void> {
    const active = this.#active;
    await active.exclusively(() => rotate(active));
  }

  /**
   * Notes that the user has proved more, for a while: after a second factor, or the password once more, before something sensitive
   * (OWASP ASVS 5.0, 7.5.3). A new token at once; the old one is dead. It ends by itself, with `dropElevation`, with the next
   * login, and with the session. It replaces an earlier one.
   *
   * @throws InvalidArgumentError without a user, and for methods, a level or a time that are none.
   * @throws SessionGoneError when the session ended meanwhile. @throws HeadersSentError when the response has begun.
   */
  async elevate(options: ElevateOptions = {}): Promise<void> {
    const active = this.#active;
    const means = checkedMeans("elevate", options);
    const lasts = elevationTime(options.for ?? "10m");
    await active.exclusively(async () => {
      const { engine, userId } = active;
      if (userId === undefined)
        throw new InvalidArgumentError(
          "session.elevate() needs a logged-in user: call session.login() first.",
        );
      const at = engine.clock();
      await rotate(active, { elevation: { ...means, at, until: at + lasts } });
      engine.events.emit("elevated", {
        at: new Date(at),
        sessionId: active.id,
        userId,
        methods: means.methods ?? [],
        level: means.level,
        until: new Date(at + lasts),
      });
    });
  }

  /** Ends what `elevate` gave. The token stays: nobody can do more with it than before. @throws SessionGoneError */
  async dropElevation(): Promise<void> {
    const active = this.#active;
    await active.exclusively(async () => {
      if (active.meta.elevation !== undefined)
        await write(active, undefined, undefined, { elevation: undefined });
    });
  }

  /**
   * Refuses a request whose user has not logged in, or been elevated, within this time (OWASP ASVS 5.0, 7.5.1).
   * @throws ReauthenticationRequiredError (401)
   */
  requireRecentLogin(within: Duration): void {
    const { engine, meta, userId } = this.#active;
    assertRecent(userId, meta, within, engine.clock());
  }

  /**
   * Refuses a request whose user has not proved as much as this, at the login or by an elevation that still lasts. Without
   * `needs`: that no elevation is in force.
   * @throws ReauthenticationRequiredError (401)
   */
  requireElevation(needs: ElevationNeeds = {}): void {
    const { engine, meta, userId } = this.#active;
    assertElevated(userId, meta, needs, engine.clock());
  }

  /**
   * An atomic read-modify-write, across requests, processes and machines: `change` gets the newest data, changes it, and
   * its result is returned once the change is stored. It must be synchronous, and it may run again when another request
   * was faster. Changes made to `data` before are stored with it.
   *
   * @throws SessionGoneError when the session ended meanwhile. @throws ConflictError after many collisions.
   */
  async update<Result>(change: (data: Data) => Result): Promise<Result> {
    if (typeof change !== "function") throw new InvalidArgumentError("session.update() takes a function.");
    const active = this.#active;
    return (await active.exclusively(() => write(active, change as (data: any) => Result))) as Result;
  }

  /** Stores the changes now, without waiting for the response. @throws SessionGoneError when the session ended meanwhile. */
  async save(): Promise<void> {
    const active = this.#active;
    await active.exclusively(async () => {
      if (active.changed) await write(active);
    });
  }

  /**
   * Moves the idle deadline now, where else it moves with a request once in a `touchInterval`: for an answer to "are you
   * still there?". Does nothing for a session that is not stored.
   */
  async touch(): Promise<void> {
    const active = this.#active;
    await active.exclusively(async () => {
      await touch(active);
    });
  }

  /**
   * Says that this request is no activity of the user's, so it doesn't move the idle deadline: for one that a page sends
   * by itself, such as one that polls. Otherwise an open tab keeps its session alive for ever (OWASP: idle timeout).
   */
  ignoreActivity(): void {
    this.#active.countsAsActivity = false;
  }

  /**
   * Calls `listener` once, when this session has ended: logged out, revoked, rotated or expired. For what outlives the
   * request, as a WebSocket or a stream of events, so that it closes. The returned function ends the wait: call it when the
   * socket closes. A session that is not stored can't end.
   */
  onEnd(listener: SessionEndListener, options: OnEndOptions = {}): () => void {
    if (typeof listener !== "function") throw new InvalidArgumentError("session.onEnd() takes a function.");
    const { engine, record, id } = this.#active;
    const every = milliseconds("every", options.every ?? "10s", 100, LONGEST_TIMER);
    return record === undefined ? () => {} : engine.endings.watch(engine, id, every, listener);
  }

  /** Reads the session anew and drops the changes that are not stored. @throws SessionGoneError when it has ended. */
  async reload(): Promise<void> {
    const active = this.#active;
    await active.exclusively(async () => {
      if (active.record === undefined) return active.startAfresh("nothing");
      const destination = await find(active.engine, active.id);
      if (destination.kind !== "live") throw new SessionGoneError();
      active.reloadFrom(destination);
    });
  }

  /**
   * A token for the forms and scripts of this session's pages, for the CSRF guard (`csrf`) to know old clients by: in the
   * header `X-CSRF-Token`, or in a form field for `checkCsrfToken`. It is good as long as the session, over renewals, and ends
   * with a login, `rotate` or logout. Each call gives another; all are good.
   *
   * A session of which nothing is stored is stored with this response, so that it is there when the form comes back: ask for a
   * token only where a page has a form.
   * @throws HeadersSentError where it is too late for that.
   */
  csrfToken(): string {
    return csrfTokenOf(this.#active);
  }

  /** Whether a text is one of this session's CSRF tokens, compared in constant time. Takes anything, and never throws. */
  hasCsrfToken(token: unknown): boolean {
    return isCsrfTokenOf(this.#active, token);
  }

  /** Leaves a message for the next page. Any plain value. */
  flash(key: string, message: unknown): void;
  /** The messages under a key, oldest first. They are gone once read. */
  flash(key: string): any[];
  flash(key: string, ...message: [unknown?]): any[] | undefined {
    const { flash } = this.#active;
    if (message.length === 0) return flash.take(key);
    if (message[0] === undefined) throw new InvalidArgumentError("A flash message can't be undefined.");
    jsonCodec.encode({ [key]: message[0] });
    flash.add(key, message[0]);
    return undefined;
  }

  /** What is safe to print: no token, no data. */
  toJSON(): { id: string; isNew: boolean; userId: string | undefined; createdAt: Date; expiresAt: Date } {
    const { id, isNew, userId, createdAt, expiresAt } = this;
    return { id, isNew, userId, createdAt, expiresAt };
  }
}

/** @throws InvalidArgumentError */
function elevationTime(time: Duration): number {
  try {
    return milliseconds("for", time, 1000);
  } catch {
    throw new InvalidArgumentError(
      'session.elevate() takes a time of at least a second as `for`: milliseconds, or text like "10m".',
    );
  }
}

function clearSiteData(option: LogoutOptions["clearSiteData"] = false): string | undefined {
  if (option === false) return undefined;
  const kinds = option === true ? ["cache", "cookies", "storage"] : option;
  return kinds.map((kind) => `"${kind}"`).join(", ");
}
