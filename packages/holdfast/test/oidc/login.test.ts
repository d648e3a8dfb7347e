import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { afterEach, describe, expect, it } from "vitest";
import type { SessionsOptions } from "../../src/engine/create-sessions.js";
import { OidcError, openidConnect } from "../../src/oidc/index.js";
import type { OpenidConnectOptions } from "../../src/oidc/options.js";
import type { Person } from "./person.js";
import { CLIENT_SECRET, type ProviderOptions, startProvider } from "./provider.js";
import { openDoor, openOidcShop } from "./shop.js";

const open: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function start(
  options: Partial<OpenidConnectOptions> = {},
  atProvider: Partial<ProviderOptions> = {},
  settings: Partial<SessionsOptions<any>> = {},
) {
  const door = await openDoor();
  const provider = await startProvider({ application: door.url, ...atProvider });
  open.push(provider.stop);
  const shop = await openOidcShop(door, { issuer: provider.issuer, ...options }, settings);
  open.push(shop.close);
  return { provider, shop };
}

/** What the home page says of the session. */
const home = async (person: Person) => JSON.parse((await person.open("/")).body);
const isCallback = (url: string) => new URL(url).pathname === "/auth/callback";
const sessionCookie = (person: Person) => [...person.home.values()].find(({ name }) => name === "sid")?.value;
const transactions = (person: Person) =>
  [...person.home.values()].filter(({ name }) => name.startsWith("oidc-"));

describe("a login", () => {
  it("keeps the cart, gives a new token, binds the user, and leads back to the page that was asked for", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    await ann.post("/cart/tea");
    const before = sessionCookie(ann);
    const page = await ann.visit("/account?tab=orders");
    expect(page.url).toBe(`${shop.url}/account?tab=orders`);
    expect(page.body).toBe(`the account of ann@${provider.issuer}`);
    expect(sessionCookie(ann)).not.toBe(before);
    expect(transactions(ann)).toEqual([]);
    const { data, userId, identity } = await home(ann);
    expect(data).toEqual({ cart: ["tea"] });
    expect(userId).toBe(`ann@${provider.issuer}`);
    expect(identity).toMatchObject({ issuer: provider.issuer, subject: "ann", sid: expect.any(String) });

    const thief = shop.person();
    thief.home.set("sid", { name: "sid", value: before!, path: "/" });
    expect((await home(thief)).userId).toBeUndefined();
    expect(shop.events.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["created", "rotated", "login"]),
    );
  });

  it("asks with code, PKCE, state, nonce and the registered address, and nothing of it is guessable or repeated", async () => {
    const { shop } = await start({
      maxAge: "1h",
      acrValues: ["urn:test:gold"],
      prompt: "login",
      parameters: { ui_locales: "de" },
    });
    const ann = shop.person();
    const asked = async () =>
      Object.fromEntries(
        new URL((await ann.open("/auth/login?login_hint=eve")).headers.get("location")!).searchParams,
      );
    const [first, second] = [await asked(), await asked()];
    expect(first).toMatchObject({
      response_type: "code",
      client_id: "shop",
      redirect_uri: `${shop.url}/auth/callback`,
      scope: "openid profile email",
      code_challenge_method: "S256",
      max_age: "3600",
      acr_values: "urn:test:gold",
      prompt: "login",
      login_hint: "eve",
      ui_locales: "de",
    });
    for (const name of ["state", "nonce", "code_challenge"]) {
      expect(first[name]!.length).toBeGreaterThanOrEqual(43);
      expect(first[name]).not.toBe(second[name]);
    }
  });

  it("is asked for by a page that needs a user; anything else gets 401", async () => {
    const { shop } = await start();
    const ann = shop.person();
    expect((await ann.open("/account")).headers.get("location")).toBe("/auth/login?returnTo=%2Faccount");
    expect((await ann.open("/account", { headers: { accept: "application/json" } })).status).toBe(401);
    expect((await ann.open("/account", { method: "HEAD" })).status).toBe(401);
    expect(transactions(ann)).toEqual([]);
  });

  it("leaves nothing behind where it isn't finished, and reveals nothing in its cookie", async () => {
    const { shop } = await start();
    const ann = shop.person();
    const answer = await ann.open("/auth/login?returnTo=/account");
    expect(answer.setCookie).toHaveLength(1);
    expect(answer.setCookie[0]).toMatch(
      /^oidc-[\w-]{16}=[\w-]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/,
    );
    const { searchParams } = new URL(answer.headers.get("location")!);
    const clear = Buffer.from(transactions(ann)[0]!.value, "base64url").toString("latin1");
    for (const secret of [searchParams.get("state")!, searchParams.get("nonce")!, "/account"])
      expect(clear).not.toContain(secret);
    expect(answer.headers.get("cache-control")).toContain("no-store");
  });

  it("answers only GET at the login and the callback, and leaves other requests alone", async () => {
    const { shop } = await start();
    const ann = shop.person();
    for (const path of ["/auth/login", "/auth/callback"]) {
      for (const method of ["POST", "HEAD", "DELETE"]) {
        const answer = await ann.open(path, { method });
        expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET"]);
      }
    }
    expect((await ann.open("/auth/logout")).status).toBe(405);
    expect((await ann.open("/auth/other")).status).toBe(404);
  });
});

describe("several logins of one browser", () => {
  it("three tabs that log in at once all arrive, each where it wanted to go", async () => {
    const { shop } = await start();
    const ann = shop.person();
    await ann.post("/cart/tea");
    const paths = ["/?tab=1", "/?tab=2", "/?tab=3"];
    const callbacks = [];
    for (const path of paths)
      callbacks.push((await ann.visit(`/auth/login?returnTo=${encodeURIComponent(path)}`, isCallback)).url);
    expect(transactions(ann)).toHaveLength(3);
    const answers = await Promise.all(callbacks.map((url) => ann.open(url)));
    expect(answers.map(({ headers }) => headers.get("location"))).toEqual(paths);
    expect(transactions(ann)).toEqual([]);
    expect(await home(ann)).toMatchObject({
      userId: expect.stringMatching(/^ann@/),
      data: { cart: ["tea"] },
    });
  });

  it("beyond the limit, the oldest ends, and its callback gets the page that says so", async () => {
    const { shop } = await start({ maxLogins: 3 });
    const ann = shop.person();
    const callbacks = [];
    for (let tab = 0; tab < 5; tab++) {
      callbacks.push((await ann.visit("/auth/login", isCallback)).url);
      shop.ahead += 10;
    }
    expect(transactions(ann)).toHaveLength(3);
    const statuses = [];
    for (const url of callbacks) statuses.push((await ann.open(url)).status);
    expect(statuses).toEqual([400, 400, 303, 303, 303]);
  });

  it("never take more room in the cookies than a server accepts", async () => {
    const { shop } = await start({ maxLogins: 20 });
    const ann = shop.person();
    const returnTo = encodeURIComponent(`/${"x".repeat(1900)}`);
    for (let tab = 0; tab < 12; tab++) {
      expect((await ann.open(`/auth/login?returnTo=${returnTo}`)).status).toBe(303);
      shop.ahead += 10;
      const size = transactions(ann).reduce((sum, { name, value }) => sum + name.length + value.length, 0);
      expect(size).toBeLessThanOrEqual(8192);
    }
    expect((await ann.visit(`/auth/login?returnTo=${returnTo}`)).url).toBe(`${shop.url}/${"x".repeat(1900)}`);
  });
});

describe("a callback that is no login", () => {
  async function expectNoLogin(page: Awaited<ReturnType<Person["open"]>>, person: Person, status = 400) {
    expect(page.status).toBe(status);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(page.body).toMatch(/<h1>[^<]+<\/h1><p>[^<]+<\/p>/);
    expect((await home(person)).userId).toBeUndefined();
  }

  it("comes twice", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    const { url } = await ann.visit("/auth/login", isCallback);
    await ann.open(url);
    const again = await ann.open(url);
    expect(again.status).toBe(400);
    expect(again.body).toContain("This login is over");
    expect(shop.failures.map(({ reason }) => reason)).toEqual(["unknown_login"]);
    // What the first one got goes on.
    expect((await home(ann)).userId).toMatch(/^ann@/);
    expect(provider.granted).toEqual(["authorization_code"]);
  });

  it("comes twice at the same time: one is a login, and the provider never sees its code replayed", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    const { url } = await ann.visit("/auth/login", isCallback);
    const answers = await Promise.all(Array.from({ length: 5 }, () => ann.open(url)));
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 400, 400, 400, 400]);
    expect([provider.granted, provider.refused]).toEqual([["authorization_code"], []]);
  });

  it("comes late", async () => {
    const { shop } = await start({ loginTimeout: "5m" });
    const ann = shop.person();
    const { url } = await ann.visit("/auth/login", isCallback);
    shop.ahead = 5 * 60_000;
    await expectNoLogin(await ann.open(url), ann);
    expect(shop.failures[0]!.reason).toBe("unknown_login");
  });

  it("comes from another browser", async () => {
    const { shop } = await start();
    const [ann, eve] = [shop.person(), shop.person()];
    const { url } = await eve.visit("/auth/login", isCallback);
    await expectNoLogin(await ann.open(url), ann);
  });

  it("was made for a server with other secrets", async () => {
    const { shop } = await start();
    const ann = shop.person();
    const { url } = await ann.visit("/auth/login", isCallback);
    for (const cookie of transactions(ann))
      ann.home.get(`${cookie.name} /`)!.value = `${cookie.value.slice(0, -2)}AA`;
    await expectNoLogin(await ann.open(url), ann);
  });

  it.each([
    ["access_denied", "access_denied", 403],
    ["login_required", "login_required", 401],
    ["consent_required", "interaction_required", 401],
    ["server_error", "provider_unavailable", 503],
    ["temporarily_unavailable", "provider_unavailable", 503],
    ["unauthorized_client", "client_refused", 500],
    ["invalid_scope", "invalid_response", 400],
  ])("is the provider's %s", async (refusal, reason, status) => {
    const { shop, provider } = await start();
    const ann = shop.person();
    provider.behaviour.refusal = refusal;
    const page = await ann.visit("/account");
    await expectNoLogin(page, ann, status);
    expect(page.body).not.toContain("a description");
    expect(page.body).toContain('href="/auth/login"');
    expect(shop.failures[0]).toBeInstanceOf(OidcError);
    expect(shop.failures[0]).toMatchObject({
      reason,
      status,
      code: `ERR_HOLDFAST_OIDC_${reason.toUpperCase()}`,
    });
    expect(transactions(ann)).toEqual([]);
  });

  it("may be answered with a page of the application's own", async () => {
    const onError = ({ reason }: OidcError) => ({
      status: 303,
      headers: [["Location", `/oh?${reason}`]] as const,
      body: "",
    });
    const { shop, provider } = await start({ onError });
    provider.behaviour.refusal = "access_denied";
    const ann = shop.person();
    expect((await ann.visit("/account", (url) => url.includes("/oh"))).url).toBe(
      `${shop.url}/oh?access_denied`,
    );
    expect(transactions(ann)).toEqual([]);
  });
});

describe("what is asked of the provider", () => {
  it("prompt=none with a session there is a login without a word; without one, an ordinary login", async () => {
    const { shop } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    await ann.post("/auth/logout");
    ann.visited.length = 0;
    expect((await ann.visit("/auth/login?prompt=none&returnTo=/account")).body).toMatch(
      /^the account of ann/,
    );
    expect(ann.visited.some((url) => url.includes("/interaction/"))).toBe(false);

    const ben = shop.person();
    expect((await ben.visit("/auth/login?prompt=none&returnTo=/account")).body).toMatch(
      /^the account of ann/,
    );
    expect(ben.visited.some((url) => url.includes("/interaction/"))).toBe(true);
    expect(shop.failures).toEqual([]);
  });

  it("recheckAfter: a page asks the provider again after that time, nobody is asked anything, the data is kept", async () => {
    const { shop } = await start();
    const ann = shop.person();
    await ann.post("/cart/tea");
    await ann.visit("/rechecked");
    ann.visited.length = 0;
    shop.ahead = 9 * 60_000;
    expect((await ann.open("/rechecked")).status).toBe(200);
    shop.ahead = 10 * 60_000 + 5000;
    expect((await ann.open("/rechecked", { headers: { accept: "application/json" } })).status).toBe(200);
    expect((await ann.open("/account")).status).toBe(200);
    const page = await ann.visit("/rechecked?page=2");
    expect(page.url).toBe(`${shop.url}/rechecked?page=2`);
    expect(page.status).toBe(200);
    const asked = ann.visited.find(
      (url) => new URL(url).searchParams.get("prompt") === "none" && url.includes("client_id"),
    );
    expect(asked).toBeDefined();
    expect(ann.visited.some((url) => url.includes("/interaction/"))).toBe(false);
    expect((await home(ann)).data).toEqual({ cart: ["tea"] });
    // And then not again for a while.
    expect((await ann.open("/rechecked")).status).toBe(200);
  });

  it("recheckAfter: where the user is logged in there no longer, the session ends and the login asks", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    await ann.visit("/rechecked");
    shop.ahead = 11 * 60_000;
    ann.cookies.delete(provider.issuer);
    const page = await ann.visit("/rechecked", (url) => url.includes("/interaction/"));
    expect(page.url).toContain("/interaction/");
    expect((await home(ann)).userId).toBeUndefined();
    expect(shop.events.some(({ name }) => name === "logout")).toBe(true);
  });

  it("maxAge: a login that is too long ago is one anew, and auth_time has to say so", async () => {
    const { shop } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    ann.visited.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await ann.visit("/strong?maxAge=1000");
    expect(ann.visited.some((url) => url.includes("/interaction/"))).toBe(true);
    expect(shop.failures).toEqual([]);
  });

  it("acrValues: a weaker login is refused, a strong one taken", async () => {
    const { shop, provider } = await start({ acrValues: ["urn:test:gold"] });
    provider.behaviour.acr = "urn:test:silver";
    const ann = shop.person();
    const weak = await ann.visit("/account");
    expect([weak.status, shop.failures[0]?.reason]).toEqual([403, "insufficient_authentication"]);
    expect((await home(ann)).userId).toBeUndefined();
    provider.behaviour.acr = "urn:test:gold";
    expect((await shop.person().visit("/account")).status).toBe(200);
  });

  it("pushedAuthorizationRequests: the browser carries nothing but a reference", async () => {
    const { shop, provider } = await start(
      { pushedAuthorizationRequests: true },
      { requirePushedRequests: true },
    );
    const ann = shop.person();
    const answer = await ann.open("/auth/login");
    const { searchParams } = new URL(answer.headers.get("location")!);
    expect([...searchParams.keys()].sort()).toEqual(["client_id", "request_uri"]);
    expect((await ann.visit("/account")).status).toBe(200);
    expect(provider.requests).toContain("POST /request");
  });

  it("pushedAuthorizationRequests: a provider that is down is a page with 503", async () => {
    const { shop, provider } = await start({ pushedAuthorizationRequests: true });
    await provider.stop();
    const page = await shop.person().open("/auth/login");
    expect([page.status, shop.failures[0]!.reason]).toEqual([503, "provider_unavailable"]);
    expect(page.body).toContain("can't be reached");
  });

  it("clientPrivateKey: the application proves itself with a signature, and has no secret", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
    const clientKey = { ...(await exportJWK(publicKey)), alg: "ES256", use: "sig", kid: "one" };
    const options = { clientId: "signer", clientPrivateKey: { key: privateKey, kid: "one" } };
    const { shop } = await start(options, { clientKey });
    expect((await shop.person().visit("/account")).status).toBe(200);
  });

  it("clientSecretMethod: the secret may go in the header", async () => {
    const { shop } = await start(
      { clientSecretMethod: "basic" },
      { clientSecretMethod: "client_secret_basic" },
    );
    expect((await shop.person().visit("/account")).status).toBe(200);
  });
});

describe("afterLogin", () => {
  it("maps the claims to a user of the application, and may write to the session", async () => {
    const { shop } = await start({
      afterLogin: ({ claims, accessToken, session }) => {
        session.data.email = claims.email;
        return accessToken ? `user-of-${claims.sub}` : undefined;
      },
    });
    const ann = shop.person();
    expect((await ann.visit("/account")).body).toBe("the account of user-of-ann");
    expect((await home(ann)).data).toEqual({ email: "ann@example.com" });
  });

  it("that refuses gives a page, and nobody is logged in", async () => {
    const { shop } = await start({ afterLogin: () => undefined });
    const ann = shop.person();
    const page = await ann.visit("/account");
    expect([page.status, shop.failures[0]?.reason]).toEqual([403, "user_refused"]);
    expect((await home(ann)).userId).toBeUndefined();
    expect(shop.events.some(({ name }) => name === "login")).toBe(false);
  });

  it.each([
    ["throws", () => Promise.reject(new Error("the database is gone")), "the database is gone"],
    ["gives what is no user id", () => 7 as unknown as string, "A user id must be text"],
  ])("that %s is an error of the application, and nobody is logged in", async (_, afterLogin, message) => {
    const { shop } = await start({ afterLogin });
    const ann = shop.person();
    expect((await ann.visit("/account")).status).toBe(500);
    expect(shop.errors[0].message).toContain(message);
    expect((await home(ann)).userId).toBeUndefined();
  });

  it("another user in the same browser finds nothing of the first", async () => {
    const { shop, provider } = await start();
    const browser = shop.person();
    await browser.post("/cart/tea");
    await browser.visit("/account");
    const first = browser.twin();
    browser.cookies.delete(provider.issuer);
    provider.behaviour.account = "ben";
    expect((await browser.visit("/auth/login?returnTo=/account")).body).toMatch(/^the account of ben/);
    expect((await home(browser)).data).toEqual({});
    expect((await home(first)).userId).toBeUndefined();
  });

  it("the same user again keeps the data under a new token", async () => {
    const { shop } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    await ann.post("/cart/tea");
    const before = ann.twin();
    await ann.visit("/auth/login");
    expect((await home(ann)).data).toEqual({ cart: ["tea"] });
    expect((await home(before)).userId).toBeUndefined();
  });
});

describe("a provider with troubles", () => {
  it("that is down at start is tried again until it is there", async () => {
    const door = await openDoor();
    open.push(door.close);
    const probe = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => probe.once("listening", resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    const opening = openOidcShop(door, { issuer: `http://127.0.0.1:${port}`, startTimeout: "30s" });
    await new Promise((resolve) => setTimeout(resolve, 600));
    const provider = await startProvider({ application: door.url, port });
    open.push(provider.stop);
    provider.failWith = 503;
    setTimeout(() => {
      provider.failWith = undefined;
    }, 700);
    const shop = await opening;
    open.push(() => shop.sessions.close());
    expect((await shop.person().visit("/account")).status).toBe(200);
  });

  it("that stays down ends the start with an error that names it", async () => {
    const options = {
      clientId: "shop",
      clientSecret: CLIENT_SECRET,
      baseUrl: "http://localhost:3000",
      startTimeout: 300,
    };
    const failed = openidConnect({ ...options, issuer: "http://127.0.0.1:1" });
    await expect(failed).rejects.toMatchObject({ reason: "provider_unavailable", status: 503 });
    await expect(failed).rejects.toThrow("http://127.0.0.1:1/.well-known/openid-configuration");
    await expect(failed).rejects.not.toThrow(CLIENT_SECRET);
  });

  it("with another issuer than it was looked for under is refused at once", async () => {
    const { provider } = await start();
    const issuer = provider.issuer.replace("127.0.0.1", "localhost");
    const options = { clientId: "shop", clientSecret: CLIENT_SECRET, baseUrl: "http://localhost:3000" };
    await expect(openidConnect({ ...options, issuer })).rejects.toMatchObject({ reason: "invalid_response" });
  });

  it("that is down at the callback is a page with 503, and a new attempt works", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    const { url } = await ann.visit("/auth/login", isCallback);
    await provider.stop();
    const page = await ann.open(url);
    expect([page.status, shop.failures[0]!.reason]).toEqual([503, "provider_unavailable"]);
    await provider.start();
    expect((await ann.visit("/account")).status).toBe(200);
  });

  it("that answers 502 or never is out of order, not an attacker", async () => {
    const { shop, provider } = await start({ timeout: 300 });
    const ann = shop.person();
    const first = await ann.visit("/auth/login", isCallback);
    const second = await ann.visit("/auth/login", isCallback);
    provider.failWith = 502;
    expect((await ann.open(first.url)).status).toBe(503);
    provider.failWith = 0;
    expect((await ann.open(second.url)).status).toBe(503);
    expect(shop.failures.map(({ reason }) => reason)).toEqual([
      "provider_unavailable",
      "provider_unavailable",
    ]);
  });

  it("that was restarted with other keys goes on: they are fetched anew", async () => {
    const { shop, provider } = await start();
    expect((await shop.person().visit("/account")).status).toBe(200);
    // So soon after the keys were fetched, they are not fetched again for whoever asks.
    await new Promise((resolve) => setTimeout(resolve, 5100));
    await provider.rotateKeys();
    expect((await shop.person().visit("/account")).status).toBe(200);
    expect(shop.failures).toEqual([]);
  });

  it.each(["post", "basic"] as const)(
    "a wrong secret (%s) says so to the operator, not to the user",
    async (method) => {
      const secret = "another secret altogether";
      const { shop } = await start(
        { clientSecret: secret, clientSecretMethod: method },
        { clientSecretMethod: `client_secret_${method}` },
      );
      const page = await shop.person().visit("/account");
      expect([page.status, shop.failures[0]?.reason]).toEqual([500, "client_refused"]);
      expect(shop.failures[0]!.message).toContain("clientSecret");
      for (const text of [page.body, String(shop.failures[0]!.stack)]) expect(text).not.toContain(secret);
    },
  );
});
