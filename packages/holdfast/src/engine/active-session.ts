import { isPromise } from "../awaitable.js";
import { HeadersSentError, InvalidArgumentError, PayloadTooLargeError } from "../errors.js";
import type { Awaitable, StoreRecord } from "../stores/contract.js";
import { newToken, sessionIdOf } from "../token/token.js";
import { type Codec, isPlainObject } from "./codec.js";
import type { Engine } from "./engine.js";
import type { DroppedWriteReason } from "./events.js";
import { Flash } from "./flash.js";
import { type LiveSession, rememberContents } from "./follow.js";
import { describeClient } from "./guard/client.js";
import { lifetimeOf } from "./lifetime.js";
import { mergeData, replaceContents } from "./merge.js";
import type { SessionReason } from "./reason.js";
import { encodeSession, type Identity, type SessionMeta } from "./record.js";
import type { SessionRequest } from "./request.js";
import { Snapshot } from "./snapshot.js";
import type { Transport } from "./transport.js";

type PlainObject = Record<string, unknown>;

const SETTLED = Promise.resolve();

/** How a request's token stands to the session that it led to. */
export type TokenStanding =
  /** No token came, or none that led to a session: the session is new. */
  | "none"
  /** The session's own token. */
  | "current"
  /** The session's own token, signed by an older secret. */
  | "signed-by-older-key"
  /** A token that a renewal replaced a moment ago: the browser has the new one, or is about to get it. */
  | "in-grace"
  /** A token whose renewal never reached the browser: it needs yet another one. */
  | "renewal-lost"
  /**
   * The browser may have a newer session than this request tells: the token that came was rotated or ended a moment ago, or
   * none came because another site has made the request. It must not start a session of its own.
   */
  | "stale";

/** A session's record together with what its payload says. */
export interface Composed {
  readonly record: StoreRecord;
  readonly meta: SessionMeta;
  /** The data, as the codec wrote it. */
  readonly text: string;
}

/** What a step may change of what the library keeps with a session. */
export type MetaChanges = Partial<Pick<SessionMeta, "elevation" | "suspect" | "seenClients">>;

/** The same, or a function of what is stored, which is asked again for each attempt. */
export type ChangesMeta = MetaChanges | ((before: SessionMeta) => MetaChanges);

/** What a record is composed for. */
export type Step =
  | { readonly kind: "write" | "rotate"; readonly changes?: ChangesMeta | undefined }
  | { readonly kind: "renew" }
  | {
      readonly kind: "login";
      readonly userId: string;
      /** The name of the login. */
      readonly login: string;
      readonly loginOrder?: number | undefined;
      readonly identity?: Identity | undefined;
      /** What the login says besides: all of it, for nothing of an earlier login stays. */
      readonly meta: Pick<SessionMeta, "authenticatedAt" | "authentication" | "remembered">;
      /** The latest end, in milliseconds since the epoch. */
      readonly until?: number | undefined;
    }
  /** An old session of another library's, taken over; `from` is the id of its marker. */
  | {
      readonly kind: "takeover";
      readonly userId: string | null;
      readonly login: string | undefined;
      readonly loginOrder?: number | undefined;
      readonly from: string;
      readonly old: string | undefined;
    };

/** With every member, so that none is forgotten. */
type Whole<Type> = { readonly [Key in keyof Required<Type>]: Type[Key] };

/** What is to happen to the browser's cookie. */
export type CookieIntent = "keep" | "set" | "delete";

/**
 * One request's view of a session: what was loaded, what the handler changed since, and what is to be told to the
 * browser. It holds the state; `commit.ts` writes it and `rotation.ts` changes its token.
 */
export class ActiveSession {
  readonly engine: Engine;
  readonly request: SessionRequest;
  readonly transport: Transport;
  standing: TokenStanding;
  /** Why the request has a session, or none. */
  reason: SessionReason = "none-sent";
  cookieIntent: CookieIntent = "keep";
  clearSiteData: string | undefined;
  /** Why changes are stored nowhere, if they are not. */
  dropped: DroppedWriteReason | undefined;
  /** Whether this request moves the idle deadline. */
  countsAsActivity = true;
  /** Whether a session that holds nothing yet is to be stored all the same. */
  wanted = false;
  /** The response's headers have left, or are leaving. */
  headersSent = false;
  /** The record that came in the cookie, where sessions live there. */
  received: StoreRecord | undefined;
  readonly flash = new Flash();

  #token: string | undefined;
  #id: string | undefined;
  #record: StoreRecord | undefined;
  #meta: SessionMeta;
  /** The data as stored, or as a new session starts: made when it is first needed. Changes are found, and merged, against it. */
  #base: Snapshot | undefined;
  #data: PlainObject | undefined;
  /** The data as it was when changes were last found: what is about to be stored. */
  #unsaved: Snapshot | undefined;
  #queue: Promise<unknown> = SETTLED;
  #pending = 0;

  constructor(engine: Engine, request: SessionRequest, transport: Transport, standing: TokenStanding) {
    this.engine = engine;
    this.request = request;
    this.transport = transport;
    this.standing = standing;
    this.#meta = freshMeta(engine.clock());
  }

  get #baseText(): string {
    return this.#stored.text;
  }

  get #stored(): Snapshot {
    this.#base ??= this.#snapshot(this.engine.initialText());
    return this.#base;
  }

  /** The token that the browser holds or is to be given; undefined where only its hash is known. */
  get token(): string | undefined {
    return this.#token;
  }

  /** The session id. A new session gets its token when somebody first asks. */
  get id(): string {
    if (this.#id === undefined) {
      this.#token = newToken();
      this.#id = sessionIdOf(this.#token);
    }
    return this.#id;
  }

  /** The record as this request last saw it; undefined while nothing is stored. */
  get record(): StoreRecord | undefined {
    return this.#record;
  }

  get meta(): SessionMeta {
    return this.#meta;
  }

  get userId(): string | undefined {
    return this.#record?.userId ?? undefined;
  }

  get data(): PlainObject {
    this.#data ??= this.#copyOf(this.#stored);
    return this.#data;
  }

  set data(value: unknown) {
    if (!isPlainObject(value)) throw new InvalidArgumentError("session.data must be a plain object.");
    replaceContents(this.data, { ...value });
  }

  /** Whether data or flash messages differ from what is stored. @throws NotSerializableError */
  get changed(): boolean {
    return this.flash.changed || this.unsavedText !== undefined;
  }

  /** The data as text, where it differs from what is stored. @throws NotSerializableError */
  get unsavedText(): string | undefined {
    this.#unsaved = this.#data && this.#stored.next(this.#data);
    return this.#unsaved?.text;
  }

  /** The data as text, as it is now. @throws NotSerializableError */
  dataText(): string {
    return this.#data === undefined ? this.#baseText : this.engine.codec.encode(this.#data);
  }

  /** The data that a text of `dataText` stands for, as a copy of its own. */
  copyOf(text: string): PlainObject {
    return this.#decode(text);
  }

  /** Takes over what `update` made of the data as it was in `before`; what the handler changed since stays on top. */
  takeOver(updated: PlainObject, before: string): void {
    if (this.#data === undefined) return;
    const now = this.dataText();
    replaceContents(this.#data, now === before ? updated : this.#merge(before, now, updated));
  }

  /**
   * The record to store for this session with the data in `text`: the next version of the stored one, or the first one
   * under a new token. A login starts new deadlines and binds the user.
   * @throws PayloadTooLargeError
   */
  compose(text: string, step: Step): Composed {
    const now = this.engine.clock();
    const login = step.kind === "login" ? step.userId : undefined;
    const startsDeadlines = login !== undefined || this.#record === undefined;
    const until = (step.kind === "login" ? step.until : undefined) ?? Number.POSITIVE_INFINITY;
    const lifetime = lifetimeOf(this.engine, step.kind === "login" ? step.meta : this.#meta);
    const absoluteDeadline = startsDeadlines
      ? Math.min(now + lifetime.absoluteTimeout, until)
      : this.#record!.absoluteDeadline;
    const takenOver = step.kind === "takeover" ? step.userId : null;
    const userId = login ?? takenOver ?? this.#record?.userId ?? null;
    const flash = this.flash.beginStoring();
    const before = this.#meta;
    const said = step.kind === "login" ? step.meta : undefined;
    const changes = changesOf(step, before);
    // Member by member: spread from what has been parsed, it takes a hundred times as long.
    const meta: Whole<SessionMeta> = {
      createdAt: startsDeadlines ? now : before.createdAt,
      seenAt: now,
      login: this.#loginName(step, userId),
      loginOrder: "login" in step ? step.loginOrder : before.loginOrder,
      tokenAt: step.kind === "write" && this.#record !== undefined ? before.tokenAt : now,
      authenticatedAt: said === undefined ? before.authenticatedAt : saidTime(said, now),
      authentication: said === undefined ? before.authentication : said.authentication,
      remembered: said === undefined ? before.remembered : said.remembered,
      elevation: said === undefined ? changed(changes, "elevation", before) : undefined,
      suspect: said === undefined ? changed(changes, "suspect", before) : undefined,
      seenClients: said === undefined ? changed(changes, "seenClients", before) : undefined,
      identity: step.kind === "login" ? step.identity && { ...step.identity } : before.identity,
      client: startsDeadlines ? describeClient(this.request, this.engine) : before.client,
      flash: flash.length > 0 ? flash : undefined,
      renewedFrom: this.#renewedFrom(step),
      predecessor: step.kind === "renew" ? this.id : before.predecessor,
      root: this.#root(step),
      old: step.kind === "takeover" ? step.old : before.old,
    };
    const record: StoreRecord = {
      version: step.kind === "write" ? (this.#record?.version ?? 0) + 1 : 1,
      payload: this.#sizeChecked(encodeSession(meta, text), text, userId),
      idleDeadline: this.#idleDeadline(now + lifetime.idleTimeout, absoluteDeadline, startsDeadlines),
      absoluteDeadline,
      userId,
    };
    return { record, meta, text };
  }

  #loginName(step: Step, userId: string | null): string | undefined {
    if (step.kind === "login" || step.kind === "takeover") return step.login;
    // One that was stored before logins had names.
    return this.#meta.login ?? (userId === null ? undefined : this.#id);
  }

  #idleDeadline(moved: number, absoluteDeadline: number, starts: boolean): number {
    if (!starts && !this.countsAsActivity) return this.#record!.idleDeadline;
    return Math.min(moved, absoluteDeadline);
  }

  /** The idle deadline that a touch sets now; undefined where there is nothing to touch. */
  get touchDeadline(): number | undefined {
    const now = this.engine.clock();
    if (this.#record === undefined || now >= this.#record.idleDeadline) return undefined;
    const { idleTimeout } = lifetimeOf(this.engine, this.#meta);
    return Math.min(now + idleTimeout, this.#record.absoluteDeadline);
  }

  /** Whether the cookie outlives the browser. */
  get persistent(): boolean {
    return this.engine.persistent || this.#meta.remembered === true;
  }

  /** Touches are throttled: the stored idle deadline lags by the touch interval at most. */
  get isTouchDue(): boolean {
    const deadline = this.countsAsActivity ? this.touchDeadline : undefined;
    return deadline !== undefined && deadline - this.#record!.idleDeadline >= this.engine.touchInterval;
  }

  /** A write that comes with the session's own token confirms that its renewal has reached the browser. */
  #renewedFrom(step: Step): string | undefined {
    if (step.kind === "renew") return this.id;
    if (step.kind === "takeover") return step.from;
    return step.kind === "write" && !this.#tokenIsInUse ? this.#meta.renewedFrom : undefined;
  }

  /** Whatever is handed out for a session outlives its renewals, and no change of privileges. */
  #root(step: Step): string | undefined {
    if (step.kind === "renew") return this.#meta.root ?? this.id;
    return step.kind === "write" ? this.#meta.root : undefined;
  }

  get #tokenIsInUse(): boolean {
    return this.standing === "current" || this.standing === "signed-by-older-key";
  }

  /** Whether the store still has to be told that the browser has the token that a renewal issued. */
  get renewalToConfirm(): boolean {
    return this.#meta.renewedFrom !== undefined && this.#tokenIsInUse;
  }

  /** Takes a stored record for this session's, with nothing changed. `token` where the browser holds the session's own. */
  adopt(id: string, token: string | undefined, stored: Composed): void {
    this.#id = id;
    this.#token = token;
    this.#record = stored.record;
    this.#meta = stored.meta;
    this.#base = sharedSnapshot(this.engine.codec, stored);
    this.flash.reset(stored.meta.flash);
    if (this.#data !== undefined) replaceContents(this.#data, this.#decode(stored.text));
  }

  /** Notes what the store holds now. Changes that came after it was composed stay changes. */
  written({ record, meta, text }: Composed): void {
    this.#record = record;
    this.#meta = meta;
    this.#base = sharedSnapshot(this.engine.codec, { record, meta, text }, this.#unsaved);
    this.flash.stored(meta.flash);
    // A message is the application's, which may change it.
    if (meta.flash === undefined) rememberContents(record, { meta, text });
  }

  /** Notes that the session goes on under another token. */
  tokenReplaced(token: string, id: string): void {
    this.#token = token;
    this.#id = id;
    this.standing = "none";
    this.cookieIntent = "set";
  }

  touched(idleDeadline: number): void {
    this.#record = { ...this.#record!, idleDeadline };
  }

  /** Takes over the session's newer state, with this request's changes merged onto it (three ways: base, mine, theirs). */
  moveTo({ id, stored: { record, meta, text } }: LiveSession): void {
    if (this.#data !== undefined) replaceContents(this.#data, this.#merged(text));
    this.#relocate(id);
    this.#record = record;
    this.#meta = meta;
    this.#base = this.#snapshot(text);
    this.flash.rebase(meta.flash);
  }

  /** Takes over the session's newer state and drops what this request changed. */
  reloadFrom({ id, stored }: LiveSession): void {
    this.#relocate(id);
    this.adopt(id, this.#token, stored);
  }

  /** Where a renewal by another request has moved the session, only that request knows the new token. */
  #relocate(id: string): void {
    if (id === this.#id) return;
    this.#id = id;
    this.#token = undefined;
    this.standing = "in-grace";
  }

  #merged(theirText: string): PlainObject {
    const theirs = this.#decode(theirText);
    const mine = this.dataText();
    return mine === this.#baseText ? theirs : this.#merge(this.#baseText, mine, theirs);
  }

  #merge(base: string, mine: string, theirs: PlainObject): PlainObject {
    return mergeData(
      this.#decode(base),
      this.#decode(mine),
      theirs,
      this.engine.mergeStrategies,
      this.engine.codec,
    );
  }

  /** Counts what this request has changed so far as dealt with, though it is stored nowhere. */
  abandonChanges(): void {
    this.#base = this.#snapshot(this.dataText());
    this.flash.reset(undefined);
  }

  /**
   * Forgets the stored session and goes on with a new one: with nothing, with the changes that this request made, or with
   * all the data that it saw.
   */
  startAfresh(keep: "nothing" | "changes" | "all"): void {
    const text = this.engine.initialText();
    if (keep === "all") {
      this.#data ??= this.#copyOf(this.#stored);
    } else {
      if (this.#data !== undefined) {
        replaceContents(this.#data, keep === "changes" ? this.#merged(text) : this.#decode(text));
      }
      if (keep === "changes") this.flash.rebase(undefined);
      else this.flash.reset(undefined);
    }
    this.#base = this.#snapshot(text);
    this.#record = undefined;
    // What goes on with all the data goes on with the old record that it came from, which is to end with it.
    this.#meta = { ...freshMeta(this.engine.clock()), old: keep === "all" ? this.#meta.old : undefined };
    this.#token = undefined;
    this.#id = undefined;
    // Whoever must not start a session may not do so after a logout or `reload` either.
    if (this.standing !== "stale") this.standing = "none";
    this.wanted = false;
  }

  /** Whether a step that writes is under way or waiting. */
  get busy(): boolean {
    return this.#pending > 0;
  }

  /** Runs the steps that write one after the other: this request's in order, and in turn with others of the session. */
  exclusively<T>(task: () => Awaitable<T>): Awaitable<T> {
    const run = () => this.engine.lanes.run(this.id, task);
    let waiting: Promise<T> | undefined;
    try {
      const work = this.#pending++ === 0 ? run() : this.#queue.then(run);
      if (!isPromise(work)) return work;
      waiting = work.finally(() => {
        this.#pending--;
      });
    } finally {
      if (waiting === undefined) this.#pending--;
    }
    this.#queue = waiting.catch(() => undefined);
    return waiting;
  }

  /** What needs a cookie can't be done once the headers have left. @throws HeadersSentError */
  assertInTime(action: string): void {
    if (!this.headersSent) return;
    this.engine.explainer?.tooLate(this.request, action);
    throw new HeadersSentError(action);
  }

  /** A session that lives in its cookie can't be changed once the cookie has left. @throws HeadersSentError */
  assertStorable(action: string): void {
    if (this.engine.cookieHeld !== undefined) this.assertInTime(action);
  }

  #sizeChecked(payload: string, text: string, userId: string | null): string {
    // In a cookie the user id takes from the same room.
    const besides = this.engine.cookieHeld === undefined ? 0 : Buffer.byteLength(JSON.stringify(userId));
    const limit = this.engine.maxPayloadBytes - besides;
    // A UTF-16 unit takes three bytes of UTF-8 at most, so most payloads need no counting.
    if (payload.length * 3 <= limit) return payload;
    const size = Buffer.byteLength(payload);
    if (size <= limit) return payload;
    const keys = Object.entries(this.#decode(text))
      .map(([key, value]) => ({ key, bytes: Buffer.byteLength(this.engine.codec.encode({ [key]: value })) }))
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, 5);
    throw new PayloadTooLargeError(size, limit, keys);
  }

  #snapshot(text: string): Snapshot {
    return new Snapshot(this.engine.codec, text);
  }

  #decode(text: string): PlainObject {
    return this.#copyOf(this.#snapshot(text));
  }

  #copyOf(snapshot: Snapshot): PlainObject {
    let data: PlainObject | undefined;
    try {
      data = snapshot.copy();
    } catch {
      throw this.engine.store.corrupt("load", "the codec can't decode its data");
    }
    if (data === undefined) throw this.engine.store.corrupt("load", "its data is not an object");
    return data;
  }
}

/** On what belongs to a record that many requests read: its data, parsed once for all of them. */
const SNAPSHOT = Symbol("snapshot");

/** @param made one that may be of this very text. */
function sharedSnapshot(codec: Codec, { meta, text }: Composed, made?: Snapshot): Snapshot {
  const holder = meta as SessionMeta & { [SNAPSHOT]?: Snapshot };
  const known = holder[SNAPSHOT] ?? made;
  const fits = known?.codec === codec && known.text === text;
  holder[SNAPSHOT] = fits ? known : new Snapshot(codec, text);
  return holder[SNAPSHOT];
}

function freshMeta(now: number): SessionMeta {
  return { createdAt: now, seenAt: now, tokenAt: now };
}

/** When the user proved who they are: now, unless the login says otherwise, or that it doesn't know. */
function saidTime(said: Pick<SessionMeta, "authenticatedAt">, now: number): number | undefined {
  return "authenticatedAt" in said ? said.authenticatedAt : now;
}

function changesOf(step: Step, before: SessionMeta): MetaChanges | undefined {
  if (step.kind !== "write" && step.kind !== "rotate") return undefined;
  return typeof step.changes === "function" ? step.changes(before) : step.changes;
}

function changed<Name extends keyof MetaChanges>(
  changes: MetaChanges | undefined,
  name: Name,
  before: SessionMeta,
): SessionMeta[Name] {
  return changes !== undefined && name in changes ? (changes[name] as SessionMeta[Name]) : before[name];
}
