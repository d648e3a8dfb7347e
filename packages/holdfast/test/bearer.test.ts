import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { createSessions } from "../src/engine/create-sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { createKeyring } from "../src/token/keyring.js";
import { newToken } from "../src/token/token.js";
import type { Answer, Browser } from "./support/browser.js";
import { requestWith } from "./support/exchange.js";
import { openShop, SECRET, type TestShop } from "./support/shop.js";
import { STORES } from "./support/stores.js";

const MINUTE = 60_000;
const SIGNED_TOKEN = /^[\w-]{43}\.[\w-]{43}$/;

let shop: TestShop;
afterEach(() => shop?.close());

/** A native app: it keeps the token itself, and takes every one that a response brings. */
class NativeApp {
  readonly #http: Browser;
  readonly #headers: Record<string, string>;
  token = "";

  constructor(http: Browser, headers: Record<string, string> = {}) {
    this.#http = http;
    this.#headers = headers;
  }

  async ask(method: "get" | "post", path: string): Promise<Answer> {
    const authorization: Record<string, string> =
      this.token === "" ? {} : { authorization: `Bearer ${this.token}` };
    const answer = await this.#http[method](path, { ...this.#headers, ...authorization });
    this.token = answer.headers.get("session-token") ?? this.token;
    expect(answer.setCookie).toEqual([]);
    return answer;
  }

  get(path: string) {
    return this.ask("get", path);
  }

  post(path: string) {
    return this.ask("post", path);
  }
}

const session = (answer: Answer) => JSON.parse(answer.body);
const app = (headers?: Record<string, string>) => new NativeApp(shop.browser(), headers);
const start = async (...args: Parameters<typeof openShop>) => {
  shop = await openShop(...args);
  return shop;
};

describe.each(STORES)("a bearer session on the $name store", ({ open }) => {
  it("gets its token in Session-Token at the login, and lives by Authorization, never by a cookie", async () => {
    await start(open(), { transport: "bearer" });
    const phone = app();
    const login = await phone.post("/login/ada");
    expect(phone.token).toMatch(SIGNED_TOKEN);
    expect(login.headers.get("cache-control")).toBe("no-store");
    expect(login.headers.get("vary")).toContain("Authorization");
    const read = await phone.get("/session");
    expect(session(read)).toMatchObject({ userId: "ada", isNew: false });
    expect(read.headers.has("session-token")).toBe(false);
    expect(read.headers.get("vary")).toBe("Authorization");
    expect(read.headers.has("cache-control")).toBe(false);
  });

  it("keeps what is written, and gives a token to a visitor only when there is something to keep", async () => {
    await start(open(), { transport: "bearer" });
    const phone = app();
    await phone.get("/session");
    expect(phone.token).toBe("");
    await phone.post("/set/coupon/TEA");
    const first = phone.token;
    await phone.post("/cart/apple");
    expect(phone.token).toBe(first);
    expect(session(await phone.get("/session")).data).toEqual({ coupon: "TEA", cart: ["apple"] });
  });

  it("has a new token after login and rotation, and the old one is dead", async () => {
    await start(open(), { transport: "bearer" });
    const phone = app();
    await phone.post("/set/coupon/TEA");
    for (const path of ["/login/ada", "/rotate", "/login/ada"]) {
      const old = app();
      old.token = phone.token;
      await phone.post(path);
      expect(phone.token).not.toBe(old.token);
      expect(session(await old.get("/session"))).toMatchObject({ isNew: true, data: {} });
      expect(session(await phone.get("/session"))).toMatchObject({ userId: "ada", data: { coupon: "TEA" } });
    }
  });

  it("gets a new token by routine renewal; the old one leads to it for the grace", async () => {
    const { clock } = await start(open(), { transport: "bearer", renewAfter: "10m" });
    const phone = app();
    await phone.post("/login/ada");
    const late = app();
    late.token = phone.token;
    clock.advance(10 * MINUTE);
    const renewal = await phone.get("/session");
    expect(phone.token).not.toBe(late.token);
    expect(renewal.headers.get("cache-control")).toBe("no-store");
    expect(session(await late.get("/session")).userId).toBe("ada");
    await phone.get("/session");
    clock.advance(MINUTE);
    expect(session(await late.get("/session")).isNew).toBe(true);
    expect(session(await phone.get("/session")).userId).toBe("ada");
  });

  it("is told that it has ended by an empty Session-Token", async () => {
    await start(open(), { transport: "bearer" });
    const phone = app();
    await phone.post("/login/ada");
    const stolen = app();
    stolen.token = phone.token;
    const logout = await phone.post("/logout");
    expect(logout.headers.get("session-token")).toBe("");
    expect(logout.headers.get("cache-control")).toBe("no-store");
    expect(phone.token).toBe("");
    expect(session(await stolen.get("/session")).isNew).toBe(true);
  });

  it("ends at its deadlines, and with revokeAll", async () => {
    const { clock, sessions } = await start(open(), { transport: "bearer" });
    const [phone, tablet] = [app(), app()];
    await phone.post("/login/ada");
    await tablet.post("/login/ada");
    await sessions.ofUser("ada").revokeAll();
    expect(session(await phone.get("/session")).isNew).toBe(true);
    await phone.post("/login/ada");
    clock.advance(30 * MINUTE);
    expect(session(await phone.get("/session")).isNew).toBe(true);
  });

  it("gets its token signed anew after the secrets were rotated", async () => {
    const store = open();
    await start(store, { transport: "bearer" });
    const phone = app();
    await phone.post("/login/ada");
    const [token] = phone.token.split(".");
    const sessions = createSessions({
      secrets: ["Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK", SECRET],
      store,
      clock: shop.clock.read,
      sweepInterval: false,
      transport: "bearer",
    });
    const exchange = await sessions.open(requestWith(undefined, { authorization: `Bearer ${phone.token}` }));
    expect(exchange.session.userId).toBe("ada");
    await exchange.commit();
    const written: string[] = [];
    exchange.writeHeaders({
      get: () => undefined,
      set: (name, value) => void (name === "Session-Token" && written.push(value)),
      append: (name) => expect.fail(name),
    });
    expect(written).toHaveLength(1);
    expect(written[0]!.split(".")[0]).toBe(token);
    expect(written[0]).not.toBe(phone.token);
  });
});

describe("cookie and bearer are never both looked at for one request", () => {
  it("a bearer request's cookie is ignored", async () => {
    await start(memoryStore(), { transport: "bearer" });
    const phone = app();
    await phone.post("/login/ada");
    const browser = shop.browser();
    for (const name of ["sid", "__Host-sid", "bearer"]) browser.cookies.set(name, phone.token);
    expect(session(await browser.get("/session")).isNew).toBe(true);
  });

  it("a cookie request's Authorization is ignored", async () => {
    await start(memoryStore());
    const browser = shop.browser();
    const login = await browser.post("/login/ada");
    expect(login.headers.has("session-token")).toBe(false);
    const token = browser.cookies.get("sid")!;
    const answer = await shop.browser().get("/session", { authorization: `Bearer ${token}` });
    expect(session(answer).isNew).toBe(true);
    expect(answer.headers.get("vary")).toBe("Cookie");
  });

  it("a function decides for each request, and what the request has of the other is ignored", async () => {
    await start(memoryStore(), {
      transport: (request) => (request.header("x-client") === "app" ? "bearer" : "cookie"),
    });
    const phone = app({ "x-client": "app" });
    const browser = shop.browser();
    await phone.post("/login/ada");
    expect((await browser.post("/login/bob")).headers.has("session-token")).toBe(false);
    expect(phone.token).toMatch(SIGNED_TOKEN);
    expect(session(await phone.get("/session")).userId).toBe("ada");
    expect(session(await browser.get("/session")).userId).toBe("bob");

    const both = { authorization: `Bearer ${phone.token}` };
    expect(session(await browser.get("/session", both)).userId).toBe("bob");
    expect(session(await browser.get("/session", { ...both, "x-client": "app" })).userId).toBe("ada");
    const logout = await browser.post("/logout", { ...both, "x-client": "app" });
    expect(logout).toMatchObject({ setCookie: [] });
    expect(session(await browser.get("/session")).userId).toBe("bob");
  });

  it("a function that gives neither is an error at the request: 500", async () => {
    await start(memoryStore(), { transport: () => "header" as "cookie" });
    expect((await shop.browser().get("/session")).status).toBe(500);
  });
});

describe("an Authorization header that doesn't verify", () => {
  it("of 10,000 fuzzed ones, none throws and none reaches the store", async () => {
    const untouchable = new Proxy(memoryStore(), {
      get: (store, name) =>
        name === "load" || name === "delete"
          ? () => expect.fail(`the store was asked to ${String(name)}`)
          : Reflect.get(store, name),
    });
    const sessions = createSessions({
      secrets: [SECRET],
      store: untouchable,
      transport: "bearer",
      sweepInterval: false,
    });
    const genuine = createKeyring([SECRET], false).sign(newToken());
    const foreign = createKeyring(["another secret of thirty-two bytes or more"], false).sign(newToken());
    const value = fc.oneof(
      fc.string({ unit: "binary", maxLength: 120 }),
      fc.base64String({ minLength: 80, maxLength: 96 }),
      fc.constantFrom(
        foreign,
        "",
        "%00",
        "null",
        "x".repeat(9000),
        `${genuine},`,
        `"${genuine}"`,
        `${genuine} x`,
      ),
      fc.nat(86).map((length) => genuine.slice(0, length)),
      fc
        .nat(86)
        .map((at) => `${genuine.slice(0, at)}${genuine[at] === "A" ? "B" : "A"}${genuine.slice(at + 1)}`),
    );
    const scheme = fc.constantFrom("Bearer ", "bearer ", "Bearer  ", "Basic ", "Bearer", "");
    await fc.assert(
      fc.asyncProperty(scheme, value, async (scheme, value) => {
        const exchange = await sessions.open(requestWith(undefined, { authorization: scheme + value }));
        if (!exchange.session.isNew) throw new Error("a session was found");
      }),
      { numRuns: 10_000 },
    );
  });

  it("is an event that says why, without the token; the answer takes none away", async () => {
    await start(memoryStore(), { transport: "bearer" });
    const phone = app();
    phone.token = `${newToken()}.${newToken()}`;
    const forged = phone.token;
    const answer = await phone.get("/session");
    expect(answer.headers.has("session-token")).toBe(false);
    expect(shop.events).toMatchObject([{ name: "rejected-cookie", reason: "forged" }]);
    expect(JSON.stringify(shop.events)).not.toContain(forged.slice(0, 20));
  });

  it("of an id that was never issued is never adopted, even well signed", async () => {
    await start(memoryStore(), { transport: "bearer" });
    const phone = app();
    const planted = createKeyring([SECRET], false).sign(newToken());
    phone.token = planted;
    await phone.post("/set/coupon/TEA");
    expect(phone.token).not.toBe(planted);
    expect(shop.events[0]).toMatchObject({ name: "rejected-cookie", reason: "unknown" });
  });
});
