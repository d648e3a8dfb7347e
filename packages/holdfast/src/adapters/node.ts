import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Exchange } from "../engine/exchange.js";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { answerError } from "./answer-error.js";
import { bind, bindingOf, bindingTo, openSessionOf } from "./binding.js";
import { HeldResponse, holdResponse } from "./held-response.js";
import { NodeRequest } from "./node-request.js";
import type { AdapterOptions } from "./options.js";

export { type UpgradeOptions, upgradeSession } from "./upgrade.js";

type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/** What `nodeSessions` adds to a request. */
export interface WithSession<Data extends object = DefaultData> {
  /** The session of this request. */
  readonly session: Session<Data>;
  /** The same, found in the store if need be: what the option `lazy` leaves to the handler. */
  openSession(): Promise<Session<Data>>;
}

/** A handler of requests that have a session. What it rejects with, or throws, is answered as an error. */
export type SessionHandler<Data extends object, Req extends AnyRequest, Res extends AnyResponse> = (
  request: Req & WithSession<Data>,
  response: Res,
) => unknown;

/** Middleware as Connect has it: also a function that wraps a handler of `http.createServer` or `http2.createServer`. */
export interface NodeSessions<Data extends object> {
  (request: AnyRequest, response: AnyResponse, next: (error?: unknown) => void): void;
  /** A listener for `createServer` that opens the session, runs the handler, and answers errors with their status alone. */
  handler<Req extends AnyRequest = IncomingMessage, Res extends AnyResponse = ServerResponse>(
    handle: SessionHandler<Data, Req, Res>,
  ): (request: Req, response: Res) => void;
}

/**
 * Sessions for `node:http` and the compatibility API of `node:http2`, by themselves or as middleware of Connect and the
 * frameworks like it: `request.session`, stored before the response's headers leave.
 */
export function nodeSessions<Data extends object>(
  sessions: SessionSource<Data>,
  { skip, lazy = false }: AdapterOptions<AnyRequest> = {},
): NodeSessions<Data> {
  const middleware = (request: AnyRequest, response: AnyResponse, next: (error?: unknown) => void): void => {
    try {
      if (bindingTo(sessions, request, "nodeSessions") !== undefined) {
        next();
        return;
      }
      if (skip?.(request)) {
        sessions.skipped?.(new NodeRequest(request as IncomingMessage));
        next();
        return;
      }
      const begin = (exchange: Exchange<Data>) => {
        const held = new HeldResponse(response as ServerResponse, exchange, next);
        bind(request, { sessions, exchange, held });
        Object.defineProperties(request, sessionProperties);
        holdResponse(response as ServerResponse, held);
        next();
      };
      const opening = new NodeRequest(request as IncomingMessage);
      const opened = lazy ? sessions.defer(opening) : sessions.open(opening);
      if (opened instanceof Promise) opened.then(begin, next);
      else begin(opened);
    } catch (error) {
      next(error);
    }
  };
  return Object.assign(middleware, {
    handler:
      <Req extends AnyRequest, Res extends AnyResponse>(handle: SessionHandler<Data, Req, Res>) =>
      (request: Req, response: Res): void => {
        middleware(request, response, async (failure?: unknown) => {
          try {
            if (failure !== undefined) throw failure;
            await handle(request as Req & WithSession<Data>, response);
          } catch (error) {
            answerError(response as ServerResponse, error, bindingOf(request)?.held);
          }
        });
      },
  });
}

const sessionProperties: PropertyDescriptorMap & ThisType<AnyRequest> = {
  session: {
    configurable: true,
    enumerable: true,
    get() {
      return bindingOf(this)?.exchange.session;
    },
  },
  openSession: {
    configurable: true,
    writable: true,
    async value(this: AnyRequest) {
      return openSessionOf(this);
    },
  },
};
