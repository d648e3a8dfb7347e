import type { ServerResponse } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Exchange } from "../engine/exchange.js";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { ConfigurationError } from "../errors.js";
import { answerError } from "./answer-error.js";
import { HeldResponse, holdResponse } from "./held-response.js";
import { NodeRequest } from "./node-request.js";
import { type AdapterOptions, noSession, twoSessions } from "./options.js";

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

interface Binding {
  readonly sessions: SessionSource<any>;
  readonly exchange: Exchange<any>;
  readonly held: HeldResponse;
}

const bindings = new WeakMap<FastifyRequest, Binding>();

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
        return bindings.get(this)?.exchange.session as Session<DefaultData>;
      },
    });
    fastify.decorateRequest("openSession", openSession);
  }

  fastify.addHook("onRequest", (request, reply, done) => {
    try {
      const bound = bindings.get(request);
      if (bound !== undefined && bound.sessions !== sessions) throw twoSessions("fastifySessions");
      if (bound !== undefined || skip?.(request)) return done();
      const begin = (exchange: Exchange<any>) => {
        bindings.set(request, { sessions, exchange, held: hold(reply, exchange) });
        done();
      };
      const opening = new RequestOfFastify(request);
      const opened = lazy ? sessions.defer(opening) : sessions.open(opening);
      if (opened instanceof Promise) opened.then(begin, done);
      else begin(opened);
    } catch (error) {
      done(error as Error);
    }
  });

  fastify.addHook("onSend", (request, _reply, _payload, done) => {
    try {
      const committing = bindings.get(request)?.held.commit();
      if (committing instanceof Promise) committing.then(() => done(), done);
      else done();
    } catch (error) {
      done(error as Error);
    }
  });
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

async function openSession(this: FastifyRequest): Promise<Session<any>> {
  const bound = bindings.get(this);
  if (bound === undefined) throw noSession();
  return bound.exchange.openSession();
}

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
