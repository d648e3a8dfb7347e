import { inherits } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CONNECT, SECRET, type Subject, serve } from "./subject.js";

/** What express-session exports, apart from requests. */
export function describeApi(subject: Subject): void {
  const { session } = subject;
  const NOW = new Date("2030-01-01T00:00:00Z").valueOf();

  describe(`${subject.name}, its exports`, () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ["Date"], now: NOW });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it("is a function with Store, Cookie, Session and MemoryStore", () => {
      expect(
        [session, session.Store, session.Cookie, session.Session, session.MemoryStore].map((x) => typeof x),
      ).toEqual(Array(5).fill("function"));
      expect(new session.MemoryStore()).toBeInstanceOf(session.Store);
      expect(typeof new session.Store().on).toBe("function");
      expect(session({ secret: SECRET, resave: false, saveUninitialized: false })).toHaveLength(3);
    });

    it("takes null for any option that it takes nothing for", () => {
      const none = { store: null, cookie: null, genid: null, name: null, unset: null, proxy: null };
      expect(() =>
        session({ secret: SECRET, resave: false, saveUninitialized: false, ...none }),
      ).not.toThrow();
    });

    it("refuses a store that is none", () => {
      for (const store of [{}, "redis://localhost", 1, true])
        expect(() => session({ secret: SECRET, resave: false, saveUninitialized: false, store })).toThrow(
          TypeError,
        );
    });

    describe("Cookie", () => {
      const { Cookie } = session;

      it("has defaults", () => {
        const cookie = new Cookie();
        expect({ ...cookie }).toEqual({ path: "/", _expires: null, originalMaxAge: null, httpOnly: true });
        expect([cookie.expires, cookie.maxAge, cookie.originalMaxAge]).toEqual([null, null, null]);
      });

      it("data and toJSON: all attributes", () => {
        const cookie = new Cookie({
          maxAge: 1000,
          secure: true,
          sameSite: "lax",
          domain: "a.b",
          priority: "low",
          partitioned: true,
        });
        const data = {
          originalMaxAge: 1000,
          partitioned: true,
          priority: "low",
          expires: new Date(NOW + 1000),
          secure: true,
          httpOnly: true,
          domain: "a.b",
          path: "/",
          sameSite: "lax",
        };
        expect(cookie.data).toEqual(data);
        expect(JSON.stringify(cookie)).toBe(JSON.stringify(data));
        expect(Object.keys(cookie.data)).toEqual(Object.keys(data));
      });

      it("takes what it gave: JSON, and another cookie", () => {
        const cookie = new Cookie({ maxAge: 1000, path: "/x", sameSite: true });
        expect(JSON.stringify(new Cookie(cookie))).toBe(JSON.stringify(cookie));
        expect(new Cookie({ data: "not an attribute" }).data).toEqual(new Cookie().data);
      });

      it.each<[string, any, unknown[]]>([
        ["maxAge", { maxAge: 5000 }, [NOW + 5000, 5000, 5000]],
        ["maxAge 0", { maxAge: 0 }, [NOW, 0, 0]],
        ["a negative maxAge", { maxAge: -5 }, [NOW - 5, -5, -5]],
        ["expires", { expires: new Date(NOW + 5000) }, [NOW + 5000, 5000, 5000]],
        ["originalMaxAge", { originalMaxAge: 7000 }, [null, null, 7000]],
        ["originalMaxAge, then maxAge", { originalMaxAge: 7000, maxAge: 5000 }, [NOW + 5000, 5000, 5000]],
        ["maxAge, then originalMaxAge", { maxAge: 5000, originalMaxAge: 7000 }, [NOW + 5000, 5000, 7000]],
      ])("of %s", (_name, options, [expires, maxAge, originalMaxAge]) => {
        const cookie = new Cookie(options);
        expect([cookie.expires?.valueOf() ?? null, cookie.maxAge, cookie.originalMaxAge]).toEqual([
          expires,
          maxAge,
          originalMaxAge,
        ]);
      });

      it("maxAge and expires move each other", () => {
        const cookie = new Cookie();
        cookie.maxAge = 1000;
        expect(cookie.expires).toEqual(new Date(NOW + 1000));
        cookie.expires = new Date(NOW + 2000);
        expect([cookie.maxAge, cookie.originalMaxAge]).toEqual([2000, 2000]);
        cookie.maxAge = null;
        expect([cookie.expires, cookie.originalMaxAge]).toEqual([null, null]);
        cookie.expires = false;
        expect([cookie.maxAge, cookie.originalMaxAge]).toEqual([false, false]);
        cookie.maxAge = undefined;
        expect([cookie.expires, cookie.originalMaxAge]).toEqual([undefined, undefined]);
      });

      it("refuses a maxAge that is no number, and options that are no object", () => {
        expect(() => new Cookie({ maxAge: "1000" })).toThrow(
          new TypeError("maxAge must be a number or Date"),
        );
        expect(() => new Cookie("path=/")).toThrow(new TypeError("argument options must be a object"));
        expect(() => new Cookie(1)).toThrow(new TypeError("argument options must be a object"));
      });

      it("serialize: a line, its value escaped", () => {
        expect(new Cookie({ path: "/a", secure: true }).serialize("name", "a;b c")).toBe(
          "name=a%3Bb%20c; Path=/a; HttpOnly; Secure",
        );
      });

      it.each<[string, any]>([
        ["a domain with a semicolon", { domain: "a;b" }],
        ["a path with a semicolon", { path: "/;x" }],
        ["a path with a control character", { path: "/\u0000" }],
        ["expires that is no date", { expires: "tomorrow" }],
        ["expires that is no time", { expires: new Date(Number.NaN) }],
        ["an unknown priority", { priority: "urgent" }],
        ["an unknown sameSite", { sameSite: "sometimes" }],
      ])("serialize refuses %s", (_name, options) => {
        expect(() => new Cookie(options).serialize("name", "value")).toThrow();
      });

      it("serialize refuses a name that is none", () => {
        for (const name of ["a b", "a;b", "", "a=b"])
          expect(() => new Cookie().serialize(name, "x")).toThrow();
      });
    });

    describe("MemoryStore", () => {
      const cookie = (maxAge: number | null) => ({ cookie: new session.Cookie({ maxAge }) });
      const asked = (store: any, method: string, ...args: unknown[]) =>
        new Promise<any>((resolve, reject) =>
          store[method](...args, (error: unknown, answer: unknown) =>
            error ? reject(error) : resolve(answer),
          ),
        );

      it("keeps copies", async () => {
        const store = new session.MemoryStore();
        const data: any = { ...cookie(null), list: [1] };
        await asked(store, "set", "a", data);
        data.list.push(2);
        const first = await asked(store, "get", "a");
        expect(first.list).toEqual([1]);
        first.list.push(3);
        expect((await asked(store, "get", "a")).list).toEqual([1]);
        expect(await asked(store, "get", "b")).toBeUndefined();
      });

      it("answers later, and does without a callback", async () => {
        const store = new session.MemoryStore();
        let answered = false;
        store.set("a", cookie(null), () => {
          answered = true;
        });
        expect(answered).toBe(false);
        store.set("b", cookie(null));
        store.touch("b", cookie(null));
        store.destroy("a");
        expect(await asked(store, "length")).toBe(1);
        store.clear();
        expect(await asked(store, "length")).toBe(0);
      });

      it("all, length, clear", async () => {
        const store = new session.MemoryStore();
        await asked(store, "set", "a", { ...cookie(null), n: 1 });
        await asked(store, "set", "b", { ...cookie(1000), n: 2 });
        const all = await asked(store, "all");
        expect(Object.keys(all)).toEqual(["a", "b"]);
        expect([all.a.n, all.b.n]).toEqual([1, 2]);
        expect(await asked(store, "length")).toBe(2);
        vi.setSystemTime(NOW + 1000);
        expect(await asked(store, "length")).toBe(1);
        expect(Object.keys(await asked(store, "all"))).toEqual(["a"]);
        await asked(store, "clear");
        expect(await asked(store, "length")).toBe(0);
      });

      it("touch: moves the expiry and leaves the data; nothing where there is no session", async () => {
        const store = new session.MemoryStore();
        await asked(store, "set", "a", { ...cookie(1000), n: 1 });
        await asked(store, "touch", "a", { ...cookie(5000), n: 2 });
        await asked(store, "touch", "b", cookie(5000));
        vi.setSystemTime(NOW + 2000);
        expect((await asked(store, "get", "a")).n).toBe(1);
        expect(await asked(store, "get", "b")).toBeUndefined();
      });

      it("forgets what has expired", async () => {
        const store = new session.MemoryStore();
        await asked(store, "set", "a", cookie(1000));
        vi.setSystemTime(NOW + 999);
        expect(await asked(store, "get", "a")).toBeDefined();
        vi.setSystemTime(NOW + 1000);
        expect(await asked(store, "get", "a")).toBeUndefined();
      });

      it("can be inherited, by a class and in the old way", async () => {
        class Mine extends session.MemoryStore {}
        function Old(this: any) {
          session.MemoryStore.call(this);
        }
        inherits(Old as any, session.MemoryStore);
        for (const store of [new (Mine as any)(), new (Old as any)()]) {
          await asked(store, "set", "a", { ...cookie(null), n: 1 });
          expect((await asked(store, "get", "a")).n).toBe(1);
          expect(store).toBeInstanceOf(session.Store);
        }
      });
    });

    describe("warns", () => {
      const heard: string[] = [];
      // The original speaks by depd, which hands its message to whoever listens for it.
      const hear = (warning: Error) => heard.push(warning.message.replace("express-session deprecated ", ""));
      beforeEach(() => {
        heard.length = 0;
        process.on("deprecation" as any, hear).on("warning", hear);
      });
      afterEach(() => {
        process.off("deprecation" as any, hear).off("warning", hear);
      });
      const warningsOf = async (run: (session: any) => unknown) => {
        await run(session);
        await new Promise((resolve) => setTimeout(resolve, 5));
        return heard;
      };
      // depd warns once for each place in the source: each has to be called from a place of its own.

      it("where resave is not given", async () => {
        expect(await warningsOf(() => session({ secret: SECRET, saveUninitialized: false }))).toEqual([
          "undefined resave option; provide resave option",
        ]);
      });

      it("where saveUninitialized is not given", async () => {
        expect(await warningsOf(() => session({ secret: SECRET, resave: false }))).toEqual([
          "undefined saveUninitialized option; provide saveUninitialized option",
        ]);
      });

      it("where there is no secret", async () => {
        expect(await warningsOf(() => session({ resave: false, saveUninitialized: false }))).toEqual([
          "req.secret; provide secret option",
        ]);
      });

      it("where there are no options at all", async () => {
        expect(await warningsOf(() => session())).toEqual([
          "undefined resave option; provide resave option",
          "undefined saveUninitialized option; provide saveUninitialized option",
          "req.secret; provide secret option",
        ]);
      });

      it("where a maxAge is a Date", async () => {
        let cookie: any;
        expect(
          await warningsOf(() => {
            cookie = new session.Cookie({ maxAge: new Date(NOW + 1000) });
          }),
        ).toEqual(["maxAge as Date; pass number of milliseconds instead"]);
        expect([cookie.expires, cookie.originalMaxAge]).toEqual([new Date(NOW + 1000), 1000]);
      });

      it("where a cookie is found by cookie-parser only", async () => {
        const served = await serve(subject, CONNECT, {}, (_req, res) => res.end(), {
          before: [
            (req, _res, next) => {
              req.signedCookies = { "connect.sid": "id-1" };
              next();
            },
          ],
        });
        expect(await warningsOf(() => served.browser().get("/"))).toEqual([
          "cookie should be available in req.headers.cookie",
        ]);
        await served.close();
      });

      it("of nothing where all is given", async () => {
        expect(
          await warningsOf(() => session({ secret: SECRET, resave: false, saveUninitialized: false })),
        ).toEqual([]);
      });
    });
  });
}
