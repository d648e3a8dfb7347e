// @ts-check
/** A chat over `ws` and a list of who is here over Socket.IO, for people who are logged in: `node server.js`. */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import express from "express";
import { createSessions, memoryStore } from "holdfast";
import { expressSessions } from "holdfast/express";
import { upgradeSession } from "holdfast/node";
import { Server as SocketServer } from "socket.io";
import { WebSocketServer } from "ws";

/** WebSocket close codes from 4000 on are the application's own. */
const SESSION_ENDED = 4401;

/**
 * @param {number} port 0 for any free one.
 * @returns the address, and a function that ends it all.
 */
export async function start(port) {
  // In an application of yours: a store that outlives the process, and your users' passwords.
  const sessions = createSessions({ secrets: [process.env.SESSION_SECRET ?? ""], store: memoryStore() });

  const app = express();
  app.use(securityHeaders);
  app.use(express.static(fileURLToPath(new URL("public", import.meta.url))));
  app.use(refuseCrossSite);
  app.use(expressSessions(sessions), express.urlencoded({ extended: false }));
  app.get("/", (req, res) => {
    const { userId } = req.session;
    res.send(userId === undefined ? loginPage : chatPage(userId));
  });
  app.post("/login", async (req, res) => {
    const name = String(req.body.name);
    if (!/^[\w -]{1,20}$/.test(name)) return res.redirect(303, "/");
    if (req.session.userId !== undefined) await req.session.logout();
    await req.session.login(name);
    res.redirect(303, "/");
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.redirect(303, "/");
  });
  app.post("/logout-everywhere", async (req, res) => {
    if (req.session.userId !== undefined) await sessions.ofUser(req.session.userId).revokeAll();
    res.redirect(303, "/");
  });

  const server = app.listen(port, "127.0.0.1");
  const chat = chatOver(server, sessions);
  const presence = presenceOver(server, sessions);
  await once(server, "listening");

  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      for (const ws of chat.clients) ws.close(1001);
      await presence.close(); // and with it the server
      await sessions.close();
    },
  };
}

/**
 * @param {import("node:http").Server} server
 * @param {import("holdfast").Sessions} sessions
 */
function chatOver(server, sessions) {
  const chat = new WebSocketServer({ noServer: true, maxPayload: 4096 });

  server.on("upgrade", async (request, socket, head) => {
    if (request.url?.startsWith("/socket.io/")) return;
    socket.on("error", () => socket.destroy());
    const refuse = (/** @type {number} */ status) =>
      socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    try {
      if (request.url !== "/chat") return refuse(404);
      const session = await upgradeSession(sessions, request);
      if (session.userId === undefined) return refuse(401);
      chat.handleUpgrade(request, socket, head, (ws) => join(ws, session));
    } catch (error) {
      refuse(/** @type {{ status?: number }} */ (error).status ?? 500); // 403 another site's page, 503 the store
    }
  });

  /**
   * @param {import("ws").WebSocket} ws
   * @param {import("holdfast").Session} session
   */
  function join(ws, session) {
    ws.on("error", () => {}); // "close" follows.
    const stop = session.onEnd(({ reason }) => ws.close(SESSION_ENDED, reason));
    ws.on("close", stop);
    ws.on("message", async (data) => {
      if (ws.readyState !== ws.OPEN) return; // A client may go on writing while it is being closed.
      try {
        await session.touch(); // Whoever writes is there.
        await session.update((kept) => {
          kept.messages = (kept.messages ?? 0) + 1;
        });
      } catch {
        ws.close(1011); // The session has just ended, or the store is down.
        return;
      }
      const message = { from: session.userId, text: String(data), count: session.data.messages };
      for (const client of chat.clients) client.send(JSON.stringify(message));
    });
  }
  return chat;
}

/**
 * @param {import("node:http").Server} server
 * @param {import("holdfast").Sessions} sessions
 */
function presenceOver(server, sessions) {
  const io = new SocketServer(server, { destroyUpgrade: false });

  io.use(async (socket, next) => {
    try {
      const session = await upgradeSession(sessions, socket.request);
      if (session.userId === undefined) return next(new Error("log in first"));
      socket.data.session = session;
      next();
    } catch {
      next(new Error("not now")); // The text goes to the page.
    }
  });

  io.on("connection", (socket) => {
    /** @type {import("holdfast").Session} */
    const session = socket.data.session;
    const stop = session.onEnd(() => socket.disconnect(true));
    socket.on("disconnect", () => {
      stop();
      tell();
    });
    tell();
  });

  function tell() {
    const names = [...io.of("/").sockets.values()].map(({ data }) => data.session.userId);
    io.emit("present", [...new Set(names)].sort());
  }
  return io;
}

/** @type {import("express").RequestHandler} */
function securityHeaders(_req, res, next) {
  res.set({
    "Content-Security-Policy":
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; " +
      "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
  });
  next();
}

/** A form on another site must not log anybody in or out. @type {import("express").RequestHandler} */
function refuseCrossSite(req, res, next) {
  const site = req.get("Sec-Fetch-Site") ?? "none";
  if (req.method === "POST" && site !== "same-origin" && site !== "none") return void res.sendStatus(403);
  next();
}

const page = (/** @type {string} */ body) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<link rel="stylesheet" href="/style.css">
<main>${body}</main>`;

const loginPage = page(`<h1>Who are you?</h1>
<form method="post" action="/login">
  <label>Name <input name="name" required maxlength="20" pattern="[A-Za-z0-9_ \\-]+" autofocus></label>
  <button>Log in</button>
</form>`);

/** The name is one that `/login` has let through, so it needs no escaping. */
const chatPage = (/** @type {string} */ name) =>
  page(`<h1>Chat</h1>
<p>You are ${name}. Here: <span id="present">…</span></p>
<p id="status" role="status">Connecting…</p>
<ul id="messages"></ul>
<form id="write"><label>Message <input name="text" required maxlength="500" autocomplete="off"></label> <button>Send</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
<form method="post" action="/logout-everywhere"><button>Log out on all devices</button></form>
<script src="/socket.io/socket.io.min.js"></script>
<script type="module" src="/chat.js"></script>`);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start(Number(process.env.PORT ?? 3000));
  console.log(`The chat is open: ${url}`);
}
