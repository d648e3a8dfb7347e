// @ts-check
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { createSessions, memoryStore } from "holdfast";
import { koaSessions } from "holdfast/koa";
import Koa from "koa";

const { SESSION_SECRET, PORT = "3000" } = process.env;

/** @type {Record<string, Koa.Middleware>} */
const routes = {
  "GET /": (ctx) => {
    const { data, userId } = ctx.session;
    data.visits = Number(data.visits ?? 0) + 1;
    ctx.body = page(`<p>Visits: ${data.visits}</p>${userId === undefined ? LOGIN : greeting(userId)}`);
  },

  "POST /login": async (ctx) => {
    const name = (await formOf(ctx)).get("name") ?? "";
    // Here an application would check a password.
    if (!/^\w{1,30}$/.test(name)) ctx.throw(400, "Letters and digits, please.");
    await ctx.session.login(name);
    seeOther(ctx, "/");
  },

  "POST /logout": async (ctx) => {
    await ctx.session.logout();
    seeOther(ctx, "/");
  },

  "GET /account": (ctx) => {
    ctx.body = page(`<p>The account of ${ctx.session.userId}</p><a href="/">Back</a>`);
  },
};

/** @type {Koa.Middleware} */
const requireLogin = (ctx, next) => {
  if (ctx.path.startsWith("/account") && ctx.session.userId === undefined) return seeOther(ctx, "/");
  return next();
};

/** Listens on loopback. @param {number} port 0 for any free one. */
export async function start(port) {
  const sessions = createSessions({
    // In development, Holdfast makes one up where there is none; in production, it doesn't start.
    secrets: SESSION_SECRET ? [SESSION_SECRET] : [],
    store: memoryStore(),
  });
  const app = new Koa();
  app.use(koaSessions(sessions));
  app.use(requireLogin);
  app.use((ctx) => routes[`${ctx.method} ${ctx.path}`]?.(ctx, async () => {}));

  const server = createServer(app.callback());
  server.on("close", () => sessions.close());
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", () => resolve(undefined));
  });
  return server;
}

/** @param {Koa.Context} ctx */
async function formOf(ctx) {
  let body = "";
  for await (const chunk of ctx.req.setEncoding("utf8")) {
    body += chunk;
    if (body.length > 1000) ctx.throw(413);
  }
  return new URLSearchParams(body);
}

/** @param {Koa.Context} ctx @param {string} location */
function seeOther(ctx, location) {
  ctx.status = 303;
  ctx.redirect(location);
}

const LOGIN = `<form method="post" action="/login"><input name="name" required pattern="\\w+"><button>Log in</button></form>`;

/** @param {string} userId */
const greeting = (userId) =>
  `<p>Hello, ${userId}</p><a href="/account">Your account</a>
  <form method="post" action="/logout"><button>Log out</button></form>`;

/** @param {string} body */
const page = (body) => `<!doctype html><title>Holdfast on Koa</title>${body}`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await start(Number(PORT));
  console.log(`http://127.0.0.1:${PORT}`);
}
