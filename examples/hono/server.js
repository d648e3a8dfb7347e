// @ts-check
import { fileURLToPath } from "node:url";
import { createAdaptorServer } from "@hono/node-server";
import { createSessions, memoryStore } from "holdfast";
import { honoSessions } from "holdfast/hono";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { createMiddleware } from "hono/factory";
import { html } from "hono/html";

const { SESSION_SECRET, PORT = "3000" } = process.env;

/** @typedef {{ visits?: number }} Data */

/** @type {import("hono").MiddlewareHandler<import("holdfast/hono").SessionEnv<Data>>} */
const requireLogin = createMiddleware(async (c, next) => {
  if (c.var.session.userId === undefined) return c.redirect("/", 303);
  await next();
});

/** @param {import("holdfast").Sessions<Data>} sessions */
function createApp(sessions) {
  return new Hono()
    .use(honoSessions(sessions))
    .use(bodyLimit({ maxSize: 1000 }))

    .get("/", (c) => {
      const { data, userId } = c.var.session;
      data.visits = (data.visits ?? 0) + 1;
      return c.html(
        page(html`<p>Visits: ${data.visits}</p>${userId === undefined ? LOGIN : greeting(userId)}`),
      );
    })

    .post("/login", async (c) => {
      const { name } = await c.req.parseBody();
      // Here an application would check a password.
      if (typeof name !== "string" || !/^\w{1,30}$/.test(name))
        return c.text("Letters and digits, please.", 400);
      await c.var.session.login(name);
      return c.redirect("/", 303);
    })

    .post("/logout", async (c) => {
      await c.var.session.logout();
      return c.redirect("/", 303);
    })

    .get("/account", requireLogin, (c) =>
      c.html(page(html`<p>The account of ${c.var.session.userId}</p><a href="/">Back</a>`)),
    );
}

/** Listens on loopback. @param {number} port 0 for any free one. */
export async function start(port) {
  /** @type {import("holdfast").Sessions<Data>} */
  const sessions = createSessions({
    // In development, Holdfast makes one up where there is none; in production, it doesn't start.
    secrets: SESSION_SECRET ? [SESSION_SECRET] : [],
    store: memoryStore(),
  });
  const server = createAdaptorServer({ fetch: createApp(sessions).fetch });
  server.on("close", () => sessions.close());
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", () => resolve(undefined));
  });
  return server;
}

const LOGIN = html`<form method="post" action="/login"><input name="name" required pattern="\\w+"><button>Log in</button></form>`;

/** @param {string} userId */
const greeting = (userId) =>
  html`<p>Hello, ${userId}</p><a href="/account">Your account</a>
  <form method="post" action="/logout"><button>Log out</button></form>`;

/** @param {ReturnType<typeof html>} body */
const page = (body) => html`<!doctype html><title>Holdfast on Hono</title>${body}`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await start(Number(PORT));
  console.log(`http://127.0.0.1:${PORT}`);
}
