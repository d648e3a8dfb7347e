import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Browser } from "../../support/browser.js";
import {
  COOKIE,
  cookieLines,
  cookieOf,
  DAY,
  decoded,
  encoded,
  type Handler,
  KEY,
  lasting,
  lifetime,
  MINUTE,
  NOW,
  type Place,
  placesOf,
  REMOVED,
  recordingStore,
  type Served,
  type Subject,
  serve,
  type Version,
} from "./subject.js";

/**
 * What koa-session's README says, and what applications have come to rely on, as seen from outside: the same cases run
 * against the npm package and the drop-in. Where they differ is in `differences.test.ts`.
 */

type Arrangement = Parameters<typeof serve>[4];

/** Counts visits; the shortest application that uses a session. */
const countVisits: Handler = (ctx) => {
  ctx.session.views = (ctx.session.views ?? 0) + 1;
  ctx.body = String(ctx.session.views);
};
/** Answers with what the session is, without changing it. */
const show: Handler = (ctx) => {
  ctx.body = { isNew: ctx.session.isNew, data: ctx.session };
};
const byPath =
  (handlers: Record<string, Handler>): Handler =>
  (ctx, next) => {
    ctx.body = "";
    return (handlers[ctx.path] ?? show)(ctx, next);
  };

export function describeBehaviour(subject: Subject, version: Version): void {
  describe(`${subject.name} on ${version.name}`, () => {
    let served: Served;
    let browser: Browser;
    const start = async (options: Record<string, any>, handler: Handler, around?: Arrangement) => {
      served = await serve(subject, version, options, handler, around);
      browser = served.browser();
      return browser;
    };
    const passTime = (milliseconds: number) => vi.setSystemTime(Date.now() + milliseconds);
    const nextEvents = () => new Promise((resolve) => setImmediate(resolve));

    beforeEach(() => {
      vi.useFakeTimers({ toFake: ["Date"], now: NOW });
    });
    afterEach(async () => {
      vi.useRealTimers();
      vi.restoreAllMocks();
      await served?.close();
    });

    describe.each(placesOf(subject))("a session $name", (place) => {
      describeSession(place, start, { passTime, nextEvents, served: () => served });
    });
    describeCookie(start, { passTime, served: () => served });
    describeStore(start, { passTime, nextEvents, served: () => served });
  });
}

type Start = (options: Record<string, any>, handler: Handler, around?: Arrangement) => Promise<Browser>;
interface Tools {
  passTime(milliseconds: number): void;
  served(): Served;
}

/** What holds wherever the session is kept. */
function describeSession(
  place: Place,
  start: Start,
  { passTime, nextEvents, served }: Tools & { nextEvents(): Promise<unknown> },
): void {
  const startHere: Start = (options, handler, around) =>
    start({ ...place.options(), ...options }, handler, around);

  it("is kept from request to request", async () => {
    const browser = await startHere({}, countVisits);
    expect((await browser.get("/")).body).toBe("1");
    expect((await browser.get("/")).body).toBe("2");
    expect((await served().browser().get("/")).body).toBe("1");
  });

  it("is new until it has been stored", async () => {
    const browser = await startHere({}, byPath({ "/count": countVisits }));
    expect(JSON.parse((await browser.get("/")).body)).toEqual({ isNew: true, data: {} });
    await browser.get("/count");
    expect(JSON.parse((await browser.get("/")).body)).toEqual({ isNew: false, data: { views: 1 } });
  });

  it("sets no cookie while it is empty, and none while it is as it was", async () => {
    const browser = await startHere({}, byPath({ "/count": countVisits }));
    expect((await browser.get("/")).setCookie).toEqual([]);
    expect((await browser.get("/count")).setCookie).toHaveLength(2);
    expect((await browser.get("/")).setCookie).toEqual([]);
  });

  it("sets its cookie anew with each change, with an expiry from the second on", async () => {
    const browser = await startHere({}, countVisits);
    const [first, second] = [await browser.get("/"), await browser.get("/")];
    expect(first.setCookie[0]).toMatch(/^koa\.sess=[^;]+; path=\/; httponly$/);
    expect(first.setCookie[1]).toMatch(/^koa\.sess\.sig=[^;]+; path=\/; httponly$/);
    expect(second.setCookie[0]).toMatch(/; path=\/; expires=Wed, 02 Jan 2030 00:00:00 GMT; httponly$/);
    expect(second.setCookie[1]).toMatch(/; path=\/; expires=Wed, 02 Jan 2030 00:00:00 GMT; httponly$/);
  });

  it("finds a change deep inside of its data, and a removal", async () => {
    const handler = byPath({
      "/begin": (ctx) => {
        ctx.session.cart = { tea: { quantity: 1 } };
        ctx.session.extra = true;
      },
      "/more": (ctx) => {
        ctx.session.cart.tea.quantity++;
        delete ctx.session.extra;
      },
    });
    const browser = await startHere({}, handler);
    await browser.get("/begin");
    await browser.get("/more");
    expect(JSON.parse((await browser.get("/")).body).data).toEqual({ cart: { tea: { quantity: 2 } } });
  });

  describe("ends", () => {
    it("when it is set to null", async () => {
      const handler = byPath({
        "/count": countVisits,
        "/logout": (ctx) => {
          ctx.session = null;
          ctx.body = String(ctx.session);
        },
      });
      const browser = await startHere({}, handler);
      await browser.get("/count");
      const stolen = browser.twin();
      const answer = await browser.get("/logout");
      expect(answer).toMatchObject({ body: "null", setCookie: REMOVED });
      expect(browser.cookies.size).toBe(0);
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ isNew: true, data: {} });
      const { isNew } = JSON.parse((await stolen.get("/")).body);
      // Who has kept a cookie that the session is in, has kept the session.
      expect(isNew).toBe(place !== COOKIE);
    });

    it("removes the cookie even where there is none", async () => {
      const browser = await startHere({}, (ctx) => {
        ctx.session = null;
        ctx.body = "";
      });
      expect((await browser.get("/")).setCookie).toEqual(REMOVED);
    });

    it("one day after it was stored", async () => {
      const browser = await startHere({}, byPath({ "/count": countVisits }));
      await browser.get("/count");
      passTime(DAY);
      expect(JSON.parse((await browser.get("/")).body).isNew).toBe(false);
      passTime(1);
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ isNew: true, data: {} });
      await nextEvents();
      const key = place === COOKIE ? undefined : "id-1";
      expect(served().events).toEqual([["expired", key, { views: 1, ...lifetime() }, "/"]]);
    });

    it("after maxAge", async () => {
      const browser = await startHere({ maxAge: MINUTE }, byPath({ "/count": countVisits }));
      const { setCookie } = await browser.get("/count");
      for (const line of setCookie) expect(line).toContain(`; ${lasting(MINUTE)}`);
      passTime(MINUTE);
      expect(JSON.parse((await browser.get("/")).body).isNew).toBe(false);
      passTime(1);
      expect(JSON.parse((await browser.get("/")).body).isNew).toBe(true);
    });

    it('with the browser, where maxAge is "session"', async () => {
      const browser = await startHere({ maxAge: "session" }, countVisits);
      for (const _visit of [1, 2]) {
        for (const line of (await browser.get("/")).setCookie) expect(line).not.toContain("expires");
      }
    });
  });

  describe("replaced by an object", () => {
    it("holds what is in it and nothing else", async () => {
      const handler = byPath({
        "/count": countVisits,
        "/replace": (ctx) => {
          ctx.session = { name: "ada" };
          ctx.body = { isNew: ctx.session.isNew, name: ctx.session.name, views: ctx.session.views };
        },
      });
      const browser = await startHere({}, handler);
      await browser.get("/count");
      expect(JSON.parse((await browser.get("/replace")).body)).toEqual({ isNew: false, name: "ada" });
      expect(JSON.parse((await browser.get("/")).body).data).toEqual({ name: "ada" });
    });

    it("after it was set to null goes on", async () => {
      const browser = await startHere({}, (ctx) => {
        if (ctx.path === "/swap") {
          ctx.session = null;
          ctx.session = { again: true };
        }
        ctx.body = ctx.session;
      });
      await browser.get("/swap");
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ again: true });
    });

    it("takes its lifetime from there", async () => {
      const browser = await startHere({}, (ctx) => {
        ctx.session = { a: 1, maxAge: MINUTE };
        ctx.body = String(ctx.session.maxAge);
      });
      const answer = await browser.get("/");
      expect(answer.body).toBe(String(MINUTE));
      expect(answer.setCookie[0]).toContain(lasting(MINUTE));
    });

    it("passes over names that the session itself has", async () => {
      const browser = await startHere({}, (ctx) => {
        ctx.session = { a: 1, length: 9, populated: false, externalKey: "mine" };
        ctx.body = { data: ctx.session, length: ctx.session.length };
      });
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ data: { a: 1 }, length: 1 });
    });

    it.each([
      ["text", "x"],
      ["a number", 1],
      ["undefined", undefined],
      ["a function", () => {}],
      ["false", false],
    ])("can't be set to %s", async (_what, value) => {
      const browser = await startHere({}, (ctx) => {
        ctx.session = value;
      });
      expect((await browser.get("/")).status).toBe(500);
      expect(served().errors).toEqual([expect.any(Error)]);
    });
  });

  describe("has", () => {
    it("toJSON(), length, populated and its inspection", async () => {
      const browser = await startHere({}, (ctx) => {
        const empty = [ctx.session.length, ctx.session.populated];
        ctx.session.a = { b: [1] };
        ctx.session.c = "d";
        ctx.session._private = 1;
        ctx.session.method = () => {};
        const { session } = ctx;
        ctx.body = [empty, session.length, session.populated, session.toJSON(), inspect(session)];
      });
      expect(JSON.parse((await browser.get("/")).body)).toEqual([
        [0, false],
        2,
        true,
        { a: { b: [1] }, c: "d" },
        "{ a: { b: [ 1 ] }, c: 'd' }",
      ]);
    });

    it("own properties beside its data, as they show when it is spread", async () => {
      const browser = await startHere({}, (ctx) => {
        ctx.session.a = 1;
        ctx.body = Object.keys(ctx.session);
      });
      expect(JSON.parse((await browser.get("/")).body)).toEqual(["isNew", "_requireSave", "_expire", "a"]);
    });

    it("a maxAge to read, and to set for this session alone", async () => {
      const handler = byPath({
        "/count": countVisits,
        "/longer": (ctx) => {
          const before = ctx.session.maxAge;
          ctx.session.maxAge = 2 * DAY;
          ctx.body = { before, after: ctx.session.maxAge, option: ctx.sessionOptions.maxAge };
        },
        "/age": (ctx) => {
          ctx.body = String(ctx.session.maxAge);
        },
      });
      const browser = await startHere({ maxAge: DAY }, handler);
      await browser.get("/count");
      const { body, setCookie } = await browser.get("/longer");
      expect(JSON.parse(body)).toEqual({ before: DAY, after: 2 * DAY, option: 2 * DAY });
      expect(setCookie[0]).toContain(lasting(2 * DAY));
      expect((await browser.get("/age")).body).toBe(String(2 * DAY));
      expect((await browser.get("/count")).setCookie[0]).toContain(lasting(2 * DAY));
      expect((await served().browser().get("/age")).body).toBe(String(DAY));
    });

    it("save(), which stores it even where it is empty", async () => {
      const browser = await startHere({}, byPath({ "/save": (ctx) => ctx.session.save() }));
      expect((await browser.get("/save")).setCookie).toHaveLength(2);
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ isNew: false, data: {} });
    });

    it("save(callback)", async () => {
      const browser = await startHere(
        {},
        byPath({
          "/save": async (ctx) => {
            const told = await new Promise((resolve) => {
              ctx.body = String(ctx.session.save((...args: unknown[]) => resolve(args)));
            });
            ctx.body += JSON.stringify(told);
          },
        }),
      );
      expect((await browser.get("/save")).body).toBe("undefined[]");
      expect(JSON.parse((await browser.get("/")).body).isNew).toBe(false);
    });

    it("regenerate(), which keeps the data", async () => {
      const handler = byPath({ "/count": countVisits, "/regenerate": (ctx) => ctx.session.regenerate() });
      const browser = await startHere({}, handler);
      await browser.get("/count");
      const old = browser.twin();
      expect((await browser.get("/regenerate")).setCookie).toHaveLength(2);
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ isNew: false, data: { views: 1 } });
      expect(JSON.parse((await old.get("/")).body).isNew).toBe(place !== COOKIE);
    });

    it("regenerate(callback), and commit(callback) beneath", async () => {
      const browser = await startHere({}, async (ctx) => {
        ctx.session.a = 1;
        await new Promise((resolve) => ctx.session.regenerate(resolve));
        await new Promise((resolve) => ctx.session.commit(resolve));
        await new Promise((resolve) => ctx.session.commit({ save: true }, resolve));
        ctx.body = ctx.session;
      });
      expect((await browser.get("/")).setCookie).toHaveLength(2);
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ a: 1 });
    });

    it("changes after regenerate() that are stored too", async () => {
      const handler = byPath({
        "/login": async (ctx) => {
          await ctx.session.regenerate();
          ctx.session.user = "ada";
        },
      });
      const browser = await startHere({}, handler);
      await browser.get("/login");
      expect(JSON.parse((await browser.get("/")).body).data).toEqual({ user: "ada" });
    });
  });

  describe("with autoCommit: false", () => {
    it("isn't stored by itself", async () => {
      const browser = await startHere({ autoCommit: false }, countVisits);
      expect(await browser.get("/")).toMatchObject({ body: "1", setCookie: [] });
      expect((await browser.get("/")).body).toBe("1");
    });

    it("is stored by manuallyCommit(), where it has changed", async () => {
      const browser = await startHere({ autoCommit: false }, async (ctx) => {
        if (ctx.path === "/count") countVisits(ctx, async () => {});
        await ctx.session.manuallyCommit();
        ctx.body = ctx.session;
      });
      expect((await browser.get("/")).setCookie).toEqual([]);
      expect((await browser.get("/count")).setCookie).toHaveLength(2);
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ views: 1 });
    });

    it("is removed by it, where it was set to null", async () => {
      const browser = await startHere({ autoCommit: false }, async (ctx) => {
        const { session } = ctx;
        ctx.session = null;
        await session.manuallyCommit();
        ctx.body = "";
      });
      expect((await browser.get("/")).setCookie).toEqual(REMOVED);
    });
  });

  describe("with overwrite", () => {
    const saveTwice: Handler = async (ctx) => {
      ctx.session.a = 1;
      await ctx.session.save();
      ctx.session.a = 2;
      ctx.body = "";
    };
    it("sets one cookie a response", async () => {
      const browser = await startHere({}, saveTwice);
      expect((await browser.get("/")).setCookie).toHaveLength(2);
    });
    it("false, sets one each time", async () => {
      const browser = await startHere({ overwrite: false }, saveTwice);
      expect((await browser.get("/")).setCookie).toHaveLength(4);
    });
  });

  describe("with rolling", () => {
    it("sets its cookie with each response, and starts its lifetime anew", async () => {
      const options = { rolling: true, maxAge: DAY };
      const browser = await startHere(options, byPath({ "/count": countVisits }));
      await browser.get("/count");
      for (const _day of [1, 2, 3]) {
        passTime(DAY - 1000);
        const { setCookie, body } = await browser.get("/");
        expect(JSON.parse(body).data).toEqual({ views: 1 });
        expect(setCookie[0]).toContain(new Date(Date.now() + DAY).toUTCString());
      }
    });

    it("sets none while it is empty", async () => {
      const browser = await startHere({ rolling: true }, show);
      expect((await browser.get("/")).setCookie).toEqual([]);
    });
  });

  describe("with renew", () => {
    it("sets its cookie when less than half of its lifetime is left", async () => {
      const browser = await startHere({ renew: true, maxAge: DAY }, byPath({ "/count": countVisits }));
      await browser.get("/count");
      passTime(DAY / 2);
      expect((await browser.get("/")).setCookie).toEqual([]);
      passTime(1);
      expect((await browser.get("/")).setCookie).toHaveLength(2);
      passTime(DAY / 2);
      expect(JSON.parse((await browser.get("/")).body).isNew).toBe(false);
    });

    it("does so for a session without maxAge of the options as well", async () => {
      const browser = await startHere({ renew: true }, byPath({ "/count": countVisits }));
      await browser.get("/count");
      passTime(DAY / 2 + 1);
      expect((await browser.get("/")).setCookie).toHaveLength(2);
    });

    it("does nothing for one that lasts as long as the browser is open", async () => {
      const options = { renew: true, maxAge: "session" };
      const browser = await startHere(options, byPath({ "/count": countVisits }));
      await browser.get("/count");
      passTime(DAY / 2 + 1);
      expect((await browser.get("/")).setCookie).toEqual([]);
    });
  });

  describe("with hooks", () => {
    it("isn't used where valid() says no, which is an event", async () => {
      let isValid = true;
      const asked: unknown[] = [];
      const valid = (ctx: any, data: unknown) => {
        asked.push([ctx.path, data]);
        return isValid;
      };
      const browser = await startHere({ valid }, byPath({ "/count": countVisits }));
      await browser.get("/count");
      expect(asked).toEqual([]);
      expect(JSON.parse((await browser.get("/")).body).data).toEqual({ views: 1 });
      isValid = false;
      expect(JSON.parse((await browser.get("/")).body)).toEqual({ isNew: true, data: {} });
      const stored = { views: 1, ...lifetime() };
      expect(asked).toEqual([
        ["/", stored],
        ["/", stored],
      ]);
      await nextEvents();
      const key = place === COOKIE ? undefined : "id-1";
      expect(served().events).toEqual([["invalid", key, stored, "/"]]);
    });

    it("is given to beforeSave() right before it is stored, and only then", async () => {
      const seen: unknown[] = [];
      const beforeSave = (ctx: any, session: any) => {
        seen.push([ctx.path, session.toJSON()]);
        session.saves = (session.saves ?? 0) + 1;
      };
      const browser = await startHere({ beforeSave }, byPath({ "/count": countVisits }));
      await browser.get("/");
      await browser.get("/count");
      expect(JSON.parse((await browser.get("/")).body).data).toEqual({ views: 1, saves: 1 });
      await browser.get("/count");
      expect(seen).toEqual([
        ["/count", { views: 1 }],
        ["/count", { views: 2, saves: 1 }],
      ]);
    });
  });

  it("is signed by app.keys: any other is as good as none", async () => {
    const browser = await startHere({}, byPath({ "/count": countVisits }));
    await browser.get("/count");
    const value = browser.cookies.get("koa.sess")!;
    const forged = served().browser();
    const answer = await forged.get("/", cookieOf(value, { key: "another key" }));
    expect(JSON.parse(answer.body).isNew).toBe(true);
    expect(answer.setCookie).toEqual([
      "koa.sess.sig=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly",
    ]);
    const unsigned = await forged.get("/", { cookie: `koa.sess=${value}` });
    expect(JSON.parse(unsigned.body).isNew).toBe(true);
  });

  it("goes on when a key is put before the others", async () => {
    const browser = await startHere({}, byPath({ "/count": countVisits }));
    await browser.get("/count");
    served().app.keys = ["a new key", KEY];
    const { body, setCookie } = await browser.get("/");
    expect(JSON.parse(body).data).toEqual({ views: 1 });
    expect(setCookie).toEqual([expect.stringMatching(/^koa\.sess\.sig=[^;]+; path=\/; httponly$/)]);
    served().app.keys = ["a new key"];
    expect(JSON.parse((await browser.get("/")).body).data).toEqual({ views: 1 });
  });

  it("needs app.keys to be signed", async () => {
    const browser = await startHere({}, countVisits, {
      prepare: (app) => Reflect.set(app, "keys", undefined),
    });
    expect((await browser.get("/")).status).toBe(500);
    expect(served().errors[0].message).toContain("keys required");
  });

  it("unsigned has one cookie", async () => {
    const browser = await startHere({ signed: false }, countVisits);
    const { setCookie } = await browser.get("/");
    expect(setCookie).toEqual([expect.stringMatching(/^koa\.sess=[^;]+; path=\/; httponly$/)]);
    expect((await browser.get("/")).body).toBe("2");
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["httpOnly: false", { httpOnly: false }, "path=/"],
    ["domain", { domain: "example.com" }, "path=/; domain=example.com; httponly"],
    ["path", { path: "/shop" }, "path=/shop; httponly"],
    ["priority", { priority: "high" }, "path=/; priority=high; httponly"],
    ["sameSite", { sameSite: "lax" }, "path=/; samesite=lax; httponly"],
    ["sameSite in capitals", { sameSite: "Strict" }, "path=/; samesite=strict; httponly"],
    ["secure: false", { secure: false }, "path=/; httponly"],
    ["an expiry of its own", { expires: new Date(NOW.valueOf() + 5000) }, lasting(5000)],
  ])("passes %s on to both cookies", async (_what, options, attributes) => {
    const browser = await startHere(options, countVisits);
    const { setCookie } = await browser.get("/");
    expect(setCookie.map((line) => line.slice(line.indexOf("; ") + 2))).toEqual([attributes, attributes]);
  });

  it("sets no secure cookie over an unencrypted connection", async () => {
    const browser = await startHere({ secure: true }, countVisits);
    expect(await browser.get("/")).toMatchObject({ status: 500, setCookie: [] });
    expect(served().errors[0].message).toContain("unencrypted");
  });

  it.each([undefined, true])(
    "is secure over HTTPS, as a trusted proxy tells, with secure: %s",
    async (secure) => {
      const prepare: NonNullable<Arrangement>["prepare"] = (app) => {
        app.proxy = true;
      };
      const browser = await startHere({ secure }, countVisits, { prepare });
      const { setCookie } = await browser.get("/", { "x-forwarded-proto": "https" });
      for (const line of setCookie) expect(line).toMatch(/; path=\/; secure; httponly$/);
      expect(setCookie).toHaveLength(2);
    },
  );

  it("has the name of the option key", async () => {
    const browser = await startHere({ key: "koa:sess" }, countVisits);
    await browser.get("/");
    expect([...browser.cookies.keys()]).toEqual(["koa:sess", "koa:sess.sig"]);
    expect((await browser.get("/")).body).toBe("2");
  });

  it("is stored even where the handler throws", async () => {
    const browser = await startHere({}, async (ctx) => {
      ctx.session.a = 1;
      await ctx.session.save();
      if (ctx.path === "/throw") ctx.throw(418);
      ctx.body = ctx.session;
    });
    // Koa drops the headers of a request that failed.
    expect(await browser.get("/throw")).toMatchObject({ status: 418, setCookie: [] });
  });

  it("is told apart from another's in concurrent requests", async () => {
    const browser = await startHere({}, async (ctx) => {
      ctx.session.path = ctx.path;
      await new Promise((resolve) => setTimeout(resolve, ctx.path === "/a" ? 20 : 1));
      ctx.body = ctx.session.path;
    });
    const answers = await Promise.all([browser.get("/a"), served().browser().get("/b")]);
    expect(answers.map(({ body }) => body)).toEqual(["/a", "/b"]);
  });

  it("has options of its request alone, in ctx.sessionOptions", async () => {
    const browser = await startHere({ maxAge: DAY }, (ctx) => {
      const { maxAge, key, autoCommit, overwrite, httpOnly, signed, rolling, renew } = ctx.sessionOptions;
      ctx.sessionOptions.maxAge = 1;
      ctx.body = { maxAge, key, autoCommit, overwrite, httpOnly, signed, rolling, renew };
    });
    for (const _visit of [1, 2]) {
      expect(JSON.parse((await browser.get("/")).body)).toEqual({
        maxAge: DAY,
        key: "koa.sess",
        autoCommit: true,
        overwrite: true,
        httpOnly: true,
        signed: true,
        rolling: false,
        renew: false,
      });
    }
  });

  it("follows options that are changed later", async () => {
    const options: Record<string, any> = { ...place.options() };
    const browser = await start(options, countVisits);
    await browser.get("/");
    options.httpOnly = false;
    expect((await browser.get("/")).setCookie[0]).not.toContain("httponly");
    expect(options.key).toBe("koa.sess");
  });

  it("is of the first options, where an application has two", async () => {
    let application: any;
    const prepare: NonNullable<Arrangement>["prepare"] = (app) => {
      application = app;
    };
    const browser = await startHere({ key: "first" }, countVisits, { prepare });
    expect(Object.getOwnPropertyDescriptor(application.context, "session")?.configurable).toBe(true);
    await browser.get("/");
    expect([...browser.cookies.keys()]).toEqual(["first", "first.sig"]);
  });
}

/** What only a session in its cookie shows. */
function describeCookie(start: Start, { passTime, served }: Tools): void {
  describe("the cookie that a session is in", () => {
    it("holds the data and its lifetime as JSON in base64", async () => {
      const browser = await start({}, countVisits);
      expect((await browser.get("/")).setCookie).toEqual(cookieLines(encoded({ views: 1, ...lifetime() })));
      expect((await browser.get("/")).setCookie).toEqual(
        cookieLines(encoded({ views: 2, ...lifetime() }), lasting(DAY)),
      );
    });

    it('holds a mark in place of the lifetime, where maxAge is "session"', async () => {
      const browser = await start({ maxAge: "session" }, countVisits);
      const lines = cookieLines(encoded({ views: 1, _session: true }));
      expect((await browser.get("/")).setCookie).toEqual(lines);
      passTime(400 * DAY);
      expect((await browser.get("/")).body).toBe("2");
    });

    it("keeps the kind of lifetime that it was stored with", async () => {
      const browser = await start({ maxAge: MINUTE }, (ctx) => {
        ctx.body = String(ctx.session.maxAge);
      });
      expect((await browser.get("/", cookieOf(encoded({ a: 1, _session: true })))).body).toBe("session");
      const other = { a: 1, _maxAge: 5, _expire: NOW.valueOf() };
      expect((await browser.get("/", cookieOf(encoded(other)))).body).toBe("5");
    });

    it("holds an hour where maxAge is an hour, and a day where it is 0", async () => {
      const browser = await start({ maxAge: 60 * MINUTE }, countVisits);
      const lines = cookieLines(encoded({ views: 1, ...lifetime(60 * MINUTE) }), lasting(60 * MINUTE));
      expect((await browser.get("/")).setCookie).toEqual(lines);
      await served().close();
      const another = await start({ maxAge: 0 }, countVisits);
      expect((await another.get("/")).setCookie).toEqual(cookieLines(encoded({ views: 1, ...lifetime() })));
    });

    it("is written by encode() and read by decode()", async () => {
      const encode = (data: unknown) => encodeURIComponent(JSON.stringify(data));
      const decode = (text: string) => JSON.parse(decodeURIComponent(text));
      const browser = await start({ encode, decode }, countVisits);
      const lines = cookieLines(encode({ views: 1, ...lifetime() }));
      expect((await browser.get("/")).setCookie).toEqual(lines);
      expect((await browser.get("/")).body).toBe("2");
    });

    it("is as good as none where it isn't JSON", async () => {
      const browser = await start({}, countVisits);
      expect((await browser.get("/", cookieOf("garbage"))).body).toBe("1");
      expect(served().errors).toEqual([]);
    });

    it("is as good as none where decode() throws what is no error", async () => {
      const decode = () => {
        throw "no error";
      };
      const browser = await start({ decode }, countVisits);
      expect((await browser.get("/", cookieOf("x"))).body).toBe("1");
    });

    it("is removed where decode() fails", async () => {
      const decode = () => {
        throw new TypeError("decoding failed");
      };
      const browser = await start({ decode }, countVisits);
      const answer = await browser.get("/", cookieOf("x"));
      expect(answer).toMatchObject({ status: 500, setCookie: REMOVED });
      expect(served().errors).toEqual([expect.objectContaining({ message: "decoding failed" })]);
    });

    it.each(["null", "0", "false", '""'])("is an event where it holds %s", async (json) => {
      const browser = await start({}, show);
      const answer = await browser.get("/", cookieOf(Buffer.from(json).toString("base64")));
      expect(JSON.parse(answer.body)).toEqual({ isNew: true, data: {} });
      expect(served().events).toEqual([["missed", undefined, JSON.parse(json), "/"]]);
    });

    it("isn't looked at before ctx.session is", async () => {
      const decode = vi.fn(() => ({}));
      const browser = await start({ decode, rolling: true }, (ctx) => {
        if (ctx.path === "/look") ctx.session;
        ctx.body = "";
      });
      expect((await browser.get("/", cookieOf("x"))).setCookie).toEqual([]);
      expect(decode).not.toHaveBeenCalled();
      expect((await browser.get("/look", cookieOf("x"))).setCookie).toHaveLength(2);
    });

    it("can be looked at before the middleware", async () => {
      const before: Handler = (ctx, next) => {
        ctx.session.early = ctx.session.views ?? 0;
        return next();
      };
      const browser = await start({}, countVisits, { before });
      await browser.get("/");
      expect(decoded((await browser.get("/")).setCookie[0])).toMatchObject({ early: 1, views: 2 });
    });

    it("is removed and set anew by regenerate()", async () => {
      const browser = await start({}, async (ctx) => {
        ctx.session.a = 1;
        await ctx.session.regenerate();
        ctx.body = String(ctx.session.externalKey);
      });
      const answer = await browser.get("/");
      expect(answer.setCookie).toEqual(cookieLines(encoded({ a: 1, ...lifetime() })));
      expect(answer.body).toBe("undefined");
    });
  });
}

/** What a store sees, and what only a session in a store has. */
function describeStore(
  start: Start,
  { passTime, nextEvents, served }: Tools & { nextEvents(): Promise<unknown> },
): void {
  describe("a store", () => {
    let store: ReturnType<typeof recordingStore>;
    const lastCalls = () => store.calls.splice(0);
    beforeEach(() => {
      store = recordingStore();
    });

    it("is asked for nothing without a cookie, and given a session that changed", async () => {
      const browser = await start({ store }, countVisits);
      expect((await browser.get("/")).setCookie).toEqual(cookieLines("id-1"));
      const session = { views: 1, ...lifetime() };
      const options = { changed: true, rolling: false, ctx: "/" };
      expect(lastCalls()).toEqual([["set", "id-1", session, DAY + 10_000, options]]);
    });

    it("is asked with the lifetime of the options, and given the session's own", async () => {
      const browser = await start({ store, maxAge: MINUTE, rolling: true }, countVisits);
      await browser.get("/one");
      lastCalls();
      expect((await browser.get("/two")).setCookie).toEqual(cookieLines("id-1", lasting(MINUTE)));
      expect(lastCalls()).toEqual([
        ["get", "id-1", MINUTE, { rolling: true, ctx: "/two" }],
        [
          "set",
          "id-1",
          { views: 2, ...lifetime(MINUTE) },
          MINUTE + 10_000,
          { changed: true, rolling: true, ctx: "/two" },
        ],
      ]);
    });

    it("is told that nothing changed, where only the lifetime is new", async () => {
      const browser = await start({ store, rolling: true }, byPath({ "/count": countVisits }));
      await browser.get("/count");
      lastCalls();
      await browser.get("/");
      expect(lastCalls()).toEqual([
        ["get", "id-1", undefined, { rolling: true, ctx: "/" }],
        [
          "set",
          "id-1",
          { views: 1, ...lifetime() },
          DAY + 10_000,
          { changed: false, rolling: true, ctx: "/" },
        ],
      ]);
    });

    it("is told so by renew and by save() as well, and by a new maxAge", async () => {
      const handler = byPath({
        "/count": countVisits,
        "/save": (ctx) => ctx.session.save(),
        "/age": (ctx) => {
          ctx.session.maxAge = MINUTE;
        },
      });
      const browser = await start({ store, renew: true }, handler);
      await browser.get("/count");
      passTime(DAY / 2 + 1);
      lastCalls();
      await browser.get("/");
      await browser.get("/save");
      await browser.get("/age");
      const sets = lastCalls().filter(([name]) => name === "set");
      expect(sets.map(([, , , maxAge, options]) => [maxAge, options])).toEqual([
        [DAY + 10_000, { changed: false, rolling: false, ctx: "/" }],
        [DAY + 10_000, { changed: false, rolling: false, ctx: "/save" }],
        [MINUTE + 10_000, { changed: false, rolling: false, ctx: "/age" }],
      ]);
    });

    it('is given "session" for a session that ends with the browser', async () => {
      const browser = await start({ store, maxAge: "session" }, countVisits);
      expect((await browser.get("/")).setCookie).toEqual(cookieLines("id-1"));
      const options = { changed: true, rolling: false, ctx: "/" };
      expect(lastCalls()).toEqual([["set", "id-1", { views: 1, _session: true }, "session", options]]);
      await browser.get("/");
      expect(lastCalls()[0]).toEqual(["get", "id-1", "session", { rolling: false, ctx: "/" }]);
    });

    it("isn't given a session that is as it was", async () => {
      const browser = await start({ store }, byPath({ "/count": countVisits }));
      await browser.get("/count");
      lastCalls();
      await browser.get("/");
      expect(lastCalls().map(([name]) => name)).toEqual(["get"]);
    });

    it("is asked even where the handler doesn't look at the session", async () => {
      const browser = await start({ store }, (ctx) => {
        ctx.body = "";
      });
      await browser.get("/", cookieOf("id-9"));
      expect(lastCalls()).toEqual([["get", "id-9", undefined, { rolling: false, ctx: "/" }]]);
    });

    it("destroys a session that is set to null", async () => {
      const handler = byPath({
        "/count": countVisits,
        "/logout": (ctx) => {
          ctx.session = null;
        },
      });
      const browser = await start({ store }, handler);
      await browser.get("/count");
      lastCalls();
      expect((await browser.get("/logout")).setCookie).toEqual(REMOVED);
      expect(lastCalls().slice(1)).toEqual([["destroy", "id-1", { ctx: "/logout" }]]);
    });

    it("destroys the old session and is given a new one by regenerate()", async () => {
      const handler = byPath({ "/count": countVisits, "/new": (ctx) => ctx.session.regenerate() });
      const browser = await start({ store }, handler);
      await browser.get("/count");
      lastCalls();
      expect((await browser.get("/new")).setCookie).toEqual(cookieLines("id-2", lasting(DAY)));
      expect(lastCalls().map((call) => call.slice(0, 2))).toEqual([
        ["get", "id-1"],
        ["destroy", "id-1"],
        ["set", "id-2"],
      ]);
    });

    it("keeps the key of a session that is replaced by an object", async () => {
      const browser = await start({ store }, (ctx) => {
        ctx.session = { path: ctx.path };
        ctx.body = ctx.session.externalKey;
      });
      expect((await browser.get("/a")).body).toBe("id-1");
      expect((await browser.get("/b")).body).toBe("id-1");
      expect([...store.sessions.keys()]).toEqual(["id-1"]);
    });

    it("never gets a session under a key that it doesn't know, which is an event", async () => {
      const browser = await start({ store }, countVisits);
      expect((await browser.get("/", cookieOf("chosen"))).setCookie).toEqual(cookieLines("id-1"));
      expect([...store.sessions.keys()]).toEqual(["id-1"]);
      await nextEvents();
      expect(served().events).toEqual([["missed", "chosen", undefined, "/"]]);
    });

    it("never gets one under the key of an expired session", async () => {
      const browser = await start({ store }, countVisits);
      await browser.get("/");
      passTime(DAY + 1);
      await browser.get("/");
      expect([...store.sessions.keys()]).toEqual(["id-1", "id-2"]);
    });

    it("may answer at once", async () => {
      const sessions = new Map<string, unknown>();
      const plain = {
        get: (key: string) => sessions.get(key),
        set: (key: string, session: unknown) => sessions.set(key, session),
        destroy: (key: string) => sessions.delete(key),
      };
      const browser = await start({ store: plain }, countVisits);
      await browser.get("/");
      expect((await browser.get("/")).body).toBe("2");
    });

    it.each(["get", "set", "destroy"])("that fails in %s fails the request", async (method) => {
      const handler = byPath({
        "/get": show,
        "/set": countVisits,
        "/destroy": (ctx) => {
          ctx.session = null;
        },
      });
      const browser = await start({ store }, handler);
      await browser.get("/set");
      store.failures[method] = new Error("the disk is gone");
      expect(await browser.get(`/${method}`)).toMatchObject({ status: 500, setCookie: [] });
      expect(served().errors).toEqual([expect.objectContaining({ message: "the disk is gone" })]);
    });

    it("that fails tells the callback of save()", async () => {
      store.failures.set = new Error("the disk is gone");
      const browser = await start({ store, autoCommit: false }, async (ctx) => {
        const error = await new Promise<any>((resolve) => ctx.session.save(resolve));
        ctx.body = error.message;
      });
      expect((await browser.get("/")).body).toBe("the disk is gone");
    });

    it("gets the session where the handler throws", async () => {
      const browser = await start({ store }, (ctx) => {
        ctx.session.a = 1;
        ctx.throw(418);
      });
      expect(await browser.get("/")).toMatchObject({ status: 418, setCookie: [] });
      expect([...store.sessions.keys()]).toEqual(["id-1"]);
    });

    it("gives the session its externalKey, which stays what it was after regenerate()", async () => {
      const browser = await start({ store }, async (ctx) => {
        const before = ctx.session.externalKey;
        await ctx.session.regenerate();
        ctx.body = [before, ctx.session.externalKey];
      });
      expect(JSON.parse((await browser.get("/")).body)).toEqual(["id-1", "id-1"]);
    });

    it("takes no session that was begun before the middleware", async () => {
      const before: Handler = (ctx, next) => {
        ctx.session.early = true;
        return next();
      };
      const browser = await start({ store }, show, { before });
      expect(JSON.parse((await browser.get("/")).body).data).toEqual({});
    });

    it("has keys that are random UUIDs", async () => {
      const browser = await start({ store, genid: undefined }, countVisits);
      await browser.get("/");
      expect([...store.sessions.keys()]).toEqual([
        expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      ]);
    });

    it("has keys with the option prefix", async () => {
      const browser = await start({ store, prefix: "app:" }, countVisits);
      await browser.get("/");
      expect([...store.sessions.keys()]).toEqual([
        expect.stringMatching(/^app:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      ]);
    });

    it("has keys of genid(ctx), where prefix means nothing", async () => {
      const genid = (ctx: any) => `of${ctx.path}`;
      const browser = await start({ store, genid, prefix: "app:" }, countVisits);
      await browser.get("/a");
      expect([...store.sessions.keys()]).toEqual(["of/a"]);
    });

    it("isn't used for a session without a key: it is in its cookie", async () => {
      const browser = await start({ store, genid: () => undefined }, countVisits);
      expect(decoded((await browser.get("/")).setCookie[0])).toMatchObject({ views: 1 });
      expect(lastCalls()).toEqual([]);
    });
  });

  describe("an externalKey", () => {
    const externalKey = () => ({
      get: (ctx: any) => ctx.get("session-key"),
      set: (ctx: any, key: string) => ctx.set("session-key", key),
    });

    it("comes and goes as the application has it", async () => {
      const store = recordingStore();
      const browser = await start({ store, externalKey: externalKey() }, countVisits);
      const first = await browser.get("/");
      expect(first.headers.get("session-key")).toBe("id-1");
      expect(first.setCookie).toEqual([]);
      const second = await browser.get("/", { "session-key": "id-1" });
      expect(second.body).toBe("2");
      expect((await browser.get("/", { "session-key": "chosen" })).headers.get("session-key")).toBe("id-2");
    });

    it("is left alone when the session ends; the cookie is removed", async () => {
      const handler = byPath({
        "/count": countVisits,
        "/logout": (ctx) => {
          ctx.session = null;
        },
      });
      const store = recordingStore();
      const browser = await start({ store, externalKey: externalKey() }, handler);
      await browser.get("/count");
      const answer = await browser.get("/logout", { "session-key": "id-1" });
      expect(answer.headers.get("session-key")).toBeNull();
      expect(answer.setCookie).toEqual(REMOVED);
      expect(store.sessions.size).toBe(0);
    });
  });

  describe("a ContextStore", () => {
    it("is made for each request, with its context", async () => {
      const made: string[] = [];
      const { get, set, destroy, ...store } = recordingStore();
      class ContextStore {
        constructor(ctx: any) {
          made.push(ctx.path);
        }
        get(...args: Parameters<typeof get>) {
          return get(...args);
        }
        set(...args: Parameters<typeof set>) {
          return set(...args);
        }
        destroy(...args: Parameters<typeof destroy>) {
          return destroy(...args);
        }
      }
      const browser = await start(
        { ContextStore, store: recordingStore() },
        byPath({
          "/count": countVisits,
          "/logout": (ctx) => {
            ctx.session = null;
          },
        }),
      );
      await browser.get("/count");
      await browser.get("/count");
      await browser.get("/logout");
      expect(made).toEqual(["/count", "/count", "/logout"]);
      expect(store.calls.map(([name]) => name)).toEqual(["set", "get", "set", "get", "destroy"]);
    });
  });
}
