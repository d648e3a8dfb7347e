import { request as httpRequest } from "node:http";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { afterEach, describe, expect, it, vi } from "vitest";
import { sessionConsole } from "../../src/console/index.js";
import { COUNT_LIMIT, LIST_LIMIT } from "../../src/console/reading.js";
import { createSessions } from "../../src/engine/create-sessions.js";
import { observeStore } from "../../src/engine/observe-store.js";
import { engineOf } from "../../src/engine/sessions.js";
import { cookieStore } from "../../src/stores/cookie.js";
import { memoryStore } from "../../src/stores/memory.js";
import { type Browser, listen } from "../support/browser.js";
import { requestWith } from "../support/exchange.js";
import { Clock, SECRET } from "../support/shop.js";
import { SlowStore } from "../support/slow-store.js";
import { type ConsoleApp, openConsoleApp } from "./console-app.js";

/** The console over real HTTP: who gets in, what it takes to end a session, what it costs. */

let app: ConsoleApp | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
  vi.restoreAllMocks();
});

async function asAdmin(
  ...args: Parameters<typeof openConsoleApp>
): Promise<{ app: ConsoleApp; admin: Browser }> {
  app = await openConsoleApp(...args);
  const admin = app.browser();
  await admin.get("/login/admin");
  return { app, admin };
}

/** Sends a form as a page of the console does, unless the headers say otherwise. */
async function submit(
  app: ConsoleApp,
  browser: Browser,
  form: URLSearchParams | string,
  headers: Record<string, string> = { "sec-fetch-site": "same-origin" },
  base = app.url,
): Promise<{ status: number; location: string | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      `${base}/admin/sessions/revoke`,
      {
        method: "POST",
        headers: {
          cookie: browser.cookieHeader,
          "content-type": "application/x-www-form-urlencoded",
          ...headers,
        },
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (chunk) => {
          body += chunk;
        });
        response.on("end", () =>
          resolve({ status: response.statusCode!, location: response.headers.location, body }),
        );
      },
    );
    sent.on("error", reject);
    sent.end(form.toString());
  });
}

/** The token in the forms of a page. */
const tokenIn = (body: string) => /name="token" value="([^"]+)"/.exec(body)?.[1] ?? "";

const form = (token: string, ids: readonly string[], more: Record<string, string> = {}) => {
  const fields = new URLSearchParams({ token, what: "selected", confirmed: "yes", ...more });
  for (const id of ids) fields.append("id", id);
  return fields;
};

const idOf = async (app: ConsoleApp, user: string) => (await app.sessions.ofUser(user).list())[0]!.id;

describe("the guard", () => {
  const PATHS = ["", "/", "/live", "/console.css", "/console.js", "/session/x", "/nothing", "?q=ada"];

  it("lets nobody in but those that it names: not to one page, script or action", async () => {
    const { app, admin } = await asAdmin();
    await app.people("ada");
    const id = await idOf(app, "ada");
    const token = tokenIn((await admin.get("/admin/sessions")).body);
    const user = app.browser();
    await user.get("/login/mallory");
    for (const browser of [app.browser(), user]) {
      for (const path of PATHS) {
        const { status, body } = await browser.get(`/admin/sessions${path}`);
        expect([path, status, body]).toEqual([path, 404, "Not Found"]);
      }
      expect(await submit(app, browser, form(token, [id]))).toMatchObject({ status: 404 });
    }
    expect(await app.sessions.ofUser("ada").list()).toHaveLength(1);
  });

  it.each<[string, (context: unknown) => any]>([
    [
      "throws",
      () => {
        throw new Error("no database");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("no database");
      },
    ],
    ["answers true", () => true],
    ["answers an object", () => ({ name: "admin" })],
    ["answers nothing", () => undefined],
    ["answers an empty name", () => ""],
    ["answers later with nothing", async () => null],
    ["answers a name with a line break", () => "admin\r\nX: y"],
    ["answers a name that is too long", () => "a".repeat(256)],
  ])("fails closed where it %s", async (_what, guard) => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    const administration = sessionConsole(sessions, { path: "/c", guard });
    const answer = await administration.fetch(new Request("https://shop.example/c"));
    expect([answer.status, await answer.text()]).toEqual([404, "Not Found"]);
    administration.close();
    await sessions.close();
  });

  it("must be there: the console has no access of its own", async () => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    const bad: Array<[string, unknown, unknown]> = [
      ["guard", sessions, { path: "/c" }],
      ["guard", sessions, { path: "/c", guard: true }],
      ["path", sessions, { guard: () => "a" }],
      ["path", sessions, { path: "/", guard: () => "a" }],
      ["path", sessions, { path: '/c"><script>', guard: () => "a" }],
      ["origin", sessions, { path: "/c", guard: () => "a", origin: "https://shop.example/" }],
      ["title", sessions, { path: "/c", guard: () => "a", title: 7 }],
      ["gaurd", sessions, { path: "/c", guard: () => "a", gaurd: () => "a" }],
      ["options", sessions, undefined],
      [
        "sessions",
        createSessions({ secrets: [SECRET], store: cookieStore() } as any),
        { path: "/c", guard: () => "a" },
      ],
      ["sessions", {}, { path: "/c", guard: () => "a" }],
    ];
    for (const [option, of, options] of bad)
      expect(() => (sessionConsole as any)(of, options), option).toThrow(expect.objectContaining({ option }));
    await sessions.close();
  });
});

describe("an action", () => {
  it("ends what it names, as whom the guard named, and is told in the events", async () => {
    const { app, admin } = await asAdmin();
    await app.people("ada", "ada", "grace");
    const token = tokenIn((await admin.get("/admin/sessions")).body);
    const ids = (await app.sessions.ofUser("ada").list()).map(({ id }) => id);
    const answer = await submit(app, admin, form(token, ids));
    expect(answer).toMatchObject({ status: 303, location: "/admin/sessions?ended=2" });
    expect(await app.sessions.ofUser("ada").list()).toEqual([]);
    expect(app.events.filter(({ name }) => name === "revoked")).toMatchObject([
      { userId: "ada", actor: "admin:root" },
      { userId: "ada", actor: "admin:root" },
    ]);
    const user = new URLSearchParams({ token, what: "user", q: "grace", confirmed: "yes" });
    expect(await submit(app, admin, user)).toMatchObject({ status: 303 });
    expect(await app.sessions.ofUser("grace").list()).toEqual([]);
    expect(app.events.at(-1)).toMatchObject({ name: "revoked", userId: "grace", actor: "admin:root" });
    expect((await admin.get("/admin/sessions?ended=2")).body).toContain("2 sessions were ended.");
  });

  it("is for the user whose link was followed, and for no other whose name differs by blanks", async () => {
    const { app, admin } = await asAdmin();
    await app.people("ada", " ada", "ada ", " ");
    for (const name of [" ada", "ada ", " "]) {
      const { body } = await admin.get("/admin/sessions");
      const [, id] = (await app.sessions.ofUser(name).list()).map((one) => [one, one.id])[0]!;
      const [, link] = new RegExp(`id="user-${id}" href="([^"]+)"`).exec(body)!;
      const found = (await admin.get(link!)).body;
      expect(found, name).toContain("1 session found.");
      expect(found, name).toContain(`name="q" value="${name}"`);
      const fields = new URLSearchParams({ token: tokenIn(found), what: "user", q: name, confirmed: "yes" });
      expect(await submit(app, admin, fields)).toMatchObject({ status: 303 });
      expect(await app.sessions.ofUser(name).list(), name).toEqual([]);
      expect(await app.sessions.ofUser("ada").list(), name).toHaveLength(1);
    }
    // Somebody typed, or pasted, more than the name.
    expect((await admin.get("/admin/sessions?q=%20ada%20")).body).toContain("1 session found.");
  });

  it("asks first, and does nothing before that", async () => {
    const { app, admin } = await asAdmin();
    await app.people("ada");
    const token = tokenIn((await admin.get("/admin/sessions")).body);
    const fields = form(token, [await idOf(app, "ada")]);
    fields.delete("confirmed");
    const { status, body } = await submit(app, admin, fields);
    expect([status, body]).toEqual([200, expect.stringContaining("End this session?")]);
    expect(await app.sessions.ofUser("ada").list()).toHaveLength(1);
  });

  it.each<[string, Record<string, string>, ((token: string) => string)?]>([
    ["from another site", { "sec-fetch-site": "cross-site" }],
    ["from a sibling subdomain", { "sec-fetch-site": "same-site" }],
    ["from nowhere, as a bookmark", { "sec-fetch-site": "none" }],
    ["without a token", { "sec-fetch-site": "same-origin" }, () => ""],
    [
      "with a token that was changed",
      { "sec-fetch-site": "same-origin" },
      (token) => `${token.slice(0, -1)}~`,
    ],
    ["with a longer life", { "sec-fetch-site": "same-origin" }, (token) => `9${token}`],
    ["by an old browser without a token", {}, () => ""],
  ])("is refused %s, and that is told", async (_what, headers, change = (token) => token) => {
    const { app, admin } = await asAdmin();
    await app.people("ada");
    const token = tokenIn((await admin.get("/admin/sessions")).body);
    expect(token).not.toBe("");
    const fields = form(change(token), [await idOf(app, "ada")]);
    expect((await submit(app, admin, fields, headers)).status).toBe(403);
    expect(await app.sessions.ofUser("ada").list()).toHaveLength(1);
    expect(app.events.at(-1)).toMatchObject({ name: "csrf-refused", method: "POST" });
    // The same, as it should be, is done.
    expect((await submit(app, admin, form(token, [await idOf(app, "ada")]))).status).toBe(303);
  });

  it("is refused with another administrator's token, and with one of yesterday", async () => {
    const clock = new Clock();
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: memoryStore(),
      clock: clock.read,
      sweepInterval: false,
    });
    const administration = sessionConsole<string>(sessions, { path: "/c", guard: (name) => name });
    const ask = async (actor: string, token?: string) => {
      const post = { method: "POST", body: form(token ?? "", ["x".repeat(43)]) };
      const request = new Request(
        `https://shop.example/c${token === undefined ? "" : "/revoke"}`,
        token === undefined ? {} : post,
      );
      const response = await administration.fetch(request, actor);
      return { status: response.status, body: await response.text() };
    };
    const token = tokenIn((await ask("ada")).body);
    expect((await ask("grace", token)).status).toBe(403);
    expect((await ask("ada", token)).status).toBe(303);
    clock.advance(12 * 3_600_000);
    expect((await ask("ada", token)).status).toBe(403);
    administration.close();
    await sessions.close();
  });

  it("is taken from the configured origin only, where a browser says no more than that", async () => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    const origin = "https://shop.example";
    const administration = sessionConsole(sessions, { path: "/c", guard: () => "ada", origin });
    const page = await administration.fetch(new Request(`${origin}/c`));
    const token = tokenIn(await page.text());
    const from = async (origin: string) => {
      const request = new Request("https://shop.example/c/revoke", {
        method: "POST",
        body: form(token, ["x".repeat(43)]),
        headers: { origin },
      });
      return (await administration.fetch(request)).status;
    };
    expect([await from("https://evil.example"), await from("null"), await from(origin)]).toEqual([
      403, 403, 303,
    ]);
    administration.close();
    await sessions.close();
  });

  it("is a POST with a form: nothing else does anything, and nothing throws", async () => {
    const { app, admin } = await asAdmin();
    await app.people("ada");
    const id = await idOf(app, "ada");
    const token = tokenIn((await admin.get("/admin/sessions")).body);
    expect((await admin.get(`/admin/sessions/revoke?${form(token, [id])}`)).status).toBe(405);
    expect((await admin.post("/admin/sessions")).status).toBe(405);
    const json = { "sec-fetch-site": "same-origin", "content-type": "application/json" };
    expect((await submit(app, admin, form(token, [id]), json)).status).toBe(415);
    expect((await submit(app, admin, `token=${token}&what=selected`)).status).toBe(400);
    expect((await submit(app, admin, form(token, ["<script>", "x"]))).status).toBe(400);
    expect((await submit(app, admin, `token=${token}&what=user&q=%00%01&confirmed=yes`)).status).toBe(400);
    expect((await submit(app, admin, `token=${token}&${"id=".padEnd(300_000, "x")}`)).status).toBe(415);
    for (const path of ["/session/%00", "/session/..%2f", "/%", "/live?page=NaN&q=%ff", "?page=-1e99&q=%00"])
      expect((await admin.get(`/admin/sessions${path}`)).status, path).toBeLessThan(500);
    expect(await app.sessions.ofUser("ada").list()).toHaveLength(1);
  });
});

describe("a page", () => {
  it("carries what keeps it safe, whatever it is", async () => {
    const { admin } = await asAdmin();
    for (const path of ["", "/live", "/console.css", "/console.js", "/nothing", "/revoke"]) {
      const { headers } = await admin.get(`/admin/sessions${path}`);
      const policy = headers.get("content-security-policy") ?? "";
      for (const rule of [
        "default-src 'none'",
        "script-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
      ])
        expect(policy).toContain(rule);
      expect(policy).not.toMatch(/unsafe|http|\*/);
      expect(headers.get("cache-control")).toContain("no-store");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
    const { body } = await admin.get("/admin/sessions");
    expect(body).not.toMatch(/\son\w+=|style="|<script>|<style|https?:/);
  });

  it("of a session tells how its user proved who they are, and until when that holds", async () => {
    const { app, admin } = await asAdmin(memoryStore(), { remember: {} });
    const exchange = await app.sessions.open(requestWith(undefined));
    await exchange.session.login("ada", { methods: ["pwd", "otp"], level: 2, remember: true });
    await exchange.commit();
    const { body } = await admin.get(`/admin/sessions/session/${await idOf(app, "ada")}`);
    expect(body).toContain("pwd, otp; level 2");
    expect(body).toContain("Remembered");
    expect(body).toContain("Ends at the latest");
  });

  it("never shows data or a token", async () => {
    const { app, admin } = await asAdmin();
    const user = app.browser();
    await user.get("/login/ada");
    await app.sessions.ofUser("ada").list();
    const id = await idOf(app, "ada");
    const pages = [await admin.get("/admin/sessions"), await admin.get(`/admin/sessions/session/${id}`)];
    for (const { status, body } of pages) {
      expect(status).toBe(200);
      for (const value of [...user.cookies.values(), ...admin.cookies.values()])
        expect(body).not.toContain(value.split(".")[0]);
    }
  });

  it("that refreshes by itself doesn't keep its administrator's session alive, and one that is opened does", async () => {
    const clock = new Clock();
    const { admin } = await asAdmin(memoryStore(), { clock: clock.read });
    for (let minute = 0; minute < 60; minute++) {
      clock.advance(60_000);
      expect((await admin.get("/admin/sessions")).status).toBe(200);
    }
    for (let minute = 0; minute < 29; minute++) {
      clock.advance(60_000);
      expect((await admin.get("/admin/sessions/live?q=ada")).status).toBe(200);
    }
    clock.advance(60_000);
    expect((await admin.get("/admin/sessions/live")).status).toBe(404);
  });

  it("says that the store is down, and so does a refresh, and an action", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const slow = new SlowStore();
    const { app, admin } = await asAdmin(slow.store);
    const token = tokenIn((await admin.get("/admin/sessions")).body);
    // After an action, the list is read anew.
    expect((await submit(app, admin, form(token, ["x".repeat(43)]))).status).toBe(303);
    const fail = () => Promise.reject(new Error("password hunter2 is wrong"));
    Object.assign(slow.store, { scan: fail, listByUser: fail });
    for (const path of ["", "/live", "?q=ada"]) {
      const { status, body } = await admin.get(`/admin/sessions${path}`);
      expect([path, status]).toEqual([path, 503]);
      expect(body).toContain("The session store doesn’t answer");
      expect(body).not.toContain("hunter2");
    }
    const user = new URLSearchParams({ token, what: "user", q: "ada", confirmed: "yes" });
    expect((await submit(app, admin, user)).status).toBe(503);
  });
});

describe("with a hundred thousand sessions", () => {
  it("reads a bounded part for each page, however many look, and says so", async () => {
    const store = memoryStore({ maxSessions: 200_000, maxBytes: 2 ** 30 });
    const { app, admin } = await asAdmin(store);
    await app.people("ada");
    const { id, record } = (
      await store.listByUser("ada", { now: Date.now(), signal: new AbortController().signal })
    )[0]!;
    expect(id).toHaveLength(43);
    const call = { now: Date.now(), signal: new AbortController().signal };
    for (let n = 0; n < COUNT_LIMIT + 10; n++)
      await store.create(
        `${String(n).padStart(10, "0")}${"s".repeat(33)}`,
        { ...record, userId: `user-${n}` },
        call,
      );

    const counts = { scan: 0, others: 0 };
    const stop = observeStore(engineOf(app.sessions).store, (operation, call) => {
      if (operation === "scan") counts.scan++;
      else counts.others++;
      return call();
    });
    // The first look starts the count, in the background: all scans but the page's own.
    const first = await admin.get("/admin/sessions");
    expect(first.body).toContain(`${LIST_LIMIT.toLocaleString("en")} sessions`);
    expect(first.body.match(/<tr role="row">/g)!.length).toBe(51);
    await vi.waitFor(
      async () => expect((await admin.get("/admin/sessions/live")).body).toContain("More than 100,000"),
      {
        timeout: 30_000,
      },
    );
    expect((await admin.get("/admin/sessions")).body).toContain("of more than 100,000");

    counts.scan = 0;
    await Promise.all(Array.from({ length: 20 }, () => admin.get("/admin/sessions/live")));
    // 200 records a page of the store: 1000 sessions, and the one that tells that there are more.
    expect(counts.scan).toBeLessThanOrEqual(2 * (LIST_LIMIT / 200 + 1));
    counts.scan = 0;
    expect((await admin.get("/admin/sessions?q=user-99999")).body).toContain("1 session found.");
    expect((await admin.get("/admin/sessions?page=20")).body).toContain("Page 20 of 20");
    expect(counts.scan).toBeLessThanOrEqual(LIST_LIMIT / 200 + 1);
    stop();
  });
});

describe("mounted in each framework", () => {
  const setUp = () => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    const guard = (context: any) => {
      const header =
        context?.headers?.["x-name"] ?? context?.headers?.get?.("x-name") ?? context?.get?.("x-name");
      return header ?? context?.req?.header?.("x-name");
    };
    return { sessions, administration: sessionConsole<any>(sessions, { path: "/admin/sessions", guard }) };
  };
  type SetUp = ReturnType<typeof setUp>;
  type Opened = { url: string; close(): Promise<void> };

  const MOUNTS: Record<string, (set: SetUp) => Promise<Opened>> = {
    "node:http": ({ administration }) => listen((req, res) => administration.node(req, res)),
    "Express, behind a body parser": ({ administration }) => {
      const app = express();
      app.use(express.urlencoded({ extended: true }));
      app.use("/admin/sessions", administration.node);
      return listen(app);
    },
    Koa: ({ administration }) => {
      const app = new Koa();
      app.use(async (ctx, next) => {
        if (!administration.owns(ctx.path)) return next();
        const { status, headers, body } = await administration.answer(ctx.req, ctx);
        ctx.status = status;
        ctx.set(headers);
        ctx.body = body;
      });
      return listen(app.callback());
    },
    async Fastify({ administration }) {
      const app = Fastify();
      const text = { parseAs: "string" } as const;
      app.addContentTypeParser("application/x-www-form-urlencoded", text, (_request, body, done) =>
        done(null, body),
      );
      for (const url of ["/admin/sessions", "/admin/sessions/*"])
        app.all(url, async (request, reply) => {
          const { status, headers, body } = await administration.answer(request.raw, request);
          return reply.code(status).headers(headers).send(body);
        });
      const url = await app.listen({ port: 0, host: "127.0.0.1" });
      return { url, close: () => app.close() };
    },
    async Hono({ administration }) {
      const app = new Hono();
      app.all("/admin/sessions/*", (c) => administration.fetch(c.req.raw, c));
      const { serve } = await import("@hono/node-server");
      return new Promise((resolve) => {
        const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) =>
          resolve({ url: `http://127.0.0.1:${port}`, close: async () => void server.close() }),
        );
      });
    },
  };

  it.each(Object.entries(MOUNTS))("%s: shows, and ends", async (_name, mount) => {
    const set = setUp();
    const { url, close } = await mount(set);
    const admin = { "x-name": "ada" };
    expect((await fetch(`${url}/admin/sessions`)).status).toBe(404);
    const page = await fetch(`${url}/admin/sessions`, { headers: admin });
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const token = tokenIn(await page.text());
    expect(
      (await fetch(`${url}/admin/sessions/console.js`, { headers: admin })).headers.get("content-type"),
    ).toMatch(/javascript/);
    expect((await fetch(`${url}/admin/sessions`, { method: "HEAD", headers: admin })).status).toBe(200);
    // More ids than a parser makes a list of.
    const ids = Array.from({ length: 60 }, (_, n) => `${String(n).padStart(3, "0")}${"x".repeat(40)}`);
    const ask = form(token, ids);
    ask.delete("confirmed");
    const post = (body: URLSearchParams) =>
      fetch(`${url}/admin/sessions/revoke`, {
        method: "POST",
        body,
        headers: { ...admin, "sec-fetch-site": "same-origin" },
        redirect: "manual",
      });
    expect(await (await post(ask)).text()).toContain("End these 60 sessions?");
    const done = await post(form(token, ids));
    expect([done.status, done.headers.get("location")]).toEqual([303, "/admin/sessions?ended=0"]);
    await close();
    set.administration.close();
    await set.sessions.close();
  });

  it("Express: what isn't the console's goes on", async () => {
    const { app, admin } = await asAdmin();
    for (const path of ["/admin/sessionsx", "/admin", "/elsewhere"])
      expect((await admin.get(path)).body, path).toBe("not the console's");
    expect(app.console.owns("/admin/sessions?x")).toBe(true);
  });

  it("listens to nothing more after close", async () => {
    const { sessions, administration } = setUp();
    const { store } = engineOf(sessions);
    expect(Object.hasOwn(store, "load")).toBe(true);
    administration.close();
    expect(Object.hasOwn(store, "load")).toBe(false);
    await sessions.close();
  });
});
