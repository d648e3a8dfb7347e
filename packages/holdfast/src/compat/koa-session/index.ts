import type Application from "koa";
import type { Context, Middleware } from "koa";
import { ConfigurationError } from "../../errors.js";
import { ContextSession } from "./context-session.js";
import { HeldSession, heldRecords } from "./held-session.js";
import {
  type CreateSessionOptions,
  completeOptions,
  isHoldfastStore,
  type SessionOptions,
} from "./options.js";
import type { Session } from "./session.js";

type AnyApplication = Application<any, any>;

/** Under it each context finds its session; the first middleware of an application decides what that is. */
const CONTEXT_SESSION = Symbol("the session of a context");
/** Where the context keeps it. */
const OPENED = Symbol("the session that a context has");

interface SessionContext extends Context {
  readonly [CONTEXT_SESSION]: ContextSession;
  [OPENED]?: ContextSession;
}

/**
 * koa-session's middleware on Holdfast's parts; see docs/migration/koa-session.md. Signed by `app.keys`.
 * @throws TypeError without an application, ConfigurationError for a bad option.
 */
function session(options: CreateSessionOptions | null | undefined, app: AnyApplication): Middleware;
function session(app: AnyApplication, options?: CreateSessionOptions | null): Middleware;
function session(first: unknown, second?: unknown): Middleware {
  const [app, given] = isApplication(first) ? [first, second] : [second, first];
  if (!isApplication(app)) throw new TypeError("session(options, app): expected a Koa application");
  if (typeof (given ?? {}) !== "object") throw new ConfigurationError("options", "expected an object");
  const options = completeOptions((given ?? {}) as CreateSessionOptions);
  if (!Object.hasOwn(app.context, CONTEXT_SESSION)) extendContext(app.context, options);

  return async function session(ctx, next) {
    const contextSession = (ctx as unknown as SessionContext)[CONTEXT_SESSION];
    await contextSession.open();
    try {
      await next();
    } finally {
      if (options.autoCommit) await contextSession.commit();
    }
  };
}

/** All contexts of an application have a prototype of its own: `ctx.session` goes there. */
function extendContext(context: object, options: SessionOptions): void {
  const storeFor = storesOf(options);
  const properties: PropertyDescriptorMap & ThisType<SessionContext> = {
    [CONTEXT_SESSION]: {
      get() {
        // The prototype is no request: a session of its own would be everybody's.
        if (this === context) return undefined;
        this[OPENED] ??= new ContextSession(this, options, storeFor(this));
        return this[OPENED];
      },
    },
    session: {
      configurable: true,
      get() {
        return this[CONTEXT_SESSION]?.get();
      },
      set(value) {
        this[CONTEXT_SESSION].set(value);
      },
    },
    sessionOptions: {
      get() {
        return this[CONTEXT_SESSION]?.options;
      },
    },
  };
  Object.defineProperties(context, properties);
}

/** Gives each request its store, if it has one. */
function storesOf(
  options: SessionOptions,
): (ctx: Context) => ConstructorParameters<typeof ContextSession>[2] {
  const { ContextStore, externalKey, store, userId } = options;
  if (ContextStore !== undefined) return (ctx) => new ContextStore(ctx);
  if (!isHoldfastStore(store)) return () => store;
  const records = heldRecords(store, userId);
  return () => new HeldSession(records, externalKey === undefined);
}

function isApplication(value: any): value is AnyApplication {
  return typeof value?.use === "function";
}

const koaSession = Object.assign(session, { default: session, createSession: session });

export type { CreateSessionOptions, SessionOptions, SessionStore } from "./options.js";
export type { Session };
// Under this name `require` finds what it is to answer with: a callable, and the names that version 7 gives.
export { koaSession as default, koaSession as "module.exports", session as createSession };
