import type { Context, Middleware } from "koa";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import { readForm } from "./form.js";
import type { OpenidConnect } from "./openid-connect.js";
import type { OidcRoutes } from "./options.js";

/** What `koaOidc` gives: middleware, and a guard for routes that need a user. */
export interface KoaOidc extends Middleware {
  /** Lets only users pass: a page leads to the login and back, everything else gets 401. */
  requireLogin(): Middleware;
}

/** The routes of a login for Koa 2 and 3. It comes after `koaSessions`. */
export function koaOidc(openid: OpenidConnect, { routes }: { routes?: OidcRoutes } = {}): KoaOidc {
  const oidc = routes === undefined ? openid : openid.withRoutes(routes);
  const middleware: Middleware = async (ctx, next) => {
    const answer = await oidc.handle(ctx.session, requestOf(ctx));
    if (answer === undefined) return next();
    send(ctx, answer);
  };
  return Object.assign(middleware, {
    requireLogin: (): Middleware => async (ctx, next) => {
      const answer = oidc.requireLogin(ctx.session, requestOf(ctx));
      if (answer === undefined) return next();
      send(ctx, answer);
    },
  });
}

function requestOf(ctx: Context): OidcRequest {
  return {
    method: ctx.method,
    path: ctx.originalUrl,
    header: (name) => ctx.get(name) || undefined,
    form: () => readForm(ctx.req, (ctx.request as { body?: unknown }).body),
  };
}

function send(ctx: Context, { status, headers, body }: OidcAnswer): void {
  ctx.status = status;
  for (const [name, value] of headers) {
    if (name === "Set-Cookie") ctx.append(name, value);
    else ctx.set(name, value);
  }
  ctx.body = body;
}
