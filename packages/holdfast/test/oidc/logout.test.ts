import type { JWTPayload } from "jose";
import { generateKeyPair } from "jose";
import { afterEach, describe, expect, it } from "vitest";
import type { SessionsOptions } from "../../src/engine/create-sessions.js";
import type { OpenidConnectOptions } from "../../src/oidc/options.js";
import type { Store } from "../../src/stores/contract.js";
import { memoryStore } from "../../src/stores/memory.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { temporaryFile } from "../support/stores.js";
import { startForger } from "./forger.js";
import type { Person } from "./person.js";
import { startProvider } from "./provider.js";
import { openDoor, openOidcShop } from "./shop.js";
import { startWorker } from "./worker.js";

const open: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function start(
  options: Partial<OpenidConnectOptions> = {},
  settings: Partial<SessionsOptions<any>> = {},
) {
  const door = await openDoor();
  const provider = await startProvider({ application: door.url });
  open.push(provider.stop);
  const shop = await openOidcShop(door, { issuer: provider.issuer, ...options }, settings);
  open.push(shop.close);
  return { provider, shop };
}

const home = async (person: Person) => JSON.parse((await person.open("/")).body);

describe("logging out", () => {
  it("here and at the provider: it gets the ID token and leads back (RP-Initiated Logout)", async () => {
    const { shop, provider } = await start();
    const ann = shop.person();
    await ann.visit("/account");
    const copy = ann.twin();
    const answer = await ann.post("/auth/logout");
    const url = new URL(answer.headers.get("location")!);
    expect(url.origin + url.pathname).toBe(`${provider.issuer}/session/end`);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: "shop",
      id_token_hint: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      post_logout_redirect_uri: `${shop.url}/`,
    });
    expect((await home(ann)).userId).toBeUndefined();
    expect((await home(copy)).userId).toBeUndefined();

    const page = await ann.open(url.href);
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)![1]!;
    const done = await ann.post(`${provider.issuer}/session/end/confirm`, { xsrf, logout: "yes" });
    expect(done.headers.get("location")).toBe(`${shop.url}/`);
    expect((await ann.visit("/account", (next) => next.includes("/interaction/"))).url).toContain(
      "/interaction/",
    );
  });

  it("only here, by option", async () => {
    const { shop } = await start({ logoutAtProvider: false, routes: { afterLogout: "/bye" } });
    const ann = shop.person();
    await ann.visit("/account");
    expect((await ann.post("/auth/logout")).headers.get("location")).toBe("/bye");
    expect((await home(ann)).userId).toBeUndefined();
    // The provider knows the user still.
    expect((await ann.visit("/account")).body).toMatch(/^the account of ann/);
  });

  it("of nobody leads to the page after it", async () => {
    const { shop } = await start();
    expect((await shop.person().post("/auth/logout")).headers.get("location")).toBe("/");
  });

  it("revokes the tokens that were kept (RFC 7009)", async () => {
    const { shop, provider } = await start({ keepTokens: true });
    const ann = shop.person();
    await ann.visit("/account");
    const token = (await ann.open("/api")).body;
    const knows = () => fetch(`${provider.issuer}/me`, { headers: { authorization: `Bearer ${token}` } });
    expect((await knows()).status).toBe(200);
    await ann.post("/auth/logout");
    expect((await knows()).status).toBe(401);
    expect(provider.requests.filter((each) => each === "POST /token/revocation")).toHaveLength(2);
  });

  it("succeeds here though the provider is down", async () => {
    const { shop, provider } = await start({ keepTokens: true, timeout: 300 });
    const ann = shop.person();
    await ann.visit("/account");
    provider.failWith = 0;
    expect((await ann.post("/auth/logout")).status).toBe(303);
    expect((await home(ann)).userId).toBeUndefined();
  });
});

describe("back-channel logout by a real provider", () => {
  it("ends every session of that login, in whatever browser, after renewal and rotation, and no other", async () => {
    const { shop, provider } = await start({}, { idleTimeout: "12h" });
    const first = shop.person();
    await first.visit("/account");
    // The same login at the provider, another browser session of ours.
    const second = shop.person();
    second.cookies.set(provider.issuer, new Map(first.cookies.get(provider.issuer)));
    await second.visit("/account");
    const rotated = shop.person();
    rotated.cookies.set(provider.issuer, new Map(first.cookies.get(provider.issuer)));
    await rotated.visit("/account");
    const elsewhere = shop.person();
    await elsewhere.visit("/account");
    provider.behaviour.account = "ben";
    const ben = shop.person();
    await ben.visit("/account");

    shop.ahead = 61 * 60_000;
    await second.open("/");
    await second.open("/");
    await rotated.post("/rotate");
    expect(shop.events.map(({ name }) => name)).toEqual(expect.arrayContaining(["renewed", "rotated"]));
    expect((await home(second)).identity.sid).toBe((await home(rotated)).identity.sid);

    const { headers } = await first.post("/auth/logout");
    const { body } = await first.open(headers.get("location")!);
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(body)![1]!;
    await first.post(`${provider.issuer}/session/end/confirm`, { xsrf, logout: "yes" });
    expect(provider.backchannel).toEqual(["ended ann"]);
    expect((await home(second)).userId).toBeUndefined();
    expect((await home(rotated)).userId).toBeUndefined();
    expect((await home(elsewhere)).userId).toMatch(/^ann@/);
    expect((await home(ben)).userId).toMatch(/^ben@/);
  });

  it("ends a session that another process holds, and the other way round", async () => {
    const path = temporaryFile("sessions.db");
    const { shop, provider } = await start({ keepTokens: true }, { store: sqliteStore({ path }) });
    const worker = await startWorker({ store: path, issuer: provider.issuer, baseUrl: shop.url });
    open.push(worker.stop);
    const ann = shop.person();
    await ann.visit("/account");
    const cookie = `sid=${ann.home.get("sid /")!.value}`;
    const there = async () => (await fetch(`${worker.url}/`, { headers: { cookie } })).json();
    expect(await there()).toMatchObject({ userId: expect.stringMatching(/^ann@/) });
    const { identity } = await home(ann);
    await provider.sendLogout("ann", identity.sid);
    expect(provider.backchannel).toEqual(["ended ann"]);
    expect(await there()).toEqual({});
    expect((await home(ann)).userId).toBeUndefined();
  });
});

/** A store's methods, to take some of them by others. */
function storeOf(store: Store): Store {
  return {
    name: store.name,
    load: (...given) => store.load(...given),
    create: (...given) => store.create(...given),
    replace: (...given) => store.replace(...given),
    touch: (...given) => store.touch(...given),
    delete: (...given) => store.delete(...given),
    sweep: (...given) => store.sweep(...given),
    listByUser: (...given) => store.listByUser(...given),
    deleteByUser: (...given) => store.deleteByUser(...given),
    close: () => store.close(),
  };
}

/** A shop, and a provider whose logout tokens the test makes. */
async function startForged(
  settings: Partial<SessionsOptions<any>> = {},
  options: Partial<OpenidConnectOptions> = {},
) {
  const forger = await startForger();
  open.push(forger.close);
  const shop = await openOidcShop(await openDoor(), { issuer: forger.issuer, ...options }, settings);
  open.push(shop.close);

  const begin = async (claims: JWTPayload, meanwhile: () => Promise<unknown> = async () => {}) => {
    const person = shop.person();
    const asked = new URL((await person.open("/auth/login")).headers.get("location")!).searchParams;
    forger.answer = async () => {
      await meanwhile();
      const idToken = await forger.sign(forger.claims(asked.get("nonce")!, claims));
      return { body: { access_token: "an-access-token", token_type: "Bearer", id_token: idToken } };
    };
    const query = new URLSearchParams({ code: "a-code", state: asked.get("state")!, iss: forger.issuer });
    return { person, page: await person.open(`/auth/callback?${query}`) };
  };
  const now = () => Math.floor(Date.now() / 1000);
  const logoutClaims = (more: JWTPayload = {}, drop: string[] = []): JWTPayload => {
    const claims: JWTPayload = {
      iss: forger.issuer,
      aud: "shop",
      iat: now(),
      exp: now() + 120,
      jti: crypto.randomUUID(),
      events: { "http://schemas.openid.net/event/backchannel-logout": {} },
      ...more,
    };
    for (const name of drop) delete claims[name];
    return claims;
  };
  const post = async (token: string) =>
    (await shop.person().post("/auth/backchannel-logout", { logout_token: token })).status;
  const send = async (more: JWTPayload, drop: string[] = []) =>
    post(await forger.sign(logoutClaims(more, drop)));
  return { forger, shop, begin, logoutClaims, post, send, now };
}

describe("a logout token", () => {
  it("with a sid ends the sessions of that sid; with a sub alone, all of that user", async () => {
    const { begin, send } = await startForged();
    const [one, two, three] = [
      await begin({ sid: "1" }),
      await begin({ sid: "2" }),
      await begin({ sid: "3", sub: "ben" }),
    ].map(({ person }) => person);
    expect(await send({ sid: "1" })).toBe(200);
    expect((await home(one!)).userId).toBeUndefined();
    expect((await home(two!)).userId).toBeDefined();
    expect(await send({ sid: "2", sub: "somebody else" })).toBe(200);
    expect((await home(two!)).userId).toBeDefined();
    expect(await send({ sub: "ann" })).toBe(200);
    expect((await home(two!)).userId).toBeUndefined();
    expect((await home(three!)).userId).toBeDefined();
  });

  it("finds the sessions of a user that afterLogin named otherwise", async () => {
    let number = 0;
    const { begin, send } = await startForged(
      {},
      { afterLogin: ({ claims }) => `${claims.sub} ${++number}` },
    );
    const people = [await begin({}), await begin({}), await begin({})].map(({ person }) => person);
    expect(await send({ sub: "ann" })).toBe(200);
    for (const person of people) expect((await home(person)).userId).toBeUndefined();
  });

  it("for nobody whom we know is taken, as the specification says", async () => {
    const { send } = await startForged();
    expect(await send({ sub: "nobody" })).toBe(200);
  });

  it.each<[string, JWTPayload, string[]]>([
    ["with a nonce", { nonce: "x" }, []],
    ["with an empty nonce", { nonce: "" }, []],
    ["for another audience", { aud: "other" }, []],
    ["of another issuer", { iss: "https://evil.example" }, []],
    ["without an issuer", {}, ["iss"]],
    ["without an audience", {}, ["aud"]],
    ["without a time", {}, ["iat"]],
    ["without an id", {}, ["jti"]],
    ["with an empty id", { jti: "" }, []],
    ["without events", {}, ["events"]],
    ["of another event", { events: { "http://schemas.openid.net/event/other": {} } }, []],
    [
      "whose event is no object",
      { events: { "http://schemas.openid.net/event/backchannel-logout": true } },
      [],
    ],
    ["that names nobody", {}, ["sub", "sid"]],
    ["whose sub is no text", { sub: 7 as unknown as string }, ["sid"]],
    ["whose sid is no text", { sid: 7 }, []],
    ["that has ended", { exp: 1_700_000_000 }, []],
    ["that is old", { iat: 1_700_000_000 }, ["exp"]],
    ["from the future", { iat: 4_000_000_000, exp: 4_000_000_100 }, []],
  ])("%s is refused, and ends nothing", async (_, more, drop) => {
    const { begin, send, shop } = await startForged();
    const { person } = await begin({ sid: "1" });
    expect(await send({ sub: "ann", sid: "1", ...more }, drop)).toBe(400);
    expect((await home(person)).userId).toBeDefined();
    expect(shop.failures.map(({ reason }) => reason)).toEqual(["invalid_logout_token"]);
  });

  it("that is forged is refused: another key, no signature, the public key as a secret, an ID token", async () => {
    const { begin, forger, logoutClaims, post } = await startForged();
    const { person } = await begin({ sid: "1" });
    const claims = () => logoutClaims({ sub: "ann" });
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const { privateKey } = await generateKeyPair("ES256");
    const forged = [
      await forger.sign(claims(), { key: privateKey }),
      await forger.sign(claims(), { key: privateKey, kid: "unheard of" }),
      `${part({ alg: "none" })}.${part(claims())}.`,
      await forger.sign(claims(), {
        key: new TextEncoder().encode(JSON.stringify(forger.published)),
        alg: "HS256",
      }),
      await forger.sign(forger.claims("a nonce", { sub: "ann", jti: "7" })),
      "",
      "x",
      "a.b.c",
      "x".repeat(20_000),
    ];
    for (const token of forged) expect(await post(token)).toBe(400);
    expect((await home(person)).userId).toBeDefined();
  });

  it("that comes again is refused: a login since then stays", async () => {
    const { begin, forger, logoutClaims, post } = await startForged();
    await begin({});
    const token = await forger.sign(logoutClaims({ sub: "ann" }));
    expect(await post(token)).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { person } = await begin({});
    expect(await post(token)).toBe(400);
    expect((await home(person)).userId).toBeDefined();
  });

  it("is taken only by POST, as one field of a form", async () => {
    const { shop, forger, logoutClaims } = await startForged();
    const token = await forger.sign(logoutClaims({ sub: "ann" }));
    const nobody = shop.person();
    expect((await nobody.open(`/auth/backchannel-logout?logout_token=${token}`)).status).toBe(400);
    expect((await nobody.post(`/auth/backchannel-logout?logout_token=${token}`)).status).toBe(400);
    const answer = await fetch(`${shop.url}/auth/backchannel-logout`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ logout_token: token }),
    });
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([400, "no-store"]);
  });

  it("that comes while a login is under way lets no session begin", async () => {
    for (const named of [{ sub: "ann" }, { sid: "1" }] as JWTPayload[]) {
      const { begin, send, shop } = await startForged();
      const { person, page } = await begin({ sid: "1" }, async () => expect(await send(named)).toBe(200));
      expect([page.status, shop.failures.map(({ reason }) => reason)]).toEqual([401, ["session_ended"]]);
      expect((await home(person)).userId).toBeUndefined();
      // And the next one, at the provider anew, does.
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect((await begin({ sid: "2" })).page.status).toBe(303);
    }
  });

  it("ends a session that takes a new token at the same moment", async () => {
    const inner = memoryStore();
    let meanwhile: (() => Promise<unknown>) | undefined;
    const store: Store = {
      ...storeOf(inner),
      async listByUser(userId, call) {
        const listed = await inner.listByUser(userId, call);
        const once = meanwhile;
        meanwhile = undefined;
        await once?.();
        return listed;
      },
    };
    const { begin, send } = await startForged({ store });
    const { person } = await begin({ sid: "1" });
    meanwhile = () => person.post("/rotate");
    expect(await send({ sub: "ann" })).toBe(200);
    expect((await home(person)).userId).toBeUndefined();
  });

  it("may come again where the store failed before the sessions had ended", async () => {
    const inner = memoryStore();
    let fails = false;
    const store: Store = {
      ...storeOf(inner),
      listByUser: (userId, call) =>
        fails ? Promise.reject(new Error("down")) : inner.listByUser(userId, call),
    };
    const { begin, forger, logoutClaims, post } = await startForged({ store });
    const { person } = await begin({});
    const token = await forger.sign(logoutClaims({ sub: "ann" }));
    fails = true;
    expect(await post(token)).toBe(503);
    fails = false;
    expect(await post(token)).toBe(200);
    expect((await home(person)).userId).toBeUndefined();
  });
});

describe("front-channel logout", () => {
  const routes = { frontchannelLogout: "/auth/frontchannel-logout" };

  it("ends the sessions of a sid, without any cookie of ours", async () => {
    const { begin, forger, shop } = await startForged({}, { routes });
    const [ann, ben] = [(await begin({ sid: "1" })).person, (await begin({ sid: "2" })).person];
    const query = new URLSearchParams({ iss: forger.issuer, sid: "1" });
    const answer = await shop.person().open(`/auth/frontchannel-logout?${query}`);
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store"]);
    expect((await home(ann)).userId).toBeUndefined();
    expect((await home(ben)).userId).toBeDefined();
  });

  it("of another issuer, or of no session, ends nothing", async () => {
    const { begin, forger, shop } = await startForged({}, { routes });
    const { person } = await begin({ sid: "1" });
    const { issuer: iss } = forger;
    for (const query of [{ sid: "1" }, { iss }, { iss, sid: "" }, { iss: "https://evil.example", sid: "1" }])
      expect(
        (
          await shop
            .person()
            .open(`/auth/frontchannel-logout?${new URLSearchParams(query as Record<string, string>)}`)
        ).status,
      ).toBe(400);
    expect((await home(person)).userId).toBeDefined();
  });

  it("is off where nobody asks for it", async () => {
    const { shop, forger } = await startForged();
    expect((await shop.person().open(`/auth/frontchannel-logout?iss=${forger.issuer}&sid=1`)).status).toBe(
      404,
    );
  });
});
