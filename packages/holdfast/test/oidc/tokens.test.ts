import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SessionsOptions } from "../../src/engine/create-sessions.js";
import type { OpenidConnectOptions } from "../../src/oidc/options.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { temporaryFile } from "../support/stores.js";
import { startForger, type TokenAnswer } from "./forger.js";
import type { Person } from "./person.js";
import { type ProviderOptions, startProvider } from "./provider.js";
import { openDoor, openOidcShop } from "./shop.js";
import { startWorker } from "./worker.js";

const HOUR = 3_600_000;
const open: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const home = async (person: Person) => JSON.parse((await person.open("/")).body);

async function start(
  atProvider: Partial<ProviderOptions> = {},
  settings: Partial<SessionsOptions<any>> = {},
) {
  const door = await openDoor();
  const provider = await startProvider({ application: door.url, ...atProvider });
  open.push(provider.stop);
  const longer = { idleTimeout: "12h", ...settings } as const;
  const shop = await openOidcShop(door, { issuer: provider.issuer, keepTokens: true }, longer);
  open.push(shop.close);
  const refreshes = () => provider.granted.filter((type) => type === "refresh_token").length;
  const isGood = async (token: string) =>
    (await fetch(`${provider.issuer}/me`, { headers: { authorization: `Bearer ${token}` } })).status === 200;
  return { provider, shop, refreshes, isGood };
}

describe("an access token of a real provider", () => {
  it("is what the login gave, as long as that is good", async () => {
    const { shop, refreshes, isGood } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    const token = (await ann.open("/api")).body;
    expect(await isGood(token)).toBe(true);
    shop.ahead = HOUR - 40_000;
    expect((await ann.open("/api")).body).toBe(token);
    expect(refreshes()).toBe(0);
  });

  it("is refreshed shortly before it ends, once for 20 requests at the same time", async () => {
    const { shop, refreshes, isGood, provider } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    const first = (await ann.open("/api")).body;
    shop.ahead = HOUR - 20_000;
    const answers = await Promise.all(Array.from({ length: 20 }, () => ann.open("/api")));
    const tokens = new Set(answers.map(({ body }) => body));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(tokens.size).toBe(1);
    expect(tokens.has(first)).toBe(false);
    expect(await isGood(answers[0]!.body)).toBe(true);
    expect([refreshes(), provider.refused]).toEqual([1, []]);
  });

  it("is refreshed once for 20 requests in each of four processes on one SQLite file", async () => {
    const path = temporaryFile("sessions.db");
    const { shop, provider, refreshes } = await start({}, { store: sqliteStore({ path }) });
    const ann = shop.person();
    await ann.visit("/account");
    const cookie = `sid=${ann.home.get("sid /")!.value}`;
    shop.ahead = HOUR;
    const options = { store: path, issuer: provider.issuer, baseUrl: shop.url, ahead: HOUR };
    const workers = await Promise.all([startWorker(options), startWorker(options), startWorker(options)]);
    for (const { stop } of workers) open.push(stop);
    const asked = [shop, ...workers].flatMap(({ url }) =>
      Array.from({ length: 20 }, async () => {
        const response = await fetch(`${url}/api`, { headers: { cookie } });
        return `${response.status} ${await response.text()}`;
      }),
    );
    const answers = new Set(await Promise.all(asked));
    expect([...answers]).toEqual([expect.stringMatching(/^200 \S+$/)]);
    expect([refreshes(), provider.refused]).toEqual([1, []]);
  });

  it.each([true, false])(
    "follows refresh tokens that rotate (%s), again and again",
    async (rotateRefreshTokens) => {
      const { shop, refreshes, provider } = await start({ rotateRefreshTokens });
      const ann = shop.person();
      await ann.visit("/account");
      const tokens = new Set<string>();
      for (let hour = 1; hour <= 5; hour++) {
        shop.ahead = hour * HOUR;
        tokens.add((await ann.open("/api")).body);
      }
      expect(tokens.size).toBe(5);
      expect([refreshes(), provider.refused]).toEqual([5, []]);
    },
  );

  it("that lives for seconds only isn't refreshed at each request", async () => {
    const { shop, refreshes } = await start({ accessTokenLifetime: 20 });
    const ann = shop.person();
    await ann.visit("/account");
    for (let request = 0; request < 3; request++) await ann.open("/api");
    shop.ahead = 17_000;
    await ann.open("/api");
    expect(refreshes()).toBe(0);
    shop.ahead = 18_001;
    for (let request = 0; request < 3; request++) await ann.open("/api");
    expect(refreshes()).toBe(1);
  });

  it("that the provider refuses to refresh ends the session: 401, and a login leads back in", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    await provider.endGrants();
    shop.ahead = HOUR;
    const answers = await Promise.all(Array.from({ length: 5 }, () => ann.open("/api")));
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(
      Array.from({ length: 5 }, () => "401 ERR_HOLDFAST_OIDC_TOKEN_UNAVAILABLE"),
    );
    expect(answers[0]!.setCookie.some((line) => /^sid=;/.test(line))).toBe(true);
    expect((await home(ann)).userId).toBeUndefined();
    expect((await ann.visit("/account")).status).toBe(200);
    expect((await ann.open("/api")).status).toBe(200);
  });

  it("with the provider down is 503 and the session stays; once it is back, all is well", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    shop.ahead = HOUR;
    await provider.stop();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ann.open("/api")));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(
      new Set(["503 ERR_HOLDFAST_OIDC_PROVIDER_UNAVAILABLE"]),
    );
    expect(answers.flatMap(({ setCookie }) => setCookie).filter((line) => /^sid=;/.test(line))).toEqual([]);
    expect((await home(ann)).userId).toMatch(/^ann@/);
    await provider.start();
    expect((await ann.open("/api")).status).toBe(200);
  });

  it("survives a login of the same user in another tab, for requests that began before it", async () => {
    const { shop } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    const { identity } = await home(ann);
    await ann.visit("/auth/login");
    expect((await home(ann)).identity.grant).not.toBe(identity.grant);
    expect((await ann.open("/api")).status).toBe(200);
  });
});

const IDS = { access: "an-access-token-nobody-may-see", refresh: "a-refresh-token-nobody-may-see" };

async function startForged(
  options: Partial<OpenidConnectOptions> = {},
  settings: Partial<SessionsOptions<any>> = {},
) {
  const forger = await startForger();
  open.push(forger.close);
  const door = await openDoor();
  const longer = { idleTimeout: "12h", ...settings } as const;
  const shop = await openOidcShop(door, { issuer: forger.issuer, keepTokens: true, ...options }, longer);
  open.push(shop.close);
  let idToken = "";
  const login = async (more: object = {}) => {
    const person = shop.person();
    const asked = new URL((await person.open("/auth/login")).headers.get("location")!).searchParams;
    idToken = await forger.sign(forger.claims(asked.get("nonce")!));
    const body = {
      token_type: "Bearer",
      access_token: IDS.access,
      refresh_token: IDS.refresh,
      expires_in: 3600,
    };
    forger.answer = () => ({ body: { ...body, id_token: idToken, ...more } });
    const query = new URLSearchParams({ code: "a-code", state: asked.get("state")!, iss: forger.issuer });
    await person.open(`/auth/callback?${query}`);
    expect((await home(person)).userId).toBeDefined();
    forger.asked.length = 0;
    return person;
  };
  return { forger, shop, login, idToken: () => idToken };
}

describe("an access token of a provider with troubles", () => {
  it.each<[string, TokenAnswer, number]>([
    ["status 500", { status: 500, body: {} }, 503],
    ["a page of a proxy", { status: 200, body: "<html>" }, 503],
    ["no token", { status: 200, body: {} }, 503],
    ["a redirect", { status: 302, body: {} }, 503],
    ["temporarily_unavailable", { status: 400, body: { error: "temporarily_unavailable" } }, 503],
    ["a refusal of the application", { status: 401, body: { error: "invalid_client" } }, 500],
  ])("that answers %s keeps the session", async (_, answer, status) => {
    const { forger, shop, login } = await startForged();
    const ann = await login();
    shop.ahead = HOUR;
    forger.answer = () => answer;
    expect((await ann.open("/api")).status).toBe(status);
    expect((await home(ann)).userId).toBeDefined();
  });

  it("that never answers holds 20 requests no longer than one", async () => {
    const { forger, shop, login } = await startForged({ timeout: 400 });
    const ann = await login();
    shop.ahead = HOUR;
    forger.answer = () => new Promise(() => {});
    const began = Date.now();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ann.open("/api")));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    expect(Date.now() - began).toBeLessThan(3000);
    expect(forger.asked.length).toBeLessThanOrEqual(2);
  });

  it("that refreshes it for another user ends the session", async () => {
    const { forger, shop, login } = await startForged();
    const ann = await login();
    shop.ahead = HOUR;
    const idToken = await forger.sign(forger.claims("", { sub: "eve" }));
    forger.answer = () => ({ body: { token_type: "Bearer", access_token: "eve's", id_token: idToken } });
    expect((await ann.open("/api")).status).toBe(401);
    expect((await home(ann)).userId).toBeUndefined();
  });

  it("that gave no refresh token ends the session when the token ends", async () => {
    const { shop, login } = await startForged();
    const ann = await login({ refresh_token: undefined });
    expect((await ann.open("/api")).status).toBe(200);
    shop.ahead = HOUR;
    expect((await ann.open("/api")).status).toBe(401);
    expect((await home(ann)).userId).toBeUndefined();
  });

  it("that doesn't say when the token ends is taken at its word", async () => {
    const { shop, login, forger } = await startForged();
    const ann = await login({ expires_in: undefined });
    shop.ahead = 5 * HOUR;
    expect((await ann.open("/api")).body).toBe(IDS.access);
    expect(forger.asked).toEqual([]);
  });
});

describe("tokens are secrets", () => {
  const warnings: unknown[] = [];
  const collect = (warning: unknown) => warnings.push(warning);
  beforeEach(() => {
    warnings.length = 0;
    process.on("warning", collect);
  });
  afterEach(() => {
    process.off("warning", collect);
  });

  it("sealed in the store, and in no event, error, warning or page", async () => {
    const path = temporaryFile("sessions.db");
    const { forger, shop, login, idToken } = await startForged(
      { onError: undefined },
      { store: sqliteStore({ path }) },
    );
    const ann = await login();
    const pages = [(await ann.open("/")).body];
    shop.ahead = HOUR;
    const troubles: TokenAnswer[] = [
      { status: 500, body: IDS },
      { status: 400, body: { error: "invalid_scope", error_description: IDS.refresh } },
      { status: 401, body: { error: "invalid_client", error_description: IDS.refresh } },
      { status: 200, body: IDS.access },
      { status: 400, body: { error: "invalid_grant", error_description: IDS.refresh } },
    ];
    const stored = readdirSync(dirname(path)).map((name) =>
      readFileSync(join(dirname(path), name), "latin1"),
    );
    for (const answer of troubles) {
      forger.answer = () => answer;
      pages.push((await ann.open("/api")).body);
    }
    const person = shop.person();
    const asked = new URL((await person.open("/auth/login")).headers.get("location")!).searchParams;
    forger.answer = () => ({
      status: 401,
      body: { error: "invalid_client", error_description: IDS.refresh },
    });
    const query = new URLSearchParams({
      code: "a-code-nobody-may-see",
      state: asked.get("state")!,
      iss: forger.issuer,
    });
    pages.push((await person.open(`/auth/callback?${query}`)).body);

    await new Promise((resolve) => setImmediate(resolve));
    const said = inspect([shop.events, shop.errors, warnings, pages], { depth: 12, maxStringLength: null });
    expect(shop.errors).toHaveLength(5);
    expect(warnings.some((warning) => String(warning).includes("clientSecret"))).toBe(true);
    const secrets = [
      ...Object.values(IDS),
      idToken(),
      "a-code-nobody-may-see",
      "the application's secret at",
      asked.get("state")!,
    ];
    for (const secret of secrets) {
      expect(said).not.toContain(secret);
      for (const text of stored) expect(text).not.toContain(secret);
    }
    expect(stored.join("").length).toBeGreaterThan(1000);
  });

  it("only the ID token is kept, sealed, where nobody asked for more, and there is no access token then", async () => {
    const { login } = await startForged({ keepTokens: false });
    const ann = await login();
    const answer = await ann.open("/api");
    expect([answer.status, answer.body]).toEqual([500, "ERR_HOLDFAST_INVALID_ARGUMENT"]);
    expect((await home(ann)).userId).toBeDefined();
  });
});
