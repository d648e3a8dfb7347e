import type { Context, Middleware } from "koa";
import type { Duration } from "../duration.js";
import type { ElevationNeeds } from "../engine/authentication.js";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { bind, bindingTo, openSessionOf, sessionProperties } from "./binding.js";
import { HeldResponse, holdResponse } from "./held-response.js";
import { NodeRequest } from "./node-request.js";
import type { AdapterOptions } from "./options.js";
import {
  elevationCheck,
  recentLoginCheck,
  type StepUpCheck,
  type StepUpOptions,
  stepUpLocation,
} from "./step-up.js";

export type { StepUpOptions } from "./step-up.js";

declare module "koa" {
  interface ExtendableContext {
    /** The session of this request. Type its data by augmenting `SessionData` of "holdfast". */
    readonly session: Session<DefaultData>;
    /** The same, found in the store if need be: what the option `lazy` leaves to the handler. */
    openSession(): Promise<Session<DefaultData>>;
  }
}

/**
 * Middleware for Koa 2 and 3: `ctx.session`, stored when the middleware after it has finished, before the response's headers
 * leave. A store that fails is thrown to the middleware before it, and else answered by Koa with 503.
 */
export function koaSessions<Data extends object>(
  sessions: SessionSource<Data>,
  { skip, lazy = false }: AdapterOptions<Context> = {},
): Middleware {
  return async (ctx, next) => {
    installOn(ctx.app.context);
    if (bindingTo(sessions, ctx.req, "koaSessions") !== undefined) return next();
    if (skip?.(ctx)) {
      sessions.skipped?.(new KoaRequest(ctx));
      return next();
    }
    const request = new KoaRequest(ctx);
    const exchange = lazy ? sessions.defer(request) : await sessions.open(request);
    const held = new HeldResponse(ctx.res, exchange, (error) => ctx.onerror(error as Error));
    bind(ctx.req, { sessions, exchange, held });
    holdResponse(ctx.res, held);
    try {
      await next();
    } finally {
      // With `ctx.respond = false` the handler answers by itself, maybe later: its first byte is what stores the session.
      if (ctx.respond !== false) await held.commit();
    }
  };
}

/**
 * Lets only those pass who have logged in, or been elevated, within this time (OWASP ASVS 5.0, 7.5.1): others get 401, or, with
 * `redirectTo`, are led there. It comes after `koaSessions`.
 * @throws ConfigurationError
 */
export function requireRecentLogin(within: Duration, options: StepUpOptions = {}): Middleware {
  return guard(recentLoginCheck(within, options), options);
}

/**
 * Lets only those pass who have proved as much as this; without needs, whose session is elevated (OWASP ASVS 5.0, 7.5.3): others get
 * 401, or, with `redirectTo`, are led there. It comes after `koaSessions`.
 * @throws ConfigurationError
 */
export function requireElevation(needs: ElevationNeeds = {}, options: StepUpOptions = {}): Middleware {
  return guard(elevationCheck(needs, options), options);
}

function guard(check: StepUpCheck, options: StepUpOptions): Middleware {
  return async (ctx, next) => {
    const session = await openSessionOf(ctx.req);
    const request = { method: ctx.method, target: ctx.originalUrl, header: (name: string) => ctx.get(name) };
    const location = stepUpLocation(session, request, check, options);
    if (location === undefined) return next();
    ctx.set("Cache-Control", "no-store");
    ctx.redirect(location);
    ctx.status = 303;
  };
}

class KoaRequest extends NodeRequest {
  readonly #ctx: Context;

  constructor(ctx: Context) {
    super(ctx.req);
    this.#ctx = ctx;
  }

  /** Koa knows whether to believe its proxy (`app.proxy`). */
  override get encrypted(): boolean {
    return this.#ctx.secure;
  }

  get clientAddress(): string | undefined {
    return this.#ctx.ip;
  }
}

const installed = new WeakSet<object>();

/** All contexts of an application have a prototype of its own: `ctx.session` goes there, once. */
function installOn(context: object): void {
  if (installed.has(context)) return;
  installed.add(context);
  Object.defineProperties(
    context,
    sessionProperties("ctx", (ctx: Context) => ctx.req),
  );
}
