import type { NextFunction, Request, RequestHandler, Response } from "express";
import type {} from "../adapters/express.js";
import { requestOf, send } from "./express-exchange.js";
import type { LoginGuard, OpenidConnect } from "./openid-connect.js";
import type { OidcRoutes } from "./options.js";
import { isOwnPath } from "./own-paths.js";

export interface ExpressOidcOptions {
  /** The paths of the login. Default: those of `openidConnect`. */
  routes?: OidcRoutes;
}

/** What `expressOidc` gives: middleware, and a guard for routes that need a user. */
export interface ExpressOidc extends RequestHandler {
  /** Lets only users pass: a page leads to the login and back, everything else gets 401. */
  requireLogin(guard?: LoginGuard): RequestHandler;
}

/** The routes of a login for Express 4 and 5. It comes after `expressSessions`. */
export function expressOidc(openid: OpenidConnect, { routes }: ExpressOidcOptions = {}): ExpressOidc {
  const oidc = routes === undefined ? openid : openid.withRoutes(routes);
  const handle = async (req: Request, res: Response, next: NextFunction) => {
    const request = requestOf(req);
    if (!isOwnPath(oidc.settings.routes, request.path)) return next();
    const answer = await oidc.handle(await req.openSession(), request);
    if (answer === undefined) next();
    else send(res, answer);
  };
  const check = async (req: Request, res: Response, next: NextFunction, guard?: LoginGuard) => {
    const answer = oidc.requireLogin(await req.openSession(), requestOf(req), guard);
    if (answer === undefined) next();
    else send(res, answer);
  };
  const middleware: RequestHandler = (req, res, next) => {
    handle(req, res, next).catch(next);
  };
  return Object.assign(middleware, {
    requireLogin:
      (guard?: LoginGuard): RequestHandler =>
      (req, res, next) => {
        check(req, res, next, guard).catch(next);
      },
  });
}
