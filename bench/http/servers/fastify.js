import Fastify from "fastify";
import { fastifySessions } from "holdfast/fastify";
import { dataFor } from "../session-data.js";
import { bareData, COOKIE, LIFETIME, memory, SECRET, sessionsIn } from "./settings.js";

const VARIANTS = {
  bare: () => ({ dataOf: (request) => bareData(request.headers.cookie), login: () => {} }),
  "holdfast-memory": async (app) => {
    await app.register(fastifySessions, { sessions: sessionsIn(memory()) });
    return {
      dataOf: (request) => request.session.data,
      login: (request) => request.session.login(request.session.data.user.id),
    };
  },
  "fastify-session": async (app) => {
    await app.register((await import("@fastify/cookie")).default);
    // Its default, `rolling`, stores and sets the cookie with each read; no other variant does, so it is spared that.
    const settings = { rolling: false, saveUninitialized: false, cookie: { ...COOKIE, maxAge: LIFETIME } };
    await app.register((await import("@fastify/session")).default, { secret: SECRET, ...settings });
    return {
      dataOf: (request) => request.session,
      login: (request) => request.session.regenerate(["user", "cart", "locale", "theme", "count", "orders"]),
    };
  },
};

export async function listen(name) {
  const app = Fastify();
  const { dataOf, login } = await VARIANTS[name](app);
  app.post("/start", (request, reply) => {
    Object.assign(dataOf(request), dataFor(new URL(request.url, "http://bench").searchParams));
    reply.send({ started: true });
  });
  app.get("/read", (request, reply) => {
    reply.send({ name: dataOf(request).user?.name ?? "nobody" });
  });
  app.post("/write", (request, reply) => {
    const data = dataOf(request);
    data.count++;
    reply.send({ name: data.user.name, count: data.count });
  });
  app.post("/login", async (request, reply) => {
    await login(request);
    reply.send({ name: dataOf(request).user.name });
    return reply;
  });
  app.get("/check", (request, reply) => {
    const { user, cart, locale, theme, count, orders } = dataOf(request);
    reply.send({ user, cart, locale, theme, count, orders });
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  return app.server;
}
