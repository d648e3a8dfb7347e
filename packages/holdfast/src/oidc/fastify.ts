import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import type {} from "../adapters/fastify.js";
import { ConfigurationError } from "../errors.js";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import { fromParsed, MAX_FORM } from "./form.js";
import type { LoginGuard, OpenidConnect } from "./openid-connect.js";
import { ownPaths } from "./own-paths.js";

export interface FastifyOidcOptions {
  /** What `openidConnect` gave, maybe with routes of its own: `oidc.withRoutes({ … })`. */
  oidc: OpenidConnect;
}

const FORM = "application/x-www-form-urlencoded";

/**
 * The routes of a login for Fastify 5: a plugin that comes after `fastifySessions`. They are the application's paths, also where
 * the plugin is registered with a prefix, which has to be the beginning of each then.
 */
export async function fastifyOidc(fastify: FastifyInstance, { oidc }: FastifyOidcOptions): Promise<void> {
  if (typeof oidc?.handle !== "function")
    throw new ConfigurationError("oidc", "expected what openidConnect() gave");
  // In a scope of its own: forms are read here, whatever parser the application has for them.
  await fastify.register(async (scope) => {
    scope.removeContentTypeParser(FORM);
    scope.addContentTypeParser(FORM, { parseAs: "string", bodyLimit: MAX_FORM }, (_request, body, done) => {
      done(null, body);
    });
    for (const path of ownPaths(oidc.settings.routes)) {
      if (!path.startsWith(`${scope.prefix}/`))
        throw new ConfigurationError("routes", `${path} is not below the plugin's prefix ${scope.prefix}`);
      scope.route({
        method: ["GET", "POST"],
        url: path.slice(scope.prefix.length),
        handler: async (request, reply) => {
          const answer = await oidc.handle(await request.openSession(), requestOf(request));
          return answer === undefined ? reply.callNotFound() : send(reply, answer);
        },
      });
    }
  });
}

/** A hook that lets only users pass: a page leads to the login and back, everything else gets 401. */
export function requireLogin(oidc: OpenidConnect, guard?: LoginGuard): onRequestAsyncHookHandler {
  return async (request, reply) => {
    const answer = oidc.requireLogin(await request.openSession(), requestOf(request), guard);
    if (answer !== undefined) return send(reply, answer);
  };
}

function requestOf(request: FastifyRequest): OidcRequest {
  return {
    method: request.method,
    path: request.originalUrl,
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    },
    form: async () => fromParsed(typeof request.body === "string" ? request.body : ""),
  };
}

function send(reply: FastifyReply, { status, headers, body }: OidcAnswer): FastifyReply {
  reply.code(status);
  for (const [name, value] of headers) reply.header(name, value);
  return reply.send(body);
}
