import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { HeldResponse, holdResponse } from "../../adapters/held-response.js";
import type { Store as HoldfastStore } from "../../stores/contract.js";
import { warn } from "../../warn.js";
import { toConnectStore } from "../connect-stores/to-connect-store.js";
import { ConnectExchange } from "./connect-exchange.js";
import { Cookie, type CookieOptions } from "./cookie.js";
import { deprecate } from "./deprecate.js";
import { MemoryStore } from "./memory.js";
import { type ConnectRequest, Session } from "./session.js";
import type { ConnectSecret } from "./signature.js";
import { type ConnectStore, Store } from "./store.js";

/** The options of express-session 1.19, and a Holdfast store where it takes a connect store. */
export interface SessionOptions {
  secret?: ConnectSecret | readonly ConnectSecret[];
  /** Default: `new MemoryStore()`. With a Holdfast store come its guarantees; see docs/migration/express-session.md. */
  store?: ConnectStore | HoldfastStore;
  cookie?: CookieOptions | ((req: ConnectRequest) => CookieOptions);
  genid?: (req: ConnectRequest) => string;
  /** Default: "connect.sid". */
  name?: string;
  /** An older word for `name`. */
  key?: string;
  proxy?: boolean;
  resave?: boolean;
  rolling?: boolean;
  saveUninitialized?: boolean;
  unset?: "destroy" | "keep";
}

type Next = (error?: unknown) => void;

/** What the middleware has worked out of its options. */
export interface Settings {
  readonly secrets: readonly ConnectSecret[] | undefined;
  readonly store: ConnectStore;
  readonly cookieOptions: (req: ConnectRequest) => CookieOptions;
  readonly name: string;
  readonly proxy: boolean | undefined;
  readonly resave: boolean;
  readonly rolling: boolean;
  readonly saveUninitialized: boolean;
  readonly unsetDestroys: boolean;
}

/** express-session's middleware on Holdfast's parts. @throws TypeError for bad options, as the original. */
function session(options: SessionOptions = {}) {
  const settings = settingsOf(options ?? {});
  const { store } = settings;
  const genid = options?.genid || (() => randomBytes(24).toString("base64url"));

  store.generate = (req) => {
    req.sessionID = genid(req);
    const created = new Session(req);
    req.session = created;
    const cookieOptions = settings.cookieOptions(req);
    created.cookie = new Cookie(cookieOptions);
    const secure = isSecure(req, settings.proxy);
    if (cookieOptions?.secure === "auto") created.cookie.secure = secure;
    if (cookieOptions?.sameSite === "auto") created.cookie.sameSite = secure ? "none" : "lax";
  };

  let ready = true;
  store.on("disconnect", () => {
    ready = false;
  });
  store.on("connect", () => {
    ready = true;
  });

  return function middleware(request: IncomingMessage, response: ServerResponse, next: Next): void {
    const req = request as ConnectRequest;
    if (req.session || !ready || !isUnder(settings.cookieOptions(req).path, req)) {
      next();
      return;
    }
    const secrets = settings.secrets ?? (req.secret ? [req.secret] : []);
    if (secrets.length === 0) {
      next(new Error("secret option required for sessions"));
      return;
    }
    const exchange = new ConnectExchange(settings, secrets, req, isSecure);
    exchange.open((error) => {
      if (error) {
        next(error);
        return;
      }
      holdResponse(response, new HeldResponse(response, exchange, next));
      next();
    });
  };
}

function settingsOf(options: SessionOptions): Settings {
  const { genid, secret, unset } = options;
  const cookie = options.cookie || {};
  const store = options.store || new MemoryStore();
  if (genid && typeof genid !== "function") throw new TypeError("genid option must be a function");
  if (options.resave === undefined) deprecate("undefined resave option; provide resave option");
  if (options.saveUninitialized === undefined)
    deprecate("undefined saveUninitialized option; provide saveUninitialized option");
  if (unset && unset !== "destroy" && unset !== "keep")
    throw new TypeError('unset option must be "destroy" or "keep"');
  if (Array.isArray(secret) && secret.length === 0)
    throw new TypeError("secret option array must contain one or more strings");
  if (!secret) deprecate("req.secret; provide secret option");
  if (store instanceof MemoryStore && process.env.NODE_ENV === "production") {
    warn(
      "HOLDFAST_MEMORY_STORE",
      "connect.session() MemoryStore is not designed for a production environment: sessions end with the process, nothing " +
        "bounds their number, and no other process sees them.",
    );
  }
  return {
    secrets: secret ? ((Array.isArray(secret) ? secret : [secret]) as ConnectSecret[]) : undefined,
    store: asConnectStore(store),
    cookieOptions: typeof cookie === "function" ? cookie : () => cookie,
    name: options.name || options.key || "connect.sid",
    proxy: options.proxy,
    resave: options.resave === undefined || Boolean(options.resave),
    rolling: Boolean(options.rolling),
    saveUninitialized: options.saveUninitialized === undefined || Boolean(options.saveUninitialized),
    unsetDestroys: unset === "destroy",
  };
}

function asConnectStore(store: ConnectStore | HoldfastStore): ConnectStore {
  if (typeof (store as ConnectStore).on === "function") return store as ConnectStore;
  if (typeof (store as HoldfastStore).load === "function") return toConnectStore(store as HoldfastStore);
  throw new TypeError("store option must be a store for express-session or a Holdfast store");
}

function isUnder(path: string | undefined, req: ConnectRequest): boolean {
  const url = req.originalUrl ?? req.url ?? "/";
  const [pathname = ""] = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "").split(/[?#]/, 1);
  return (pathname || "/").startsWith(path || "/");
}

function isSecure(req: ConnectRequest, proxy: boolean | undefined): boolean {
  // What comes in place of a request has no socket: a handshake of Socket.IO, say.
  if ((req.socket as { encrypted?: boolean } | undefined)?.encrypted) return true;
  if (proxy === false) return false;
  if (proxy !== true) return req.secure === true;
  const header = req.headers["x-forwarded-proto"] ?? "";
  return String(header).split(",", 1)[0]!.toLowerCase().trim() === "https";
}

const expressSession = Object.assign(session, { Store, Cookie, Session, MemoryStore });

// Under this name `require` finds what it is to answer with: a callable, as the original gives it.
export { Cookie, expressSession as default, expressSession as "module.exports", MemoryStore, Session, Store };
