import { createHash } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import { sessionEventNames } from "../src/engine/events.js";
import type { Store } from "../src/stores/contract.js";
import { memoryStore } from "../src/stores/memory.js";
import { createKeyring } from "../src/token/keyring.js";
import { newToken } from "../src/token/token.js";
import { finish, finishedCookie, requestWith } from "./support/exchange.js";
import { Clock, SECRET } from "./support/shop.js";
import { STORES } from "./support/stores.js";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

function open(store: Store, options: Partial<SessionsOptions<any>> = {}) {
  const clock = new Clock();
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store,
    clock: clock.read,
    sweepInterval: false,
    ...options,
  });
  const events: any[] = [];
  const names = ["rejected-cookie", "expired", "dropped-write", "store-error"] as const;
  for (const name of names) sessions.on(name, (event) => events.push({ name, ...event }));
  return { sessions, clock, events };
}

/** Stores a session; its cookie. */
/** What a commit fails with: at once, or later. */
async function failureOf(exchange: { commit(): unknown }): Promise<unknown> {
  try {
    await exchange.commit();
  } catch (error) {
    return error;
  }
}

async function stored(
  sessions: ReturnType<typeof open>["sessions"],
  data: object = { a: 1 },
): Promise<string> {
  const exchange = await sessions.open(requestWith(undefined));
  Object.assign(exchange.session.data, data);
  return (await finishedCookie(exchange))!;
}

describe("a cookie that doesn't verify", () => {
  /** A store that must not be asked. */
  const untouchable = new Proxy(memoryStore(), {
    get: (store, name) =>
      name === "load" || name === "delete"
        ? () => expect.fail(`the store was asked to ${String(name)}`)
        : Reflect.get(store, name),
  });

  it("of 100,000 fuzzed headers, none throws and none reaches the store", async () => {
    const { sessions } = open(untouchable);
    const genuine = createKeyring([SECRET], false).sign(newToken());
    const foreign = createKeyring(["another secret of thirty-two bytes or more"], false).sign(newToken());
    const value = fc.oneof(
      fc.string({ unit: "binary", maxLength: 120 }),
      fc.base64String({ minLength: 80, maxLength: 96 }),
      fc.constant(foreign),
      fc.constant(""),
      fc.constantFrom(
        "%",
        "%00",
        "\r\nSet-Cookie: x=y",
        '"',
        "=",
        "s:abc.def",
        "__proto__",
        "null",
        "x".repeat(9000),
      ),
      fc
        .tuple(fc.nat(86), fc.string({ unit: "binary", minLength: 1, maxLength: 1 }))
        .map(([at, character]) =>
          // One character of a genuine cookie, changed.
          genuine[at] === character ? foreign : genuine.slice(0, at) + character + genuine.slice(at + 1),
        ),
      fc.nat(86).map((length) => genuine.slice(0, length)),
      fc.string({ minLength: 1, maxLength: 4 }).map((tail) => genuine + tail.replace(/[;\s"]/g, "x")),
    );
    const name = fc.constantFrom(
      "__Host-sid",
      "__Host-sid",
      "sid",
      "__host-sid",
      "__Secure-sid",
      "__Host-sid ",
      "",
    );
    const pair = fc.tuple(name, value).map(([key, text]) => `${key}=${text}`);
    const header = fc
      .array(fc.oneof(pair, fc.string({ unit: "binary" })), { maxLength: 7 })
      .map((parts) => parts.join("; "));
    await fc.assert(
      fc.asyncProperty(header, async (cookie) => {
        const exchange = await sessions.open(requestWith(cookie));
        if (!exchange.session.isNew) throw new Error("a session was found");
      }),
      { numRuns: 100_000 },
    );
  });

  it("says why in an event, without the cookie", async () => {
    const { sessions, events } = open(untouchable);
    const foreign = createKeyring(["another secret of thirty-two bytes or more"], false).sign(newToken());
    await sessions.open(requestWith("__Host-sid=nonsense"));
    await sessions.open(requestWith(`__Host-sid=${foreign}`));
    await sessions.open(requestWith("__Host-sid=a; __Host-sid=b; __Host-sid=c; __Host-sid=d; __Host-sid=e"));
    expect(events.map(({ reason }) => reason)).toEqual(["malformed", "forged", "too-many"]);
    expect(inspect(events)).not.toContain(foreign.slice(0, 20));
  });
});

describe.each(STORES)("on the $name store", ({ open: openStore }) => {
  it("an id that was never issued is never adopted, even well signed", async () => {
    const { sessions, events } = open(openStore());
    const planted = newToken();
    const cookie = `__Host-sid=${createKeyring([SECRET], false).sign(planted)}`;
    const exchange = await sessions.open(requestWith(cookie));
    exchange.session.data.a = 1;
    const issued = await finishedCookie(exchange);
    expect(issued).toBeDefined();
    expect(issued).not.toBe(cookie);
    expect(events).toEqual([expect.objectContaining({ reason: "unknown" })]);
    expect((await sessions.open(requestWith(cookie))).session.isNew).toBe(true);
  });

  it("the token is nowhere in the store, and no stored id opens a session", async () => {
    const store = openStore();
    const records: string[] = [];
    const create = store.create.bind(store);
    store.create = (id, record, call) => {
      records.push(id, JSON.stringify(record));
      return create(id, record, call);
    };
    const { sessions } = open(store);
    const cookie = await stored(sessions);
    const token = cookie.split("=")[1]!.split(".")[0]!;
    expect(records.join()).not.toContain(token);
    expect(records[0]).toBe(createHash("sha256").update(token).digest("base64url"));
    const forged = createKeyring([SECRET], false).sign(records[0]!);
    expect((await sessions.open(requestWith(`__Host-sid=${forged}`))).session.isNew).toBe(true);
  });

  it("a session lives on while its secret is rotated, and its cookie is signed anew", async () => {
    const store = openStore();
    const newSecret = "the new secret, of thirty-two bytes or more";
    const cookie = await stored(open(store).sessions);
    const both = open(store, { secrets: [newSecret, SECRET] }).sessions;

    const exchange = await both.open(requestWith(cookie));
    expect(exchange.session.data).toEqual({ a: 1 });
    const resigned = (await finishedCookie(exchange))!;
    expect(resigned.split(".")[0]).toBe(cookie.split(".")[0]);
    expect(resigned).not.toBe(cookie);
    expect(await finishedCookie(await both.open(requestWith(resigned)))).toBeUndefined();

    const newOnly = open(store, { secrets: [newSecret] }).sessions;
    expect((await newOnly.open(requestWith(resigned))).session.isNew).toBe(false);
    expect((await newOnly.open(requestWith(cookie))).session.isNew).toBe(true);
  });

  it("a late response signs nothing anew for a session that has ended", async () => {
    const store = openStore();
    const cookie = await stored(open(store).sessions);
    const { sessions } = open(store, { secrets: ["the new secret, of thirty-two bytes or more", SECRET] });
    const late = await sessions.open(requestWith(cookie));
    void late.session.data;
    const logout = await sessions.open(requestWith(cookie));
    await logout.session.logout();
    expect(await finishedCookie(late)).toBeUndefined();
  });

  describe("several cookies of the name (cookie tossing)", () => {
    it("uses the one that leads to a living session, whatever the order", async () => {
      const { sessions } = open(openStore());
      const cookie = await stored(sessions);
      const dead = `__Host-sid=${createKeyring([SECRET], false).sign(newToken())}`;
      for (const header of [
        `${cookie}; ${dead}`,
        `${dead}; ${cookie}`,
        `__Host-sid=junk; ${cookie}`,
        `${cookie}; ${cookie}`,
      ]) {
        expect((await sessions.open(requestWith(header))).session.data).toEqual({ a: 1 });
      }
    });

    it("uses none where two lead to living sessions, and says so", async () => {
      const { sessions, events } = open(openStore());
      const [victim, attacker] = [await stored(sessions), await stored(sessions)];
      const exchange = await sessions.open(requestWith(`${victim}; ${attacker}`));
      expect(exchange.session.isNew).toBe(true);
      expect(events).toEqual([expect.objectContaining({ reason: "ambiguous" })]);
    });
  });

  it("__proto__, constructor and other names are plain data, through storing and merging", async () => {
    const { sessions } = open(openStore());
    const names = [
      "__proto__",
      "constructor",
      "prototype",
      "toString",
      "hasOwnProperty",
      "id",
      "login",
      "$where",
      "a.b",
      "",
      "\0",
    ];
    const tree = () =>
      JSON.parse(
        JSON.stringify(Object.fromEntries(names.map((name) => [name, 1]))).replace(
          '"constructor"',
          '"__proto__":{"polluted":true},"constructor"',
        ),
      );
    const cookie = await stored(sessions, { nested: tree() });
    const [first, second] = [
      await sessions.open(requestWith(cookie)),
      await sessions.open(requestWith(cookie)),
    ];
    first.session.data.nested.mine = 1;
    second.session.data.nested.theirs = 2;
    await second.commit();
    await first.commit();
    const { nested } = (await sessions.open(requestWith(cookie))).session.data;
    expect(JSON.parse(JSON.stringify(nested))).toEqual({ ...tree(), mine: 1, theirs: 2 });
    expect(Object.keys(nested)).toContain("__proto__");
    expect(({} as any).polluted).toBeUndefined();
    expect(typeof first.session.login).toBe("function");
  });

  it("user ids that stores could trip over are refused or kept apart", async () => {
    const { sessions } = open(openStore());
    for (const bad of [
      "",
      "a\0b",
      "line\nfeed",
      "\ud800",
      "x".repeat(256),
      7,
      null,
      undefined,
      { $ne: 1 },
      ["a"],
    ]) {
      expect(() => sessions.ofUser(bad as string)).toThrow(
        expect.objectContaining({ code: "ERR_HOLDFAST_INVALID_ARGUMENT" }),
      );
      const { session } = await sessions.open(requestWith(undefined));
      await expect(session.login(bad as string)).rejects.toMatchObject({
        code: "ERR_HOLDFAST_INVALID_ARGUMENT",
      });
    }
    const injections = [
      "' OR '1'='1",
      "ada'; DROP TABLE holdfast_sessions; --",
      "$where",
      "__proto__",
      "*",
      "a b",
      "😀",
    ];
    for (const userId of injections) {
      const { session } = await sessions.open(requestWith(undefined));
      await session.login(userId);
    }
    for (const userId of injections) expect(await sessions.ofUser(userId).revokeAll()).toBe(1);
  });
});

describe("quiet", () => {
  it("printing a session, an exchange or the sessions shows neither token, secret nor data", async () => {
    const { sessions } = open(memoryStore());
    const cookie = await stored(sessions, { card: "4111-1111" });
    const exchange = await sessions.open(requestWith(cookie));
    void exchange.session.data;
    const printed = [exchange, exchange.session, sessions]
      .flatMap((object) => [inspect(object, { depth: 9, showHidden: true }), JSON.stringify(object)])
      .join();
    expect(printed).not.toContain(cookie.split("=")[1]!.slice(0, 43));
    expect(printed).not.toContain("4111-1111");
    expect(printed).not.toContain(SECRET);
  });

  it("no event and no error holds them, through a life with every mishap", async () => {
    const store = memoryStore();
    const { sessions, clock } = open(store);
    const said: unknown[] = [];
    for (const name of sessionEventNames) sessions.on(name, (event) => said.push(event));
    const cookies: string[] = [];
    let cookie = await stored(sessions, { card: "4111-1111" });
    cookies.push(cookie);
    const slow = await sessions.open(requestWith(cookie));
    slow.session.data.more = "4111-1111";
    const login = await sessions.open(requestWith(cookie));
    await login.session.login("ada");
    cookie = (await finishedCookie(login))!;
    cookies.push(cookie);
    await finish(slow);
    clock.advance(20 * 60_000);
    await finish(await sessions.open(requestWith(cookie)));
    clock.advance(20 * 60_000);
    await finish(await sessions.open(requestWith(cookie)));
    clock.advance(20 * 60_000);
    cookie = (await finishedCookie(await sessions.open(requestWith(cookie))))!;
    cookies.push(cookie);
    const big = await sessions.open(requestWith(cookie));
    big.session.data.big = "4111-1111".repeat(10_000);
    said.push(await failureOf(big));
    const odd = await sessions.open(requestWith(cookie));
    odd.session.data.odd = new Map([["4111-1111", "4111-1111"]]);
    said.push(await failureOf(odd));
    store.replace = () => {
      throw new Error("down");
    };
    const failing = await sessions.open(requestWith(cookie));
    failing.session.data.b = 1;
    said.push(await failureOf(failing));
    await sessions.open(requestWith(`${cookie}x`));
    clock.advance(13 * 3_600_000);
    await sessions.open(requestWith(cookie));

    const text = inspect(said, { depth: 9, showHidden: true });
    for (const value of cookies) {
      const [token, signature] = value.split("=")[1]!.split(".");
      expect(text).not.toContain(token);
      expect(text).not.toContain(signature);
    }
    expect(text).not.toContain("4111");
    expect(text).not.toContain(SECRET);
    expect(said.length).toBeGreaterThan(9);
  });
});

describe("the cookie's form follows the request", () => {
  const cookieLine = async (
    options: Partial<SessionsOptions<any>>,
    headers: Record<string, string>,
    encrypted: boolean,
    remoteAddress = "127.0.0.1",
  ) => {
    const { sessions } = open(memoryStore(), options);
    const exchange = await sessions.open({ ...requestWith(undefined, headers, encrypted), remoteAddress });
    exchange.session.data.a = 1;
    return (await finish(exchange))["set-cookie"]![0]!.replace(/=[^;]+/, "=…");
  };
  const secure = "__Host-sid=…; Path=/; HttpOnly; Secure; SameSite=Lax";
  const plain = "sid=…; Path=/; HttpOnly; SameSite=Lax";

  it("is Secure with __Host- everywhere but on plain-HTTP localhost in development", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    expect(await cookieLine({}, { host: "shop.example" }, true)).toBe(secure);
    expect(await cookieLine({}, { host: "localhost:3000" }, true)).toBe(secure);
    expect(await cookieLine({}, { host: "localhost:3000" }, false)).toBe(plain);
    expect(await cookieLine({}, { host: "shop.example" }, false)).toBe(secure);
    expect(await cookieLine({}, { host: "localhost:3000" }, false, "192.0.2.7")).toBe(secure);
    expect(await cookieLine({}, { host: "localhost.evil.example" }, false)).toBe(secure);
    vi.stubEnv("NODE_ENV", "production");
    expect(await cookieLine({}, { host: "localhost:3000" }, false)).toBe(secure);
  });

  it("believes forwarded headers of trusted proxies only", async () => {
    const host = { host: "localhost:3000" };
    const forwarded = [
      { "x-forwarded-proto": "https" },
      { forwarded: 'for=192.0.2.60;proto="https";by=203.0.113.43' },
    ];
    for (const header of forwarded) {
      expect(await cookieLine({}, { ...host, ...header } as any, false)).toBe(plain);
      expect(await cookieLine({ trustProxy: ["10.0.0.0/8"] }, { ...host, ...header } as any, false)).toBe(
        plain,
      );
      expect(await cookieLine({ trustProxy: ["127.0.0.0/8"] }, { ...host, ...header } as any, false)).toBe(
        secure,
      );
      expect(await cookieLine({ trustProxy: true }, { ...host, ...header } as any, false)).toBe(secure);
    }
  });

  it("warns, once, where a Secure cookie goes out on what looks like plain HTTP", async () => {
    vi.resetModules();
    const { createSessions: fresh } = await import("../src/engine/create-sessions.js");
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const sessions = fresh<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    for (let n = 0; n < 3; n++) {
      const exchange = await sessions.open(requestWith(undefined, {}, false));
      exchange.session.data.a = n;
      await finish(exchange);
    }
    expect(warning).toHaveBeenCalledOnce();
    expect(warning.mock.calls[0]![0]).toContain("trustProxy");
  });
});
