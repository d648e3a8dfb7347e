import type { RequestListener } from "node:http";
import express from "express";
import fastify, { type FastifyInstance } from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expressSessions } from "../../src/adapters/express.js";
import { fastifySessions } from "../../src/adapters/fastify.js";
import { honoSessions } from "../../src/adapters/hono.js";
import { koaSessions } from "../../src/adapters/koa.js";
import { createSessions } from "../../src/engine/create-sessions.js";
import { expressOidc } from "../../src/oidc/express.js";
import { fastifyOidc, requireLogin } from "../../src/oidc/fastify.js";
import { honoOidc } from "../../src/oidc/hono.js";
import { koaOidc } from "../../src/oidc/koa.js";
import { type OpenidConnect, openidConnect } from "../../src/oidc/openid-connect.js";
import { memoryStore } from "../../src/stores/memory.js";
import { listen } from "../support/browser.js";
import { SECRET } from "../support/shop.js";
import { SlowStore } from "../support/slow-store.js";
import { type ApplicationSetup, applications } from "./applications.js";
import { Person } from "./person.js";
import { CLIENT_SECRET, startProvider, type TestProvider } from "./provider.js";

/** One story on every framework, over real HTTP, with a real provider. */

const SETUPS: Array<Pick<ApplicationSetup, "lazy" | "parser"> & { csrf: boolean }> = [
  { lazy: false, parser: "none", csrf: false },
  { lazy: true, parser: "none", csrf: false },
  { lazy: false, parser: "form", csrf: true },
  { lazy: true, parser: "json", csrf: true },
];

const JSON_ONLY = { accept: "application/json" };

for (const application of applications) {
  for (const { lazy, parser, csrf } of SETUPS) {
    describe(`${application.name}, ${lazy ? "lazy" : "eager"}, body parser: ${parser}${csrf ? ", behind the CSRF guard" : ""}`, () => {
      let provider: TestProvider;
      let slow: SlowStore;
      let home: string;
      let close: () => Promise<void>;

      beforeEach(async () => {
        let listener: RequestListener | undefined;
        const server = await listen((request, response) => listener!(request, response));
        home = server.url;
        provider = await startProvider({ application: home });
        slow = new SlowStore();
        const sessions = createSessions<any>({
          secrets: [SECRET],
          store: slow.store,
          sweepInterval: false,
          csrf,
        });
        const oidc = await openidConnect({
          issuer: provider.issuer,
          clientId: "shop",
          clientSecret: CLIENT_SECRET,
          baseUrl: home,
        });
        listener = await application.listener({ sessions, oidc, lazy, parser });
        close = async () => {
          await server.close();
          await sessions.close();
          await provider.stop();
        };
      });
      afterEach(() => close());

      const userIdOf = (account: string) => `${account}@${provider.issuer}`;
      const stateOf = async (person: Person) => JSON.parse((await person.open("/")).body);

      it("leads a page to the login and back, and keeps the cart", async () => {
        const ann = new Person(home);
        const headers = { "sec-fetch-site": "same-origin" };
        expect((await ann.open("/cart", { method: "POST", headers })).status).toBe(204);
        const before = [...ann.home.values()].map(({ value }) => value);
        const page = await ann.visit("/account");
        expect([page.status, page.body]).toEqual([200, userIdOf("ann")]);
        expect(page.url).toBe(`${home}/account`);
        expect(await stateOf(ann)).toMatchObject({ userId: userIdOf("ann"), cart: ["tea"] });
        // One cookie: the session's, and another than before. That of the login is gone.
        const after = [...ann.home.values()].map(({ value }) => value);
        expect(after).toHaveLength(1);
        expect(after).not.toEqual(before);
      });

      it("answers programs with 401", async () => {
        const ann = new Person(home);
        const answer = await ann.open("/api", { headers: JSON_ONLY });
        expect([answer.status, answer.body, answer.setCookie]).toEqual([401, "", []]);
        await ann.visit("/auth/login");
        expect((await ann.open("/api", { headers: JSON_ONLY })).body).toBe(userIdOf("ann"));
      });

      it("goes back to paths of its own only", async () => {
        const own = await new Person(home).visit("/auth/login?returnTo=%2Fapi%3Fa%3D1%26b%3D2");
        expect(own.url).toBe(`${home}/api?a=1&b=2`);
        for (const evil of ["//evil.example/", "https://evil.example/", "/\\evil.example"]) {
          const page = await new Person(home).visit(`/auth/login?${new URLSearchParams({ returnTo: evil })}`);
          expect(page.url).toBe(`${home}/`);
        }
      });

      it("takes an answer once", async () => {
        const ann = new Person(home);
        const { url } = await ann.visit("/auth/login", (next) => next.startsWith(`${home}/auth/callback`));
        const twin = ann.twin();
        expect((await ann.open(url)).status).toBe(303);
        for (const person of [ann, twin, new Person(home)]) {
          const page = await person.open(url);
          expect(page.status).toBe(400);
          expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
          expect(page.headers.get("cache-control")).toContain("no-store");
          expect(page.body).toContain("This login is over");
        }
        expect(await stateOf(ann)).toMatchObject({ userId: userIdOf("ann") });
        expect(await stateOf(twin)).not.toHaveProperty("userId");
      });

      it("says why a login failed, with the status", async () => {
        provider.behaviour.refusal = "access_denied";
        const page = await new Person(home).visit("/auth/login");
        expect([page.status, page.headers.get("content-type")]).toEqual([403, "text/html; charset=utf-8"]);
        expect(page.body).toContain("You are not logged in");
        expect(page.body).not.toContain("a description");
      });

      it("logs out by POST, and not for other sites", async () => {
        const ann = new Person(home);
        await ann.visit("/auth/login");
        const got = await ann.open("/auth/logout");
        expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
        const crossSite = await ann.post("/auth/logout", {}, { "sec-fetch-site": "cross-site" });
        expect(crossSite.status).toBe(403);
        expect(await stateOf(ann)).toMatchObject({ userId: userIdOf("ann") });

        const twin = ann.twin();
        const out = await ann.post(
          "/auth/logout",
          { because: "I want to" },
          { "sec-fetch-site": "same-origin" },
        );
        expect(out.status).toBe(303);
        expect(out.headers.get("location")).toMatch(`${provider.issuer}/session/end?`);
        expect(ann.home.size).toBe(0);
        expect(await stateOf(twin)).not.toHaveProperty("userId");
      });

      it("ends the sessions that the provider ends, and no others", async () => {
        const [ann, elsewhere, bob] = [new Person(home), new Person(home), new Person(home)];
        await ann.visit("/auth/login");
        await elsewhere.visit("/auth/login");
        await bob.visit("/auth/login?login_hint=bob");
        await provider.sendLogout("ann", (await stateOf(ann)).sid);
        expect(provider.backchannel).toEqual(["ended ann"]);
        expect((await ann.open("/account", { headers: JSON_ONLY })).status).toBe(401);
        expect(await stateOf(elsewhere)).toMatchObject({ userId: userIdOf("ann") });
        expect(await stateOf(bob)).toMatchObject({ userId: userIdOf("bob") });
      });

      it("refuses logout tokens that are none", async () => {
        const somebody = new Person(home);
        const path = "/auth/backchannel-logout";
        const statuses = [
          await somebody.post(path, { logout_token: "e30.e30.e30" }),
          await somebody.post(path, { something: "else" }),
          await somebody.open(path, { method: "POST" }),
          await somebody.post(path, { logout_token: "e30.".repeat(10_000) }),
        ].map(({ status }) => status);
        expect(statuses.slice(0, 3)).toEqual([400, 400, 400]);
        expect([400, 413]).toContain(statuses[3]);
      });

      it("fails with 503 while the store is down, and works when it is back", async () => {
        const ann = new Person(home);
        await ann.visit("/auth/login");
        const underWay = new Person(home);
        const isCallback = (next: string) => next.startsWith(`${home}/auth/callback`);
        const { url } = await underWay.visit("/auth/login", isCallback);

        slow.fail();
        for (const path of ["/account", "/auth/login", "/"]) {
          const page = await ann.open(path);
          expect([path, page.status, page.setCookie]).toEqual([path, 503, []]);
        }
        const own = { "sec-fetch-site": "same-origin" };
        expect((await ann.post("/auth/logout", {}, own)).status).toBe(503);
        expect((await underWay.open(url)).status).toBe(503);
        await provider.sendLogout("ann", "the sid of somebody");
        expect(provider.backchannel.join()).toContain("503");

        slow.recover();
        expect(await stateOf(ann)).toMatchObject({ userId: userIdOf("ann") });
      });

      it.runIf(lazy)("opens no session for what is not its own", async () => {
        const ann = new Person(home);
        await ann.visit("/auth/login");
        slow.calls.length = 0;
        expect((await ann.open("/nowhere/auth/login")).status).not.toBe(200);
        await ann.open("/auth/login/");
        expect(slow.calls).toEqual([]);
      });
    });
  }
}

describe("where the paths are", () => {
  const BASE = "http://localhost:3000";
  const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
  const page = { headers: { host: "localhost:3000", accept: "text/html" }, redirect: "manual" } as const;
  const away = `/in?${new URLSearchParams({ returnTo: "/account" })}`;
  let provider: TestProvider;
  let oidc: OpenidConnect;

  beforeEach(async () => {
    provider = await startProvider({ application: BASE });
    oidc = await openidConnect({
      issuer: provider.issuer,
      clientId: "shop",
      clientSecret: CLIENT_SECRET,
      baseUrl: BASE,
    });
  });
  afterEach(() => provider.stop());

  async function locations(listener: RequestListener) {
    const server = await listen(listener);
    const answers = await Promise.all(["/account", "/in"].map((path) => fetch(server.url + path, page)));
    await server.close();
    return answers.map((answer) => answer.headers.get("location")?.split("?client_id", 1)[0]);
  }

  it("an adapter's own are those that its guard leads to", async () => {
    const expected = [away, expect.stringMatching(`^${provider.issuer}/auth`)];
    const routes = { login: "/in" };

    const app = express();
    const onExpress = expressOidc(oidc, { routes });
    app.use(expressSessions(sessions), onExpress, onExpress.requireLogin());
    expect(await locations(app)).toEqual(expected);

    const koa = new Koa();
    const onKoa = koaOidc(oidc, { routes });
    koa.use(koaSessions(sessions)).use(onKoa).use(onKoa.requireLogin());
    expect(await locations(koa.callback())).toEqual(expected);

    const hono = new Hono();
    const onHono = honoOidc(oidc, { routes });
    hono.use(honoSessions(sessions)).use(onHono).use(onHono.requireLogin());
    const answers = [await hono.request("/account", page), await hono.request("/in", page)];
    expect(answers.map(({ headers }) => headers.get("location")?.split("?client_id", 1)[0])).toEqual(
      expected,
    );

    const server = fastify();
    const own = oidc.withRoutes(routes);
    server.register(fastifySessions, { sessions });
    server.register(fastifyOidc, { oidc: own });
    server.get("/account", { onRequest: requireLogin(own) }, async () => "");
    await server.ready();
    expect(await locations(server.routing)).toEqual(expected);
  });

  it("a prefix of Fastify's is the beginning of each", async () => {
    const below = (paths: OpenidConnect) => async (scope: FastifyInstance) => {
      await scope.register(fastifySessions, { sessions });
      await scope.register(fastifyOidc, { oidc: paths });
    };
    const routes = {
      login: "/shop/in",
      callback: "/shop/back",
      logout: "/shop/out",
      backchannelLogout: false,
    } as const;
    const server = fastify();
    server.register(below(oidc.withRoutes(routes)), { prefix: "/shop" });
    const answer = await server.inject("/shop/in");
    expect([answer.statusCode, String(answer.headers.location)]).toEqual([
      303,
      expect.stringContaining(`${provider.issuer}/auth`),
    ]);
    const other = fastify();
    other.register(below(oidc), { prefix: "/shop" });
    await expect(other.ready()).rejects.toThrow("/auth/login is not below the plugin's prefix /shop");
  });

  it("requests without a path, and for other origins, are nobody's", async () => {
    const app = express();
    app.use(expressSessions(sessions), expressOidc(oidc), (_req, res) => void res.sendStatus(404));
    for (const url of ["*", "http://evil.example/auth/login", "//evil.example/auth/login"]) {
      const server = await listen((request, response) => {
        request.url = url;
        app(request, response);
      });
      expect((await fetch(server.url)).status).toBe(404);
      await server.close();
    }
  });
});
