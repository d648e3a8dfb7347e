import type { IncomingMessage } from "node:http";
import type { NextFunction, Request, RequestHandler, Response } from "express";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import { readForm } from "./form.js";
import type { OpenidConnect } from "./openid-connect.js";
import type { OidcRoutes } from "./options.js";

export interface ExpressOidcOptions {
  /** The paths of the login. Default: those of `openidConnect`. */
  routes?: OidcRoutes;
}

/** What `expressOidc` gives: middleware, and a guard for routes that need a user. */
export interface ExpressOidc extends RequestHandler {
  /** Lets only users pass: a page leads to the login and back, everything else gets 401. */
  requireLogin(): RequestHandler;
}

/** The routes of a login for Express 4 and 5. It comes after `expressSessions`. */
export function expressOidc(openid: OpenidConnect, { routes }: ExpressOidcOptions = {}): ExpressOidc {
  const oidc = routes === undefined ? openid : openid.withRoutes(routes);
  const handle = async (req: Request, res: Response, next: NextFunction) => {
    const answer = await oidc.handle(req.session, requestOf(req));
    if (answer === undefined) next();
    else send(res, answer);
  };
  const middleware: RequestHandler = (req, res, next) => {
    handle(req, res, next).catch(next);
  };
  return Object.assign(middleware, {
    requireLogin: (): RequestHandler => (req, res, next) => {
      const answer = oidc.requireLogin(req.session, requestOf(req));
      if (answer === undefined) next();
      else send(res, answer);
    },
  });
}

function requestOf(req: Request): OidcRequest {
  return {
    method: req.method,
    path: req.originalUrl,
    header: (name) => req.get(name),
    form: () => readForm(req as IncomingMessage, (req as { body?: unknown }).body),
  };
}

function send(res: Response, { status, headers, body }: OidcAnswer): void {
  res.status(status);
  for (const [name, value] of headers) {
    if (name === "Set-Cookie") res.append(name, value);
    else res.set(name, value);
  }
  res.end(body);
}
