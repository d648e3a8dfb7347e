import type { Context, MiddlewareHandler } from "hono";
import type { SessionEnv } from "../adapters/hono.js";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import { fromParsed, MAX_FORM } from "./form.js";
import type { LoginGuard, OpenidConnect } from "./openid-connect.js";
import type { OidcRoutes } from "./options.js";
import { isOwnPath } from "./own-paths.js";

export interface HonoOidcOptions {
  /** The paths of the login. Default: those of `openidConnect`. */
  routes?: OidcRoutes;
}

/** What `honoOidc` gives: middleware, and a guard for routes that need a user. Neither changes the type of the session. */
export interface HonoOidc extends MiddlewareHandler {
  /** Lets only users pass: a page leads to the login and back, everything else gets 401. */
  requireLogin(guard?: LoginGuard): MiddlewareHandler;
}

/** The routes of a login for Hono. It comes after `honoSessions`. */
export function honoOidc(openid: OpenidConnect, { routes }: HonoOidcOptions = {}): HonoOidc {
  const oidc = routes === undefined ? openid : openid.withRoutes(routes);
  const middleware: MiddlewareHandler<SessionEnv<any>> = async (c, next) => {
    const request = requestOf(c);
    if (!isOwnPath(oidc.settings.routes, request.path)) return next();
    const answer = await oidc.handle(await c.var.openSession(), request);
    return answer === undefined ? next() : responseOf(answer);
  };
  return Object.assign(middleware, {
    requireLogin:
      (guard?: LoginGuard): MiddlewareHandler<SessionEnv<any>> =>
      async (c, next) => {
        const answer = oidc.requireLogin(await c.var.openSession(), requestOf(c), guard);
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
    form: () => formOf(c),
  };
}

async function formOf({ req }: Context): Promise<URLSearchParams> {
  const type = req.header("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return new URLSearchParams();
  // Somebody has read it already.
  if (Object.keys(req.bodyCache).length > 0) return fromParsed(await req.parseBody({ all: true }));
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of req.raw.body ?? []) {
    size += chunk.length;
    if (size > MAX_FORM) return new URLSearchParams();
    text += decoder.decode(chunk, { stream: true });
  }
  return new URLSearchParams(text);
}

function responseOf({ status, headers, body }: OidcAnswer): Response {
  return new Response(body, { status, headers: headers.map(([name, value]) => [name, value]) });
}
