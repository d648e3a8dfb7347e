import type { Context } from "koa";
import { InvalidArgumentError, SessionGoneError } from "../../errors.js";
import { HeldSession } from "./held-session.js";
import type { SessionOptions, SessionStore } from "./options.js";
import { type CommitOptions, dataOf, Session } from "./session.js";

const DAY = 86_400_000;
/** By so much a stored session outlives its cookie, in milliseconds. */
const MARGIN = 10_000;

/** One request's session, by the rules of koa-session: where it comes from, when it is stored, when its cookie is set. */
export class ContextSession {
  /** This request's own, for a session brings its lifetime with it. */
  readonly options: SessionOptions;
  readonly #ctx: Context;
  readonly #store: SessionStore | HeldSession | undefined;
  /** Undefined until it is asked for; null where it was removed. */
  #session: Session | null | undefined;
  #externalKey: string | undefined;
  /** The data as it was found. */
  #foundText: string | undefined;

  constructor(ctx: Context, options: SessionOptions, store: SessionStore | HeldSession | undefined) {
    this.#ctx = ctx;
    this.options = { ...options };
    this.#store = store;
  }

  get(): Session | null {
    if (this.#session !== undefined) return this.#session;
    if (this.#store === undefined) this.#openFromCookie();
    else this.#begin();
    return this.#session!;
  }

  set(value: unknown): void {
    if (value === null) this.#session = null;
    else if (typeof value === "object") this.#begin(value, this.#externalKey);
    else
      throw new InvalidArgumentError("ctx.session can be set to an object, or to null to end the session.");
  }

  /** Finds the session in the store, where there is one: before the handlers run. */
  async open(): Promise<void> {
    const { externalKey, key, maxAge, rolling } = this.options;
    const ctx = this.#ctx;
    if (this.#store === undefined) return;
    const found = externalKey ? externalKey.get(ctx) : ctx.cookies.get(key, this.options);
    if (!found) {
      this.#begin();
      return;
    }
    const data = await this.#store.get(found, maxAge, { ctx, rolling });
    if (this.#isValid(data, found)) this.#goOn(data, found);
    // Never with the key that came: nobody must be able to choose one.
    else this.#begin();
  }

  #openFromCookie(): void {
    const { decode, key } = this.options;
    const text = this.#ctx.cookies.get(key, this.options);
    if (!text) {
      this.#begin();
      return;
    }
    let data: any;
    try {
      data = decode(text);
    } catch (error) {
      if (error instanceof Error && !(error instanceof SyntaxError)) throw this.#withCookieRemoved(error);
      this.#begin();
      return;
    }
    if (this.#isValid(data)) this.#goOn(data);
    else this.#begin();
  }

  /** So that not each request to come fails with the same cookie. Koa keeps no headers of a request that failed, but these. */
  #withCookieRemoved(error: Error): Error {
    this.#setCookie("");
    return Object.assign(error, { headers: { "set-cookie": this.#ctx.response.get("set-cookie") } });
  }

  #isValid(data: any, key?: string): boolean {
    if (!data) return this.#refuse("missed", key, data);
    if (typeof data._expire === "number" && data._expire < Date.now())
      return this.#refuse("expired", key, data);
    const { valid } = this.options;
    return typeof valid !== "function" || valid(this.#ctx, data) ? true : this.#refuse("invalid", key, data);
  }

  #refuse(reason: "missed" | "expired" | "invalid", key: string | undefined, value: unknown): false {
    this.#emit(reason, key, value);
    return false;
  }

  #emit(event: string, key: string | undefined, value: unknown): void {
    const ctx = this.#ctx;
    setImmediate(() => ctx.app.emit(`session:${event}`, { key, value, ctx }));
  }

  #goOn(data: object, externalKey?: string): void {
    this.#foundText = JSON.stringify(dataOf(this.#begin(data, externalKey)));
  }

  #begin(data?: object, externalKey?: string): Session {
    if (this.#store !== undefined) this.#externalKey = externalKey ?? this.options.genid?.(this.#ctx);
    this.#session = new Session(this, data, this.#externalKey);
    return this.#session;
  }

  /**
   * Stores the session, or removes it, and sets its cookie. Where a Holdfast store tells that another request has ended the
   * session meanwhile, nothing is stored, and the cookie is that other response's business.
   */
  async commit({ save = false, regenerate = false }: CommitOptions = {}): Promise<void> {
    try {
      await this.#commit(save, regenerate);
    } catch (error) {
      if (!(error instanceof SessionGoneError)) throw error;
      this.#emit("dropped", this.#externalKey, this.#session && dataOf(this.#session));
    }
  }

  async #commit(save: boolean, regenerate: boolean): Promise<void> {
    const session = this.#session;
    const ctx = this.#ctx;
    if (session === undefined) return;
    if (session === null) {
      await this.#remove();
      return;
    }
    if (regenerate) {
      await this.#remove(true);
      if (this.#store !== undefined) this.#externalKey = this.options.genid?.(ctx);
    }
    const isForced = save || regenerate || session._requireSave;
    const isChanged = !isForced && this.#isChanged(session);
    if (!isForced && !isChanged && !this.#isDue(session)) return;

    const { beforeSave } = this.options;
    if (typeof beforeSave === "function") beforeSave(ctx, session);
    await this.#save(dataOf(session), isChanged);
  }

  #isChanged(session: Session): boolean {
    const data = dataOf(session);
    if (this.#foundText === undefined && Object.keys(data).length === 0) return false;
    return JSON.stringify(data) !== this.#foundText;
  }

  /** Whether a session that nobody changed is to be stored for its lifetime. */
  #isDue({ _expire, maxAge }: Session): boolean {
    const { renew, rolling } = this.options;
    if (this.#foundText === undefined) return false;
    if (rolling) return true;
    const isNearlyExpired = _expire && typeof maxAge === "number" && _expire - Date.now() < maxAge / 2;
    return renew && Boolean(isNearlyExpired);
  }

  async #remove(regenerate = false): Promise<void> {
    const key = this.#externalKey;
    if (key && regenerate && this.#store instanceof HeldSession) await this.#store.leave(key);
    else if (key) await this.#store!.destroy(key, { ctx: this.#ctx });
    this.#setCookie("", { expires: new Date(0), maxAge: false });
  }

  async #save(data: Record<string, any>, changed: boolean): Promise<void> {
    const { encode, externalKey, rolling } = this.options;
    const ctx = this.#ctx;
    const maxAge = this.options.maxAge || DAY;
    // The browser forgets such a cookie by itself.
    const isBrowserSession = maxAge === "session";
    const stored = isBrowserSession
      ? { ...data, _session: true }
      : { ...data, _expire: maxAge + Date.now(), _maxAge: maxAge };
    const cookieOptions = isBrowserSession ? { maxAge: undefined } : {};

    const key = this.#externalKey;
    if (!key) {
      this.#setCookie(encode(stored), cookieOptions);
      return;
    }
    const lifetime = isBrowserSession ? maxAge : maxAge + MARGIN;
    await this.#store!.set(key, stored, lifetime, { changed, ctx, rolling });
    if (externalKey) externalKey.set(ctx, key);
    else this.#setCookie(key, cookieOptions);
  }

  #setCookie(value: string, attributes: { expires?: Date; maxAge?: false | undefined } = {}): void {
    this.#ctx.cookies.set(this.options.key, value, { ...this.options, ...attributes } as object);
  }
}
