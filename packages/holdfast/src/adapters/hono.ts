import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context, MiddlewareHandler } from "hono";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import type { ResponseHeaders } from "../engine/transport.js";
import { NodeRequest } from "./node-request.js";
import { type AdapterOptions, twoSessions } from "./options.js";
import { WebRequest } from "./web-request.js";

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

const bindings = new WeakMap<Context, SessionSource<any>>();

/**
 * Middleware for Hono: `c.var.session`, stored before the response's headers leave. A store that fails goes to `app.onError`,
 * as an error with `status` 503.
 */
export function honoSessions<Data extends object = DefaultData>(
  sessions: SessionSource<Data>,
  { skip, lazy = false }: AdapterOptions<Context> = {},
): MiddlewareHandler<SessionEnv<Data>> {
  return async (c, next) => {
    const bound = bindings.get(c);
    if (bound !== undefined && bound !== sessions) throw twoSessions("honoSessions");
    if (bound !== undefined || skip?.(c)) return next();
    bindings.set(c, sessions);

    const { incoming, outgoing } = (c.env ?? {}) as Partial<HttpBindings>;
    const request = incoming ? new NodeRequest(incoming) : new WebRequest(c.req.raw, remoteAddressOf(c));
    const exchange = lazy ? sessions.defer(request) : await sessions.open(request);
    c.set("openSession", async () => {
      c.set("session", await exchange.openSession());
      return exchange.session;
    });
    if (!lazy) c.set("session", exchange.session);
    await next();
    try {
      await exchange.commit();
    } catch (error) {
      dropResponse(c);
      exchange.writeHeaders(headersOf(c));
      throw error;
    }
    exchange.writeHeaders(headersOf(c));
    outgoing?.once("close", () => exchange.reportLateChanges());
  };
}

/** Leaves nothing of the handler's answer for the error page, with which Hono would join its headers. */
function dropResponse(c: Context): void {
  c.res = undefined;
  c.res = new Response(null);
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
