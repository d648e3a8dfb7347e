// @ts-check
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import express from "express";
import { createSessions, memoryStore } from "holdfast";
import { expressSessions } from "holdfast/express";
import { pino } from "pino";
import { logSessions, rememberRequest } from "./audit.js";

const { SESSION_SECRET, PORT = "3000" } = process.env;

/** Listens on loopback. @param {number} port 0 for any free one. @param {import("pino").Logger} [log] */
export async function start(port, log = pino({ name: "shop" })) {
  const sessions = createSessions({
    // In development, Holdfast makes one up where there is none; in production, it doesn't start.
    secrets: SESSION_SECRET ? [SESSION_SECRET] : [],
    store: memoryStore(),
  });
  logSessions(sessions, log);

  const app = express();
  app.use(rememberRequest, express.urlencoded({ extended: false }), expressSessions(sessions));
  app.get("/", ({ session }, res) => {
    session.data.visits = Number(session.data.visits ?? 0) + 1;
    const { userId } = session;
    res.send(page(`<p>Visits: ${session.data.visits}</p>${userId === undefined ? LOGIN : greeting(userId)}`));
  });
  app.post("/login", async (req, res) => {
    const { name = "" } = req.body;
    // Here an application would check a password.
    if (!/^\w{1,30}$/.test(name)) return void res.status(400).send("Letters and digits, please.");
    await req.session.login(name);
    res.redirect(303, "/");
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.redirect(303, "/");
  });
  app.get("/account", ({ session }, res) => {
    if (session.userId === undefined) return res.redirect(303, "/");
    res.send(page(`<p>The account of ${session.userId}</p><a href="/">Back</a>`));
  });

  const server = createServer(app);
  server.on("close", () => sessions.close());
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", () => resolve(undefined));
  });
  return server;
}

const LOGIN = `<form method="post" action="/login"><input name="name" required pattern="\\w+"><button>Log in</button></form>`;

/** @param {string} userId */
const greeting = (userId) =>
  `<p>Hello, ${userId}</p><a href="/account">Your account</a>
  <form method="post" action="/logout"><button>Log out</button></form>`;

/** @param {string} body */
const page = (body) => `<!doctype html><title>Holdfast with pino</title>${body}`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await start(Number(PORT));
  console.log(`http://127.0.0.1:${PORT}`);
}
