import type { Context, Middleware } from "koa";
import type {} from "../adapters/koa.js";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import { readForm } from "./form.js";
import type { LoginGuard, OpenidConnect } from "./openid-connect.js";
import type { OidcRoutes } from "./options.js";
import { isOwnPath } from "./own-paths.js";

export interface KoaOidcOptions {
  /** The paths of the login. Default: those of `openidConnect`. */
  routes?: OidcRoutes;
}

/** What `koaOidc` gives: middleware, and a guard for routes that need a user. */
export interface KoaOidc extends Middleware {
  /** Lets only users pass: a page leads to the login and back, everything else gets 401. */
  requireLogin(guard?: LoginGuard): Middleware;
}

/** The routes of a login for Koa 2 and 3. It comes after `koaSessions`. */
export function koaOidc(openid: OpenidConnect, { routes }: KoaOidcOptions = {}): KoaOidc {
  const oidc = routes === undefined ? openid : openid.withRoutes(routes);
  const middleware: Middleware = async (ctx, next) => {
    const request = requestOf(ctx);
    if (!isOwnPath(oidc.settings.routes, request.path)) return next();
    const answer = await oidc.handle(await ctx.openSession(), request);
    if (answer === undefined) return next();
    send(ctx, answer);
  };
  return Object.assign(middleware, {
    requireLogin:
      (guard?: LoginGuard): Middleware =>
      async (ctx, next) => {
        const answer = oidc.requireLogin(await ctx.openSession(), requestOf(ctx), guard);
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
  // First, for it sets headers of its own.
  ctx.body = body;
  for (const [name, value] of headers) {
    if (name === "Set-Cookie") ctx.append(name, value);
    else ctx.set(name, value);
  }
}
