import type { IncomingMessage } from "node:http";
import type { Cookie } from "./cookie.js";
import type { ConnectStore } from "./store.js";

/** A request as express-session's middleware leaves it. */
export interface ConnectRequest extends IncomingMessage {
  session?: Session | null | undefined;
  sessionID?: string;
  sessionStore: ConnectStore;
  /** What Express and cookie-parser add. */
  originalUrl?: string;
  secure?: boolean;
  secret?: string;
  cookies?: Record<string, unknown>;
  signedCookies?: Record<string, unknown>;
}

export type Callback = (error?: unknown) => void;

/** What was last saved on a request: the middleware asks, so as not to save it twice. */
export const savedTexts = new WeakMap<object, string>();

/** Called by a store that has merged what others wrote into the session that it saves. */
export function noteMerged(session: { [key: string]: any }, text: string): void {
  const { req } = session;
  if (req !== undefined && savedTexts.has(req)) savedTexts.set(req, text);
}

/**
 * `req.session`: its own properties are the data. Every method takes a callback, as in the original; without one it also
 * answers with a promise.
 */
export class Session {
  declare readonly req: ConnectRequest;
  declare readonly id: string;
  declare cookie: Cookie;
  [key: string]: any;

  constructor(req: ConnectRequest, data?: object | null) {
    Object.defineProperty(this, "req", { value: req });
    Object.defineProperty(this, "id", { value: req.sessionID });
    if (typeof data !== "object" || data === null) return;
    // Inherited ones too, as in the original: a store may answer with an object of a class of its own.
    for (const key in data) if (!(key in this)) this[key] = (data as Record<string, unknown>)[key];
  }
}

/** The data as text, without the cookie: what changes are found by. */
export function textOf(session: object): string {
  return JSON.stringify(session, function (this: unknown, key: string, value: unknown) {
    return this === session && key === "cookie" ? undefined : value;
  });
}

const methods: Record<string, (this: Session, callback?: Callback) => unknown> = {
  touch() {
    return this.resetMaxAge();
  },

  resetMaxAge() {
    this.cookie.maxAge = this.cookie.originalMaxAge;
    return this;
  },

  save(callback) {
    savedTexts.set(this.req, textOf(this));
    return answer(this, callback, (done) => this.req.sessionStore.set(this.id, this, done));
  },

  reload(callback) {
    const { req, id } = this;
    return answer(this, callback, (done) =>
      req.sessionStore.get(id, (error, data) => {
        if (error) return done(error);
        if (!data) return done(new Error("failed to load session"));
        try {
          req.sessionStore.createSession(req, data);
        } catch (thrown) {
          return done(thrown);
        }
        done();
      }),
    );
  },

  destroy(callback) {
    const { req, id } = this;
    delete req.session;
    return answer(this, callback, (done) => req.sessionStore.destroy(id, done));
  },

  regenerate(callback) {
    return answer(this, callback, (done) => this.req.sessionStore.regenerate(this.req, done));
  },
};

// Not enumerable: the own and inherited properties of a session that show are its data.
for (const [name, value] of Object.entries(methods)) {
  Object.defineProperty(Session.prototype, name, { configurable: true, writable: true, value });
}

/** With a callback the session itself, as the original has it; without one a promise, which nobody has to look after. */
function answer(
  session: Session,
  callback: Callback | undefined,
  run: (done: Callback) => void,
): Session | Promise<void> {
  if (typeof callback === "function") {
    run(callback);
    return session;
  }
  const promise = new Promise<void>((resolve, reject) => {
    run((error) => (error ? reject(error) : resolve()));
  });
  promise.catch(() => {});
  return promise;
}
