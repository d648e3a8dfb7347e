// @ts-check
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import { fileURLToPath } from "node:url";
import { createSessions, memoryStore } from "holdfast";
import { nodeSessions } from "holdfast/node";

const { SESSION_SECRET, PORT = "3000", TLS_KEY, TLS_CERTIFICATE } = process.env;

/**
 * What both servers have in common, and all that this application needs.
 *
 * @typedef {(import("node:http").IncomingMessage | import("node:http2").Http2ServerRequest)
 *   & import("holdfast/node").WithSession} Request
 * @typedef {import("node:http").ServerResponse} Response
 */

/** @type {Record<string, (request: Request, response: Response) => unknown>} */
const routes = {
  "GET /": ({ session: { data, userId } }, response) => {
    data.visits = Number(data.visits ?? 0) + 1;
    send(response, `<p>Visits: ${data.visits}</p>${userId === undefined ? LOGIN : greeting(userId)}`);
  },

  "POST /login": async (request, response) => {
    const name = (await formOf(request)).get("name") ?? "";
    // Here an application would check a password.
    if (!/^\w{1,30}$/.test(name)) throw httpError(400);
    await request.session.login(name);
    seeOther(response, "/");
  },

  "POST /logout": async ({ session }, response) => {
    await session.logout();
    seeOther(response, "/");
  },

  "GET /account": ({ session }, response) => {
    if (session.userId === undefined) return seeOther(response, "/");
    send(response, `<p>The account of ${session.userId}</p><a href="/">Back</a>`);
  },
};

/** @param {Request} request @param {Response} response */
function answer(request, response) {
  const route = routes[`${request.method} ${request.url?.split("?", 1)[0]}`];
  if (route === undefined) throw httpError(404);
  return route(request, response);
}

/**
 * Listens on loopback: with TLS_KEY and TLS_CERTIFICATE, the names of two PEM files, over HTTP/2 and HTTPS, else over HTTP.
 *
 * @param {number} port 0 for any free one.
 */
export async function start(port) {
  const sessions = createSessions({
    // In development, Holdfast makes one up where there is none; in production, it doesn't start.
    secrets: SESSION_SECRET ? [SESSION_SECRET] : [],
    store: memoryStore(),
  });
  /** For either server: `answer` uses only what their requests have in common. @type {any} */
  const listener = nodeSessions(sessions).handler(answer);
  const server =
    TLS_KEY && TLS_CERTIFICATE
      ? createSecureServer(
          { key: readFileSync(TLS_KEY), cert: readFileSync(TLS_CERTIFICATE), allowHTTP1: true },
          listener,
        )
      : createServer(listener);
  server.on("close", () => sessions.close());
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", () => resolve(undefined));
  });
  return server;
}

/** @param {Request} request */
async function formOf(request) {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
    if (body.length > 1000) throw httpError(413);
  }
  return new URLSearchParams(body);
}

/** An error that `handler` answers with its status. @param {number} status */
const httpError = (status) => Object.assign(new Error(`answered with ${status}`), { status });

/** @param {Response} response @param {string} body */
function send(response, body) {
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.end(`<!doctype html><title>Holdfast on Node</title>${body}`);
}

/** @param {Response} response @param {string} location */
function seeOther(response, location) {
  response.writeHead(303, { Location: location }).end();
}

const LOGIN = `<form method="post" action="/login"><input name="name" required pattern="\\w+"><button>Log in</button></form>`;

/** @param {string} userId */
const greeting = (userId) =>
  `<p>Hello, ${userId}</p><a href="/account">Your account</a>
  <form method="post" action="/logout"><button>Log out</button></form>`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await start(Number(PORT));
  console.log(`${TLS_KEY ? "https://localhost" : "http://127.0.0.1"}:${PORT}`);
}
