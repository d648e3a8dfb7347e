import express from "express";
import { expressSessions } from "holdfast/express";
import { dataFor } from "../session-data.js";
import { bareData, COOKIE, LIFETIME, memory, SECRET, sessionsIn, temporaryFile } from "./settings.js";

const VARIANTS = {
  bare: () => ({
    middleware: (_req, _res, next) => next(),
    dataOf: (req) => bareData(req.headers.cookie),
    login: () => {},
  }),
  "holdfast-memory": () => holdfast(memory()),
  "holdfast-sqlite": async () => {
    const { sqliteStore } = await import("holdfast/stores/sqlite");
    return holdfast(sqliteStore({ path: temporaryFile("sessions.db") }));
  },
  "holdfast-redis": async () => holdfast(await redis()),
  "holdfast-redis-near": async () => {
    const { nearCache } = await import("holdfast/stores/near-cache");
    return holdfast(nearCache(await redis()));
  },
  "holdfast-postgres": async () => {
    const { postgresStore } = await import("holdfast/stores/postgres");
    const store = postgresStore({ pool: await postgresPool(), table: `holdfast_bench_${process.pid}` });
    await store.migrate();
    return holdfast(store);
  },
  "express-session": () => expressSession(),
  memorystore: async () => {
    const session = (await import("express-session")).default;
    const MemoryStore = (await import("memorystore")).default(session);
    return expressSession(new MemoryStore({ checkPeriod: LIFETIME }));
  },
  "connect-redis": async () => {
    const { RedisStore } = await import("connect-redis");
    const client = await redisClient();
    return expressSession(
      new RedisStore({ client, prefix: `bench-peer:${process.pid}:`, ttl: LIFETIME / 1000 }),
    );
  },
  "connect-pg-simple": async () => {
    const session = (await import("express-session")).default;
    const PgStore = (await import("connect-pg-simple")).default(session);
    const settings = { tableName: `connect_bench_${process.pid}`, createTableIfMissing: true };
    return expressSession(
      new PgStore({
        pool: await postgresPool(),
        ttl: LIFETIME / 1000,
        pruneSessionInterval: false,
        ...settings,
      }),
    );
  },
  "cookie-session": async () => ({
    middleware: (await import("cookie-session")).default({ keys: [SECRET], maxAge: LIFETIME, ...COOKIE }),
    dataOf: (req) => req.session,
    // There is nothing to rotate: the cookie is the session.
    login: (req) => {
      req.session.user.seen = (req.session.user.seen ?? 0) + 1;
    },
  }),
};

function holdfast(store) {
  return {
    middleware: expressSessions(sessionsIn(store)),
    dataOf: (req) => req.session.data,
    login: (req) => req.session.login(req.session.data.user.id),
  };
}

async function expressSession(store) {
  const session = (await import("express-session")).default;
  return {
    middleware: session({ secret: SECRET, resave: false, saveUninitialized: false, cookie: COOKIE, store }),
    dataOf: (req) => req.session,
    // As its documentation says, with the data of the session before taken along.
    login: async (req) => {
      const { cookie: _, ...data } = req.session;
      await new Promise((resolve, reject) =>
        req.session.regenerate((error) => (error ? reject(error) : resolve())),
      );
      Object.assign(req.session, data);
    },
  };
}

async function redis() {
  const { redisStore } = await import("holdfast/stores/redis");
  return redisStore({ client: await redisClient(), prefix: `bench:${process.pid}:` });
}

/** connect-redis takes this driver only, so both have it. */
async function redisClient() {
  const { createClient } = await import("redis");
  const client = createClient({ url: process.env.REDIS_URL });
  client.on("error", (error) => console.error(error.message));
  await client.connect();
  return client;
}

async function postgresPool() {
  const { default: pg } = await import("pg");
  return new pg.Pool({ connectionString: process.env.POSTGRES_URL, max: 10 });
}

export async function listen(variant) {
  const { middleware, dataOf, login } = await VARIANTS[variant]();
  const app = express();
  app.disable("x-powered-by");
  app.use(middleware);
  app.post("/start", (req, res) => {
    Object.assign(dataOf(req), dataFor(new URL(req.url, "http://bench").searchParams));
    res.json({ started: true });
  });
  app.get("/read", (req, res) => {
    res.json({ name: dataOf(req).user?.name ?? "nobody" });
  });
  app.post("/write", (req, res) => {
    const data = dataOf(req);
    data.count++;
    res.json({ name: data.user.name, count: data.count });
  });
  app.post("/login", async (req, res) => {
    await login(req);
    res.json({ name: dataOf(req).user.name });
  });
  app.get("/check", (req, res) => {
    const { user, cart, locale, theme, count, orders } = dataOf(req);
    res.json({ user, cart, locale, theme, count, orders });
  });
  return app.listen(0, "127.0.0.1");
}
