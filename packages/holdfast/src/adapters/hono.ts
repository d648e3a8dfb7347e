import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context, MiddlewareHandler } from "hono";
import type { Duration } from "../duration.js";
import type { ElevationNeeds } from "../engine/authentication.js";
import type { Exchange } from "../engine/exchange.js";
import type { SessionRequest } from "../engine/request.js";
import { type DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import type { ResponseHeaders } from "../engine/transport.js";
import { HoldfastError } from "../errors.js";
import { answerError } from "./answer-error.js";
import { bind, bindingTo } from "./binding.js";
import { describesAnswer, HeldResponse, holdResponse } from "./held-response.js";
import { NodeRequest } from "./node-request.js";
import type { AdapterOptions } from "./options.js";
import {
  elevationCheck,
  recentLoginCheck,
  type StepUpCheck,
  type StepUpOptions,
  stepUpLocation,
} from "./step-up.js";
import { WebRequest } from "./web-request.js";

export type { StepUpOptions } from "./step-up.js";

/** What `honoSessions` puts into a context: `new Hono<SessionEnv>()`, and then `c.var.session` is typed. */
export interface SessionEnv<Data extends object = DefaultData> {
  Variables: {
    /** The session of this request. */
    session: Session<Data>;
    /** The same, found in the store if need be: what the option `lazy` leaves to the handler. */
    openSession: () => Promise<Session<Data>>;
  };
}

/** What @hono/node-server puts into `c.env`. */
interface HttpBindings {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
}

/**
 * Middleware for Hono: `c.var.session`, stored before the response's headers leave. A store that fails goes to `app.onError`,
 * as an error with `status` 503, and is answered with that where the application has none.
 */
export function honoSessions<Data extends object = DefaultData>(
  sessions: SessionSource<Data>,
  { skip, lazy = false }: AdapterOptions<Context> = {},
): MiddlewareHandler<SessionEnv<Data>> {
  return async (c, next) => {
    const { incoming, outgoing } = (c.env ?? {}) as Partial<HttpBindings>;
    const key = incoming ?? c.req.raw;
    const bound = bindingTo(sessions, key, "honoSessions");
    if (bound !== undefined) {
      if (c.get("openSession") === undefined) await expose(c, bound.exchange, lazy);
      return next();
    }
    if (skip?.(c)) {
      sessions.skipped?.(requestOf(c, incoming));
      return next();
    }
    const exchange = sessions.defer(requestOf(c, incoming));
    await expose(c, exchange, lazy);
    const held = outgoing && hold(outgoing, exchange);
    bind(key, { sessions, exchange, held });
    await next();
    try {
      await (held ?? exchange).commit();
    } catch (error) {
      dropAnswer(c, error);
      throw error;
    } finally {
      if (!held) exchange.writeHeaders(headersOf(c));
    }
  };
}

function requestOf(c: Context, incoming: IncomingMessage | undefined): SessionRequest {
  return incoming ? new NodeRequest(incoming) : new WebRequest(c.req.raw, remoteAddressOf(c));
}

/**
 * Lets only those pass who have logged in, or been elevated, within this time (OWASP ASVS 5.0, 7.5.1): others get 401, or, with
 * `redirectTo`, are led there. It comes after `honoSessions`.
 * @throws ConfigurationError
 */
export function requireRecentLogin(
  within: Duration,
  options: StepUpOptions = {},
): MiddlewareHandler<SessionEnv<any>> {
  return guard(recentLoginCheck(within, options), options);
}

/**
 * Lets only those pass who have proved as much as this; without needs, whose session is elevated (OWASP ASVS 5.0, 7.5.3): others get
 * 401, or, with `redirectTo`, are led there. It comes after `honoSessions`.
 * @throws ConfigurationError
 */
export function requireElevation(
  needs: ElevationNeeds = {},
  options: StepUpOptions = {},
): MiddlewareHandler<SessionEnv<any>> {
  return guard(elevationCheck(needs, options), options);
}

function guard(check: StepUpCheck, options: StepUpOptions): MiddlewareHandler<SessionEnv<any>> {
  return async (c, next) => {
    const session = await c.var.openSession();
    const { pathname, search } = new URL(c.req.url);
    const request = {
      method: c.req.method,
      target: pathname + search,
      header: (name: string) => c.req.header(name),
    };
    const location = stepUpLocation(session, request, check, options);
    if (location === undefined) return next();
    c.header("Cache-Control", "no-store");
    return c.redirect(location, 303);
  };
}

async function expose(c: Context, exchange: Exchange<any>, lazy: boolean): Promise<void> {
  c.set("session", new Proxy(exchange, sessionWhenUsed));
  c.set("openSession", () => exchange.openSession());
  if (!lazy) await exchange.open();
}

/**
 * A variable of a context can't be a getter. This is the session from when it is first used: an answer for which nobody has
 * looked at it isn't marked as one that depends on it, and one that isn't open yet says so.
 */
const sessionWhenUsed: ProxyHandler<Exchange<any>> = {
  get({ session }, name) {
    const value = Reflect.get(session, name, session);
    return typeof value === "function" ? value.bind(session) : value;
  },
  set: ({ session }, name, value) => Reflect.set(session, name, value),
  getPrototypeOf: () => Session.prototype,
};

/** On Node the headers join the answer when it leaves: so does what is sent by `c.env.outgoing` wait for the session. */
function hold(outgoing: ServerResponse, exchange: Exchange<any>): HeldResponse {
  const held = new HeldResponse(outgoing, exchange, (error) => answerError(outgoing, error));
  holdResponse(outgoing, held);
  return held;
}

/** Leaves nothing of the handler's answer for the error page, with which Hono would join its headers. */
function dropAnswer(c: Context, error: unknown): void {
  const headers = new Headers(c.res.headers);
  for (const name of [...headers.keys()]) if (describesAnswer(name)) headers.delete(name);
  c.res.body?.cancel().catch(() => {});
  c.res = undefined;
  c.res = new Response(null, { headers });
  c.status(error instanceof HoldfastError ? (error.status as 503) : 500);
}

function headersOf(c: Context): ResponseHeaders {
  return {
    get: (name) => c.res.headers.get(name) ?? undefined,
    set: (name, value) => c.header(name, value),
    append: (name, value) => c.header(name, value, { append: true }),
  };
}

/** As Bun and Deno tell it. */
function remoteAddressOf({ env, req }: Context): string | undefined {
  const server = env?.server ?? env;
  if (typeof server?.requestIP === "function") return server.requestIP(req.raw)?.address;
  return env?.remoteAddr?.hostname;
}
