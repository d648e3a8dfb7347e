import type { Context, MiddlewareHandler } from "hono";
import type { SessionEnv } from "../adapters/hono.js";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import type { OpenidConnect } from "./openid-connect.js";
import type { OidcRoutes } from "./options.js";

/** What `honoOidc` gives: middleware, and a guard for routes that need a user. */
export interface HonoOidc extends MiddlewareHandler<SessionEnv<any>> {
  /** Lets only users pass: a page leads to the login and back, everything else gets 401. */
  requireLogin(): MiddlewareHandler<SessionEnv<any>>;
}

/** The routes of a login for Hono. It comes after `honoSessions`. */
export function honoOidc(openid: OpenidConnect, { routes }: { routes?: OidcRoutes } = {}): HonoOidc {
  const oidc = routes === undefined ? openid : openid.withRoutes(routes);
  const middleware: MiddlewareHandler<SessionEnv<any>> = async (c, next) => {
    const answer = await oidc.handle(await c.var.openSession(), requestOf(c));
    return answer === undefined ? next() : responseOf(answer);
  };
  return Object.assign(middleware, {
    requireLogin: (): MiddlewareHandler<SessionEnv<any>> => async (c, next) => {
      const answer = oidc.requireLogin(await c.var.openSession(), requestOf(c));
      return answer === undefined ? next() : responseOf(answer);
    },
  });
}

function requestOf(c: Context): OidcRequest {
  const { pathname, search } = new URL(c.req.url);
  return {
    method: c.req.method,
    path: pathname + search,
    header: (name) => c.req.header(name),
    async form() {
      const type = c.req.header("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
      return new URLSearchParams(type === "application/x-www-form-urlencoded" ? await c.req.text() : "");
    },
  };
}

function responseOf({ status, headers, body }: OidcAnswer): Response {
  const response = new Response(body, { status });
  for (const [name, value] of headers) response.headers.append(name, value);
  return response;
}
