import { inspect } from "node:util";
import type { ContextSession } from "./context-session.js";

export type Callback = (error?: unknown) => void;

/** What `commit` is to do besides storing what changed. */
export interface CommitOptions {
  /** Store the session, changed or not. */
  save?: boolean;
  /** Give it a new key; the old one is dead. */
  regenerate?: boolean;
}

/** `ctx.session`: its own properties are the data, but for those that begin with an underscore. */
export class Session {
  readonly #contextSession: ContextSession;
  readonly #externalKey: string | undefined;
  /** Whether it began with this request. */
  isNew = false;
  /** @internal Set by `maxAge`, for a new lifetime has to reach the cookie and the store. */
  _requireSave = false;
  /** @internal When it expires, as it was stored. */
  _expire?: number;
  [key: string]: any;

  /** @internal */
  constructor(contextSession: ContextSession, data: object | undefined, externalKey: string | undefined) {
    this.#contextSession = contextSession;
    this.#externalKey = externalKey;
    if (!data) {
      this.isNew = true;
      return;
    }
    const { options } = contextSession;
    // Not only own keys: an application may assign an object that inherits some.
    for (const key in data) {
      const value = (data as Record<string, any>)[key];
      if (key === "_maxAge") options.maxAge = value;
      else if (key === "_session") options.maxAge = "session";
      else if (key === "__proto__") continue;
      // Not an assignment: data under the name of a getter is passed over.
      else Reflect.set(this, key, value);
    }
  }

  /** The data: what is stored. */
  toJSON(): Record<string, any> {
    return dataOf(this);
  }

  [inspect.custom](): Record<string, any> {
    return dataOf(this);
  }

  /** How many values there are. */
  get length(): number {
    return Object.keys(dataOf(this)).length;
  }

  /** Whether there are any. */
  get populated(): boolean {
    return this.length > 0;
  }

  /** The lifetime of the session and its cookie, in milliseconds, or "session" for as long as the browser is open. */
  get maxAge(): number | "session" | undefined {
    return this.#contextSession.options.maxAge;
  }

  set maxAge(maxAge: number | "session" | undefined) {
    this.#contextSession.options.maxAge = maxAge;
    this._requireSave = true;
  }

  /** The key that the store has the session under. Undefined without a store. */
  get externalKey(): string | undefined {
    return this.#externalKey;
  }

  /** Stores the session now, even where it is empty or unchanged. */
  save(): Promise<void>;
  save(callback: Callback): void;
  save(callback?: Callback): Promise<void> | void {
    return answer(this.#contextSession.commit({ save: true }), callback);
  }

  /** Moves the session to a new key now, and ends the old one. */
  regenerate(): Promise<void>;
  regenerate(callback: Callback): void;
  regenerate(callback?: Callback): Promise<void> | void {
    return answer(this.#contextSession.commit({ regenerate: true }), callback);
  }

  /** Stores what changed and sets the cookie: where `autoCommit` is false, the application's to call. */
  manuallyCommit(): Promise<void> {
    return this.#contextSession.commit();
  }

  /** What the methods above are made of. */
  commit(options?: CommitOptions): Promise<void>;
  commit(callback: Callback): void;
  commit(options: CommitOptions | undefined, callback: Callback): void;
  commit(options?: CommitOptions | Callback, callback?: Callback): Promise<void> | void {
    if (typeof options === "function") return answer(this.#contextSession.commit(), options);
    return answer(this.#contextSession.commit(options), callback);
  }
}

/** The data of a session, without asking its method: data may have a key of that name. */
export function dataOf(session: Session): Record<string, any> {
  const data: Record<string, any> = {};
  for (const key in session) {
    if (key === "isNew" || key.startsWith("_")) continue;
    const value = session[key];
    if (typeof value !== "function") data[key] = value;
  }
  return data;
}

function answer(promise: Promise<void>, callback: Callback | undefined): Promise<void> | void {
  if (callback === undefined) return promise;
  promise.then(() => callback(), callback);
}
