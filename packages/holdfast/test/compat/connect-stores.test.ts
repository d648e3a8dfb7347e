import { createRequire } from "node:module";
import cookie from "@fastify/cookie";
import fastify from "fastify";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { fromConnectStore, toConnectStore } from "../../src/compat/connect-stores/index.js";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Store, StoreRecord } from "../../src/stores/contract.js";
import { testStore } from "../../src/testing/store.js";
import { newToken, sessionIdOf } from "../../src/token/token.js";
import { Browser, listen } from "../support/browser.js";
import { finish, finishedCookie, requestWith } from "../support/exchange.js";
import { SECRET } from "../support/shop.js";
import { STORES } from "../support/stores.js";
import { provideRealStores } from "./express-session/real-stores.js";
import { DROP_IN, EXPRESS_5, ORIGINAL, type Served, sendJson, serve } from "./express-session/subject.js";

/** The bridges between Holdfast's stores and those for express-session. */

const require = createRequire(import.meta.url);
// Its types declare another session on the request than holdfast/fastify does.
const fastifySession = require("@fastify/session");
const { stores, close: closeServers } = await provideRealStores();
afterAll(closeServers);

describe("fromConnectStore", () => {
  const memory = new ORIGINAL.session.MemoryStore();
  testStore(
    "over express-session's MemoryStore",
    () => fromConnectStore(memory),
    { describe, it },
    { sweeps: false, scans: false, rewrites: false },
  );

  for (const { name, open } of stores) {
    const opened = open === undefined ? undefined : open();
    afterAll(async () => (await opened)?.close());
    const shared = opened?.then((store) => store.create(ORIGINAL.session));
    testStore(
      `over ${name}`,
      async () => fromConnectStore(await shared),
      { describe: describe.skipIf(open === undefined), it },
      { sweeps: false, scans: false, rewrites: false, runs: 10 },
    );
  }

  const call = (now = Date.now()) => ({ now, signal: new AbortController().signal });
  const record = (changes: Partial<StoreRecord> = {}): StoreRecord => ({
    version: 1,
    payload: "payload",
    idleDeadline: Date.now() + 60_000,
    absoluteDeadline: Date.now() + 90_000,
    userId: "ada",
    ...changes,
  });
  const newId = () => sessionIdOf(newToken());

  it("gives the native API its sessions", async () => {
    const store = fromConnectStore(new ORIGINAL.session.MemoryStore());
    const sessions = createSessions<any>({ secrets: [SECRET], store, sweepInterval: false });
    const first = await sessions.open(requestWith(undefined));
    await first.session.login("ada");
    first.session.data.cart = ["book"];
    const cookieHeader = await finishedCookie(first);
    const second = await sessions.open(requestWith(cookieHeader));
    expect([second.session.userId, second.session.data]).toEqual(["ada", { cart: ["book"] }]);
    await finish(second);
    expect(await sessions.ofUser("ada").list()).toHaveLength(1);
    await sessions.ofUser("ada").revokeAll();
    expect((await sessions.open(requestWith(cookieHeader))).session.userId).toBeUndefined();
  });

  it("says once for each store what it can't promise", async () => {
    const warnings: any[] = [];
    const hear = (warning: unknown) => warnings.push(warning);
    process.on("warning", hear);
    const MemoryStore = require("memorystore")(ORIGINAL.session);
    const store = new MemoryStore({ checkPeriod: 0 });
    fromConnectStore(store);
    fromConnectStore(store);
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off("warning", hear);
    expect(warnings.map(({ name, code, message }) => [name, code, message.split(".")[0]])).toEqual([
      [
        "HoldfastWarning",
        "HOLDFAST_CONNECT_STORE",
        "fromConnectStore(): MemoryStore has no compare-and-swap",
      ],
    ]);
  });

  it("refuses what is no store", () => {
    expect(() => fromConnectStore({} as any)).toThrow(/no get, set, destroy/);
    expect(() => fromConnectStore(undefined as any)).toThrow(/no get, set, destroy/);
  });

  it("counts the time to live from the engine's clock", async () => {
    const kept: any[] = [];
    const store = fromConnectStore({
      get: (_sid, callback) => callback(null, null),
      set: (_sid, session, callback) => {
        kept.push(session);
        callback?.();
      },
      destroy: (_sid, callback) => callback?.(),
    });
    await store.create(
      newId(),
      record({ userId: null, idleDeadline: 61_000, absoluteDeadline: 90_000 }),
      call(1000),
    );
    expect(Math.round(kept[0].cookie.maxAge / 100)).toBe(600);
  });

  it("takes a damaged record for damaged, not for none", async () => {
    const connectStore = new ORIGINAL.session.MemoryStore();
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: fromConnectStore(connectStore),
      sweepInterval: false,
    });
    const first = await sessions.open(requestWith(undefined));
    first.session.data.a = 1;
    const cookieHeader = await finishedCookie(first);
    const [id] = Object.keys(connectStore.sessions);
    connectStore.sessions[id!] = JSON.stringify({ cookie: {}, holdfast: { version: "x" } });
    const reading = async () => (await sessions.open(requestWith(cookieHeader))).session.data;
    await expect(reading()).rejects.toMatchObject({
      code: "ERR_HOLDFAST_STORE_CORRUPT",
    });
  });

  it("forgets in a user's list what has expired", async () => {
    const connectStore = new ORIGINAL.session.MemoryStore();
    const store = fromConnectStore(connectStore);
    const now = Date.now();
    const ids = [newId(), newId()];
    await store.create(
      ids[0]!,
      record({ idleDeadline: now + 1000, absoluteDeadline: now + 1000 }),
      call(now),
    );
    await store.create(ids[1]!, record(), call(now + 2000));
    const lists = Object.values(connectStore.sessions as Record<string, string>).map(
      (text) => JSON.parse(text).ids,
    );
    expect(lists.filter(Boolean).map(Object.keys)).toEqual([[ids[1]]]);
  });

  it("an error of the store is an error", async () => {
    const failing = fromConnectStore({
      get: (_sid, callback) => callback(new Error("no connection")),
      set: (_sid, _session, callback) => callback?.(new Error("no connection")),
      destroy: (_sid, callback) => callback?.(new Error("no connection")),
    });
    await expect(failing.load(newId(), call())).rejects.toThrow("no connection");
    await expect(failing.create(newId(), record(), call())).rejects.toThrow("no connection");
    await expect(failing.delete(newId(), call())).rejects.toThrow("no connection");
  });
});

describe.each(STORES)("toConnectStore over the $name store", ({ open }) => {
  let store: Store;
  let served: Served | undefined;
  beforeEach(() => {
    store = open();
  });
  afterEach(async () => {
    await served?.close();
    served = undefined;
    await store.close();
  });
  const sessionsOver = () => createSessions<any>({ secrets: [SECRET], store, sweepInterval: false });

  it.each([ORIGINAL, DROP_IN])("serves $name", async (subject) => {
    const options = { store: toConnectStore(store), genid: undefined, cookie: { maxAge: 60_000 } };
    served = await serve(subject, EXPRESS_5, options, async (req, res) => {
      if (req.url === "/login") {
        await new Promise((resolve) => req.session.regenerate(resolve));
        req.session.passport = { user: 7 };
      }
      if (req.url === "/logout") await new Promise((resolve) => req.session.destroy(resolve));
      sendJson(res, { user: req.session?.passport?.user ?? null, left: req.session?.cookie.originalMaxAge });
    });
    const browser = served.browser();
    await browser.get("/login");
    expect(JSON.parse((await browser.get("/")).body)).toEqual({ user: 7, left: 60_000 });
    expect(await sessionsOver().ofUser("7").list()).toHaveLength(1);
    const stolen = browser.twin();
    await browser.get("/logout");
    expect(JSON.parse((await stolen.get("/")).body).user).toBeNull();
    expect(await sessionsOver().ofUser("7").list()).toHaveLength(0);
  });

  it("keeps what two overlapping requests of the original changed", async () => {
    const bridge = toConnectStore(store);
    served = await serve(ORIGINAL, EXPRESS_5, { store: bridge, genid: undefined }, async (req, res) => {
      if (req.url === "/outer") {
        // The inner request runs while this one has its session loaded.
        await browser.twin().get("/inner");
      }
      req.session[req.url!.slice(1)] = true;
      sendJson(res, req.session);
    });
    const browser = served.browser();
    await browser.get("/begun");
    await browser.get("/outer");
    expect(JSON.parse((await browser.get("/end")).body)).toMatchObject({
      begun: true,
      inner: true,
      outer: true,
    });
  });

  it("serves @fastify/session", async () => {
    const app = fastify();
    await app.register(cookie);
    await app.register(fastifySession, {
      secret: "a secret of thirty-two characters or more",
      cookie: { secure: false, maxAge: 60_000 },
      saveUninitialized: false,
      store: toConnectStore(store, { userId: ({ user }) => user }) as any,
    });
    app.get("/login/:user", async (request: any) => {
      await request.session.regenerate();
      request.session.user = request.params.user;
      return "in";
    });
    app.get("/", async (request: any) => ({ user: request.session.user ?? null }));
    app.get("/logout", async (request: any) => {
      await request.session.destroy();
      return "out";
    });
    const browser = new Browser(await app.listen({ port: 0, host: "127.0.0.1" }));
    await browser.get("/login/ada");
    expect((await browser.get("/")).body).toBe('{"user":"ada"}');
    expect(await sessionsOver().ofUser("ada").list()).toHaveLength(1);
    const stolen = browser.twin();
    await browser.get("/logout");
    expect((await stolen.get("/")).body).toBe('{"user":null}');
    await browser.get("/login/ada");
    await sessionsOver().ofUser("ada").revokeAll();
    expect((await browser.get("/")).body).toBe('{"user":null}');
    await app.close();
  });

  it("serves express-openid-connect", async () => {
    const { auth } = require("express-openid-connect");
    const app = EXPRESS_5.create();
    app.use(
      auth({
        authRequired: false,
        issuerBaseURL: "https://provider.example",
        baseURL: "http://localhost",
        clientID: "client",
        secret: "a secret of thirty-two characters or more",
        session: { store: toConnectStore(store, { userId: ({ data }) => data?.sub }), rollingDuration: 3600 },
      }),
    );
    app.get("/in", (req: any, res: any) => {
      // What its callback route does with the provider's answer.
      Object.assign(req.appSession, { sub: "ada", access_token: "token" });
      res.send("in");
    });
    app.get("/out", (req: any, res: any) => {
      req.appSession = undefined;
      res.send("out");
    });
    app.get("/", (req: any, res: any) => {
      res.json({ user: req.appSession?.sub ?? null });
    });
    const { url, close } = await listen(app);
    const browser = new Browser(url);
    await browser.get("/in");
    expect((await browser.get("/")).body).toBe('{"user":"ada"}');
    expect(await sessionsOver().ofUser("ada").list()).toHaveLength(1);
    const stolen = browser.twin();
    await browser.get("/out");
    expect((await stolen.get("/")).body).toBe('{"user":null}');
    await close();
  });

  it("there and back: a Holdfast store behind both bridges", async () => {
    const there = fromConnectStore(toConnectStore(store));
    const sessions = createSessions<any>({ secrets: [SECRET], store: there, sweepInterval: false });
    const first = await sessions.open(requestWith(undefined));
    first.session.data.a = 1;
    const cookieHeader = await finishedCookie(first);
    const second = await sessions.open(requestWith(cookieHeader));
    expect(second.session.data).toEqual({ a: 1 });
    await finish(second);
  });
});
