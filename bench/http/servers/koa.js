import { koaSessions } from "holdfast/koa";
import Koa from "koa";
import koaSession from "koa-session";
import { dataFor } from "../session-data.js";
import { bareData, COOKIE, LIFETIME, memory, SECRET, sessionsIn } from "./settings.js";

const VARIANTS = {
  bare: () => ({
    middleware: (_ctx, next) => next(),
    dataOf: (ctx) => bareData(ctx.headers.cookie),
    login: () => {},
  }),
  "holdfast-memory": () => ({
    middleware: koaSessions(sessionsIn(memory())),
    dataOf: (ctx) => ctx.session.data,
    login: (ctx) => ctx.session.login(ctx.session.data.user.id),
  }),
  "koa-session-cookie": (app) => ({
    middleware: koaSession({ maxAge: LIFETIME, ...COOKIE }, app),
    dataOf: (ctx) => ctx.session,
    // There is nothing to rotate: the cookie is the session.
    login: (ctx) => {
      ctx.session.user.seen = (ctx.session.user.seen ?? 0) + 1;
    },
  }),
  "koa-session-store": (app) => ({
    middleware: koaSession({ maxAge: LIFETIME, store: mapStore(), ...COOKIE }, app),
    dataOf: (ctx) => ctx.session,
    login: (ctx) => ctx.session.regenerate(),
  }),
};

/** Keeps text, as express-session's MemoryStore does: objects would be shared by the requests that run at the same time. */
function mapStore() {
  const texts = new Map();
  return {
    get: async (key) => (texts.has(key) ? JSON.parse(texts.get(key)) : undefined),
    set: async (key, session) => {
      texts.set(key, JSON.stringify(session));
    },
    destroy: async (key) => {
      texts.delete(key);
    },
  };
}

const ROUTES = {
  "POST /start": (ctx, { dataOf }) => {
    Object.assign(dataOf(ctx), dataFor(ctx.URL.searchParams));
    ctx.body = { started: true };
  },
  "GET /read": (ctx, { dataOf }) => {
    ctx.body = { name: dataOf(ctx).user?.name ?? "nobody" };
  },
  "POST /write": (ctx, { dataOf }) => {
    const data = dataOf(ctx);
    data.count++;
    ctx.body = { name: data.user.name, count: data.count };
  },
  "POST /login": async (ctx, { dataOf, login }) => {
    await login(ctx);
    ctx.body = { name: dataOf(ctx).user.name };
  },
  "GET /check": (ctx, { dataOf }) => {
    const { user, cart, locale, theme, count, orders } = dataOf(ctx);
    ctx.body = { user, cart, locale, theme, count, orders };
  },
};

export async function listen(name) {
  const app = new Koa();
  app.keys = [SECRET];
  const variant = await VARIANTS[name](app);
  app.use(variant.middleware);
  app.use((ctx) => ROUTES[`${ctx.method} ${ctx.path}`](ctx, variant));
  return app.listen(0, "127.0.0.1");
}
