import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Browser, listen } from "../../support/browser.js";
import {
  called,
  cookieOf,
  type Framework,
  type Handler,
  recordingStore,
  type Served,
  type Subject,
  sendJson,
  serve,
} from "./subject.js";

/** Which of a store's methods are called, in what order, and with what. */

const COOKIE = '{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}';

export function describeStoreCalls(subject: Subject, framework: Framework): void {
  describe(`${subject.name} on ${framework.name}, as a store sees it`, () => {
    let store: any;
    let served: Served;
    let browser: Browser;

    const start = async (handler: Handler, options: Record<string, any> = {}, withTouch = true) => {
      store = recordingStore(subject, { withTouch });
      served = await serve(subject, framework, { store, ...options }, handler);
      browser = served.browser();
    };
    /** The calls of one request; it has its cookie from the ones before. */
    const callsOf = async (path = "/", headers: Record<string, string> = {}): Promise<string[]> => {
      store.calls.length = 0;
      await browser.get(path, headers);
      return [...store.calls];
    };
    const kept = (id: string, data: object) => `set ${id} ${keptText(data)}`;
    const keptText = (data: object) => JSON.stringify({ cookie: JSON.parse(COOKIE), ...data });
    /** /set/x sets, / does nothing. */
    const setting: Handler = (req, res) => {
      const [, action, value] = req.url!.split("/");
      if (action === "set") req.session.value = value;
      if (action === "unset") req.session = null;
      res.end();
    };

    beforeEach(() => {
      vi.useFakeTimers({ toFake: ["Date"], now: new Date("2030-01-01T00:00:00Z") });
    });
    afterEach(async () => {
      vi.useRealTimers();
      await served?.close();
    });

    describe.each([
      { resave: false, saveUninitialized: false },
      { resave: false, saveUninitialized: true },
      { resave: true, saveUninitialized: false },
      { resave: true, saveUninitialized: true },
      { resave: undefined, saveUninitialized: undefined },
      { resave: null, saveUninitialized: null },
    ])("resave: $resave, saveUninitialized: $saveUninitialized", (options) => {
      const resaves = options.resave !== false && options.resave !== null;
      const savesNew = options.saveUninitialized !== false && options.saveUninitialized !== null;

      it("a new session, not changed", async () => {
        await start(setting, options);
        expect(await callsOf()).toEqual(savesNew ? [kept("id-1", {})] : []);
      });

      it("a new session, changed", async () => {
        await start(setting, options);
        expect(await callsOf("/set/a")).toEqual([kept("id-1", { value: "a" })]);
      });

      it("one that is found, not changed", async () => {
        await start(setting, options);
        await callsOf("/set/a");
        expect(await callsOf()).toEqual([
          "get id-1",
          resaves ? kept("id-1", { value: "a" }) : `touch id-1 ${COOKIE}`,
        ]);
      });

      it("one that is found, set to what it was", async () => {
        await start(setting, options);
        await callsOf("/set/a");
        expect(await callsOf("/set/a")).toEqual([
          "get id-1",
          resaves ? kept("id-1", { value: "a" }) : `touch id-1 ${COOKIE}`,
        ]);
      });

      it("one that is found, changed", async () => {
        await start(setting, options);
        await callsOf("/set/a");
        expect(await callsOf("/set/b")).toEqual(["get id-1", kept("id-1", { value: "b" })]);
      });

      it("one that is not found", async () => {
        await start(setting, options);
        expect(await callsOf("/", cookieOf("lost"))).toEqual([
          "get lost",
          ...(savesNew ? [kept("id-1", {})] : []),
        ]);
      });

      it("one that is saved by hand is not saved again", async () => {
        await start(async (req, res) => {
          req.session.value = req.url;
          await called((done) => req.session.save(done));
          res.end();
        }, options);
        expect(await callsOf("/a")).toEqual([kept("id-1", { value: "/a" })]);
        expect(await callsOf("/b")).toEqual([
          "get id-1",
          kept("id-1", { value: "/b" }),
          `touch id-1 ${COOKIE}`,
        ]);
      });

      it("one that is saved by hand and changed after that is saved again", async () => {
        await start(async (req, res) => {
          req.session.value = req.url;
          await called((done) => req.session.save(done));
          req.session.value += "!";
          res.end();
        }, options);
        expect(await callsOf("/a")).toEqual([kept("id-1", { value: "/a" }), kept("id-1", { value: "/a!" })]);
      });

      it("without touch in the store", async () => {
        await start(setting, options, false);
        await callsOf("/set/a");
        expect(await callsOf()).toEqual(["get id-1", ...(resaves ? [kept("id-1", { value: "a" })] : [])]);
      });

      it("regenerate", async () => {
        await start(async (req, res) => {
          if (req.url === "/regenerate") await called((done) => req.session.regenerate(done));
          else req.session.value = "a";
          res.end();
        }, options);
        await callsOf();
        expect(await callsOf("/regenerate")).toEqual(["get id-1", "destroy id-1", kept("id-2", {})]);
      });

      it("regenerate, changed and saved by hand", async () => {
        await start(async (req, res) => {
          if (req.url === "/regenerate") {
            await called((done) => req.session.regenerate(done));
            req.session.value = "b";
            await called((done) => req.session.save(done));
          } else req.session.value = "a";
          res.end();
        }, options);
        await callsOf();
        expect(await callsOf("/regenerate")).toEqual([
          "get id-1",
          "destroy id-1",
          kept("id-2", { value: "b" }),
          kept("id-2", { value: "b" }),
        ]);
      });

      it("regenerate of a session that was new", async () => {
        await start(async (req, res) => {
          await called((done) => req.session.regenerate(done));
          res.end();
        }, options);
        expect(await callsOf()).toEqual(["destroy id-1", kept("id-2", {})]);
      });

      it("destroy", async () => {
        await start(async (req, res) => {
          if (req.url === "/destroy") await called((done) => req.session.destroy(done));
          else req.session.value = "a";
          res.end();
        }, options);
        await callsOf();
        expect(await callsOf("/destroy")).toEqual(["get id-1", "destroy id-1"]);
      });

      it("reload", async () => {
        await start(async (req, res) => {
          if (req.url === "/reload") await called((done) => req.session.reload(done));
          else req.session.value = "a";
          res.end();
        }, options);
        await callsOf();
        expect(await callsOf("/reload")).toEqual([
          "get id-1",
          "get id-1",
          resaves ? kept("id-1", { value: "a" }) : `touch id-1 ${COOKIE}`,
        ]);
      });

      it("save and reload", async () => {
        await start(async (req, res) => {
          req.session.value = req.url;
          if (req.url === "/reload") {
            await called((done) => req.session.save(done));
            await called((done) => req.session.reload(done));
          }
          res.end();
        }, options);
        await callsOf();
        expect(await callsOf("/reload")).toEqual([
          "get id-1",
          kept("id-1", { value: "/reload" }),
          "get id-1",
          `touch id-1 ${COOKIE}`,
        ]);
      });
    });

    it("unset: keep calls nothing", async () => {
      await start(setting);
      await callsOf("/set/a");
      expect(await callsOf("/unset")).toEqual(["get id-1"]);
    });

    it("unset: destroy ends the session, a new one too", async () => {
      await start(setting, { unset: "destroy" });
      await callsOf("/set/a");
      expect(await callsOf("/unset")).toEqual(["get id-1", "destroy id-1"]);
      browser.cookies.clear();
      expect(await callsOf("/unset")).toEqual(["destroy id-2"]);
    });

    it("a cookie that is forged costs no call", async () => {
      await start(setting);
      for (const cookie of ["connect.sid=s%3Aid-1.forged", "connect.sid=id-1", "connect.sid=", "connect.sid"])
        expect(await callsOf("/", { cookie })).toEqual([]);
    });

    it("the touch has the deadline moved, and goes after what the handler set", async () => {
      await start(
        (req, res) => {
          if (req.url === "/set") req.session.value = "a";
          res.end();
        },
        { cookie: { maxAge: 60_000 } },
      );
      await callsOf("/set");
      vi.setSystemTime(new Date("2030-01-01T00:00:30Z"));
      expect(await callsOf("/")).toEqual([
        "get id-1",
        'touch id-1 {"originalMaxAge":60000,"expires":"2030-01-01T00:01:30.000Z","httpOnly":true,"path":"/"}',
      ]);
    });

    it("a path outside of the cookie's costs no call", async () => {
      await start(setting, { cookie: { path: "/shop" } });
      expect(await callsOf("/", cookieOf("id-1"))).toEqual([]);
    });

    it("a store that has disconnected is not asked, until it connects again", async () => {
      await start((req, res) => sendJson(res, req.session === undefined));
      store.emit("disconnect");
      expect((await browser.get("/", cookieOf("lost"))).body).toBe("true");
      expect(store.calls).toEqual([]);
      store.emit("connect");
      expect((await browser.get("/", cookieOf("lost"))).body).toBe("false");
      expect(store.calls).toEqual(["get lost"]);
    });

    it("an error of get is an error of the request, and the handler doesn't run", async () => {
      let ran = false;
      await start((_req, res) => {
        ran = true;
        res.end();
      });
      store.failures.get = new Error("no connection");
      expect(await browser.get("/", cookieOf("id-1"))).toMatchObject({
        status: 500,
        body: "error: no connection",
        setCookie: [],
      });
      expect(ran).toBe(false);
    });

    it("an error of get with the code ENOENT is a session that isn't there", async () => {
      await start((req, res) => res.end(req.sessionID));
      store.failures.get = Object.assign(new Error("no such file"), { code: "ENOENT" });
      expect(await browser.get("/", cookieOf("lost"))).toMatchObject({ status: 200, body: "id-1" });
    });

    it("a session that is stored without a cookie is an error of the request", async () => {
      await start((_req, res) => res.end());
      store.sessions.set("odd", '{"value":1}');
      expect((await browser.get("/", cookieOf("odd"))).status).toBe(500);
    });

    it.each(["save", "destroy", "reload", "regenerate"])(
      "%s gives the store's error to its callback",
      async (method) => {
        await start(async (req, res) => {
          req.session.value = "a";
          await called((done) => req.session.save(done));
          const failure = new Error("no connection");
          store.failures.set = method === "save" ? failure : undefined;
          store.failures.get = failure;
          store.failures.destroy = failure;
          const error = await called((done) => req.session[method](done));
          for (const name of Object.keys(store.failures)) delete store.failures[name];
          sendJson(res, [error === failure, typeof req.session, req.sessionID]);
        });
        const expected: Record<string, unknown[]> = {
          save: [true, "object", "id-1"],
          destroy: [true, "undefined", "id-1"],
          reload: [true, "object", "id-1"],
          regenerate: [true, "object", "id-2"],
        };
        expect(JSON.parse((await browser.get("/")).body)).toEqual(expected[method]);
      },
    );

    it("the store of the request is the store; generate and createSession make its sessions", async () => {
      await start(async (req, res) => {
        const before = req.session;
        req.sessionStore.generate(req);
        const generated = req.session;
        const created = req.sessionStore.createSession(req, {
          cookie: { expires: "2031-01-01T00:00:00.000Z", originalMaxAge: 1000, path: "/x", httpOnly: false },
          value: "b",
        });
        sendJson(res, {
          isStore: req.sessionStore === store,
          isNew: generated !== before,
          isCurrent: req.session === created,
          expires: created.cookie.expires instanceof Date,
          created,
          id: created.id,
        });
      });
      expect(JSON.parse((await browser.get("/")).body)).toEqual({
        isStore: true,
        isNew: true,
        isCurrent: true,
        expires: true,
        created: {
          cookie: { originalMaxAge: 1000, expires: "2031-01-01T00:00:00.000Z", httpOnly: false, path: "/x" },
          value: "b",
        },
        id: "id-2",
      });
    });

    it("load gives a session outside of a request, which can be changed and saved", async () => {
      await start(setting);
      await callsOf("/set/a");
      const load = (id: string) =>
        new Promise<[unknown, any]>((resolve) =>
          store.load(id, (error: unknown, found: unknown) => resolve([error, found])),
        );
      const [error, loaded] = await load("id-1");
      expect([error, loaded.id, loaded.value]).toEqual([null, "id-1", "a"]);
      loaded.value = "b";
      await called((done) => loaded.save(done));
      expect(store.sessions.get("id-1")).toBe(keptText({ value: "b" }));
      expect(await load("lost")).toEqual([undefined, undefined]);
      store.failures.get = new Error("no connection");
      expect(await load("id-1")).toEqual([store.failures.get, undefined]);
    });

    it("stores that inherit in the old way work", async () => {
      store = recordingStore(subject);
      function OldStore(this: any) {
        subject.session.Store.call(this, { option: 1 });
      }
      OldStore.prototype = Object.create(subject.session.Store.prototype);
      for (const method of ["get", "set", "destroy"])
        OldStore.prototype[method] = (...args: unknown[]) => store[method](...args);
      const old = new (OldStore as any)();
      served = await serve(subject, framework, { store: old }, setting);
      browser = served.browser();
      expect(await callsOf("/set/a")).toEqual([kept("id-1", { value: "a" })]);
      expect(await callsOf("/set/b")).toEqual(["get id-1", kept("id-1", { value: "b" })]);
      expect(old.listenerCount("disconnect")).toBe(1);
    });

    it("two middlewares of one name: the second leaves the session of the first alone", async () => {
      store = recordingStore(subject);
      const app = framework.create();
      const options = { store, secret: "x", resave: false, saveUninitialized: true, genid: () => "id-1" };
      app.use(subject.session(options));
      app.use(subject.session(options));
      app.use(setting);
      const { url, close } = await listen(app);
      const answer = await new Browser(url).get("/");
      expect(answer.setCookie).toHaveLength(1);
      expect(store.calls).toEqual([kept("id-1", {})]);
      await close();
    });
  });
}
