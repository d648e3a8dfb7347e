import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import type { Duration } from "../duration.js";
import type { ElevationNeeds } from "../engine/authentication.js";
import type { Exchange } from "../engine/exchange.js";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { ConfigurationError } from "../errors.js";
import type { Awaitable } from "../stores/contract.js";
import { answerError } from "./answer-error.js";
import { bind, bindingOf, bindingTo, openSessionOf } from "./binding.js";
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

export type { StepUpOptions } from "./step-up.js";

declare module "fastify" {
  interface FastifyRequest {
    /** The session of this request. Type its data by augmenting `SessionData` of "holdfast". */
    readonly session: Session<DefaultData>;
    /** The same, found in the store if need be: what the option `lazy` leaves to the handler. */
    openSession(): Promise<Session<DefaultData>>;
  }
}

export interface FastifySessionsOptions extends AdapterOptions<FastifyRequest> {
  /** What `createSessions` gave. */
  sessions: SessionSource<any>;
}

/**
 * Plugin for Fastify 5: `request.session`, for the instance that it is registered on and all within it, stored before the
 * response's headers leave. A store that fails goes to the error handler, as a 503.
 */
export async function fastifySessions(
  fastify: FastifyInstance,
  { sessions, skip, lazy = false }: FastifySessionsOptions,
): Promise<void> {
  if (typeof sessions?.open !== "function")
    throw new ConfigurationError("sessions", "expected what createSessions() gave");
  if (!fastify.hasRequestDecorator("openSession")) {
    fastify.decorateRequest("session", {
      getter() {
        return bindingOf(this)?.exchange.session as Session<DefaultData>;
      },
    });
    fastify.decorateRequest("openSession", function (this: FastifyRequest) {
      return openSessionOf(this);
    });
  }

  // A hook that has to wait returns a promise, for Fastify catches what its own next step throws after that, and not what it
  // throws in a late `done`.
  fastify.addHook("onRequest", (request, reply, done) => {
    if (bindingTo(sessions, request, "fastifySessions") !== undefined) return done();
    if (skip?.(request)) {
      sessions.skipped?.(new RequestOfFastify(request));
      return done();
    }
    const begin = (exchange: Exchange<any>) => {
      bind(request, { sessions, exchange, held: hold(reply, exchange) });
    };
    const opening = new RequestOfFastify(request);
    const opened = lazy ? sessions.defer(opening) : sessions.open(opening);
    if (opened instanceof Promise) return opened.then(begin);
    begin(opened);
    done();
  });

  fastify.addHook("onSend", (request, reply, payload, done) => {
    const held = bindingOf(request)?.held;
    // `reply.sent` doesn't say so while an answer waits, and so Fastify sends once more, nothing, for an asynchronous handler
    // that has answered and gives nothing back.
    if (held?.hasAnswer || (payload === undefined && held?.hasBegun)) return discard(payload);
    const dropAnswer = (error: unknown) => {
      dropHeadersOf(reply);
      discard(payload);
      throw error;
    };
    let committing: Awaitable<void> | undefined;
    try {
      committing = held?.commit(typeof payload === "string" || payload instanceof Uint8Array);
    } catch (error) {
      dropAnswer(error);
    }
    if (!(committing instanceof Promise)) return done();
    // Nobody listens to a stream yet that fails meanwhile, which would end the process. Fastify hears of it later.
    if (payload instanceof EventEmitter) payload.on("error", () => {});
    return committing.catch(dropAnswer);
  });
}

/**
 * A hook that lets only those pass who have logged in, or been elevated, within this time (OWASP ASVS 5.0, 7.5.1): others get 401, or, with
 * `redirectTo`, are led there. It comes after `fastifySessions`.
 * @throws ConfigurationError
 */
export function requireRecentLogin(within: Duration, options: StepUpOptions = {}): onRequestAsyncHookHandler {
  return guard(recentLoginCheck(within, options), options);
}

/**
 * A hook that lets only those pass who have proved as much as this; without needs, whose session is elevated (OWASP ASVS 5.0, 7.5.3): others get
 * 401, or, with `redirectTo`, are led there. It comes after `fastifySessions`.
 * @throws ConfigurationError
 */
export function requireElevation(
  needs: ElevationNeeds = {},
  options: StepUpOptions = {},
): onRequestAsyncHookHandler {
  return guard(elevationCheck(needs, options), options);
}

function guard(check: StepUpCheck, options: StepUpOptions): onRequestAsyncHookHandler {
  return async (request, reply) => {
    const session = await openSessionOf(request);
    const { method, originalUrl: target, headers } = request;
    const header = (name: string) => headers[name] as string | undefined;
    const location = stepUpLocation(session, { method, target, header }, check, options);
    if (location === undefined) return;
    await reply.header("Cache-Control", "no-store").redirect(location, 303);
    return reply;
  };
}

/** Fastify would join them to those of the error page. */
function dropHeadersOf(reply: FastifyReply): void {
  for (const name of Object.keys(reply.getHeaders())) if (describesAnswer(name)) reply.removeHeader(name);
}

/** Closes a stream that nobody is going to read: of Node, of the web, of a `Response`. */
function discard(payload: unknown): void {
  const body = payload instanceof Response ? payload.body : payload;
  if (body instanceof ReadableStream) body.cancel().catch(() => {});
  else (body as { destroy?: () => void } | null | undefined)?.destroy?.();
}

/** What is sent past Fastify, by `reply.raw`, is held as well. */
function hold(reply: FastifyReply, exchange: Exchange<any>): HeldResponse {
  const response = reply.raw as ServerResponse;
  const held = new HeldResponse(response, exchange, (error) => answerError(response, error));
  holdResponse(response, held);
  return held;
}

/** The hooks and `request.session` are for the instance that registers the plugin, not for an inner one of the plugin's own. */
Object.assign(fastifySessions, {
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "holdfast",
  [Symbol.for("plugin-meta")]: { name: "holdfast", fastify: "5.x" },
});

class RequestOfFastify extends NodeRequest {
  readonly #request: FastifyRequest;

  constructor(request: FastifyRequest) {
    super(request.raw);
    this.#request = request;
  }

  /** Fastify knows which proxies it trusts (`trustProxy`). */
  override get encrypted(): boolean {
    return this.#request.protocol === "https";
  }

  get clientAddress(): string | undefined {
    return this.#request.ip;
  }
}
