import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type Express } from "express";
import fastify from "fastify";
import { type Browser, chromium } from "playwright-core";
import request from "supertest";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { expressSessions } from "../src/adapters/express.js";
import { fastifySessions } from "../src/adapters/fastify.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Sessions } from "../src/engine/sessions.js";
import { cookieStore } from "../src/stores/cookie.js";
import { memoryStore } from "../src/stores/memory.js";
import { mintSession, testClock } from "../src/testing/index.js";
import { chromiumArgs, findChromium } from "./support/chromium.js";
import { requestWith } from "./support/exchange.js";
import { SECRET } from "./support/shop.js";

/** `holdfast/testing` as an application's own tests use it. */

interface Data {
  cart?: string[];
  theme?: string;
}

function open(options: Partial<SessionsOptions<Data>> = {}): Sessions<Data> {
  return createSessions<Data>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false, ...options });
}

/** The application under test. */
function application(sessions: Parameters<typeof expressSessions>[0]): Express {
  const app = express();
  app.use(expressSessions(sessions));
  app.get("/account", ({ session }, res) => {
    if (session.userId === undefined) res.status(401).send("log in first");
    else res.json({ id: session.id, userId: session.userId, data: session.data });
  });
  app.get("/cart", ({ session }, res) => {
    res.json({ isNew: session.isNew, data: session.data });
  });
  app.post("/cart/:item", async (req, res) => {
    await req.session.update((data) => {
      data.cart = [...(data.cart ?? []), req.params.item];
    });
    res.end();
  });
  app.post("/login/:user", async (req, res) => {
    await req.session.login(req.params.user);
    res.end();
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.end();
  });
  return app;
}

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

describe("mintSession with supertest and Express", () => {
  it("a logged-in user with data", async () => {
    const sessions = open();
    const app = application(sessions);
    const { id, headers, cookie } = await mintSession(sessions, { userId: "ada", data: { cart: ["tea"] } });
    const expected = { id, userId: "ada", data: { cart: ["tea"] } };
    await request(app).get("/account").set(headers).expect(200, expected);
    await request(app).get("/account").set("Cookie", cookie).expect(200, expected);
    await request(app).get("/account").expect(401);
  });

  it("is a session like any other: written to, listed, logged out", async () => {
    const sessions = open();
    const app = application(sessions);
    const { id, headers } = await mintSession(sessions, { userId: "ada" });
    await request(app).post("/cart/tea").set(headers).expect(200);
    await request(app)
      .get("/cart")
      .set(headers)
      .expect({ isNew: false, data: { cart: ["tea"] } });
    expect((await sessions.ofUser("ada").list()).map((each) => each.id)).toEqual([id]);
    const answer = await request(app).post("/logout").set(headers);
    expect(answer.headers["set-cookie"]).toEqual([expect.stringContaining("Max-Age=0")]);
    await request(app).get("/account").set(headers).expect(401);
  });

  it("an agent takes over what the application sets afterwards", async () => {
    const sessions = open();
    const agent = request.agent(application(sessions));
    const { cookie } = await mintSession(sessions, { data: { cart: ["tea"] } });
    await agent.post("/login/ada").set("Cookie", cookie).expect(200);
    const { body } = await agent.get("/account").expect(200);
    expect(body).toMatchObject({ userId: "ada", data: { cart: ["tea"] } });
  });

  it("a visitor with data, and one without, who has a session all the same", async () => {
    const sessions = open();
    const app = application(sessions);
    const visitor = await mintSession(sessions, { data: { theme: "dark" } });
    await request(app)
      .get("/cart")
      .set(visitor.headers)
      .expect({ isNew: false, data: { theme: "dark" } });
    const empty = await mintSession(sessions);
    await request(app).get("/cart").set(empty.headers).expect({ isNew: false, data: {} });
    expect(empty.id).not.toBe(visitor.id);
  });

  it("what `initial` gives stays under the data", async () => {
    const sessions = createSessions<{ cart: string[]; theme: string }>({
      secrets: [SECRET],
      store: memoryStore(),
      sweepInterval: false,
      initial: () => ({ cart: [], theme: "light" }),
    });
    const { headers } = await mintSession(sessions, { data: { theme: "dark" } });
    await request(application(sessions))
      .get("/cart")
      .set(headers)
      .expect({ isNew: false, data: { cart: [], theme: "dark" } });
  });

  it("the headers say what device it is on", async () => {
    const sessions = open();
    const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    await mintSession(sessions, { userId: "ada", headers: { "User-Agent": agent } });
    expect((await sessions.ofUser("ada").list())[0]?.client).toEqual({ browser: "Firefox", system: "Linux" });
  });

  it("in production the cookie has the name that the application looks for", async () => {
    vi.stubEnv("NODE_ENV", "production");
    const sessions = open();
    const { headers, cookie } = await mintSession(sessions, { userId: "ada" });
    expect(cookie).toMatch(/^__Host-sid=/);
    await request(application(sessions)).get("/account").set(headers).expect(200);
  });

  it("the error is that of the session: data that can't be stored, a user id that is none", async () => {
    const sessions = open();
    await expect(mintSession(sessions, { data: { theme: new Date() as never } })).rejects.toMatchObject({
      code: "ERR_HOLDFAST_NOT_SERIALIZABLE",
    });
    await expect(mintSession(sessions, { userId: "" })).rejects.toMatchObject({
      code: "ERR_HOLDFAST_INVALID_ARGUMENT",
    });
  });

  it.each(["localhost:3000", "shop.example", "/account", "ftp://shop.example", ""])(
    "the url %j is refused",
    async (url) => {
      await expect(mintSession(open(), { url })).rejects.toMatchObject({ option: "url" });
    },
  );
});

it("mintSession with Fastify's inject()", async () => {
  const sessions = open();
  const app = fastify();
  await app.register(fastifySessions, { sessions });
  app.get("/account", async ({ session }) => ({ userId: session.userId, data: session.data }));
  const { headers } = await mintSession(sessions, { userId: "ada", data: { theme: "dark" } });
  expect((await app.inject({ url: "/account", headers })).json()).toEqual({
    userId: "ada",
    data: { theme: "dark" },
  });
  expect((await app.inject({ url: "/account" })).json()).toEqual({ data: {} });
  await app.close();
});

describe("the forms of a session's secret", () => {
  it("https: the __Host- cookie, Secure", async () => {
    const sessions = open();
    const { cookie, cookies, headers } = await mintSession(sessions, {
      url: "https://shop.example/path",
      userId: "ada",
    });
    expect(cookies).toEqual([
      {
        name: "__Host-sid",
        value: cookie.slice("__Host-sid=".length),
        domain: "shop.example",
        path: "/",
        httpOnly: true,
        secure: true,
        sameSite: "Lax",
      },
    ]);
    expect(headers).toEqual({ cookie });
    expect((await sessions.open(requestWith(cookie))).session.userId).toBe("ada");
  });

  it("http on this machine: a cookie that browsers take there", async () => {
    const { cookies } = await mintSession(open(), { url: "http://localhost:3000" });
    expect(cookies).toMatchObject([{ name: "sid", domain: "localhost", path: "/", secure: false }]);
  });

  it("the application's own attributes", async () => {
    const cookie = { name: "shop", sameSite: "strict", domain: "shop.example", path: "/account" } as const;
    const { cookies } = await mintSession(open({ cookie }), { url: "https://www.shop.example" });
    expect(cookies).toMatchObject([
      { name: "__Secure-shop", domain: ".shop.example", path: "/account", sameSite: "Strict" },
    ]);
  });

  it("bearer: the Authorization header and no cookie", async () => {
    const sessions = open({ transport: "bearer" });
    const { headers, cookie, cookies } = await mintSession(sessions, { userId: "ada" });
    expect(Object.keys(headers)).toEqual(["authorization"]);
    expect([cookie, cookies]).toEqual(["", []]);
    await request(application(sessions)).get("/account").set(headers).expect(200);
  });

  it("a transport that looks at the request is shown the headers", async () => {
    const sessions = open({ transport: (asked) => (asked.header("x-app") === "1" ? "bearer" : "cookie") });
    const native = await mintSession(sessions, { userId: "ada", headers: { "X-App": "1" } });
    const browser = await mintSession(sessions, { userId: "ada" });
    expect([Object.keys(native.headers), Object.keys(browser.headers)]).toEqual([
      ["authorization"],
      ["cookie"],
    ]);
    const app = application(sessions);
    await request(app).get("/account").set(native.headers).set("X-App", "1").expect(200);
    await request(app).get("/account").set(browser.headers).expect(200);
  });

  it("cookieStore: all the cookies that the session takes", async () => {
    const sessions = createSessions<Data>({ secrets: [SECRET], store: cookieStore({ maxCookies: 3 }) });
    const data = { theme: "x".repeat(5000) };
    const { headers, cookies } = await mintSession(sessions, { userId: "ada", data });
    expect(cookies).toHaveLength(2);
    const { body } = await request(application(sessions)).get("/account").set(headers).expect(200);
    expect(body).toMatchObject({ userId: "ada", data });
  });
});

describe("testClock", () => {
  const account = async (clock: ReturnType<typeof testClock>) => {
    const sessions = open({ clock: clock.now });
    const app = application(sessions);
    const { headers } = await mintSession(sessions, { userId: "ada" });
    return async () => (await request(app).get("/account").set(headers)).status;
  };

  it("the idle timeout", async () => {
    const clock = testClock();
    const visit = await account(clock);
    clock.advance("29m");
    expect(await visit()).toBe(200);
    clock.advance("29m");
    expect(await visit()).toBe(200);
    clock.advance("31m");
    expect(await visit()).toBe(401);
  });

  it("the absolute timeout", async () => {
    const clock = testClock(new Date("2030-01-01T00:00:00Z"));
    const sessions = open({ clock: clock.now, renewAfter: false });
    const app = application(sessions);
    const { headers } = await mintSession(sessions, { userId: "ada" });
    for (let visits = 0; visits < 24; visits++) {
      expect((await request(app).get("/account").set(headers)).status).toBe(200);
      clock.advance("29m");
    }
    clock.set(new Date("2030-01-01T12:00:00Z"));
    expect((await request(app).get("/account").set(headers)).status).toBe(401);
  });

  it("stands still, goes on by durations, and to a time", () => {
    const clock = testClock(1000);
    expect([clock.now(), clock.now()]).toEqual([1000, 1000]);
    expect(clock.advance(500)).toBe(1500);
    expect(clock.advance("2s")).toBe(3500);
    clock.set(new Date(0));
    expect(clock.now()).toBe(0);
    const before = Date.now();
    expect(testClock().now()).toBeGreaterThanOrEqual(before);
  });

  it("a time that is none would stop every timeout, so it is refused", () => {
    for (const time of [Number.NaN, new Date("soon"), "2030-01-01", undefined, Number.POSITIVE_INFINITY]) {
      expect(() => testClock(0).set(time as never), String(time)).toThrow(/expected a time/);
      if (time !== undefined) expect(() => testClock(time as never)).toThrow(/expected a time/);
    }
    expect(() => testClock().advance("-5m" as never)).toThrow(/by/);
    expect(() => testClock().advance(-5)).toThrow(/by/);
  });
});

const executablePath = findChromium();

describe.skipIf(executablePath === undefined)("mintSession with Playwright in Chromium", () => {
  let browser: Browser;
  const servers: Server[] = [];
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath!, args: chromiumArgs });
  });
  afterAll(async () => {
    await browser?.close();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function listen(sessions: Sessions<Data>): Promise<number> {
    const server = application(sessions).listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  it("a page is logged in without a login page", async () => {
    const sessions = open();
    const url = `http://localhost:${await listen(sessions)}`;
    const context = await browser.newContext({ baseURL: url });
    const { cookies } = await mintSession(sessions, { url, userId: "ada", data: { cart: ["tea"] } });
    await context.addCookies([...cookies]);
    const page = await context.newPage();
    await page.goto("/account");
    expect(JSON.parse((await page.textContent("body"))!)).toMatchObject({
      userId: "ada",
      data: { cart: ["tea"] },
    });
    expect(await page.evaluate("document.cookie")).toBe("");
    await page.evaluate("fetch('/logout', { method: 'POST' })");
    expect(await context.cookies()).toEqual([]);
    await context.close();
  });

  it("the cookie is the one that the application replaces at a login, with a domain, too", async () => {
    for (const cookie of [{}, { domain: "shop.localhost", secure: false }] as const) {
      const sessions = open({ cookie });
      const url = `http://www.shop.localhost:${await listen(sessions)}`;
      const context = await browser.newContext({ baseURL: url });
      const { cookies } = await mintSession(sessions, { url, data: { theme: "dark" } });
      await context.addCookies([...cookies]);
      const page = await context.newPage();
      await page.goto("/cart");
      expect(JSON.parse((await page.textContent("body"))!).data).toEqual({ theme: "dark" });
      await page.evaluate("fetch('/login/ada', { method: 'POST' })");
      expect(await context.cookies()).toHaveLength(1);
      await page.goto("/account");
      expect(JSON.parse((await page.textContent("body"))!)).toMatchObject({
        userId: "ada",
        data: { theme: "dark" },
      });
      await context.close();
    }
  });

  it("a __Host- cookie of an https address is taken", async () => {
    const context = await browser.newContext();
    const { cookie, cookies } = await mintSession(open(), { url: "https://shop.example" });
    await context.addCookies([...cookies]);
    const [kept] = await context.cookies("https://shop.example/account");
    expect(`${kept?.name}=${kept?.value}`).toBe(cookie);
    expect(await context.cookies("https://www.shop.example")).toEqual([]);
    await context.close();
  });
});
