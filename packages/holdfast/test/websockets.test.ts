import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import express, { type Express } from "express";
import { Server as SocketServer } from "socket.io";
import { type Socket as ClientSocket, io as connectIo } from "socket.io-client";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { expressSessions } from "../src/adapters/express.js";
import { type UpgradeOptions, upgradeSession } from "../src/adapters/upgrade.js";
import { createSessions } from "../src/engine/create-sessions.js";
import type { SessionEnd } from "../src/engine/on-end.js";
import type { Session } from "../src/engine/session.js";
import type { Sessions } from "../src/engine/sessions.js";
import type { Store } from "../src/stores/contract.js";
import { memoryStore } from "../src/stores/memory.js";
import { createKeyring } from "../src/token/keyring.js";
import { newToken } from "../src/token/token.js";
import { Browser, listen } from "./support/browser.js";
import { Clock, SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

/** Sessions in HTTP upgrades, over real sockets, with the libraries that people use. */

const MINUTE = 60_000;

/** What is still to be closed, the last opened first. */
const closing: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Chat {
  url: string;
  app: Express;
  sessions: Sessions<any>;
  clock: Clock;
  /** A browser in which somebody has logged in. */
  login(user?: string): Promise<Browser>;
}

async function openChat(store: Store, clock = new Clock()) {
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store,
    clock: clock.read,
    sweepInterval: false,
  });
  const app = express();
  app.use(expressSessions(sessions));
  app.post("/login/:user", async (req, res) => {
    await req.session.login(req.params.user);
    res.end();
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.end();
  });
  app.get("/session", ({ session }, res) => {
    res.json({ userId: session.userId, data: session.data });
  });
  const { url, server, close } = await listen(app);
  closing.push(close);
  const chat: Chat = {
    url,
    app,
    sessions,
    clock,
    async login(user = "ada") {
      const browser = new Browser(url);
      await browser.post(`/login/${user}`);
      return browser;
    },
  };
  return { chat, server };
}

/** What a socket may be told to do with its session; the answer. */
async function obey(session: Session<any>, command: string): Promise<string> {
  try {
    if (command === "who") return session.userId!;
    if (command === "add") await session.update((data) => (data.messages = (data.messages ?? 0) + 1));
    if (command === "set") {
      session.data.plain = true;
      await session.save();
    }
    if (command === "touch") await session.touch();
    if (command === "login") await session.login("ada");
    if (command === "rotate") await session.rotate();
    if (command === "logout") await session.logout();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

/** The codes of `ws` for what ends a session: 4000 to 4999 are the application's. */
const SESSION_ENDED = 4401;

async function openWsChat(store: Store = memoryStore(), options: UpgradeOptions = {}, clock?: Clock) {
  const { chat, server } = await openChat(store, clock);
  const wss = new WebSocketServer({ noServer: true });
  closing.push(() => wss.close());
  server.on("upgrade", async (request, socket, head) => {
    const refuse = (status: number) => socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\n\r\n`);
    socket.on("error", () => {});
    let session: Session<any>;
    try {
      session = await upgradeSession(chat.sessions, request, options);
    } catch (error) {
      refuse((error as { status?: number }).status ?? 500);
      return;
    }
    if (session.userId === undefined) {
      refuse(401);
      return;
    }
    wss.handleUpgrade(request, socket, head, (ws) => {
      const stop = session.onEnd(({ reason }) => ws.close(SESSION_ENDED, reason), { every: "100ms" });
      ws.on("close", stop);
      ws.on("message", async (command) => ws.send(await obey(session, String(command))));
    });
  });
  return { ...chat, server, wss };
}

interface Refusal {
  status: number;
}

/** A WebSocket that is open; or the status with which it was refused. */
async function dial(
  url: string,
  cookie: string,
  headers: Record<string, string> = {},
): Promise<WebSocket | Refusal> {
  const ws = new WebSocket(url.replace("http", "ws"), { headers: { ...(cookie && { cookie }), ...headers } });
  return new Promise((resolve, reject) => {
    ws.on("open", () => resolve(ws));
    ws.on("unexpected-response", (_request, response: IncomingMessage) => {
      resolve({ status: response.statusCode! });
      response.destroy();
    });
    ws.on("error", reject);
  });
}

async function dialled(url: string, cookie: string, headers?: Record<string, string>): Promise<WebSocket> {
  const ws = await dial(url, cookie, headers);
  if ("status" in ws) throw new Error(`refused with ${ws.status}`);
  closing.push(() => ws.terminate());
  return ws;
}

async function ask(ws: WebSocket, command: string): Promise<string> {
  ws.send(command);
  const [answer] = await once(ws, "message");
  return String(answer);
}

/** Why a socket was closed. */
async function closed(ws: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = await once(ws, "close");
  return { code, reason: String(reason) };
}

describe("ws", () => {
  it("knows the user who is logged in", async () => {
    const { url, login } = await openWsChat();
    const [ada, grace] = [await login("ada"), await login("grace")];
    expect(await ask(await dialled(url, ada.cookieHeader), "who")).toBe("ada");
    expect(await ask(await dialled(url, grace.cookieHeader), "who")).toBe("grace");
  });

  it("whoever isn't logged in, or has a forged cookie, is nobody", async () => {
    const { url, login } = await openWsChat();
    const genuine = (await login()).cookieHeader;
    const unknown = createKeyring([SECRET], false).sign(newToken());
    const foreign = createKeyring(["another secret of thirty-two bytes or more"], false).sign(newToken());
    const flipped = genuine.slice(0, -1) + (genuine.endsWith("A") ? "B" : "A");
    for (const cookie of [
      "",
      flipped,
      `sid=${unknown}`,
      `sid=${foreign}`,
      "sid=%00",
      `sid=${"x".repeat(5000)}`,
    ])
      expect(await dial(url, cookie), cookie).toEqual({ status: 401 });
  });

  it("a cookie whose session has ended is nobody's", async () => {
    const { url, login } = await openWsChat();
    const browser = await login();
    const cookie = browser.cookieHeader;
    await browser.post("/logout");
    expect(await dial(url, cookie)).toEqual({ status: 401 });
  });

  it("a store that is down is a 503, not a stranger", async () => {
    const slow = new SlowStore();
    const { url, login } = await openWsChat(slow.store);
    const browser = await login();
    slow.fail();
    expect(await dial(url, browser.cookieHeader)).toEqual({ status: 503 });
    slow.recover();
    expect(await ask(await dialled(url, browser.cookieHeader), "who")).toBe("ada");
  });

  it("a store that fails later closes nothing", async () => {
    const slow = new SlowStore();
    const { url, sessions, login } = await openWsChat(slow.store);
    const ws = await dialled(url, (await login()).cookieHeader);
    slow.fail();
    const failures = new Promise<void>((resolve) => {
      let count = 0;
      sessions.on("store-error", () => {
        if (++count === 3) resolve();
      });
    });
    await failures;
    expect(await ask(ws, "add")).toBe("StoreError");
    slow.recover();
    expect(await ask(ws, "add")).toBe("done");
  });

  describe("a page of another site", () => {
    it("is refused, though the browser sends its user's cookie", async () => {
      const { url, login } = await openWsChat();
      const cookie = (await login()).cookieHeader;
      const { port } = new URL(url);
      for (const origin of [
        "https://evil.example",
        "null",
        "file://",
        "",
        "http://127.0.0.1",
        `http://127.0.0.1:${Number(port) + 1}`,
        `http://localhost:${port}`,
        `http://127.0.0.1:${port}.evil.example`,
        `http://evil.example/127.0.0.1:${port}`,
        `app://127.0.0.1:${port}`,
        `${url}, https://evil.example`,
      ])
        expect(await dial(url, cookie, { origin }), origin).toEqual({ status: 403 });
    });

    it("costs no call to the store", async () => {
      const slow = new SlowStore();
      const { url, login } = await openWsChat(slow.store);
      const cookie = (await login()).cookieHeader;
      const before = slow.calls.length;
      await dial(url, cookie, { origin: "https://evil.example" });
      expect(slow.calls.length).toBe(before);
    });

    it("isn't what the server's own page is, nor a program that sends no Origin", async () => {
      const { url, login } = await openWsChat();
      const cookie = (await login()).cookieHeader;
      await dialled(url, cookie, { origin: url });
      await dialled(url, cookie);
    });

    it("the host counts as browsers write it, whatever a proxy makes of it", async () => {
      const { url, login } = await openWsChat();
      const plain = (await login()).cookieHeader;
      const cookie = `${plain}; __Host-${plain}`;
      for (const [host, origin] of [
        ["Shop.Example", "https://shop.example"],
        ["shop.example:443", "https://shop.example"],
        ["shop.example:80", "http://shop.example"],
        ["shop.example:8443", "https://shop.example:8443"],
        ["[::1]:8443", "https://[::1]:8443"],
      ] as const)
        await dialled(url, cookie, { host, origin });
      for (const [host, origin] of [
        ["shop.example:80", "https://shop.example"],
        ["shop.example:8443", "https://shop.example"],
        ["shop.example.evil.example", "https://shop.example"],
        ["not a host", "https://shop.example"],
      ] as const)
        expect(await dial(url, cookie, { host, origin }), host).toEqual({ status: 403 });
    });

    it("is refused where the request names no host to compare with", async () => {
      const { url } = await openWsChat();
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
      socket.write(`${["GET / HTTP/1.0", "Origin: null", ...upgrade].join("\r\n")}\r\n\r\n`);
      expect(await text(socket)).toMatch(/^HTTP\/1.1 403 /);
    });

    it("is refused where the server ends TLS itself and the page came without", async () => {
      const { sessions } = await openWsChat();
      const from = (origin: string) =>
        ({
          headers: { host: "shop.example", origin },
          socket: { encrypted: true, remoteAddress: "192.0.2.1" },
        }) as unknown as IncomingMessage;
      await expect(upgradeSession(sessions, from("http://shop.example"))).rejects.toMatchObject({
        status: 403,
      });
      expect((await upgradeSession(sessions, from("https://shop.example"))).isNew).toBe(true);
    });

    it("is welcome where its origin is named, and then no other is, the server's own included", async () => {
      const { url, login } = await openWsChat(undefined, {
        origins: ["https://shop.example", "capacitor://localhost"],
      });
      const cookie = (await login()).cookieHeader;
      await dialled(url, cookie, { origin: "https://shop.example" });
      await dialled(url, cookie, { origin: "capacitor://localhost" });
      await dialled(url, cookie);
      for (const origin of [url, "http://shop.example", "https://shop.example.evil.example", "null"])
        expect(await dial(url, cookie, { origin }), origin).toEqual({ status: 403 });
    });

    it("is welcome with any", async () => {
      const { url, login } = await openWsChat(undefined, { origins: "any" });
      await dialled(url, (await login()).cookieHeader, { origin: "https://elsewhere.example" });
    });

    it.each([
      ["https://shop.example"],
      [["shop.example"]],
      [["https://shop.example/"]],
      [["null"]],
      [["https://*.shop.example"]],
      [[/shop/]],
      [null],
    ])("%j is no list of origins", async (origins) => {
      const { sessions } = await openWsChat();
      const request = { headers: {}, socket: {} } as IncomingMessage;
      await expect(upgradeSession(sessions, request, { origins: origins as never })).rejects.toMatchObject({
        code: "ERR_HOLDFAST_CONFIG",
        option: "origins",
      });
    });
  });

  describe("is closed at once", () => {
    it("on logout, before the browser has the answer", async () => {
      const { url, wss, login } = await openWsChat();
      const browser = await login();
      const ws = await dialled(url, browser.cookieHeader);
      const close = closed(ws);
      const [serverSide] = wss.clients;
      await browser.post("/logout");
      expect(serverSide!.readyState).not.toBe(WebSocket.OPEN);
      expect(await close).toEqual({ code: SESSION_ENDED, reason: "logout" });
    });

    it("on revokeAll: every socket on every device, and nobody else's", async () => {
      const { url, sessions, login } = await openWsChat();
      const [laptop, phone, other] = [await login(), await login(), await login("grace")];
      const sockets = [
        await dialled(url, laptop.cookieHeader),
        await dialled(url, laptop.cookieHeader),
        await dialled(url, phone.cookieHeader),
      ];
      const others = await dialled(url, other.cookieHeader);
      const closes = sockets.map(closed);
      await sessions.ofUser("ada").revokeAll();
      for (const close of await Promise.all(closes))
        expect(close).toEqual({ code: SESSION_ENDED, reason: "revoked" });
      expect(await ask(others, "who")).toBe("grace");
    });

    it("on a new login, and the page comes back with its new cookie", async () => {
      const { url, login } = await openWsChat();
      const browser = await login();
      const close = closed(await dialled(url, browser.cookieHeader));
      await browser.post("/login/ada");
      expect((await close).reason).toBe("rotated");
      expect(await ask(await dialled(url, browser.cookieHeader), "who")).toBe("ada");
    });

    it("by its own logout", async () => {
      const { url, login } = await openWsChat();
      const browser = await login();
      const ws = await dialled(url, browser.cookieHeader);
      const close = closed(ws);
      ws.send("logout");
      expect((await close).reason).toBe("logout");
      expect(JSON.parse((await browser.get("/session")).body).userId).toBeUndefined();
    });
  });

  it("is closed a poll later when another process ends the session", async () => {
    const store = memoryStore();
    const here = await openWsChat(store);
    const { chat: there } = await openChat(store);
    const browser = await here.login();
    const close = closed(await dialled(here.url, browser.cookieHeader));
    await browser.twin(there.url).post("/logout");
    expect(await close).toEqual({ code: SESSION_ENDED, reason: "logout" });

    const again = closed(await dialled(here.url, (await here.login()).cookieHeader));
    await there.sessions.ofUser("ada").revokeAll();
    expect(await again).toEqual({ code: SESSION_ENDED, reason: "revoked" });
  });

  it("changes from a message are stored, beside those of requests", async () => {
    const { url, app, login } = await openWsChat();
    app.post("/set/:key", (req, res) => {
      req.session.data[req.params.key] = "by a request";
      res.end();
    });
    const browser = await login();
    const ws = await dialled(url, browser.cookieHeader);
    expect(await ask(ws, "add")).toBe("done");
    await browser.post("/set/theirs");
    expect(await ask(ws, "add")).toBe("done");
    expect(await ask(ws, "set")).toBe("done");
    const { data } = JSON.parse((await browser.get("/session")).body);
    expect(data).toEqual({ messages: 2, plain: true, theirs: "by a request" });
  });

  it("what needs a cookie can't be done from a socket, and does no harm", async () => {
    const { url, login } = await openWsChat();
    const browser = await login();
    const ws = await dialled(url, browser.cookieHeader);
    expect(await ask(ws, "login")).toBe("HeadersSentError");
    expect(await ask(ws, "rotate")).toBe("HeadersSentError");
    expect(await ask(ws, "who")).toBe("ada");
    expect(JSON.parse((await browser.get("/session")).body).userId).toBe("ada");
  });

  it("a stranger's session can't be stored from an upgrade", async () => {
    const { sessions } = await openWsChat();
    const request = { headers: { host: "localhost" }, socket: {} } as IncomingMessage;
    const session = await upgradeSession(sessions, request);
    session.data.cart = ["tea"];
    await expect(session.save()).rejects.toMatchObject({ code: "ERR_HOLDFAST_HEADERS_SENT" });
    await expect(session.login("ada")).rejects.toMatchObject({ code: "ERR_HOLDFAST_HEADERS_SENT" });
  });

  describe("a socket that stays open", () => {
    it("is no activity: the session ends, and the socket with it", async () => {
      const { url, clock, login } = await openWsChat();
      const browser = await login();
      const ws = await dialled(url, browser.cookieHeader);
      const close = closed(ws);
      clock.advance(20 * MINUTE);
      expect(await ask(ws, "who")).toBe("ada");
      clock.advance(10 * MINUTE);
      expect(await close).toEqual({ code: SESSION_ENDED, reason: "expired" });
      expect(JSON.parse((await browser.get("/session")).body).userId).toBeUndefined();
    });

    it("is what its messages say with touch()", async () => {
      const { url, clock, login } = await openWsChat();
      const browser = await login();
      const ws = await dialled(url, browser.cookieHeader);
      for (let passed = 0; passed < 2; passed++) {
        clock.advance(20 * MINUTE);
        expect(await ask(ws, "touch")).toBe("done");
      }
      clock.advance(20 * MINUTE);
      expect(JSON.parse((await browser.get("/session")).body).userId).toBe("ada");
    });
  });

  it("an upgrade sends no cookie and leaves the session as it is", async () => {
    const slow = new SlowStore();
    const { url, login } = await openWsChat(slow.store);
    const browser = await login();
    slow.calls.length = 0;
    const ws = new WebSocket(url.replace("http", "ws"), { headers: { cookie: browser.cookieHeader } });
    closing.push(() => ws.terminate());
    const [response] = (await once(ws, "upgrade")) as [IncomingMessage];
    expect(response.headers["set-cookie"]).toBeUndefined();
    expect(new Set(slow.calls)).toEqual(new Set(["load"]));
  });
});

describe.each([
  { transports: ["websocket"] },
  { transports: ["polling"] },
  { transports: ["polling", "websocket"] },
])("Socket.IO by $transports", ({ transports }) => {
  async function openIoChat(store: Store = memoryStore(), options: UpgradeOptions = {}, clock?: Clock) {
    const { chat, server } = await openChat(store, clock);
    const io = new SocketServer(server);
    closing.push(() => io.close());
    io.use(async (socket, next) => {
      try {
        const session = await upgradeSession(chat.sessions, socket.request, options);
        if (session.userId === undefined) return next(new Error("not logged in"));
        socket.data.session = session;
        next();
      } catch (error) {
        next(new Error(String((error as { status?: number }).status)));
      }
    });
    io.on("connection", (socket) => {
      const session: Session<any> = socket.data.session;
      const stop = session.onEnd(
        ({ reason }) => {
          socket.emit("session ended", reason);
          socket.disconnect(true);
        },
        { every: "100ms" },
      );
      socket.on("disconnect", stop);
      socket.on("do", async (command: string, answer: (text: string) => void) =>
        answer(await obey(session, command)),
      );
    });
    return { ...chat, io };
  }

  function dialIo(url: string, cookie: string, headers: Record<string, string> = {}): ClientSocket {
    const socket = connectIo(url, {
      transports,
      forceNew: true,
      reconnection: false,
      extraHeaders: { ...(cookie && { cookie }), ...headers },
    });
    closing.push(() => socket.disconnect());
    return socket;
  }

  async function connected(url: string, cookie: string, headers?: Record<string, string>) {
    const socket = dialIo(url, cookie, headers);
    await new Promise<void>((resolve, reject) => {
      socket.on("connect", resolve);
      socket.on("connect_error", reject);
    });
    return socket;
  }

  async function refused(url: string, cookie: string, headers?: Record<string, string>): Promise<string> {
    const socket = dialIo(url, cookie, headers);
    return new Promise((resolve, reject) => {
      socket.on("connect", () => reject(new Error("connected")));
      socket.on("connect_error", ({ message }) => resolve(message));
    });
  }

  const ended = (socket: ClientSocket) =>
    new Promise<SessionEnd["reason"]>((resolve) => {
      let why: SessionEnd["reason"];
      socket.on("session ended", (reason) => {
        why = reason;
      });
      socket.on("disconnect", () => resolve(why));
    });

  it("knows the user, refuses strangers, forged cookies and other sites", async () => {
    const { url, login } = await openIoChat();
    const cookie = (await login()).cookieHeader;
    expect(await (await connected(url, cookie)).emitWithAck("do", "who")).toBe("ada");
    await connected(url, cookie, { origin: url });
    expect(await refused(url, "")).toBe("not logged in");
    expect(await refused(url, cookie.slice(0, -2))).toBe("not logged in");
    expect(await refused(url, cookie, { origin: "https://evil.example" })).toBe("403");
  });

  it("takes the origins that are named", async () => {
    const { url, login } = await openIoChat(undefined, { origins: ["https://shop.example"] });
    const cookie = (await login()).cookieHeader;
    await connected(url, cookie, { origin: "https://shop.example" });
    expect(await refused(url, cookie, { origin: url })).toBe("403");
  });

  it("a store that is down is told as such", async () => {
    const slow = new SlowStore();
    const { url, login } = await openIoChat(slow.store);
    const cookie = (await login()).cookieHeader;
    slow.fail();
    expect(await refused(url, cookie)).toBe("503");
  });

  it("is disconnected at once on logout and on revokeAll", async () => {
    const { url, io, sessions, login } = await openIoChat();
    const browser = await login();
    const end = ended(await connected(url, browser.cookieHeader));
    await browser.post("/logout");
    expect(io.of("/").sockets.size).toBe(0);
    expect(await end).toBe("logout");

    const again = ended(await connected(url, (await login()).cookieHeader));
    await sessions.ofUser("ada").revokeAll();
    expect(io.of("/").sockets.size).toBe(0);
    expect(await again).toBe("revoked");
  });

  it("is disconnected a poll later when another process ends the session", async () => {
    const store = memoryStore();
    const here = await openIoChat(store);
    const { chat: there } = await openChat(store);
    const browser = await here.login();
    const end = ended(await connected(here.url, browser.cookieHeader));
    await browser.twin(there.url).post("/logout");
    expect(await end).toBe("logout");
  });

  it("stores what a message changes, can't log in, and is activity only by touch()", async () => {
    const { url, clock, login } = await openIoChat();
    const browser = await login();
    const socket = await connected(url, browser.cookieHeader);
    expect(await socket.emitWithAck("do", "add")).toBe("done");
    expect(await socket.emitWithAck("do", "login")).toBe("HeadersSentError");
    expect(JSON.parse((await browser.get("/session")).body).data).toEqual({ messages: 1 });
    clock.advance(20 * MINUTE);
    expect(await socket.emitWithAck("do", "touch")).toBe("done");
    clock.advance(20 * MINUTE);
    expect(await socket.emitWithAck("do", "who")).toBe("ada");
    const end = ended(socket);
    clock.advance(20 * MINUTE);
    expect(await end).toBe("expired");
  });
});

it("a stream of server-sent events ends with the session", async () => {
  const { chat } = await openChat(memoryStore());
  chat.app.get("/updates", (req, res: ServerResponse) => {
    res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    res.write("data: hello\n\n");
    const stop = req.session.onEnd(() => res.end("event: logged-out\ndata:\n\n"));
    res.on("close", stop);
  });
  const browser = await chat.login();
  const stream = await browser.open("GET", "/updates");
  await browser.post("/logout");
  expect(await stream.text()).toBe("data: hello\n\nevent: logged-out\ndata:\n\n");
});
