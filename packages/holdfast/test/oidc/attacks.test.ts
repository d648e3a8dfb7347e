import { inspect } from "node:util";
import fc from "fast-check";
import { generateKeyPair, type JWTPayload } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Forger, startForger, type TokenAnswer } from "./forger.js";
import type { Page, Person } from "./person.js";
import { startProvider, type TestProvider } from "./provider.js";
import { type OidcShop, openDoor, openOidcShop } from "./shop.js";

const isCallback = (url: string) => new URL(url).pathname === "/auth/callback";
const userOf = async (person: Person) => JSON.parse((await person.open("/")).body).userId;
const isTransaction = ({ name }: { name: string }) => name.startsWith("oidc-");

async function expectRefused(person: Person, page: Page, status = 400): Promise<void> {
  expect(page.status).toBe(status);
  expect(page.setCookie.filter((line) => line.startsWith("sid="))).toEqual([]);
  expect(await userOf(person)).toBeUndefined();
}

describe("against a provider that does nothing wrong", () => {
  let provider: TestProvider;
  let shop: OidcShop;
  beforeAll(async () => {
    const door = await openDoor();
    provider = await startProvider({ application: door.url });
    shop = await openOidcShop(door, { issuer: provider.issuer });
  });
  afterAll(async () => {
    await shop.close();
    await provider.stop();
  });
  beforeEach(() => {
    shop.failures.length = 0;
    provider.granted.length = 0;
    provider.behaviour.account = "eve";
  });

  it("login CSRF: the attacker's own answer, followed by a victim, logs nobody in", async () => {
    const [eve, victim] = [shop.person(), shop.person()];
    const { url } = await eve.visit("/auth/login", isCallback);
    await expectRefused(victim, await victim.open(url));
    // Nor where the victim is about to log in.
    await victim.open("/auth/login");
    await expectRefused(victim, await victim.open(url));
    expect(provider.granted).toEqual([]);
    expect(shop.failures.map(({ reason }) => reason)).toEqual(["unknown_login", "unknown_login"]);
  });

  it("login CSRF: a victim who is logged in stays who it is", async () => {
    const [eve, victim] = [shop.person(), shop.person()];
    provider.behaviour.account = "ann";
    await victim.visit("/account");
    provider.behaviour.account = "eve";
    const { url } = await eve.visit("/auth/login", isCallback);
    expect((await victim.open(url)).status).toBe(400);
    expect(await userOf(victim)).toBe(`ann@${provider.issuer}`);
  });

  it("the state of another browser, even with its cookie under the name of ours", async () => {
    const [eve, victim] = [shop.person(), shop.person()];
    const { url } = await eve.visit("/auth/login", isCallback);
    await victim.open("/auth/login");
    const [cookie] = [...eve.home.values()].filter(isTransaction);
    const [own] = [...victim.home.values()].filter(isTransaction);
    // A cookie is sealed for its name: it can't be put in the place of another.
    victim.home.get(`${own!.name} /`)!.value = cookie!.value;
    await expectRefused(victim, await victim.open(url));
  });

  it("a cookie that another site has planted beside ours makes neither valid", async () => {
    const victim = shop.person();
    const { url } = await victim.visit("/auth/login", isCallback);
    const [own] = [...victim.home.values()].filter(isTransaction);
    const twice = `${own!.name}=${own!.value}; ${own!.name}=planted`;
    const page = await shop.person().open(url, { headers: { cookie: twice } });
    expect(page.status).toBe(400);
    expect(provider.granted).toEqual([]);
  });

  it("a code of the attacker's, injected into the victim's login, fails at PKCE", async () => {
    const [eve, victim] = [shop.person(), shop.person()];
    const stolen = new URL((await eve.visit("/auth/login", isCallback)).url);
    const own = new URL((await victim.visit("/auth/login", isCallback)).url);
    own.searchParams.set("code", stolen.searchParams.get("code")!);
    await expectRefused(victim, await victim.open(own.href));
    expect(provider.granted).toEqual([]);
    expect(shop.failures[0]!.reason).toBe("invalid_response");
  });

  it("a code that has been used, replayed into a login of the same browser", async () => {
    const eve = shop.person();
    const used = new URL((await eve.visit("/auth/login", isCallback)).url);
    await eve.open(used.href);
    await eve.post("/auth/logout");
    const again = new URL((await eve.visit("/auth/login", isCallback)).url);
    again.searchParams.set("code", used.searchParams.get("code")!);
    await expectRefused(eve, await eve.open(again.href));
    expect(provider.granted).toEqual(["authorization_code"]);
  });

  it("a callback whose cookie was kept, replayed after the login and the logout", async () => {
    const eve = shop.person();
    const { url } = await eve.visit("/auth/login", isCallback);
    const kept = eve.twin();
    await eve.open(url);
    await eve.post("/auth/logout");
    await expectRefused(kept, await kept.open(url));
    expect(provider.granted).toEqual(["authorization_code"]);
  });

  it.each([
    ["of another provider", (url: URL) => url.searchParams.set("iss", "https://evil.example")],
    ["that is missing, where the provider sends it", (url: URL) => url.searchParams.delete("iss")],
    ["twice", (url: URL) => url.searchParams.append("iss", "https://evil.example")],
  ])("mixed-up providers: an issuer %s (RFC 9207)", async (_, change) => {
    const victim = shop.person();
    const url = new URL((await victim.visit("/auth/login", isCallback)).url);
    change(url);
    await expectRefused(victim, await victim.open(url.href));
    expect(provider.granted).toEqual([]);
    expect(shop.failures[0]!.reason).toBe("invalid_response");
  });

  it.each([
    ["two states", (url: URL) => url.searchParams.append("state", "x")],
    ["no state", (url: URL) => url.searchParams.delete("state")],
    ["two codes", (url: URL) => url.searchParams.append("code", "x")],
    ["no code", (url: URL) => url.searchParams.delete("code")],
    ["a code and an error", (url: URL) => url.searchParams.set("error", "access_denied")],
    ["an answer meant for the browser's scripts", (url: URL) => url.searchParams.set("response", "x.y.z")],
  ])("%s", async (_, change) => {
    const victim = shop.person();
    const url = new URL((await victim.visit("/auth/login", isCallback)).url);
    change(url);
    const page = await victim.open(url.href);
    expect([400, 403]).toContain(page.status);
    expect(await userOf(victim)).toBeUndefined();
  });

  it("an error's text never reaches the page: no markup, no phishing", async () => {
    const victim = shop.person();
    const url = new URL((await victim.visit("/auth/login", isCallback)).url);
    url.searchParams.delete("code");
    url.searchParams.set("error", "<script>alert(1)</script>");
    url.searchParams.set("error_description", "Call 0900-EVIL");
    url.searchParams.set("error_uri", "https://evil.example");
    const page = await victim.open(url.href);
    await expectRefused(victim, page);
    const said = page.body + inspect(shop.failures, { depth: 9 });
    for (const text of ["script>alert", "0900", "evil.example"]) expect(said).not.toContain(text);
  });

  it("logging out by another site's form", async () => {
    const victim = shop.person();
    await victim.visit("/account");
    for (const site of ["cross-site", "same-site"])
      expect((await victim.post("/auth/logout", {}, { "sec-fetch-site": site })).status).toBe(403);
    expect(await userOf(victim)).toBeDefined();
    expect((await victim.post("/auth/logout", {}, { "sec-fetch-site": "same-origin" })).status).toBe(303);
  });

  describe("returnTo", () => {
    it.each([
      "https://evil.example/",
      "//evil.example",
      "///evil.example",
      "/\\evil.example",
      "\\\\evil.example",
      "/\t/evil.example",
      "/\n/evil.example",
      "\t//evil.example",
      " //evil.example",
      "/./%2e%2e//evil.example",
      "/..//evil.example",
      "/.//evil.example",
      "https:evil.example",
      "https:/evil.example",
      "HTTPS://EVIL.EXAMPLE",
      "javascript:alert(1)",
      "data:text/html,x",
      "http://user@evil.example",
      "@evil.example",
      ".evil.example",
      "evil.example",
      "/\u2028/evil.example",
      "/\u0000/evil.example",
      "//evil.example/%2f..",
      "//google.com%2f@evil.example",
      "/%09/evil.example/..//evil.example",
    ])("%j stays at home", async (returnTo) => {
      const ann = shop.person();
      const { url } = await ann.visit(`/auth/login?returnTo=${encodeURIComponent(returnTo)}`, isCallback);
      const location = (await ann.open(url)).headers.get("location")!;
      expect(new URL(location, shop.url).origin).toBe(shop.url);
      expect(location).toMatch(/^\/(?![/\\])/);
    });

    it("is the last when it comes twice, and still stays at home", async () => {
      const ann = shop.person();
      const { url } = await ann.visit("/auth/login?returnTo=/&returnTo=//evil.example", isCallback);
      expect((await ann.open(url)).headers.get("location")).toBe("/");
    });
  });
});

describe("against a hostile provider", () => {
  let forger: Forger;
  let shop: OidcShop;
  beforeAll(async () => {
    forger = await startForger();
    shop = await openOidcShop(await openDoor(), { issuer: forger.issuer });
  });
  afterAll(async () => {
    await shop.close();
    await forger.close();
  });
  beforeEach(() => {
    shop.failures.length = 0;
    shop.errors.length = 0;
    shop.events.length = 0;
  });

  /** Begins a login, has the token endpoint answer, and comes back. */
  async function login(
    answer: (nonce: string) => TokenAnswer | Promise<TokenAnswer>,
    path = "/auth/login",
  ): Promise<{ person: Person; page: Page }> {
    const person = shop.person();
    const asked = new URL((await person.open(path)).headers.get("location")!).searchParams;
    forger.answer = () => answer(asked.get("nonce")!);
    const query = new URLSearchParams({ code: "a-code", state: asked.get("state")!, iss: forger.issuer });
    return { person, page: await person.open(`/auth/callback?${query}`) };
  }

  const tokens = (idToken: unknown, more: object = {}): TokenAnswer => ({
    body: {
      access_token: "an-access-token",
      token_type: "Bearer",
      expires_in: 300,
      id_token: idToken,
      ...more,
    },
  });
  const signed = (more: JWTPayload, drop: string[] = []) =>
    login(async (nonce) => {
      const claims = forger.claims(nonce, more);
      for (const name of drop) delete claims[name];
      return tokens(await forger.sign(claims));
    });

  it("a genuine ID token is a login: the attacks below fail for what they change, and nothing else", async () => {
    const { person, page } = await signed({});
    expect([page.status, shop.failures]).toEqual([303, []]);
    expect(await userOf(person)).toBe(`ann@${forger.issuer}`);
    const { page: another } = await signed({ aud: ["shop", "other"], azp: "shop" });
    expect(another.status).toBe(303);
  });

  const now = () => Math.floor(Date.now() / 1000);
  it.each<[string, JWTPayload, string[], string]>([
    ["another nonce", { nonce: "another" }, [], "invalid_response"],
    ["no nonce", {}, ["nonce"], "invalid_response"],
    ["a nonce that is no text", { nonce: 7 }, [], "invalid_response"],
    ["another audience", { aud: "other" }, [], "invalid_response"],
    ["an audience of others", { aud: ["other", "another"] }, [], "invalid_response"],
    [
      "several audiences, and made for another (azp)",
      { aud: ["shop", "other"], azp: "other" },
      [],
      "invalid_response",
    ],
    ["no audience", {}, ["aud"], "invalid_response"],
    ["another issuer", { iss: "https://evil.example" }, [], "invalid_response"],
    ["no issuer", {}, ["iss"], "invalid_response"],
    ["no subject", {}, ["sub"], "invalid_response"],
    ["an empty subject", { sub: "" }, [], "invalid_response"],
    ["no time of issue", {}, ["iat"], "invalid_response"],
    ["no end", {}, ["exp"], "invalid_response"],
    ["an end that is past", { iat: now() - 900, exp: now() - 600 }, [], "clock"],
    ["a beginning to come", { nbf: now() + 600 }, [], "clock"],
  ])("an ID token with %s", async (_, more, drop, reason) => {
    const { person, page } = await signed(more, drop);
    await expectRefused(person, page, reason === "clock" ? 500 : 400);
    expect(shop.failures.map((failure) => failure.reason)).toEqual([reason]);
    expect(shop.errors).toEqual([]);
  });

  it("an ID token signed with another key under the same name", async () => {
    const { privateKey } = await generateKeyPair("ES256");
    const { person, page } = await login(async (nonce) =>
      tokens(await forger.sign(forger.claims(nonce), { key: privateKey })),
    );
    await expectRefused(person, page);
    expect(shop.failures[0]!.message).toContain("ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  });

  it("an ID token signed with a key that is not published", async () => {
    const { privateKey } = await generateKeyPair("ES256");
    const { person, page } = await login(async (nonce) =>
      tokens(await forger.sign(forger.claims(nonce), { key: privateKey, kid: "unheard of" })),
    );
    await expectRefused(person, page);
  });

  it("an ID token that anybody can make: alg none, in its spellings, though the provider says that it uses it", async () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    for (const alg of ["none", "None", "NONE", "nOnE", ""]) {
      for (const signature of ["", "AAAA"]) {
        const { person, page } = await login((nonce) =>
          tokens(`${part({ alg })}.${part(forger.claims(nonce))}.${signature}`),
        );
        await expectRefused(person, page);
      }
    }
  });

  it("an ID token signed with the public key, or the application's secret, as an HMAC key", async () => {
    const { CLIENT_SECRET } = await import("./provider.js");
    for (const secret of [JSON.stringify(forger.published), CLIENT_SECRET]) {
      const { person, page } = await login(async (nonce) =>
        tokens(
          await forger.sign(forger.claims(nonce), { key: new TextEncoder().encode(secret), alg: "HS256" }),
        ),
      );
      await expectRefused(person, page);
    }
  });

  it("an ID token whose contents were changed after it was signed", async () => {
    const { person, page } = await login(async (nonce) => {
      const [head, , signature] = (await forger.sign(forger.claims(nonce))).split(".");
      const changed = Buffer.from(JSON.stringify(forger.claims(nonce, { sub: "admin" }))).toString(
        "base64url",
      );
      return tokens(`${head}.${changed}.${signature}`);
    });
    await expectRefused(person, page);
  });

  it.each<[string, unknown]>([
    ["no ID token", undefined],
    ["an empty one", ""],
    ["one that is no text", 7],
    ["one of two parts", "a.b"],
    ["one that is no JSON", "bm90.anNvbg.x"],
    ["one of 100 KB", "x".repeat(100_000)],
  ])("a token answer with %s", async (_, idToken) => {
    const { person, page } = await login(() => tokens(idToken));
    await expectRefused(person, page);
  });

  it.each<[string, TokenAnswer, string]>([
    ["no JSON", { body: "<html>" }, "invalid_response"],
    ["a list", { body: [] }, "invalid_response"],
    [
      "a refusal",
      { status: 400, body: { error: "invalid_grant", error_description: "secret words" } },
      "invalid_response",
    ],
    ["an error of its own making", { status: 400, body: { error: "<b>x</b>" } }, "invalid_response"],
    [
      "a redirect",
      { status: 302, headers: { location: "https://evil.example" }, body: {} },
      "invalid_response",
    ],
    ["status 500", { status: 500, body: {} }, "provider_unavailable"],
    ["status 429", { status: 429, body: {} }, "provider_unavailable"],
    ["a refusal of the application", { status: 401, body: { error: "invalid_client" } }, "client_refused"],
    [
      "a challenge",
      { status: 401, headers: { "www-authenticate": 'Basic realm="x"' }, body: {} },
      "client_refused",
    ],
  ])("a token endpoint that answers %s", async (_, answer, reason) => {
    const { person, page } = await login(() => answer);
    expect(shop.failures.map((failure) => failure.reason)).toEqual([reason]);
    await expectRefused(person, page, shop.failures[0]!.status);
    expect(page.body + inspect(shop.failures, { depth: 9 })).not.toMatch(/secret words|<b>x|evil\.example/);
  });

  it("a login at the provider that is older than was asked for", async () => {
    const { person, page } = await login(
      async (nonce) => tokens(await forger.sign(forger.claims(nonce, { auth_time: now() - 900 }))),
      "/strong?maxAge=60000",
    );
    await expectRefused(person, page, 403);
    expect(shop.failures[0]!.reason).toBe("insufficient_authentication");
    const missing = await login(
      async (nonce) => tokens(await forger.sign(forger.claims(nonce))),
      "/strong?maxAge=60000",
    );
    await expectRefused(missing.person, missing.page);
  });

  it("a login by single sign-on is as old as the provider says: no recent one", async () => {
    const at = now() - 3600;
    const { person } = await signed({
      auth_time: at,
      amr: ["pwd", "otp", 7, "two words"],
      acr: "urn:example:2",
    });
    const time = new Date(at * 1000).toISOString();
    expect(JSON.parse((await person.open("/how")).body)).toEqual({
      authentication: { at: time, methods: ["pwd", "otp"], acr: "urn:example:2" },
      authenticatedAt: time,
    });
    // By a provider whose clock is ahead it is now, and not later.
    const ahead = await signed({ auth_time: now() + 200, amr: "pwd" });
    const how = JSON.parse((await ahead.person.open("/how")).body);
    expect(Date.parse(how.authenticatedAt)).toBeLessThanOrEqual(Date.now());
    expect(how.authentication.methods).toEqual([]);
  });

  it("a login that asked nobody anything, of a provider that doesn't say since when, is a recent one to nobody", async () => {
    const silent = await login(
      async (nonce) => tokens(await forger.sign(forger.claims(nonce))),
      "/strong?prompt=none",
    );
    expect(await userOf(silent.person)).toBeDefined();
    const how = JSON.parse((await silent.person.open("/how")).body);
    expect(how).toEqual({ authentication: { methods: [] } });
    const asked = await signed({});
    expect(JSON.parse((await asked.person.open("/how")).body).authenticatedAt).toBeDefined();
  });

  it("session_expiry ends the session when the provider's ends, and is no login where that is past", async () => {
    const { person } = await signed({ session_expiry: now() + 120 });
    const { expiresAt } = JSON.parse((await person.open("/")).body);
    expect(Math.round((Date.parse(expiresAt) - Date.now()) / 1000)).toBeGreaterThan(115);
    expect(Date.parse(expiresAt)).toBeLessThan(Date.now() + 121_000);
    expect(await userOf(person)).toBeDefined();
    shop.ahead = 121_000;
    expect(await userOf(person)).toBeUndefined();
    shop.ahead = 0;

    const past = await signed({ session_expiry: now() - 1 });
    await expectRefused(past.person, past.page, 401);
    expect(shop.failures[0]!.reason).toBe("session_ended");
    for (const nonsense of ["soon", Number.MAX_VALUE, null])
      expect((await signed({ session_expiry: nonsense as number })).page.status).toBe(303);
  });

  it("unknown keys don't make us fetch the provider's for every attempt", async () => {
    const { privateKey } = await generateKeyPair("ES256");
    const before = forger.keysFetched;
    for (let attempt = 0; attempt < 10; attempt++)
      await login(async (nonce) =>
        tokens(await forger.sign(forger.claims(nonce), { key: privateKey, kid: `unheard of ${attempt}` })),
      );
    expect(forger.keysFetched - before).toBeLessThanOrEqual(2);
  });

  it("of 10,000 fuzzed callbacks, none is a login and none is an error of ours", async () => {
    const eve = shop.person();
    const genuine = new URL((await eve.open("/auth/login")).headers.get("location")!).searchParams;
    forger.answer = async () => tokens(await forger.sign(forger.claims("another nonce")));
    const junk = fc.oneof(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.string({ unit: "grapheme", maxLength: 20 }),
      fc.constantFrom(
        "",
        "null",
        "__proto__",
        "../../x",
        "%00",
        "access_denied",
        "login_required",
        "a.b.c",
        "x".repeat(3000),
      ),
    );
    const value = fc.oneof(
      junk,
      fc.constantFrom(genuine.get("state")!, genuine.get("nonce")!, forger.issuer),
    );
    const name = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.constantFrom(
          "code",
          "state",
          "iss",
          "error",
          "error_description",
          "id_token",
          "response",
          "session_state",
          "scope",
          "sid",
        ),
      },
      { weight: 1, arbitrary: junk },
    );
    const query = fc.oneof(
      fc.array(fc.tuple(name, value), { maxLength: 7 }).map((pairs) => new URLSearchParams(pairs).toString()),
      fc.string({ unit: "binary-ascii", maxLength: 80 }).map((text) => text.replace(/[^\x21-\x7e]|#/g, "&")),
    );
    // A login that is under way comes with each, for the one answer that fits it takes it.
    const begin = async () => {
      const page = await shop.person().open("/auth/login");
      const state = new URL(page.headers.get("location")!).searchParams.get("state")!;
      return { cookie: page.setCookie[0]!.split(";", 1)[0]!, state };
    };
    let underWay = await begin();
    let reached = 0;
    await fc.assert(
      fc.asyncProperty(query, fc.boolean(), async (text, knowsState) => {
        if (knowsState) underWay = await begin();
        const path = `/auth/callback?${knowsState ? `state=${underWay.state}&` : ""}${text}`;
        const response = await fetch(shop.url + path, {
          redirect: "manual",
          headers: { cookie: underWay.cookie },
        });
        const body = await response.text();
        if (response.status < 400 || body.includes("failed"))
          throw new Error(`${response.status} for ${path}`);
        if (response.headers.getSetCookie().some((line) => line.startsWith("sid=")))
          throw new Error("a session");
        if (knowsState) reached++;
      }),
      { numRuns: 10_000 },
    );
    expect(reached).toBeGreaterThan(1000);
    expect(shop.events.filter((event) => event.name === "login" || event.name === "created")).toEqual([]);
    expect(shop.errors).toEqual([]);
    const reasons = new Set(shop.failures.map(({ reason }) => reason));
    expect([...reasons]).toEqual(expect.arrayContaining(["unknown_login", "invalid_response"]));
  }, 240_000);
});
