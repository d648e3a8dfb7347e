// @ts-check
import { fileURLToPath } from "node:url";
import Fastify from "fastify";
import { createSessions, memoryStore } from "holdfast";
import { fastifySessions } from "holdfast/fastify";

const { SESSION_SECRET, PORT = "3000" } = process.env;

/** Listens on loopback. @param {number} port 0 for any free one. */
export async function start(port) {
  const sessions = createSessions({
    // In development, Holdfast makes one up where there is none; in production, it doesn't start.
    secrets: SESSION_SECRET ? [SESSION_SECRET] : [],
    store: memoryStore(),
  });
  const app = Fastify({ bodyLimit: 1000, forceCloseConnections: true });
  app.addHook("onClose", () => sessions.close());
  app.register(fastifySessions, { sessions });
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string" },
    async (/** @type {unknown} */ _request, /** @type {string} */ body) => new URLSearchParams(body),
  );
  app.register(publicPages);
  app.register(accountPages, { prefix: "/account" });
  await app.listen({ port, host: "127.0.0.1" });
  return app;
}

/** @param {import("fastify").FastifyInstance} app */
async function publicPages(app) {
  app.get("/", async ({ session: { data, userId } }, reply) => {
    data.visits = Number(data.visits ?? 0) + 1;
    reply.type("text/html");
    return page(`<p>Visits: ${data.visits}</p>${userId === undefined ? LOGIN : greeting(userId)}`);
  });

  app.post("/login", async ({ session, body }, reply) => {
    const name = (body instanceof URLSearchParams && body.get("name")) || "";
    // Here an application would check a password.
    if (!/^\w{1,30}$/.test(name)) return reply.code(400).send("Letters and digits, please.");
    await session.login(name);
    return reply.redirect("/", 303);
  });

  app.post("/logout", async ({ session }, reply) => {
    await session.logout();
    return reply.redirect("/", 303);
  });
}

/** A scope of its own: the check of the login is for all of its routes, and for no other. @param {import("fastify").FastifyInstance} app */
async function accountPages(app) {
  app.addHook("preHandler", async ({ session }, reply) => {
    if (session.userId === undefined) return reply.redirect("/", 303);
  });
  app.get("/", async ({ session }, reply) => {
    reply.type("text/html");
    return page(`<p>The account of ${session.userId}</p><a href="/">Back</a>`);
  });
}

const LOGIN = `<form method="post" action="/login"><input name="name" required pattern="\\w+"><button>Log in</button></form>`;

/** @param {string} userId */
const greeting = (userId) =>
  `<p>Hello, ${userId}</p><a href="/account">Your account</a>
  <form method="post" action="/logout"><button>Log out</button></form>`;

/** @param {string} body */
const page = (body) => `<!doctype html><title>Holdfast on Fastify</title>${body}`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await start(Number(PORT));
  console.log(`http://127.0.0.1:${PORT}`);
}
