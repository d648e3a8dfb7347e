import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { memoryStore } from "../../../src/stores/memory.js";
import { Browser, listen } from "../../support/browser.js";
import { DROP_IN, FRAMEWORKS, type Handler, ORIGINAL, SECRET, type Subject } from "./subject.js";

/** Applications as people have them, with what they use around their sessions: nothing is changed in them but `session`. */

const require = createRequire(import.meta.url);
const { Strategy } = require("passport-local");
const csurf = require("csurf");
const cookieParser = require("cookie-parser");
const flash = require("connect-flash");
const shareSession = require("express-socket.io-session");

const subjects: Subject[] = [
  ORIGINAL,
  DROP_IN,
  { ...DROP_IN, name: "the drop-in with a Holdfast store", store: () => memoryStore() },
];
const EXPRESSES = FRAMEWORKS.filter(({ name }) => name !== "Connect");
const CASES = subjects.flatMap((subject) =>
  EXPRESSES.map((framework) => ({ subject, framework, name: `${subject.name} on ${framework.name}` })),
);

/** The application; `store` is kept from one start to the next, as a server's is. */
function shop({ session }: Subject, { create }: { create: () => any }, store: unknown) {
  const { Passport } = require("passport");
  const passport = new Passport();
  passport.use(
    new Strategy(
      { usernameField: "user", passwordField: "password", session: true },
      (user: string, password: string, done: any) =>
        done(null, password === "secret" ? { id: user } : false, { message: "wrong password" }),
    ),
  );
  passport.serializeUser((user: any, done: any) => done(null, user.id));
  passport.deserializeUser((id: string, done: any) => done(null, { id }));

  const app = create();
  const sessions = session({ secret: SECRET, resave: false, saveUninitialized: false, store });
  app.use(sessions);
  // What a form would send comes in the query, so that no parser is needed.
  app.use(((req: any, _res, next) => {
    Object.defineProperty(req, "body", { configurable: true, value: req.query });
    next();
  }) as Handler);
  app.use(passport.initialize());
  app.use(passport.session());
  app.use(flash());
  app.get("/cart/:item", (req: any, res: any) => {
    req.session.cart = [...(req.session.cart ?? []), req.params.item];
    res.json(req.session.cart);
  });
  app.post(
    "/login",
    passport.authenticate("local", { successRedirect: "/", failureRedirect: "/wrong", failureFlash: true }),
  );
  app.post("/login-keeping", (req: any, res: any, next: any) => {
    req.login({ id: "ada" }, { keepSessionInfo: true }, (error: unknown) =>
      error ? next(error) : res.redirect("/"),
    );
  });
  app.post("/logout", (req: any, res: any, next: any) => {
    req.logout((error: unknown) => (error ? next(error) : res.redirect("/")));
  });
  app.get("/wrong", (req: any, res: any) => {
    res.json(req.flash("error"));
  });
  app.get("/", (req: any, res: any) => {
    res.json({ user: req.user?.id ?? null, cart: req.session.cart ?? [], in: req.isAuthenticated() });
  });
  return { app, sessions };
}

describe.each(CASES)("$name", ({ subject, framework }) => {
  let browser: Browser;
  let close: () => Promise<void>;
  beforeEach(async () => {
    const { app } = shop(subject, framework, subject.store?.());
    let url: string;
    ({ url, close } = await listen(app));
    browser = new Browser(url);
  });
  afterEach(() => close());
  const idOf = (of: Browser) => of.cookies.get("connect.sid");

  it("Passport logs in, under a new id, and out", async () => {
    await browser.get("/cart/book");
    const before = browser.twin();
    const login = await browser.post("/login?user=ada&password=secret");
    expect([login.status, login.headers.get("location")]).toEqual([302, "/"]);
    expect(idOf(browser)).not.toBe(idOf(before));
    // Passport begins anew: the cart of before the login is gone, as its documentation says.
    expect(JSON.parse((await browser.get("/")).body)).toEqual({ user: "ada", cart: [], in: true });
    expect(JSON.parse((await before.get("/")).body)).toEqual({ user: null, cart: [], in: false });
    await browser.get("/cart/pen");
    const stolen = browser.twin();
    expect((await browser.post("/logout")).status).toBe(302);
    expect(JSON.parse((await browser.get("/")).body)).toEqual({ user: null, cart: [], in: false });
    expect(JSON.parse((await stolen.get("/")).body).user).toBeNull();
  });

  it("Passport keeps the session's data where it is asked to", async () => {
    await browser.get("/cart/book");
    await browser.post("/login-keeping");
    expect(JSON.parse((await browser.get("/")).body)).toEqual({ user: "ada", cart: ["book"], in: true });
  });

  it("connect-flash tells of a login that failed, once", async () => {
    const login = await browser.post("/login?user=ada&password=wrong");
    expect(login.headers.get("location")).toBe("/wrong");
    expect((await browser.get("/wrong")).body).toBe('["wrong password"]');
    expect((await browser.get("/wrong")).body).toBe("[]");
  });

  it("csurf lets through who has the token of the session", async () => {
    const app = framework.create();
    const options = { secret: SECRET, resave: false, saveUninitialized: false, store: subject.store?.() };
    app.use(subject.session(options));
    app.use(csurf());
    app.get("/form", (req: any, res: any) => {
      res.send(req.csrfToken());
    });
    app.post("/form", (_req: any, res: any) => {
      res.send("sent");
    });
    app.use((error: any, _req: any, res: any, _next: any) => {
      res.status(error.status).send(error.code);
    });
    const server = await listen(app);
    const user = new Browser(server.url);
    const { body: token } = await user.get("/form");
    expect((await user.post("/form", { "csrf-token": token })).body).toBe("sent");
    expect(await user.post("/form")).toMatchObject({ status: 403, body: "EBADCSRFTOKEN" });
    const stranger = new Browser(server.url);
    await stranger.get("/form");
    expect((await stranger.post("/form", { "csrf-token": token })).status).toBe(403);
    await server.close();
  });

  it("cookie-parser before it, with the same secret, changes nothing", async () => {
    const app = framework.create();
    app.use(cookieParser(SECRET));
    const options = { secret: SECRET, resave: false, saveUninitialized: false, store: subject.store?.() };
    app.use(subject.session(options));
    app.get("/", (req: any, res: any) => {
      req.session.views = (req.session.views ?? 0) + 1;
      res.json(req.session.views);
    });
    const server = await listen(app);
    const user = new Browser(server.url);
    expect([(await user.get("/")).body, (await user.get("/")).body]).toEqual(["1", "2"]);
    await server.close();
  });

  it("express-socket.io-session shares the session with sockets", async () => {
    const { app, sessions } = shop(subject, framework, subject.store?.());
    const server = createServer(app);
    const sockets = new Server(server);
    sockets.use(shareSession(sessions, { autoSave: true }));
    sockets.on("connection", (socket: any) => {
      socket.on("add", (item: string, done: (cart: unknown) => void) => {
        const { session } = socket.handshake;
        session.cart = [...(session.cart ?? []), item];
        done(session.cart);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const user = new Browser(url);
    await user.get("/cart/book");
    const socket = io(url, { extraHeaders: { cookie: user.cookieHeader }, transports: ["websocket"] });
    const cart = await socket.timeout(5000).emitWithAck("add", "pen");
    expect(cart).toEqual(["book", "pen"]);
    await expect.poll(async () => JSON.parse((await user.get("/")).body).cart).toEqual(["book", "pen"]);
    socket.close();
    await sockets.close();
  });
});

describe.each(EXPRESSES)("switched by its import alone, on $name", (framework) => {
  it.each([
    { from: ORIGINAL, to: DROP_IN },
    { from: DROP_IN, to: ORIGINAL },
  ])("from $from.name to $to.name, everybody stays logged in", async ({ from, to }) => {
    const store = new from.session.MemoryStore();
    const before = await listen(shop(from, framework, store).app);
    const browser = new Browser(before.url);
    await browser.post("/login?user=ada&password=secret");
    await browser.get("/cart/book");
    await before.close();

    const after = await listen(shop(to, framework, store).app);
    const same = browser.twin(after.url);
    const answer = await same.get("/");
    expect(JSON.parse(answer.body)).toEqual({ user: "ada", cart: ["book"], in: true });
    expect(answer.setCookie).toEqual([]);
    await same.post("/logout");
    expect(JSON.parse((await browser.twin(after.url).get("/")).body).user).toBeNull();
    await after.close();
  });
});
