import { EventEmitter } from "node:events";
import { Cookie, type CookieOptions } from "./cookie.js";
import { type Callback, type ConnectRequest, Session } from "./session.js";

/** What a store keeps for one session id: the data and, under `cookie`, its attributes, as JSON brings them back. */
export interface StoredData {
  cookie: CookieOptions & { expires?: any };
  [key: string]: any;
}

/** The methods that stores for express-session implement, and those that they inherit. */
export interface ConnectStore extends EventEmitter {
  // Data is `any`, for applications have a type of their own for it.
  get(sid: string, callback: (error: any, session?: any) => void): void;
  set(sid: string, session: any, callback?: Callback): void;
  destroy(sid: string, callback?: Callback): void;
  touch?(sid: string, session: any, callback?: Callback): void;
  all?(callback: (error: any, sessions?: any) => void): void;
  length?(callback: (error: any, length?: number) => void): void;
  clear?(callback?: Callback): void;
  /** Given by the middleware: begins a new session on the request. */
  // Loose, for each framework has a type of its own for what is given here.
  generate(req: any): void;
  regenerate(req: any, callback: (error?: any) => any): void;
  load(sid: string, callback: (error?: any, session?: any) => any): void;
  createSession(req: any, data: any): any;
}

/**
 * `session.Store`, which stores extend. Not a class, for older ones inherit by `Store.call(this)`.
 */
export const Store = function Store(this: EventEmitter): void {
  EventEmitter.call(this);
} as unknown as (new () => ConnectStore) & ((this: EventEmitter, options?: unknown) => void);

Object.setPrototypeOf(Store.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Store, EventEmitter);

Object.assign(Store.prototype, {
  regenerate(this: ConnectStore, req: ConnectRequest, callback: Callback) {
    this.destroy(req.sessionID!, (error) => {
      try {
        this.generate(req);
      } catch (thrown) {
        // Nobody stands behind a store's callback to catch it.
        return callback(error || thrown);
      }
      callback(error);
    });
  },

  load(this: ConnectStore, sid: string, callback: (error?: any, session?: Session) => void) {
    this.get(sid, (error, data) => {
      if (error) return callback(error);
      if (!data) return callback();
      callback(null, this.createSession({ sessionID: sid, sessionStore: this }, data));
    });
  },

  createSession(this: ConnectStore, req: ConnectRequest, data: StoredData): Session {
    const { expires, originalMaxAge } = data.cookie;
    const cookie = new Cookie(data.cookie);
    if (typeof expires === "string") cookie.expires = new Date(expires);
    cookie.originalMaxAge = originalMaxAge as number | null;
    data.cookie = cookie;
    req.session = new Session(req, data);
    return req.session;
  },
});
