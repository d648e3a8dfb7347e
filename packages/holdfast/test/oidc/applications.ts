import type { IncomingMessage, RequestListener } from "node:http";
import { text } from "node:stream/consumers";
import { getRequestListener } from "@hono/node-server";
import express5 from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa3 from "koa";
import { expressSessions } from "../../src/adapters/express.js";
import { fastifySessions } from "../../src/adapters/fastify.js";
import { honoSessions, type SessionEnv } from "../../src/adapters/hono.js";
import { koaSessions } from "../../src/adapters/koa.js";
import type { Session } from "../../src/engine/session.js";
import type { Sessions } from "../../src/engine/sessions.js";
import { expressOidc } from "../../src/oidc/express.js";
import { fastifyOidc, requireLogin } from "../../src/oidc/fastify.js";
import { honoOidc } from "../../src/oidc/hono.js";
import { koaOidc } from "../../src/oidc/koa.js";
import type { OpenidConnect } from "../../src/oidc/openid-connect.js";

const { default: express4 } = (await import("express4" as string)) as { default: typeof express5 };
const { default: Koa2 } = (await import("koa2" as string)) as { default: typeof Koa3 };

/** How the application under test is set up, beside its framework. */
export interface ApplicationSetup {
  readonly sessions: Sessions<any>;
  readonly oidc: OpenidConnect;
  /** The adapter's option of that name. */
  readonly lazy: boolean;
  /** "form" reads posted forms before the login does, "json" only JSON. */
  readonly parser: "none" | "form" | "json";
}

/**
 * A framework's application with a login and four routes, each written as its users would: `GET /` says who it is and what is
 * in the cart, `POST /cart` puts tea into it, `GET /account` and `GET /api` need a user and say who it is.
 */
export interface Application {
  readonly name: string;
  listener(setup: ApplicationSetup): RequestListener | Promise<RequestListener>;
}

const shown = ({ userId, identity, data }: Session<any>) => ({ userId, sid: identity?.sid, cart: data.cart });
const addTea = ({ data }: Session<any>) => {
  data.cart = [...(data.cart ?? []), "tea"];
};

export const applications: Application[] = [
  { name: "Express 5", listener: (setup) => onExpress(express5, setup) },
  { name: "Express 4", listener: (setup) => onExpress(express4, setup) },
  { name: "Koa 3", listener: (setup) => onKoa(Koa3, setup) },
  { name: "Koa 2", listener: (setup) => onKoa(Koa2, setup) },
  { name: "Fastify", listener: onFastify },
  { name: "Hono", listener: onHono },
];

function onExpress(express: typeof express5, { sessions, oidc, lazy, parser }: ApplicationSetup) {
  const app = express();
  const auth = expressOidc(oidc);
  if (parser === "form") app.use(express.urlencoded({ extended: false }));
  if (parser === "json") app.use(express.json());
  app.use(expressSessions(sessions, { lazy }));
  app.use(auth);
  // Express 4 doesn't wait for promises.
  app.get("/", (req, res, next) => {
    req.openSession().then((session) => res.json(shown(session)), next);
  });
  app.post("/cart", (req, res, next) => {
    req
      .openSession()
      .then(addTea)
      .then(() => res.sendStatus(204), next);
  });
  for (const path of ["/account", "/api"]) {
    app.get(path, auth.requireLogin(), (req, res) => {
      res.send(req.session.userId);
    });
  }
  app.use(((error, _req, res, _next) => {
    res.sendStatus(error.status ?? 500);
  }) as express5.ErrorRequestHandler);
  return app;
}

function onKoa(Koa: typeof Koa3, { sessions, oidc, lazy, parser }: ApplicationSetup) {
  const app = new Koa();
  app.silent = true;
  const auth = koaOidc(oidc);
  app.use(async ({ request, req }, next) => {
    const wanted = { form: "application/x-www-form-urlencoded", json: "application/json", none: "" }[parser];
    if (parser !== "none") Object.assign(request, { body: request.is(wanted) ? await parsed(req) : {} });
    return next();
  });
  app.use(koaSessions(sessions, { lazy }));
  app.use(auth);
  app.use(async (ctx, next) => {
    if (ctx.path === "/") ctx.body = shown(await ctx.openSession());
    else if (ctx.path === "/cart") {
      addTea(await ctx.openSession());
      ctx.status = 204;
    } else return next();
  });
  const guard = auth.requireLogin();
  app.use(async (ctx, next) => {
    if (ctx.path === "/account" || ctx.path === "/api") await guard(ctx, next);
  });
  app.use((ctx) => {
    ctx.body = ctx.session.userId;
  });
  return app.callback();
}

const parsed = async (request: IncomingMessage) =>
  Object.fromEntries(new URLSearchParams(await text(request)));

async function onFastify({ sessions, oidc, lazy, parser }: ApplicationSetup): Promise<RequestListener> {
  const app = fastify();
  if (parser === "form") {
    app.addContentTypeParser(
      "application/x-www-form-urlencoded",
      { parseAs: "string" },
      (_request, body, done) => {
        done(null, Object.fromEntries(new URLSearchParams(String(body))));
      },
    );
  }
  app.register(fastifySessions, { sessions, lazy });
  app.register(fastifyOidc, { oidc });
  app.get("/", async (request) => shown(await request.openSession()));
  app.post("/cart", async (request, reply) => {
    addTea(await request.openSession());
    return reply.code(204).send();
  });
  for (const path of ["/account", "/api"])
    app.get(path, { onRequest: requireLogin(oidc) }, async ({ session }) => session.userId);
  await app.ready();
  return app.routing;
}

function onHono({ sessions, oidc, lazy, parser }: ApplicationSetup) {
  const app = new Hono<SessionEnv<any>>();
  const auth = honoOidc(oidc);
  app.onError((error, c) => c.text("failed", (error as { status?: 503 }).status ?? 500));
  if (parser !== "none") {
    app.use(async (c, next) => {
      if (c.req.method === "POST" && parser === "form") await c.req.formData().catch(() => {});
      await next();
    });
  }
  app.use(honoSessions(sessions, { lazy }));
  app.use(auth);
  app.get("/", async (c) => c.json(shown(await c.var.openSession())));
  app.post("/cart", async (c) => {
    addTea(await c.var.openSession());
    return c.body(null, 204);
  });
  for (const path of ["/account", "/api"])
    app.get(path, auth.requireLogin(), (c) => c.text(c.var.session.userId!));
  return getRequestListener(app.fetch);
}
