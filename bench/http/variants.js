/**
 * What is measured side by side: for each framework the application without sessions ("bare"), Holdfast, and what else is used.
 * `peer` names the variant that a ratio is taken to; `needs` a database server; `cookie` says that sessions live in the cookie,
 * so they hold 4 KB, and a login can't make an earlier cookie worthless.
 */
export const VARIANTS = [
  { name: "express/bare" },
  { name: "express/holdfast-memory", peer: "express/express-session" },
  { name: "express/holdfast-sqlite", peer: "express/express-session" },
  { name: "express/holdfast-redis", peer: "express/connect-redis", needs: "redis" },
  { name: "express/holdfast-redis-near", peer: "express/connect-redis", needs: "redis" },
  { name: "express/holdfast-postgres", peer: "express/connect-pg-simple", needs: "postgres" },
  { name: "express/express-session" },
  { name: "express/memorystore" },
  { name: "express/connect-redis", needs: "redis" },
  { name: "express/connect-pg-simple", needs: "postgres" },
  { name: "express/cookie-session", cookie: true },

  { name: "koa/bare" },
  { name: "koa/holdfast-memory", peer: "koa/koa-session-cookie" },
  { name: "koa/koa-session-cookie", cookie: true },
  { name: "koa/koa-session-store" },

  { name: "fastify/bare" },
  { name: "fastify/holdfast-memory", peer: "fastify/fastify-session" },
  { name: "fastify/fastify-session" },

  { name: "hono/bare" },
  { name: "hono/holdfast-memory", peer: "hono/hono-session" },
  { name: "hono/hono-session", cookie: true },

  { name: "node/bare" },
  { name: "node/holdfast-memory", peer: "node/iron-session" },
  { name: "node/holdfast-cookie", peer: "node/iron-session", cookie: true },
  { name: "node/iron-session", cookie: true },
].map((variant) => ({
  ...variant,
  framework: variant.name.split("/")[0],
  isBare: variant.name.endsWith("/bare"),
}));

export const FRAMEWORKS = [...new Set(VARIANTS.map(({ framework }) => framework))];
