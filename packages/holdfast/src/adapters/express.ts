import type { ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { Request, RequestHandler, Response } from "express";
import type { Duration } from "../duration.js";
import type { ElevationNeeds } from "../engine/authentication.js";
import type { Exchange } from "../engine/exchange.js";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { ConfigurationError } from "../errors.js";
import { bind, bindingOf, bindingTo, openSessionOf, sessionProperties } from "./binding.js";
import { HeldResponse, holdResponses, isWrapped } from "./held-response.js";
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

declare global {
  namespace Express {
    interface Request {
      /** The session of this request. Type its data by augmenting `SessionData` of "holdfast". */
      readonly session: Session<DefaultData>;
      /** The same, found in the store if need be: what the option `lazy` leaves to the handler. */
      openSession(): Promise<Session<DefaultData>>;
    }
  }
}

/**
 * Middleware for Express 4 and 5: `req.session`, stored before the response's headers leave. A store that fails goes to
 * `next(error)`, whose `status` is 503.
 */
export function expressSessions<Data extends object>(
  sessions: SessionSource<Data>,
  { skip, lazy = false }: AdapterOptions<Request> = {},
): RequestHandler {
  installOnInstalledExpress();
  return (req, res, next) => {
    try {
      if (skip?.(req)) {
        sessions.skipped?.(new ExpressRequest(req));
        return next();
      }
      installOnCopyOf(req, res);
      if (bindingTo(sessions, req, "expressSessions") !== undefined) return next();
      const begin = (exchange: Exchange<Data>) => {
        bind(req, { sessions, exchange, held: new HeldResponse(res, exchange, next) });
        next();
      };
      const request = new ExpressRequest(req);
      const opened = lazy ? sessions.defer(request) : sessions.open(request);
      if (opened instanceof Promise) opened.then(begin, next);
      else begin(opened);
    } catch (error) {
      next(error);
    }
  };
}

/**
 * Lets only those pass who have logged in, or been elevated, within this time (OWASP ASVS 5.0, 7.5.1): others get 401, or, with
 * `redirectTo`, are led there. It comes after `expressSessions`.
 * @throws ConfigurationError
 */
export function requireRecentLogin(within: Duration, options: StepUpOptions = {}): RequestHandler {
  return guard(recentLoginCheck(within, options), options);
}

/**
 * Lets only those pass who have proved as much as this; without needs, whose session is elevated (OWASP ASVS 5.0, 7.5.3): others get
 * 401, or, with `redirectTo`, are led there. It comes after `expressSessions`.
 * @throws ConfigurationError
 */
export function requireElevation(needs: ElevationNeeds = {}, options: StepUpOptions = {}): RequestHandler {
  return guard(elevationCheck(needs, options), options);
}

function guard(check: StepUpCheck, options: StepUpOptions): RequestHandler {
  return (req, res, next) => {
    openSessionOf(req)
      .then((session) => {
        const request = {
          method: req.method,
          target: req.originalUrl,
          header: (name: string) => req.get(name),
        };
        const location = stepUpLocation(session, request, check, options);
        if (location === undefined) return next();
        res.set("Cache-Control", "no-store");
        res.redirect(303, location);
      })
      .catch(next);
  };
}

class ExpressRequest extends NodeRequest<Request> {
  /** Express knows which proxies it trusts. */
  override get encrypted(): boolean {
    return this.request.secure;
  }

  get clientAddress(): string | undefined {
    return this.request.ip;
  }
}

const heldBy = (response: ServerResponse) => bindingOf(response.req)?.held;

/** Prototypes of responses that have the holding methods. */
const installed = new WeakSet<object>();

/**
 * Express gives all requests and responses a prototype of its own. `req.session` and the holding methods go there, once:
 * own properties on each request would cost more than all the rest (DESIGN part 8). A request without a session, of this
 * application or another, works as if they were not there.
 */
function install(requests: object, responses: object): void {
  if (installed.has(responses)) return;
  installed.add(responses);
  holdResponses(responses as ServerResponse, heldBy);
  Object.defineProperties(
    requests,
    sessionProperties("req", (request) => request),
  );
}

/** Before the first request comes, so that middleware which wraps the response's methods wraps the holding ones. */
function installOnInstalledExpress(): void {
  let express: { request: object; response: object };
  try {
    express = createRequire(import.meta.url)("express");
  } catch {
    return; // The application has a copy of its own, which its first request will show.
  }
  install(express.request, express.response);
}

function installOnCopyOf(req: Request, res: Response): void {
  const direct = Object.getPrototypeOf(res);
  if (installed.has(direct)) return;
  const responses = expressPrototype(res, "sendStatus");
  if (!installed.has(responses)) {
    install(expressPrototype(req, "acceptsEncodings"), responses);
    // What a middleware before us has wrapped on this response are Node's own methods still.
    if (isWrapped(res)) holdResponses(res, heldBy, true);
  }
  installed.add(direct);
}

/** The prototype that all applications of this copy of Express share: the one with a method that only Express has. */
function expressPrototype(object: object, method: string): object {
  for (let p = Object.getPrototypeOf(object); p !== null; p = Object.getPrototypeOf(p)) {
    if (Object.hasOwn(p, method)) return p;
  }
  throw new ConfigurationError("expressSessions", "the request does not come from Express");
}
