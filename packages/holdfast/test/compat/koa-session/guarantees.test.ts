import { afterEach, describe, expect, it, vi } from "vitest";
import { createSessions } from "../../../src/engine/create-sessions.js";
import type { Store } from "../../../src/stores/contract.js";
import { sessionIdOf } from "../../../src/token/token.js";
import { Barrier } from "../../support/barrier.js";
import type { Browser } from "../../support/browser.js";
import { SECRET } from "../../support/shop.js";
import { SlowStore } from "../../support/slow-store.js";
import { STORES } from "../../support/stores.js";
import {
  cookieOf,
  DROP_IN,
  type Handler,
  ORIGINAL,
  recordingStore,
  type Served,
  type Subject,
  serve,
  VERSIONS,
} from "./subject.js";

/** What a Holdfast store adds: each race is run on the npm package, which loses it, and on the drop-in, which doesn't. */

let opened: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of opened) await close();
  opened = [];
});

describe.each(STORES)("races on the store $name", ({ open }) => {
  describe.each(VERSIONS)("and $name", (version) => {
    /** An application whose handlers can be made to wait, once they have their session. */
    async function application(subject: Subject) {
      let gate = new Barrier();
      const holdfast: Store | undefined = subject.isOriginal ? undefined : open();
      if (holdfast) opened.push(() => holdfast.close());
      const handler: Handler = async (ctx) => {
        const { path, query } = ctx;
        const { session } = ctx;
        if (query.wait) await gate.wait();
        if (path === "/set") session[String(query.key)] = query.value ?? true;
        if (path === "/logout") ctx.session = null;
        if (path === "/regenerate") await session.regenerate();
        if (path === "/login") {
          await session.regenerate();
          session.loggedIn = true;
        }
        if (path === "/save") {
          session.saved = true;
          await session.save();
        }
        ctx.body = ctx.session ?? {};
      };
      const served = await serve(subject, version, { store: holdfast ?? recordingStore() }, handler);
      opened.push(served.close);
      const browser = served.browser();
      return {
        ...served,
        browser,
        data: async (of: Browser = browser) => JSON.parse((await of.get("/")).body),
        /** Sends a request that waits in its handler while `meanwhile` runs, and gives its answer. */
        async during(path: string, meanwhile: () => Promise<unknown>, by: Browser = browser.twin()) {
          gate = new Barrier();
          const waiting = by.get(`${path}${path.includes("?") ? "&" : "?"}wait=1`);
          await gate.arrived();
          const early = gate;
          gate = new Barrier();
          await meanwhile();
          early.open();
          return waiting;
        },
      };
    }
    /** The same race on both. */
    async function onBoth<T>(race: (app: Awaited<ReturnType<typeof application>>) => Promise<T>) {
      return {
        original: await race(await application(ORIGINAL)),
        dropIn: await race(await application(DROP_IN)),
      };
    }

    it("of two writes that overlap, both are kept", async () => {
      const result = await onBoth(async ({ browser, data, during }) => {
        await browser.get("/set?key=begun");
        await during("/set?key=a", () => browser.get("/set?key=b"));
        return data();
      });
      expect(result.original).toEqual({ begun: true, a: true });
      expect(result.dropIn).toEqual({ begun: true, a: true, b: true });
    });

    it("of twenty writes that overlap, all are kept", async () => {
      const result = await onBoth(async ({ browser, data, during }) => {
        await browser.get("/set?key=begun");
        const keys = Array.from({ length: 20 }, (_, index) => `key${index}`);
        const others = () => Promise.all(keys.map((key) => browser.twin().get(`/set?key=${key}`)));
        await during("/set?key=last", others);
        return Object.keys(await data()).length;
      });
      expect(result.original).toBe(2);
      expect(result.dropIn).toBe(22);
    });

    it("of changes inside of one object, and of a removal and an addition, both are kept", async () => {
      const result = await onBoth(async ({ browser, data, during }) => {
        await browser.get("/set?key=a");
        await browser.get("/set?key=b");
        // The late one saves at once, and changes something more after that.
        await during("/save", () => browser.get("/set?key=c"));
        await during("/set?key=b&value=new", () => browser.get("/set?key=d"));
        return data();
      });
      expect(result.original).toEqual({ a: true, b: "new", saved: true });
      expect(result.dropIn).toEqual({ a: true, b: "new", c: true, d: true, saved: true });
    });

    it("a logout is final: a request that was in flight brings nothing back", async () => {
      const result = await onBoth(async ({ browser, data, during, events }) => {
        await browser.get("/set?key=user&value=ada");
        const thief = browser.twin();
        const late = await during("/set?key=a", () => browser.get("/logout"));
        return {
          setCookie: late.setCookie.length,
          thief: await data(thief),
          dropped: events.filter(isDropped),
        };
      });
      expect(result.original).toEqual({ setCookie: 2, thief: { user: "ada", a: true }, dropped: [] });
      const dropped = [["dropped", "id-1", { user: "ada", a: true }, "/set"]];
      expect(result.dropIn).toEqual({ setCookie: 0, thief: {}, dropped });
    });

    it.each(["/save", "/regenerate"])("a logout is final, for %s in flight too", async (path) => {
      const result = await onBoth(async ({ browser, data, during }) => {
        await browser.get("/set?key=user&value=ada");
        const late = browser.twin();
        const { status, setCookie } = await during(path, () => browser.get("/logout"), late);
        return { status, setCookie: setCookie.length, user: (await data(late)).user };
      });
      expect(result.original).toEqual({ status: 200, setCookie: 2, user: "ada" });
      expect(result.dropIn).toEqual({ status: 200, setCookie: 0, user: undefined });
    });

    it("a session has one key: a request in flight doesn't bring the old one back, nor its cookie", async () => {
      const result = await onBoth(async ({ browser, data, during }) => {
        await browser.get("/set?key=user&value=ada");
        const old = browser.twin();
        const { setCookie } = await during("/set?key=a", () => browser.get("/regenerate"));
        return { setCookie: setCookie.length, old: await data(old), user: (await data()).user };
      });
      expect(result.original).toEqual({ setCookie: 2, old: { user: "ada", a: true }, user: "ada" });
      expect(result.dropIn).toEqual({ setCookie: 0, old: {}, user: "ada" });
    });

    it("what was written before regenerate() is under the new key", async () => {
      const result = await onBoth(async ({ browser, data, during }) => {
        await browser.get("/set?key=user&value=ada");
        const regenerating = browser.twin();
        await during("/regenerate", () => browser.get("/set?key=cart"), regenerating);
        return data(regenerating);
      });
      expect(result.original).toEqual({ user: "ada" });
      expect(result.dropIn).toEqual({ user: "ada", cart: true });
    });

    it("it stays there when more is written after regenerate()", async () => {
      const result = await onBoth(async ({ browser, data, during }) => {
        await browser.get("/set?key=user&value=ada");
        const regenerating = browser.twin();
        await during("/login", () => browser.get("/set?key=cart"), regenerating);
        return data(regenerating);
      });
      expect(result.original).toEqual({ user: "ada", loggedIn: true });
      expect(result.dropIn).toEqual({ user: "ada", loggedIn: true, cart: true });
    });

    it("of two regenerate() one wins, and the browser goes on with that", async () => {
      const result = await onBoth(async ({ browser, data, during, events }) => {
        await browser.get("/set?key=user&value=ada");
        const late = browser.twin();
        const { setCookie } = await during("/regenerate", () => browser.get("/regenerate"), late);
        return {
          setCookie: setCookie.length,
          user: (await data()).user,
          dropped: events.filter(isDropped).length,
        };
      });
      expect(result.original).toEqual({ setCookie: 2, user: "ada", dropped: 0 });
      expect(result.dropIn).toEqual({ setCookie: 0, user: "ada", dropped: 1 });
    });

    it("a request that comes with the key of before logs nobody out", async () => {
      const result = await onBoth(async ({ browser, data }) => {
        await browser.get("/set?key=user&value=ada");
        const sentBefore = browser.twin();
        await browser.get("/regenerate");
        // Its answer comes last, so its cookies, if it has any, are the browser's.
        const { setCookie } = await sentBefore.get("/set?key=a");
        for (const line of setCookie) {
          const [pair = ""] = line.split(";");
          browser.cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
        }
        return (await data()).user;
      });
      expect(result.original).toBeUndefined();
      expect(result.dropIn).toBe("ada");
    });

    it("a logout that comes with the key of before leaves the newer cookie alone", async () => {
      const result = await onBoth(async ({ browser }) => {
        await browser.get("/set?key=user&value=ada");
        const sentBefore = browser.twin();
        await browser.get("/regenerate");
        return (await sentBefore.get("/logout")).setCookie.length;
      });
      expect(result).toEqual({ original: 2, dropIn: 0 });
    });

    it("a login may follow the end of a session at once, with its old cookie", async () => {
      const { browser, data } = await application(DROP_IN);
      await browser.get("/set?key=user&value=ada");
      const behind = browser.twin();
      await browser.get("/logout");
      await behind.get("/set?key=user&value=bob");
      expect(await data(behind)).toEqual({ user: "bob" });
      await behind.get("/regenerate");
      expect(await data(behind)).toEqual({ user: "bob" });
    });

    it("a late request may ask for a session of its own", async () => {
      const { browser, data } = await application(DROP_IN);
      await browser.get("/set?key=user&value=ada");
      const late = browser.twin();
      await browser.get("/regenerate");
      const { setCookie } = await late.get("/regenerate");
      expect(setCookie[0]).toMatch(/^koa\.sess=id-\d+;/);
      expect(await data(late)).toEqual({});
      await late.get("/set?key=a");
      expect(await data(late)).toEqual({ a: true });
    });
  });
});

describe.each(STORES)("a Holdfast store: $name", ({ open }) => {
  const [, koa3] = VERSIONS;
  const byPath: Handler = async (ctx) => {
    if (ctx.path === "/login") ctx.session.user = ctx.query.user;
    if (ctx.path === "/passport") ctx.session.passport = { user: 7 };
    if (ctx.path === "/logout") ctx.session = null;
    if (ctx.path === "/regenerate") await ctx.session.regenerate();
    ctx.body = [ctx.session?.user ?? null, ctx.session?.externalKey ?? null];
  };
  const start = async (options: Record<string, any> = {}) => {
    const store = open();
    const userId = (session: any) => session.user;
    const served = await serve(DROP_IN, koa3!, { store, userId, ...options }, byPath);
    const sessions = createSessions<any>({ secrets: [SECRET], store, sweepInterval: false });
    opened.push(served.close, () => store.close());
    return { served, store, sessions };
  };
  const call = () => ({ now: Date.now(), signal: AbortSignal.timeout(5000) });
  const userOf = async (browser: Browser) => JSON.parse((await browser.get("/")).body)[0];

  it("holds a hash of the key, never the key", async () => {
    const { served, store } = await start();
    await served.browser().get("/login?user=ada");
    const record = await store.load(sessionIdOf("id-1"), call());
    expect(record).toMatchObject({ version: 1, userId: "ada" });
    expect(JSON.stringify(record)).not.toContain("id-1");
    expect(await store.load("id-1", call())).toBeUndefined();
  });

  it("keeps a session as long as its cookie and ten seconds, and 400 days at most", async () => {
    const { served, store } = await start({ maxAge: 60_000 });
    const before = Date.now();
    await served.browser().get("/login?user=ada");
    const record = await store.load(sessionIdOf("id-1"), call());
    expect(record!.idleDeadline - before - 70_000).toBeLessThan(2000);
    expect(record!.absoluteDeadline - before - 400 * 86_400_000).toBeLessThan(2000);
    const another = await start({ maxAge: 500 * 86_400_000 });
    await another.served.browser().get("/login?user=ada");
    const bounded = await another.store.load(sessionIdOf("id-1"), call());
    expect(bounded!.idleDeadline).toBe(bounded!.absoluteDeadline);
  });

  it("lists a user's sessions, and ends them", async () => {
    const { served, sessions } = await start();
    const [phone, laptop, other] = [served.browser(), served.browser(), served.browser()];
    await phone.get("/login?user=ada");
    await laptop.get("/login?user=ada");
    await other.get("/login?user=bob");
    const list = await sessions.ofUser("ada").list();
    expect(list.map(({ id }) => id).sort()).toEqual([sessionIdOf("id-1"), sessionIdOf("id-2")].sort());
    expect(await sessions.ofUser("ada").revoke(sessionIdOf("id-1"))).toBe(true);
    expect([await userOf(phone), await userOf(laptop), await userOf(other)]).toEqual([null, "ada", "bob"]);
    expect(await sessions.ofUser("ada").revokeAll()).toBe(1);
    expect([await userOf(laptop), await userOf(other)]).toEqual([null, "bob"]);
    expect(await sessions.ofUser("ada").list()).toEqual([]);
  });

  it("lists a session under its user from login to logout, and under its new key", async () => {
    const { served, sessions } = await start();
    const browser = served.browser();
    await browser.get("/login?user=ada");
    await browser.get("/regenerate");
    const ids = async () => (await sessions.ofUser("ada").list()).map(({ id }) => id);
    expect(await ids()).toEqual([sessionIdOf("id-2")]);
    await browser.get("/logout");
    expect(await ids()).toEqual([]);
  });

  it("knows Passport's user without being told", async () => {
    const { served, sessions } = await start({ userId: undefined });
    await served.browser().get("/passport");
    expect(await sessions.ofUser("7").list()).toHaveLength(1);
  });

  it("takes a revoked session's changes from nobody", async () => {
    const gate = new Barrier();
    const store = open();
    const userId = (session: any) => session.user;
    const served = await serve(DROP_IN, koa3!, { store, userId }, async (ctx) => {
      if (ctx.path === "/late") await gate.wait();
      ctx.session.user = "ada";
      ctx.session.at = ctx.path;
      ctx.body = "";
    });
    const sessions = createSessions<any>({ secrets: [SECRET], store, sweepInterval: false });
    opened.push(served.close, () => store.close());
    const browser = served.browser();
    await browser.get("/");
    const late = browser.get("/late");
    await gate.arrived();
    await sessions.ofUser("ada").revokeAll();
    gate.open();
    expect((await late).setCookie).toEqual([]);
    expect(await sessions.ofUser("ada").list()).toEqual([]);
  });

  it("takes a new session from a client with a key of before, where no cookie is at stake", async () => {
    const externalKey = {
      get: (ctx: any) => ctx.get("key"),
      set: (ctx: any, key: string) => ctx.set("key", key),
    };
    const { served } = await start({ externalKey });
    const { headers } = await served.browser().get("/login?user=ada");
    const old = { key: headers.get("key")! };
    await served.browser().get("/regenerate", old);
    const again = await served.browser().get("/login?user=ada", old);
    const user = await served.browser().get("/", { key: again.headers.get("key")! });
    expect(JSON.parse(user.body)[0]).toBe("ada");
  });

  it("may be given a key of the application's making again after a logout, as a session of its own", async () => {
    // All of it in one millisecond.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    opened.push(() => vi.useRealTimers());
    const gate = new Barrier();
    const store = open();
    const externalKey = { get: (ctx: any) => ctx.get("key"), set: () => {} };
    const genid = (ctx: any) => ctx.get("key");
    const served = await serve(DROP_IN, koa3!, { store, externalKey, genid }, async (ctx) => {
      if (ctx.path === "/late") await gate.wait();
      if (ctx.path === "/logout") ctx.session = null;
      else if (ctx.path !== "/") ctx.session[ctx.path] = true;
      ctx.body = ctx.session ?? {};
    });
    opened.push(served.close, () => store.close());
    const get = (path: string) => served.browser().get(path, { key: "of-ada" });
    await get("/before");
    const late = get("/late");
    await gate.arrived();
    await get("/logout");
    await get("/again");
    gate.open();
    await late;
    expect(JSON.parse((await get("/")).body)).toEqual({ "/again": true });
  });

  it("is asked for nothing by a cookie that isn't signed by app.keys", async () => {
    const slow = new SlowStore();
    const served = await serve(DROP_IN, koa3!, { store: slow.store }, byPath);
    opened.push(served.close);
    await served.browser().get("/", cookieOf("x", { key: "another" }));
    expect(slow.calls).toEqual([]);
    await served.browser().get("/", cookieOf("x".repeat(4000)));
    expect(slow.calls).toEqual(["load"]);
  });
});

describe("a Holdfast store that fails", () => {
  const [koa2, koa3] = VERSIONS;
  it.each([koa2!, koa3!])("fails the request with 503, and no cookie is touched: $name", async (version) => {
    const slow = new SlowStore();
    const served: Served = await serve(DROP_IN, version, { store: slow.store }, (ctx) => {
      if (ctx.path === "/logout") ctx.session = null;
      else ctx.session.views = (ctx.session.views ?? 0) + 1;
      ctx.body = "";
    });
    opened.push(served.close);
    const browser = served.browser();
    await browser.get("/");
    slow.fail();
    expect(await browser.get("/")).toMatchObject({ status: 503, setCookie: [] });
    slow.recover();
    slow.fail(["replace"]);
    for (const path of ["/", "/logout"])
      expect(await browser.get(path)).toMatchObject({ status: 503, setCookie: [] });
    expect(served.errors.map(({ code }) => code)).toEqual(Array(3).fill("ERR_HOLDFAST_STORE"));
    slow.recover();
    expect((await browser.get("/")).status).toBe(200);
  });
});

function isDropped(event: unknown): boolean {
  return (event as unknown[])[0] === "dropped";
}
