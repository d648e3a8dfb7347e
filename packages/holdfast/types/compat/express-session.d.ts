/**
 * The types of `holdfast/compat/express-session`: those of `@types/express-session`, which has to be installed, so that an
 * application that is switched over keeps its own, `declare module "express-session" { interface SessionData { … } }`
 * included. Written by hand, for they put `session` on Express's request in their way, and `holdfast/express` in its own.
 */
import original from "express-session";
import type { ConnectStore } from "../../dist/compat/express-session/store.js";
import type { Store as HoldfastStore } from "../../dist/stores/contract.js";

declare module "express-session" {
  interface Session {
    /** Without a callback: a promise. */
    save(): Promise<void>;
    save(callback: (error: any) => void): this;
    reload(): Promise<void>;
    destroy(): Promise<void>;
    regenerate(): Promise<void>;
  }
}

declare function session(options?: session.SessionOptions): ReturnType<typeof original>;

declare namespace session {
  interface CookieOptions extends Omit<original.CookieOptions, "sameSite"> {
    sameSite?: original.CookieOptions["sameSite"] | "auto";
  }

  interface SessionOptions extends Omit<original.SessionOptions, "store" | "cookie"> {
    /** With a Holdfast store come its guarantees; see docs/migration/express-session.md. */
    store?: original.Store | ConnectStore | HoldfastStore | undefined;
    cookie?: CookieOptions | ((req: Parameters<ReturnType<typeof original>>[0]) => CookieOptions) | undefined;
  }

  export import SessionData = original.SessionData;
  export import Cookie = original.Cookie;
  export import Session = original.Session;
  export import Store = original.Store;
  export import MemoryStore = original.MemoryStore;
}

import Cookie = original.Cookie;
import MemoryStore = original.MemoryStore;
import Session = original.Session;
import Store = original.Store;

export { Cookie, MemoryStore, Session, Store, session as default, session as "module.exports" };
