import { once } from "node:events";
import express, { type NextFunction, type Request, type Response } from "express";
import { afterEach, describe, expect, it } from "vitest";
import { expressSessions } from "../../src/adapters/express.js";
import { createSessions } from "../../src/engine/create-sessions.js";
import { ExpressOIDC, type ExpressOIDCOptions } from "../../src/oidc/okta.js";
import { listen } from "../support/browser.js";
import { SECRET } from "../support/shop.js";
import { SlowStore } from "../support/slow-store.js";
import { Person } from "./person.js";
import { CLIENT_SECRET, startProvider } from "./provider.js";

/** An application as those that use Okta's middleware are written, with a real provider. */

const closing: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Extra {
  readonly options?: Partial<ExpressOIDCOptions>;
  readonly loginCallback?: NonNullable<ExpressOIDCOptions["routes"]>["loginCallback"];
  readonly lazy?: boolean;
}

async function start({ options = {}, loginCallback = {}, lazy = false }: Extra = {}) {
  const app = express();
  const server = await listen(app);
  closing.push(server.close);
  const provider = await startProvider({
    application: server.url,
    clientSecretMethod: "client_secret_basic",
  });
  closing.push(provider.stop);
  const slow = new SlowStore();
  const sessions = createSessions<any>({ secrets: [SECRET], store: slow.store, sweepInterval: false });
  const oidc = new ExpressOIDC({
    issuer: provider.issuer,
    client_id: "shop",
    client_secret: CLIENT_SECRET,
    appBaseUrl: server.url,
    scope: "openid profile email",
    ...options,
    routes: {
      loginCallback: { path: "/auth/callback", ...loginCallback },
      backchannelLogout: { path: "/auth/backchannel-logout" },
      ...options.routes,
    },
  });
  app.use(expressSessions(sessions, { lazy }));
  app.use(oidc.router);
  app.get("/", (req, res) => {
    res.json({ in: req.isAuthenticated(), context: req.userContext, cart: req.session.data.cart });
  });
  app.post("/cart", (req, res) => {
    req.session.data.cart = ["tea"];
    res.end();
  });
  app.get("/protected", oidc.ensureAuthenticated(), (req, res) => {
    res.send(`Hello ${req.userContext!.userinfo.name}`);
  });
  app.get("/hinted", oidc.ensureAuthenticated({ loginHint: "bob" }), (req, res) => {
    res.send(`Hello ${req.userContext!.userinfo.name}`);
  });
  app.get("/elsewhere", oidc.ensureAuthenticated({ redirectTo: "/welcome?a=1" }));
  app.get("/welcome", (_req, res) => res.send("welcome"));
  app.get("/local-logout", (req, res) => {
    req.logout();
    res.redirect("/welcome");
  });
  app.get("/local-logout-called-back", (req, res, next) => {
    req.logout((error) => (error ? next(error) : res.redirect("/welcome")));
  });
  app.post("/forces-logout", oidc.forceLogoutAndRevoke());
  app.get("/logout", (_req, res) => res.send("a page of the application's own"));
  app.use(((error, _req, res, _next) => {
    res.status(error.status ?? 500).send(error.code ?? String(error));
  }) as express.ErrorRequestHandler);
  await once(oidc, "ready");
  const stateOf = async (person: Person) => JSON.parse((await person.open("/")).body);
  return {
    app,
    oidc,
    provider,
    slow,
    sessions,
    home: server.url,
    stateOf,
    person: () => new Person(server.url),
  };
}

describe("login", () => {
  it.each([false, true])(
    "leads to the provider and back, keeps the cart, and shows who it is (lazy: %s)",
    async (lazy) => {
      const { person, provider, stateOf } = await start({ lazy });
      const ann = person();
      if (!lazy) await ann.open("/cart", { method: "POST" });
      const page = await ann.visit("/protected");
      expect([page.status, page.body]).toEqual([200, "Hello ann"]);
      if (lazy) return;
      expect(await stateOf(ann)).toEqual({
        in: true,
        cart: ["tea"],
        context: {
          userinfo: { sub: "ann", name: "ann", email: "ann@example.com" },
          tokens: {
            token_type: "Bearer",
            access_token: expect.any(String),
            id_token: expect.stringMatching(/^eyJ/),
            refresh_token: expect.any(String),
          },
        },
      });
      expect(provider.requests).toContain("GET /me");
    },
  );

  it("shows nobody where nobody is logged in", async () => {
    const { person, stateOf } = await start();
    expect(await stateOf(person())).toEqual({ in: false });
    const api = await person().open("/protected", { headers: { accept: "application/json" } });
    expect(api.status).toBe(401);
  });

  it("passes the login hint on", async () => {
    const { person } = await start();
    expect((await person().visit("/hinted")).body).toBe("Hello bob");
  });

  it("leads to the page of redirectTo in place of the login", async () => {
    const { person, home } = await start();
    const page = await person().visit("/elsewhere");
    expect([page.body, page.url]).toEqual(["welcome", `${home}/welcome?a=1&returnTo=%2Felsewhere`]);
  });

  it("leads to afterCallback, where that is set, always", async () => {
    const { person, home } = await start({ loginCallback: { afterCallback: "/welcome" } });
    expect((await person().visit("/protected")).url).toBe(`${home}/welcome`);
    expect((await person().visit("/login")).url).toBe(`${home}/welcome`);
  });

  it("keeps the tokens out of the session's record", async () => {
    const { person, slow, stateOf } = await start();
    const ann = person();
    await ann.visit("/protected");
    const { access_token } = (await stateOf(ann)).context.tokens;
    expect(JSON.stringify(slow.lastData)).not.toContain(access_token);
  });

  it("keeps the claims under sessionKey", async () => {
    const { person, app } = await start({ options: { sessionKey: "okta" } });
    app.get("/key", (req, res) => void res.json(req.session.data.okta));
    const ann = person();
    await ann.visit("/protected");
    expect(JSON.parse((await ann.open("/key")).body).userinfo.sub).toBe("ann");
  });
});

describe("a login that fails", () => {
  it("shows a page that says why", async () => {
    const { person, provider } = await start();
    provider.behaviour.refusal = "access_denied";
    const page = await person().visit("/protected");
    expect([page.status, page.body]).toEqual([403, expect.stringContaining("You are not logged in")]);
  });

  it("leads to failureRedirect", async () => {
    const { person, provider, home } = await start({ loginCallback: { failureRedirect: "/welcome" } });
    provider.behaviour.refusal = "access_denied";
    expect((await person().visit("/protected")).url).toBe(`${home}/welcome`);
  });

  it("doesn't log in where the provider won't say who it is", async () => {
    const { person, provider, stateOf } = await start();
    const ann = person();
    const { url } = await ann.visit("/protected", (next) => next.includes("/auth/callback"));
    const { fetch } = globalThis;
    globalThis.fetch = async (input, init) =>
      String(input).endsWith("/me") ? new Response("out of order", { status: 503 }) : fetch(input, init);
    const page = await ann.open(url).finally(() => {
      globalThis.fetch = fetch;
    });
    expect(page.status).toBe(503);
    expect(await stateOf(ann)).toEqual({ in: false });
    expect(provider.granted).toEqual(["authorization_code"]);
  });
});

describe("handler", () => {
  it("runs after the login and before the redirect", async () => {
    const seen: unknown[] = [];
    const { person } = await start({
      loginCallback: {
        handler: (req: Request, _res: Response, next: NextFunction) => {
          seen.push(req.isAuthenticated(), req.userContext?.userinfo.sub);
          next();
        },
      },
    });
    expect((await person().visit("/protected")).body).toBe("Hello ann");
    expect(seen).toEqual([true, "ann"]);
  });

  it.each([true, false])("may answer by itself, and call next all the same: %s", async (callsNext) => {
    const { person, home, stateOf } = await start({
      loginCallback: {
        handler: (_req: Request, res: Response, next: NextFunction) => {
          res.redirect("/welcome");
          if (callsNext) next();
        },
      },
    });
    const ann = person();
    expect((await ann.visit("/protected")).url).toBe(`${home}/welcome`);
    expect(await stateOf(ann)).toMatchObject({ in: true });
    expect([...ann.home.keys()]).toHaveLength(1);
  });

  it("that fails is the application's error", async () => {
    const { person } = await start({
      loginCallback: {
        handler: (_req: Request, _res: Response, next: NextFunction) =>
          next(Object.assign(new Error("no"), { status: 418 })),
      },
    });
    expect((await person().visit("/protected")).status).toBe(418);
  });

  it("of four parameters gets the error", async () => {
    const errors: unknown[] = [];
    const { person, provider } = await start({
      loginCallback: {
        handler: (error: unknown, _req: Request, _res: Response, next: NextFunction) => {
          errors.push((error as { code?: string } | undefined)?.code);
          next(error);
        },
      },
    });
    expect((await person().visit("/protected")).body).toBe("Hello ann");
    provider.behaviour.refusal = "access_denied";
    const page = await person().visit("/protected");
    expect([page.status, page.body]).toEqual([403, "ERR_HOLDFAST_OIDC_ACCESS_DENIED"]);
    expect(errors).toEqual([undefined, "ERR_HOLDFAST_OIDC_ACCESS_DENIED"]);
  });
});

describe("logout", () => {
  it.each(["/logout", "/forces-logout"])("at %s ends both sessions and revokes the tokens", async (path) => {
    const { person, provider, stateOf } = await start();
    const ann = person();
    await ann.visit("/protected");
    const twin = ann.twin();
    expect((await ann.post(path, {}, { "sec-fetch-site": "cross-site" })).status).toBe(403);
    const out = await ann.post(path);
    expect(out.status).toBe(303);
    expect(out.headers.get("location")).toMatch(/\/session\/end\?.*id_token_hint=/);
    expect(provider.requests.filter((each) => each.includes("revocation"))).toHaveLength(2);
    expect(await stateOf(twin)).toEqual({ in: false });
  });

  it("leaves GET to the application", async () => {
    const { person } = await start();
    expect((await person().open("/logout")).body).toBe("a page of the application's own");
  });

  it.each(["/local-logout", "/local-logout-called-back"])(
    "at %s ends the session here only",
    async (path) => {
      const { person, provider, stateOf } = await start();
      const ann = person();
      await ann.visit("/protected");
      const twin = ann.twin();
      expect((await ann.visit(path)).body).toBe("welcome");
      expect(ann.home.size).toBe(0);
      expect(await stateOf(twin)).toEqual({ in: false });
      expect(provider.requests.some((each) => each.includes("session/end"))).toBe(false);
    },
  );

  it("whose store is down is an error, and ends no process", async () => {
    const { person, slow, stateOf } = await start();
    const ann = person();
    await ann.visit("/protected");
    slow.fail(["replace", "delete"]);
    expect((await ann.open("/local-logout-called-back")).status).toBe(503);
    await ann.open("/local-logout");
    slow.recover();
    expect(await stateOf(ann)).toMatchObject({ in: true });
  });

  it("by the provider ends the session", async () => {
    const { person, provider, sessions, stateOf } = await start();
    const ann = person();
    await ann.visit("/protected");
    const [session] = await sessions.ofUser(`ann@${provider.issuer}`).list();
    expect(session).toBeDefined();
    const idToken = (await stateOf(ann)).context.tokens.id_token;
    const { sid } = JSON.parse(Buffer.from(idToken.split(".")[1], "base64url").toString());
    await provider.sendLogout("ann", sid);
    expect(provider.backchannel).toEqual(["ended ann"]);
    expect(await stateOf(ann)).toEqual({ in: false });
  });
});

describe("set up", () => {
  const good = {
    issuer: "http://localhost:1",
    client_id: "shop",
    client_secret: "secret",
    appBaseUrl: "http://localhost:3000",
  };

  it("tells of a provider that isn't there by `error`, at once", async () => {
    const oidc = new ExpressOIDC({ ...good, timeout: 500 });
    const [error] = await once(oidc, "error").catch((thrown) => [thrown]);
    expect(error).toMatchObject({ code: "ERR_HOLDFAST_OIDC_PROVIDER_UNAVAILABLE" });
  });

  it("has requests wait for the provider, and answers 503 where it isn't there", async () => {
    const provider = await startProvider({ application: good.appBaseUrl });
    closing.push(provider.stop);
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: new SlowStore().store,
      sweepInterval: false,
    });
    for (const [issuer, status] of [
      [provider.issuer, 303],
      [good.issuer, 503],
    ] as const) {
      const oidc = new ExpressOIDC({ ...good, issuer });
      oidc.on("error", () => {});
      const app = express().use(expressSessions(sessions), oidc.router);
      app.use(
        ((error, _req, res, _next) => void res.sendStatus(error.status)) as express.ErrorRequestHandler,
      );
      const server = await listen(app);
      closing.push(server.close);
      expect((await new Person(server.url).open("/login")).status).toBe(status);
    }
  });

  it.each([
    ["issuer", { issuer: undefined }],
    ["client_id", { client_id: "" }],
    ["client_secret", { client_secret: undefined }],
    ["appBaseUrl", { appBaseUrl: undefined }],
    ["response_type", { response_type: "id_token" }],
    ["agent", { agent: {} }],
    ["routes.login.viewHandler", { routes: { login: { viewHandler: () => {} } } }],
    ["loginRedirectUri", { loginRedirectUri: "https://elsewhere.example/" }],
    [
      "loginRedirectUri",
      { loginRedirectUri: "http://localhost:3000/a", routes: { loginCallback: { path: "/b" } } },
    ],
    ["logoutRedirectUri", { logoutRedirectUri: "https://elsewhere.example/" }],
  ])("refuses %s", (name, wrong) => {
    expect(() => new ExpressOIDC({ ...good, ...wrong } as never)).toThrow(name);
  });

  it("asks for native sessions by name", async () => {
    const { oidc } = await start();
    const app = express();
    app.use((req, _res, next) => {
      Object.defineProperty(req, "openSession", { value: undefined });
      next();
    });
    app.use(oidc.router);
    app.use(((error, _req, res, _next) => void res.send(error.message)) as express.ErrorRequestHandler);
    const server = await listen(app);
    closing.push(server.close);
    expect((await new Person(server.url).open("/")).body).toContain("needs expressSessions()");
  });
});
