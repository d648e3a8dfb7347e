import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { createSessions } from "../src/engine/create-sessions.js";
import { CookieSessions, RevocableCookieSessions } from "../src/engine/sessions.js";
import {
  ConfigurationError,
  HeadersSentError,
  PayloadTooLargeError,
  SessionGoneError,
} from "../src/errors.js";
import type { Store } from "../src/stores/contract.js";
import { cookieStore } from "../src/stores/cookie.js";
import { memoryStore } from "../src/stores/memory.js";
import { mintSession } from "../src/testing/mint.js";
import type { Answer } from "./support/browser.js";
import { type CookieShop, openCookieShop } from "./support/cookie-shop.js";
import { finish, finishedCookie, requestWith } from "./support/exchange.js";
import { Clock, SECRET } from "./support/shop.js";
import { STORES } from "./support/stores.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NEWER = "Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK";

let shop: CookieShop;
const start = async (...args: Parameters<typeof openCookieShop>) => {
  shop = await openCookieShop(...args);
  return shop;
};
afterEach(() => shop?.close());

const session = (answer: Answer) => JSON.parse(answer.body);
const reasons = () =>
  shop.events.filter(({ name }) => name === "rejected-cookie").map(({ reason }) => reason);

/** Notes the calls to a store; with `fail`, they fail from then on. */
function watched(store: Store) {
  const calls: string[] = [];
  let failing = false;
  const proxy = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function" || name === "close") return value;
      return (...args: unknown[]) => {
        calls.push(String(name));
        if (failing) throw new Error("the disk is gone");
        return value.apply(target, args);
      };
    },
  });
  return {
    store: proxy,
    /** What was called since it was last asked. */
    takeCalls: () => calls.splice(0),
    fail(yes = true) {
      failing = yes;
    },
  };
}

describe("a session in its cookie", () => {
  it("is there on the next request, and no request that reads sets a cookie", async () => {
    const { browser } = await start(undefined);
    const user = browser();
    const set = await user.post("/set/coupon/TEA");
    expect(set.setCookie).toHaveLength(1);
    expect(set.setCookie[0]).toMatch(/^sid=1\.[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(set.headers.get("cache-control")).toBe("no-store");
    const read = await user.get("/session");
    expect(session(read)).toMatchObject({ isNew: false, data: { coupon: "TEA" } });
    expect(read.setCookie).toEqual([]);
    expect(read.headers.get("vary")).toBe("Cookie");
  });

  it("shows nothing of itself: not its data, its user, its id", async () => {
    const { browser } = await start(undefined);
    const user = browser();
    await user.post("/set/coupon/TEA-FOR-TWO");
    await user.post("/login/ada-lovelace");
    const { id } = session(await user.get("/session"));
    const bytes = Buffer.from(user.cookies.get("sid")!.slice(2), "base64url").toString("latin1");
    for (const secret of ["TEA-FOR-TWO", "ada-lovelace", "coupon", id]) expect(bytes).not.toContain(secret);
  });

  it("sets no cookie for a visitor who leaves nothing", async () => {
    const { browser } = await start(undefined);
    expect((await browser().get("/session")).setCookie).toEqual([]);
  });

  it("keeps its data through a login and a rotation, and changes its id and all of the cookie", async () => {
    const { browser, clock } = await start(undefined);
    const user = browser();
    await user.post("/set/coupon/TEA");
    const before = { ...session(await user.get("/session")), cookie: user.cookieHeader };
    clock.advance(MINUTE);
    await user.post("/login/ada");
    const after = { ...session(await user.get("/session")), cookie: user.cookieHeader };
    expect(after).toMatchObject({ userId: "ada", data: { coupon: "TEA" } });
    expect(after.id).not.toBe(before.id);
    expect(after.createdAt).not.toBe(before.createdAt);
    expect(after.cookie.slice(20, 60)).not.toBe(before.cookie.slice(20, 60));
    await user.post("/rotate");
    const rotated = session(await user.get("/session"));
    expect(rotated).toMatchObject({ userId: "ada", data: { coupon: "TEA" }, createdAt: after.createdAt });
    expect(rotated.id).not.toBe(after.id);
  });

  it("carries flash messages to the next page, once", async () => {
    const { browser } = await start(undefined);
    const user = browser();
    await user.post("/flash/Saved");
    expect((await user.get("/flash")).body).toBe('["Saved"]');
    expect((await user.get("/flash")).body).toBe("[]");
  });

  it("takes data of any key and any text", async () => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: cookieStore(), sweepInterval: false });
    const data = fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "toString", "a\nb")),
      fc.oneof(fc.string({ unit: "grapheme", maxLength: 100 }), fc.integer(), fc.constant(null)),
      { maxKeys: 8, noNullPrototype: true },
    );
    await fc.assert(
      fc.asyncProperty(data, async (data) => {
        fc.pre(Object.keys(data).length > 0);
        const writing = await sessions.open(requestWith(undefined));
        writing.session.data = data;
        const cookie = await finishedCookie(writing);
        const reading = await sessions.open(requestWith(cookie));
        expect(reading.session.data).toEqual(data);
        expect(Object.keys(reading.session.data).sort()).toEqual(Object.keys(data).sort());
      }),
      { numRuns: 200 },
    );
    await sessions.close();
  });
});

it("mintSession makes a session that lives in its cookies", async () => {
  const sessions = createSessions<any>({ secrets: [SECRET], store: cookieStore(), sweepInterval: false });
  const { cookie, cookies } = await mintSession(sessions, {
    userId: "ada",
    data: { long: "x".repeat(4000) },
  });
  expect(cookies.map(({ name }) => name)).toEqual(["sid", "sid.1"]);
  const local = { ...requestWith(cookie, { host: "localhost" }, false), remoteAddress: "127.0.0.1" };
  const { session } = await sessions.open(local);
  expect(session.userId).toBe("ada");
  expect(session.data.long).toHaveLength(4000);
});

describe("deadlines", () => {
  it("end an idle session, though its cookie comes back", async () => {
    const { browser, clock, events } = await start(undefined);
    const user = browser();
    await user.post("/login/ada");
    clock.advance(30 * MINUTE - 1);
    expect(session(await user.twin().get("/session")).userId).toBe("ada");
    clock.advance(1);
    expect(session(await user.get("/session"))).toMatchObject({ isNew: true });
    expect(events.at(-1)).toMatchObject({ name: "expired", timeout: "idle", userId: "ada" });
  });

  it("end every session at the absolute one, whatever its user does", async () => {
    const { browser, clock, events } = await start(undefined, { absoluteTimeout: "1h" });
    const user = browser();
    await user.post("/login/ada");
    for (let minute = 10; minute < 60; minute += 10) {
      clock.advance(10 * MINUTE);
      await user.post(`/set/minute/${minute}`);
      await user.post("/touch");
    }
    const last = user.twin();
    clock.advance(10 * MINUTE - 1);
    expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: { minute: "50" } });
    clock.advance(1);
    for (const browser of [user, last]) expect(session(await browser.get("/session")).isNew).toBe(true);
    expect(events.at(-1)).toMatchObject({ name: "expired", timeout: "absolute" });
  });

  it("are those of the cookie that came: an old copy ends at its own", async () => {
    const { browser, clock } = await start(undefined);
    const user = browser();
    await user.post("/login/ada");
    const copy = user.twin();
    clock.advance(20 * MINUTE);
    await user.get("/session");
    clock.advance(15 * MINUTE);
    expect(session(await user.get("/session")).userId).toBe("ada");
    expect(session(await copy.get("/session")).isNew).toBe(true);
  });

  it("move by reading, with one new cookie in a touchInterval at most", async () => {
    const { browser, clock } = await start(undefined, { touchInterval: "1m" });
    const user = browser();
    await user.post("/login/ada");
    let cookies = 0;
    for (let second = 0; second < 600; second += 15) {
      clock.advance(15_000);
      cookies += (await user.get("/session")).setCookie.length;
    }
    expect(cookies).toBe(10);
    clock.advance(29 * MINUTE);
    expect(session(await user.get("/session")).userId).toBe("ada");
  });

  it("move at once by session.touch(), and not by a request that is no activity", async () => {
    const { browser, clock } = await start(undefined, { touchInterval: "10m" });
    const user = browser();
    await user.post("/login/ada");
    clock.advance(5 * MINUTE);
    expect((await user.get("/session")).setCookie).toEqual([]);
    expect((await user.post("/touch")).setCookie).toHaveLength(1);
    clock.advance(29 * MINUTE);
    expect((await user.get("/poll")).setCookie).toEqual([]);
    clock.advance(MINUTE);
    expect(session(await user.get("/session")).isNew).toBe(true);
  });

  it("are followed by Max-Age where cookies are persistent", async () => {
    const { browser, clock } = await start(undefined, {
      cookie: { persistent: true },
      absoluteTimeout: "1h",
    });
    const user = browser();
    expect((await user.post("/login/ada")).setCookie[0]).toContain("; Max-Age=1800;");
    clock.advance(25 * MINUTE);
    await user.get("/session");
    clock.advance(25 * MINUTE);
    expect((await user.get("/session")).setCookie[0]).toContain("; Max-Age=600;");
  });
});

describe("a cookie that was not written here", () => {
  /** Opens a session with sessions of its own options; the name=value pairs that it sets. */
  const written = async (
    options: object = {},
    request = requestWith(undefined),
    data: object = { coupon: "TEA" },
  ) => {
    const clock = new Clock();
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: cookieStore(),
      clock: clock.read,
      sweepInterval: false,
      ...options,
    });
    const exchange = await sessions.open(request);
    Object.assign(exchange.session.data, data);
    const lines = (await finish(exchange))["set-cookie"] ?? [];
    return { sessions, clock, pairs: lines.map((line) => line.split(";", 1)[0]!) };
  };
  const isNew = async (sessions: CookieSessions<any>, cookie: string, request = requestWith(cookie)) =>
    (await sessions.open(request)).session.isNew;

  it("is refused with any one character changed", async () => {
    const { sessions, pairs } = await written();
    const [pair] = pairs as [string];
    expect(await isNew(sessions, pair)).toBe(false);
    for (let at = pair.indexOf("=") + 1; at < pair.length; at++) {
      for (const character of ["A", "B", "-", "%", ".", "1"]) {
        if (character === pair[at]) continue;
        const changed = pair.slice(0, at) + character + pair.slice(at + 1);
        if (!(await isNew(sessions, changed))) expect.fail(`${at}: ${character}`);
      }
    }
  });

  it("is refused under another name: of the other form of the cookie, of another application with the same secret", async () => {
    const local = {
      ...requestWith(undefined, { host: "localhost" }, false),
      remoteAddress: "127.0.0.1",
    };
    const { sessions, pairs } = await written({}, local);
    const [pair] = pairs as [string];
    expect(pair).toMatch(/^sid=/);
    expect(
      await isNew(sessions, pair, {
        ...local,
        method: "GET",
        target: "/",
        header: (name) => (name === "cookie" ? pair : local.header(name)),
      }),
    ).toBe(false);
    expect(await isNew(sessions, pair.replace(/^sid=/, "__Host-sid="))).toBe(true);

    const other = await written({ cookie: { name: "admin" } });
    expect(await isNew(sessions, other.pairs[0]!.replace("__Host-admin=", "__Host-sid="))).toBe(true);
    expect(await isNew(other.sessions, other.pairs[0]!)).toBe(false);
  });

  it("is refused where it is another kind of thing that the same secret has made", async () => {
    const { sessions } = await written();
    const server = await written({ store: memoryStore() });
    for (const value of [server.pairs[0]!, server.pairs[0]!.replace("=", "=1.")])
      expect(await isNew(sessions, value)).toBe(true);
  });

  it("is refused with a part of an older value in it", async () => {
    const { sessions, pairs } = await written({}, undefined, { long: "x".repeat(4000), version: 1 });
    const other = await written({}, undefined, { long: "x".repeat(4000), version: 2 });
    expect(pairs).toHaveLength(2);
    expect(await isNew(sessions, pairs.join("; "))).toBe(false);
    expect(await isNew(sessions, `${pairs[0]}; ${other.pairs[1]}`)).toBe(true);
    expect(await isNew(sessions, pairs[0]!)).toBe(true);
    expect(await isNew(sessions, `${pairs.join("; ")}; ${other.pairs[1]}`)).toBe(true);
  });

  it("beside the genuine one makes the request anonymous where both are genuine sessions", async () => {
    const { sessions, pairs } = await written();
    const attacker = await written({}, undefined, { coupon: "PLANTED" });
    const rejected: string[] = [];
    sessions.on("rejected-cookie", ({ reason }) => rejected.push(reason));
    expect(await isNew(sessions, `${pairs[0]}; ${attacker.pairs[0]}`)).toBe(true);
    expect(rejected).toEqual(["ambiguous"]);
    expect(await isNew(sessions, `${pairs[0]}; __Host-sid=1.planted`)).toBe(false);
  });

  it("in two ages of one session counts as the newer one, wherever it stands", async () => {
    const { sessions, pairs, clock } = await written();
    const [first] = pairs as [string];
    const writing = await sessions.open(requestWith(first));
    writing.session.data.coupon = "SPENT";
    const second = (await finishedCookie(writing))!;
    clock.advance(5 * MINUTE);
    const third = (await finishedCookie(await sessions.open(requestWith(second))))!;
    for (const cookie of [
      `${first}; ${second}`,
      `${second}; ${first}`,
      `${third}; ${first}`,
      `${first}; ${third}`,
    ]) {
      const { session } = await sessions.open(requestWith(cookie));
      expect(session.data.coupon).toBe("SPENT");
    }
    clock.advance(27 * MINUTE);
    for (const cookie of [`${second}; ${third}`, `${third}; ${second}`])
      expect(await isNew(sessions, cookie)).toBe(false);
  });

  it("of 10,000 fuzzed headers, none throws, and none asks the list", async () => {
    const { store, takeCalls } = watched(memoryStore());
    const { sessions, pairs } = await written({ store: cookieStore({ revocations: store }) });
    const foreign = await written({ secrets: ["another secret of thirty-two bytes or more"] });
    const genuine = pairs[0]!.split("=")[1]!;
    takeCalls();
    const value = fc.oneof(
      fc.string({ unit: "binary", maxLength: 120 }),
      fc.base64String({ minLength: 60, maxLength: 300 }).map((text) => `1.${text}`),
      fc.constantFrom(
        "",
        "1.",
        "2.",
        "9.A",
        "%00",
        '"',
        "__proto__",
        "1.\r\nSet-Cookie: x=y",
        "1.AQ".repeat(2000),
      ),
      fc.constant(foreign.pairs[0]!.split("=")[1]!),
      fc.nat(genuine.length - 1).map((length) => genuine.slice(0, length)),
      fc
        .nat(genuine.length - 1)
        .map((at) => `${genuine.slice(0, at)}${genuine[at] === "A" ? "B" : "A"}${genuine.slice(at + 1)}`),
      fc.base64String({ minLength: 1, maxLength: 8 }).map((tail) => genuine + tail.replace(/[^\w]/g, "x")),
      fc.constantFrom("0", "x", "").map((count) => genuine.replace(/^1/, count)),
    );
    const name = fc.constantFrom("__Host-sid", "__Host-sid", "__Host-sid.1", "sid", "__Host-sid.2", "");
    const pair = fc.tuple(name, value).map(([key, text]) => `${key}=${text}`);
    const header = fc.array(fc.oneof(pair, fc.string({ unit: "binary" })), { maxLength: 7 });
    await fc.assert(
      fc.asyncProperty(header, async (parts) => {
        const exchange = await sessions.open(requestWith(parts.join("; ")));
        if (!exchange.session.isNew) throw new Error("a session was found");
      }),
      { numRuns: 10_000 },
    );
    expect(takeCalls()).toEqual([]);
  });
});

describe("secrets", () => {
  it("are rotated without logging anybody out: what an older one sealed is accepted and sealed anew", async () => {
    const { browser } = await start(undefined);
    const user = browser();
    await user.post("/login/ada");
    const old = user.cookieHeader;
    await shop.close();

    const rotated = await start(undefined, { secrets: [NEWER, SECRET] });
    const later = rotated.browser();
    later.cookies.set("sid", old.slice(4));
    const answer = await later.get("/session");
    expect(session(answer).userId).toBe("ada");
    expect(answer.setCookie).toHaveLength(1);
    expect((await later.get("/session")).setCookie).toEqual([]);
    const renewed = later.cookies.get("sid")!;
    await rotated.close();

    const after = await start(undefined, { secrets: [NEWER] });
    const [mine, left] = [after.browser(), after.browser()];
    mine.cookies.set("sid", renewed);
    left.cookies.set("sid", old.slice(4));
    expect(session(await mine.get("/session")).userId).toBe("ada");
    expect(session(await left.get("/session")).isNew).toBe(true);
    expect(reasons()).toEqual(["forged"]);
  });
});

describe("too large a session", () => {
  it("is an error that names the biggest keys: 500, with no cookie and nothing of the answer sent", async () => {
    const { browser, errors } = await start(undefined);
    const user = browser();
    await user.post("/set/small/1");
    const before = user.cookieHeader;
    const answer = await user.post("/fill/novel/20000");
    expect(answer).toMatchObject({ status: 500, body: "ERR_HOLDFAST_PAYLOAD_TOO_LARGE", setCookie: [] });
    expect((errors[0] as PayloadTooLargeError).keys[0]).toEqual({ key: "novel", bytes: 20_012 });
    expect(user.cookieHeader).toBe(before);
    expect(session(await user.get("/session")).data).toEqual({ small: "1" });
  });

  it.each([1, 2, 4, 9])(
    "is one byte more than fits into %i cookies, and what fits arrives",
    async (maxCookies) => {
      const sessions = createSessions<any>({
        secrets: [SECRET],
        store: cookieStore({ maxCookies }),
        sweepInterval: false,
        cookie: { persistent: true },
      });
      const fill = async (length: number) => {
        const exchange = await sessions.open(requestWith(undefined));
        await exchange.session.login("ada-lovelace\"'é");
        exchange.session.data.text = "x".repeat(length);
        return exchange;
      };
      const error: PayloadTooLargeError = await fill(40_000)
        .then(finish)
        .then(undefined, (error) => error as any);
      expect(error).toBeInstanceOf(PayloadTooLargeError);
      const most = 40_000 - (error.size - error.limit);
      expect(most).toBeGreaterThan(maxCookies * 2600);
      const lines = (await finish(await fill(most)))["set-cookie"]!;
      expect(lines).toHaveLength(maxCookies);
      for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(4096);
      const cookie = lines.map((line) => line.split(";", 1)[0]).join("; ");
      expect((await sessions.open(requestWith(cookie))).session.data.text).toHaveLength(most);
      await expect(fill(most + 1).then(finish)).rejects.toThrow(PayloadTooLargeError);
      await sessions.close();
    },
  );

  it("takes its parts with it when it shrinks, and when it ends", async () => {
    const { browser } = await start(undefined, { maxCookies: 3 });
    const user = browser();
    await user.post("/fill/novel/7000");
    expect([...user.cookies.keys()]).toEqual(["sid", "sid.1", "sid.2"]);
    await user.post("/fill/novel/4000");
    expect([...user.cookies.keys()]).toEqual(["sid", "sid.1"]);
    expect(session(await user.get("/session")).data.novel).toHaveLength(4000);
    expect((await user.post("/logout")).setCookie).toHaveLength(2);
    expect(user.cookies.size).toBe(0);
  });
});

describe("once the response's headers have left", () => {
  it.each(["update", "save", "touch", "logout", "login", "rotate"])(
    "%s is a HeadersSentError",
    async (method) => {
      const { browser, app } = await start(undefined);
      let error: unknown;
      app.post("/late", async ({ session }, res) => {
        void session.data;
        res.write("begun");
        await setImmediate();
        session.data.late = 1;
        const argument = method === "update" ? () => {} : method === "login" ? "ada" : undefined;
        error = await (session as any)[method](argument).catch((error: unknown) => error);
        res.end();
      });
      const user = browser();
      await user.post("/set/coupon/TEA");
      shop.clock.advance(20 * MINUTE);
      const answer = await user.post("/late");
      expect(error).toBeInstanceOf(HeadersSentError);
      expect(answer.status).toBe(200);
      expect(session(await user.get("/session")).data).toEqual({ coupon: "TEA" });
    },
  );
});

describe("what nobody can do without a list", () => {
  it("end a stolen copy: it lives on after logout, login and rotation, and whoever uses it keeps it until the absolute deadline", async () => {
    const { browser, clock } = await start(undefined, { absoluteTimeout: "2h" });
    const user = browser();
    await user.post("/login/ada");
    const thief = user.twin();
    await user.post("/rotate");
    await user.post("/logout");
    expect(session(await user.get("/session")).isNew).toBe(true);
    for (let minute = 0; minute < 119; minute += 17) {
      expect(session(await thief.get("/session")).userId).toBe("ada");
      clock.advance(17 * MINUTE);
    }
    clock.advance(MINUTE);
    expect(session(await thief.get("/session")).isNew).toBe(true);
  });

  it("keep an older copy of a session from being used again, with the data that it had", async () => {
    const { browser } = await start(undefined);
    const user = browser();
    await user.post("/set/coupon/unused");
    const older = user.twin();
    await user.post("/set/coupon/used");
    expect(session(await older.get("/session")).data.coupon).toBe("unused");
  });

  it("merge what two overlapping requests have changed: the last response wins", async () => {
    const { browser, barrier } = await start(undefined);
    const user = browser();
    await user.post("/set/first/0");
    const slow = user.post("/set/a/1?hold=slow");
    await barrier("slow").arrived();
    await user.post("/set/b/2");
    expect(session(await user.get("/session")).data).toEqual({ first: "0", b: "2" });
    barrier("slow").open();
    await slow;
    expect(session(await user.get("/session")).data).toEqual({ first: "0", a: "1" });
  });

  it("keep a late response from bringing back a session that was logged out", async () => {
    const { browser, barrier } = await start(undefined);
    const user = browser();
    await user.post("/login/ada");
    const slow = user.post("/set/a/1?hold=slow");
    await barrier("slow").arrived();
    await user.post("/logout");
    barrier("slow").open();
    await slow;
    expect(session(await user.get("/session")).userId).toBe("ada");
  });

  it("keep a late response from taking a login away", async () => {
    const { browser, barrier } = await start(undefined);
    const user = browser();
    await user.post("/set/coupon/TEA");
    const slow = user.post("/set/a/1?hold=slow");
    await barrier("slow").arrived();
    await user.post("/login/ada");
    barrier("slow").open();
    await slow;
    expect(session(await user.get("/session")).userId).toBeUndefined();
  });

  it("call ofUser: it isn't there", async () => {
    const { sessions } = await start(undefined);
    expect(sessions).toBeInstanceOf(CookieSessions);
    expect("ofUser" in sessions).toBe(false);
  });
});

describe.each(STORES)("with a list of ended sessions on the $name store", ({ open }) => {
  it.each(["logout", "rotate", "login/ada", "revoke-all"])(
    "a stolen copy is dead after %s",
    async (action) => {
      const { browser, clock } = await start(open());
      const user = browser();
      await user.post("/set/coupon/TEA");
      await user.post("/login/ada");
      const thief = user.twin();
      expect(session(await thief.get("/session")).userId).toBe("ada");
      clock.advance(1);
      expect((await user.post(`/${action}`)).status).toBeLessThan(400);
      const answer = await thief.get("/session");
      expect(session(answer)).toMatchObject({ isNew: true, data: {} });
      expect(answer.setCookie).toEqual([]);
      expect(reasons()).toEqual(["ended"]);
    },
  );

  it("the anonymous cookie from before a login is dead, too", async () => {
    const { browser } = await start(open());
    const user = browser();
    await user.post("/set/coupon/TEA");
    const before = user.twin();
    await user.post("/login/ada");
    expect(session(await before.get("/session"))).toMatchObject({ isNew: true, data: {} });
  });

  it("revoke ends one session by its id, and only of this user", async () => {
    const { browser, sessions } = await start(open());
    const [phone, laptop] = [browser(), browser()];
    await phone.post("/login/ada");
    await laptop.post("/login/ada");
    const { id } = session(await phone.get("/session"));
    await sessions.ofUser("bob").revoke(id);
    expect(session(await phone.get("/session")).userId).toBe("ada");
    await sessions.ofUser("ada").revoke(id);
    expect(session(await phone.get("/session")).isNew).toBe(true);
    expect(session(await laptop.get("/session")).userId).toBe("ada");
    expect(shop.events.at(-2)).toMatchObject({ name: "revoked", sessionId: id, userId: "ada", by: "revoke" });
  });

  it("revokeAll ends every session that the user has, and none that begins afterwards", async () => {
    const { browser, sessions, clock } = await start(open());
    const [phone, laptop, bob] = [browser(), browser(), browser()];
    await phone.post("/login/ada");
    await laptop.post("/login/ada");
    await bob.post("/login/bob");
    clock.advance(1);
    await sessions.ofUser("ada").revokeAll();
    for (const each of [phone, laptop]) expect(session(await each.get("/session")).isNew).toBe(true);
    expect(session(await bob.get("/session")).userId).toBe("bob");
    clock.advance(1);
    await phone.post("/login/ada");
    expect(session(await phone.get("/session")).userId).toBe("ada");
    expect(session(await laptop.get("/session")).isNew).toBe(true);
  });

  it("revokeAll keeps the session in `except`, also when it then gets a new token", async () => {
    const { browser, clock } = await start(open());
    const [phone, laptop] = [browser(), browser()];
    await phone.post("/login/ada");
    await laptop.post("/login/ada");
    clock.advance(MINUTE);
    await phone.post("/revoke-others");
    expect(session(await phone.get("/session")).userId).toBe("ada");
    expect(session(await laptop.get("/session")).isNew).toBe(true);
    clock.advance(MINUTE);
    await phone.post("/rotate");
    expect(session(await phone.get("/session")).userId).toBe("ada");
    await phone.post("/set/still/here");
    await phone.post("/revoke-others");
    expect(session(await phone.get("/session"))).toMatchObject({ userId: "ada", data: { still: "here" } });
  });

  it("revokeAll of a session that was itself ended meanwhile doesn't bring it back", async () => {
    const { browser, clock, barrier } = await start(open());
    const [owner, thief] = [browser(), browser()];
    await owner.post("/login/ada");
    await thief.post("/login/ada");
    const late = thief.post("/revoke-others?hold=late");
    await barrier("late").arrived();
    clock.advance(1);
    await owner.post("/revoke-others");
    clock.advance(1);
    barrier("late").open();
    await late;
    expect(session(await thief.get("/session")).isNew).toBe(true);
  });

  it("revokeAll by a server whose clock is behind revives nothing that one ahead has ended", async () => {
    const store = open();
    const { browser, clock } = await start(store);
    const user = browser();
    await user.post("/login/ada");
    const behind = createSessions<any>({
      secrets: [SECRET],
      store: cookieStore({ revocations: store }),
      clock: () => clock.time - 5000,
      sweepInterval: false,
    });
    clock.advance(1);
    await shop.sessions.ofUser("ada").revokeAll();
    await behind.ofUser("ada").revokeAll();
    expect(session(await user.get("/session")).isNew).toBe(true);
  });

  it("a rotation that runs together with revokeAll doesn't escape it", async () => {
    const store = open();
    const { browser, clock, sessions } = await start(store);
    const user = browser();
    await user.post("/login/ada");
    clock.advance(1);
    // revokeAll has begun, and its write comes after the rotation's.
    const load = store.load.bind(store);
    let rotating: Promise<Answer> | undefined;
    store.load = async (...args) => {
      const record = await load(...args);
      if (rotating === undefined) {
        clock.advance(1);
        rotating = user.post("/rotate");
        await rotating;
      }
      return record;
    };
    await sessions.ofUser("ada").revokeAll();
    expect((await rotating!).status).toBe(200);
    clock.advance(1);
    expect(session(await user.get("/session")).isNew).toBe(true);
  });

  it("of two rotations of one token at once, one wins and the other is told that the session is gone", async () => {
    const { browser, barrier } = await start(open());
    const user = browser();
    await user.post("/login/ada");
    const thief = user.twin();
    const rotations = [user, thief].map((each) => each.post("/rotate?hold=both"));
    await barrier("both").arrived(2);
    barrier("both").open();
    expect((await Promise.all(rotations)).map(({ status }) => status).sort()).toEqual([200, 401]);
    const after = [user, thief].map(async (each) => session(await each.get("/session")).isNew);
    expect((await Promise.all(after)).sort()).toEqual([false, true]);
  });

  it("of two rotations of one token at once on two servers, one wins", async () => {
    const list = open();
    const load = list.load.bind(list);
    // Both ask before either has noted anything.
    list.load = async (...args) => {
      const record = await load(...args);
      await setImmediate();
      return record;
    };
    const clock = new Clock();
    const servers = Array.from({ length: 2 }, () =>
      createSessions<any>({
        secrets: [SECRET],
        store: cookieStore({ revocations: list }),
        clock: clock.read,
        sweepInterval: false,
      }),
    );
    const login = await servers[0]!.open(requestWith(undefined));
    await login.session.login("ada");
    const cookie = await finishedCookie(login);
    const rotations = servers.map(async (server) => {
      const { session } = await server.open(requestWith(cookie));
      await session.rotate();
    });
    const settled = await Promise.allSettled(rotations);
    expect(settled.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(settled.find(({ status }) => status === "rejected")).toMatchObject({
      reason: expect.any(SessionGoneError),
    });
  });

  it.each(["change", "answer"])(
    "a response whose session was saved early and ended since sets no cookie, by a handler that then does: %s",
    async (then) => {
      const { browser, app, barrier } = await start(open());
      app.post("/save-and-wait", async ({ session }, res) => {
        session.data.early = 1;
        await session.save();
        await barrier("saved").wait();
        if (then === "change") session.data.later = 1;
        res.end();
      });
      const user = browser();
      await user.post("/login/ada");
      const slow = user.post("/save-and-wait");
      await barrier("saved").arrived();
      await user.post("/rotate");
      const rotated = user.cookieHeader;
      barrier("saved").open();
      expect((await slow).setCookie).toEqual([]);
      expect(user.cookieHeader).toBe(rotated);
    },
  );

  it("a late response after logout sets no cookie and brings nothing back", async () => {
    const { browser, barrier, events } = await start(open());
    const user = browser();
    await user.post("/login/ada");
    const slow = ["/set/a/1", "/touch", "/set/b/2"].map((path) => user.post(`${path}?hold=slow`));
    const reader = user.get("/session?hold=slow");
    await barrier("slow").arrived(4);
    shop.clock.advance(5 * MINUTE);
    await user.post("/logout");
    barrier("slow").open();
    for (const answer of await Promise.all([...slow, reader])) expect(answer.setCookie).toEqual([]);
    expect(user.cookies.size).toBe(0);
    expect(events.filter(({ name }) => name === "dropped-write")).toHaveLength(2);
  });

  it("a late response after a login leaves the login's cookie alone", async () => {
    const { browser, barrier } = await start(open());
    const user = browser();
    await user.post("/set/coupon/TEA");
    const slow = user.post("/set/a/1?hold=slow");
    await barrier("slow").arrived();
    await user.post("/login/ada");
    barrier("slow").open();
    expect((await slow).setCookie).toEqual([]);
    expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: { coupon: "TEA" } });
  });

  it("a request that comes late with a token that was logged out starts no session of its own", async () => {
    const { browser } = await start(open());
    const user = browser();
    await user.post("/login/ada");
    const late = user.twin();
    await user.post("/logout");
    const answer = await late.post("/set/a/1");
    expect(answer.setCookie).toEqual([]);
    shop.clock.advance(MINUTE);
    expect((await late.post("/set/a/1")).setCookie).toHaveLength(1);
  });

  it("a session can be ended after the response's headers have left", async () => {
    const { browser, app } = await start(open());
    app.post("/late-logout", async ({ session }, res) => {
      void session.data;
      res.write("begun");
      await session.logout();
      res.end();
    });
    const user = browser();
    await user.post("/login/ada");
    await user.post("/late-logout");
    expect(session(await user.get("/session")).isNew).toBe(true);
  });

  it("the list is read once for a request that only reads, and never for a visitor or an expired cookie", async () => {
    const { store, takeCalls } = watched(open());
    const { browser, clock } = await start(store);
    const user = browser();
    await user.get("/session");
    await user.post("/set/coupon/TEA");
    expect(takeCalls()).toEqual([]);
    await user.post("/login/ada");
    takeCalls();
    await user.get("/session");
    expect(takeCalls()).toEqual(["load"]);
    await user.post("/set/coupon/TEA");
    await user.get("/session");
    takeCalls();
    // What is written is checked once more right before.
    await user.post("/set/coupon/CAKE");
    expect(takeCalls()).toEqual(["load", "load"]);
    clock.advance(5 * MINUTE);
    await user.get("/session");
    expect(takeCalls()).toEqual(["load", "load"]);
    await user.post("/logout");
    expect(takeCalls()).toEqual(["load", "load", "create"]);
    user.cookies.set("sid", "1.nonsense");
    await user.get("/session");
    expect(takeCalls()).toEqual([]);
    await user.post("/login/ada");
    takeCalls();
    clock.advance(HOUR);
    expect(session(await user.get("/session")).isNew).toBe(true);
    expect(takeCalls()).toEqual([]);
  });

  it("a list that is down is a 503, never an anonymous session, and takes no cookie away", async () => {
    const list = watched(open());
    const { browser, barrier } = await start(list.store);
    const user = browser();
    await user.post("/login/ada");
    const cookie = user.cookieHeader;
    list.fail();
    for (const [method, path] of [
      ["get", "/session"],
      ["post", "/set/a/1"],
      ["post", "/logout"],
    ] as const) {
      expect(await user[method](path)).toMatchObject({ status: 503, setCookie: [] });
    }
    expect((await browser().get("/session")).status).toBe(200);
    list.fail(false);
    for (const path of ["/set/a/1", "/logout", "/rotate", "/login/ada", "/revoke-all"]) {
      const answer = user.post(`${path}?hold=${path}`);
      await barrier(path).arrived();
      list.fail();
      barrier(path).open();
      expect(await answer).toMatchObject({ status: 503, setCookie: [] });
      list.fail(false);
    }
    expect(user.cookieHeader).toBe(cookie);
    expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: {} });
  });

  it("what is in the list and isn't a note is a 503", async () => {
    const store = open();
    const { browser, clock } = await start(store);
    const user = browser();
    await user.post("/login/ada");
    const call = { now: clock.time, signal: new AbortController().signal };
    const load = store.load.bind(store);
    for (const payload of [
      "",
      "{",
      "null",
      "[]",
      "{}",
      '{"ended":[]}',
      '{"ended":{"a":1}}',
      '{"ended":{"a":[1]}}',
    ]) {
      store.load = () => ({
        version: 1,
        payload,
        idleDeadline: call.now + HOUR,
        absoluteDeadline: call.now + HOUR,
        userId: null,
      });
      expect((await user.get("/session")).status).toBe(503);
    }
    store.load = load;
    expect(session(await user.get("/session")).userId).toBe("ada");
  });

  it("users are told apart, whatever is in their ids", async () => {
    const { browser, sessions, clock } = await start(open());
    const ids = [
      "ada",
      "Ada",
      "ada ",
      "__proto__",
      "constructor",
      "a/b",
      "🦊",
      "é",
      "e\u0301",
      "x".repeat(255),
      "session ada",
    ];
    const users = await Promise.all(
      ids.map(async (id) => {
        const user = browser();
        await user.post(`/login/${encodeURIComponent(id)}`);
        return { id, user };
      }),
    );
    clock.advance(1);
    for (const { id, user } of users) {
      expect(session(await user.get("/session")).userId).toBe(id);
      await sessions.ofUser(id).revokeAll();
      expect(session(await user.get("/session")).isNew).toBe(true);
    }
  });

  it("ids that no session can have are not noted", async () => {
    const { store, takeCalls } = watched(open());
    const { sessions } = await start(store);
    const user = sessions.ofUser("ada");
    for (const id of ["", "__proto__", "constructor", "x".repeat(44), "é".repeat(43), undefined, null, {}])
      await user.revoke(id as string);
    expect(takeCalls()).toEqual([]);
  });

  it("fifty sessions that end at once are all noted", async () => {
    const { browser, sessions } = await start(open());
    const users = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const user = browser();
        await user.post("/login/ada");
        return { user, thief: user.twin() };
      }),
    );
    await Promise.all(users.map(({ user }) => user.post("/logout")));
    for (const { thief } of users) expect(session(await thief.get("/session")).isNew).toBe(true);
    await sessions.sweep();
  });

  it("forgets what has ended once no cookie of it can be good any more", async () => {
    const store = open();
    const { browser, sessions, clock } = await start(store, { absoluteTimeout: "1h" });
    for (let round = 0; round < 5; round++) {
      const user = browser();
      await user.post("/set/coupon/TEA");
      await user.post("/login/ada");
      await user.post("/logout");
      clock.advance(MINUTE);
    }
    await sessions.ofUser("ada").revokeAll();
    expect(await sessions.sweep()).toBe(0);
    clock.advance(HOUR);
    // The user's note, and one for each session that was anonymous.
    expect(await sessions.sweep()).toBe(6);
  });

  it("names no session in a user's note longer than a cookie of it could be good", async () => {
    const store = open();
    const lengths: number[] = [];
    const replace = store.replace.bind(store);
    store.replace = (id, version, record, call) => {
      lengths.push(record.payload.length);
      return replace(id, version, record, call);
    };
    const { browser, clock } = await start(store, { absoluteTimeout: "1h" });
    for (let round = 0; round < 30; round++) {
      const user = browser();
      await user.post("/login/ada");
      await user.post("/logout");
      clock.advance(20 * MINUTE);
    }
    expect(Math.max(...lengths.slice(0, 5))).toBe(Math.max(...lengths));
  });

  it("keeps a note small, however often a user logs in and out: the oldest are ended all together", async () => {
    const store = open();
    let largest = 0;
    for (const method of ["create", "replace"] as const) {
      const original = store[method].bind(store) as (...args: any[]) => any;
      Object.assign(store, {
        [method](...args: any[]) {
          largest = Math.max(largest, args.at(-2).payload.length);
          return original(...args);
        },
      });
    }
    const { browser, clock } = await start(store);
    const [early, middle] = [browser(), browser()];
    await early.post("/login/ada");
    const stolen: ReturnType<typeof browser>[] = [];
    for (let round = 0; round < 300; round++) {
      if (round === 200) await middle.post("/login/ada");
      clock.advance(10);
      const user = browser();
      await user.post("/login/ada");
      if (round % 50 === 0) stolen.push(user.twin());
      clock.advance(10);
      await user.post("/logout");
    }
    expect(largest).toBeLessThan(64 * 1024);
    for (const thief of stolen) expect(session(await thief.get("/session")).isNew).toBe(true);
    expect(session(await early.get("/session")).isNew).toBe(true);
    expect(session(await middle.get("/session")).userId).toBe("ada");
  });

  it("a session made to live longer than today's absoluteTimeout ends with it: its note may be forgotten", async () => {
    const store = open();
    const { browser, clock } = await start(store, { absoluteTimeout: "24h", idleTimeout: "24h" });
    const user = browser();
    await user.post("/login/ada");
    const later = createSessions<any>({
      secrets: [SECRET],
      store: cookieStore({ revocations: store }),
      clock: clock.read,
      absoluteTimeout: "1h",
      sweepInterval: false,
      cookie: { secure: false },
    });
    const userIdNow = async () => (await later.open(requestWith(user.cookieHeader))).session.userId;
    expect(await userIdNow()).toBe("ada");
    clock.advance(HOUR);
    expect(await userIdNow()).toBeUndefined();
  });

  it("update, save and reload in a session that has ended throw SessionGoneError", async () => {
    const { browser, app, barrier } = await start(open());
    const thrown: unknown[] = [];
    app.post("/work", async ({ session }, res) => {
      for (const work of [() => session.update(() => {}), () => session.save(), () => session.reload()]) {
        session.data.changed = thrown.length;
        thrown.push(await work().catch((error: unknown) => error));
      }
      res.end();
    });
    const user = browser();
    await user.post("/login/ada");
    const work = user.post("/work?hold=work");
    await barrier("work").arrived();
    await user.post("/logout");
    barrier("work").open();
    expect((await work).setCookie).toEqual([]);
    for (const error of thrown) expect(error).toBeInstanceOf(SessionGoneError);
  });
});

describe("settings", () => {
  const refused = (action: () => unknown): ConfigurationError => {
    try {
      action();
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError);
      return error as ConfigurationError;
    }
    throw new Error("nothing was thrown");
  };
  const base = { secrets: [SECRET], store: cookieStore(), sweepInterval: false as const };

  it.each([
    ["renewAfter", "1h"],
    ["renewAfter", false],
    ["maxSessionsPerUser", 10],
    ["maxPayloadBytes", 4096],
    ["transport", "cookie"],
    ["transport", "bearer"],
  ])("%s: %j means nothing for cookies and is refused at the start", (name, value) => {
    const error = refused(() => createSessions({ ...base, [name]: value } as any));
    expect(error.option).toBe(name);
    expect(error.message).toContain("means nothing for sessions that live in their cookie");
  });

  it.each([0, 10, 1.5, -1, "2", null, Number.NaN])("maxCookies: %j is refused", (maxCookies) => {
    expect(refused(() => cookieStore({ maxCookies: maxCookies as number })).option).toBe(
      "cookieStore.maxCookies",
    );
  });

  it("an option that isn't one is refused", () => {
    expect(refused(() => cookieStore({ revocation: memoryStore() } as any)).option).toBe(
      "cookieStore.revocation",
    );
  });

  it.each([null, false, {}, "sqlite", { load() {} }, () => memoryStore(), cookieStore()])(
    "a list that is no store is refused: %j",
    (revocations) => {
      const error = refused(() => cookieStore({ revocations: revocations as any }));
      expect(error.option).toBe("cookieStore.revocations");
    },
  );

  it("without a list there is no ofUser, with one there is, without list()", async () => {
    const without = createSessions(base);
    const withList = createSessions({ ...base, store: cookieStore({ revocations: memoryStore() }) });
    expect(without).toBeInstanceOf(CookieSessions);
    expect(withList).toBeInstanceOf(RevocableCookieSessions);
    expect("ofUser" in without).toBe(false);
    expect("list" in withList.ofUser("ada")).toBe(false);
    expect(() => withList.ofUser("")).toThrow("A user id must be");
    await Promise.all([without.close(), withList.close()]);
  });

  it("close closes the list", async () => {
    const store = memoryStore();
    let closed = 0;
    store.close = () => void closed++;
    const sessions = createSessions({ ...base, store: cookieStore({ revocations: store }) });
    await sessions.close();
    await sessions.close();
    expect(closed).toBe(1);
  });
});
