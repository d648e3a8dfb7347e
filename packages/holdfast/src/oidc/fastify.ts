import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import { fromParsed, readForm } from "./form.js";
import type { OpenidConnect } from "./openid-connect.js";
import type { OidcRoutes } from "./options.js";

export interface FastifyOidcOptions {
  /** What `openidConnect` gave. */
  oidc: OpenidConnect;
  /** The paths of the login. Default: those of `openidConnect`. */
  routes?: OidcRoutes;
}

/** The routes of a login for Fastify 5: a plugin that comes after `fastifySessions`. */
export async function fastifyOidc(
  fastify: FastifyInstance,
  { oidc: openid, routes }: FastifyOidcOptions,
): Promise<void> {
  const oidc = routes === undefined ? openid : openid.withRoutes(routes);
  // In a scope of its own: forms are read here, whatever parser the application has for them.
  await fastify.register(async (scope) => {
    scope.removeContentTypeParser("application/x-www-form-urlencoded");
    scope.addContentTypeParser(
      "application/x-www-form-urlencoded",
      { parseAs: "string", bodyLimit: 16_384 },
      (_request, body, done) => done(null, body),
    );
    const paths = new Set(Object.values(oidc.settings.routes).filter((path) => path !== false));
    const { afterLogin, afterLogout, ...own } = oidc.settings.routes;
    for (const path of new Set(Object.values(own))) {
      if (path === false || !paths.has(path)) continue;
      scope.route({
        method: ["GET", "POST"],
        url: path,
        handler: async (request, reply) =>
          send(reply, (await oidc.handle(request.session, requestOf(request)))!),
      });
    }
  });
}

/** A hook that lets only users pass: a page leads to the login and back, everything else gets 401. */
export function requireLogin(oidc: OpenidConnect): onRequestAsyncHookHandler {
  return async (request, reply) => {
    const answer = oidc.requireLogin(request.session, requestOf(request));
    if (answer !== undefined) return send(reply, answer);
  };
}

function requestOf(request: FastifyRequest): OidcRequest {
  return {
    method: request.method,
    path: request.originalUrl,
    header: (name) => request.headers[name] as string | undefined,
    form: async () =>
      request.body === undefined ? readForm(request.raw, undefined) : fromParsed(request.body ?? {}),
  };
}

function send(reply: FastifyReply, { status, headers, body }: OidcAnswer): FastifyReply {
  reply.code(status);
  for (const [name, value] of headers) reply.header(name, value);
  return reply.send(body);
}
