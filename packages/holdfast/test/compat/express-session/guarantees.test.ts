import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { toConnectStore } from "../../../src/compat/connect-stores/index.js";
import { createSessions } from "../../../src/engine/create-sessions.js";
import type { Store } from "../../../src/stores/contract.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { sqliteStore } from "../../../src/stores/sqlite.js";
import { Barrier } from "../../support/barrier.js";
import type { Browser } from "../../support/browser.js";
import { SECRET as LONG_SECRET } from "../../support/shop.js";
import { STORES, temporaryFile } from "../../support/stores.js";
import { DROP_IN, EXPRESS_5, ORIGINAL, type Served, type Subject, sendJson, serve } from "./subject.js";

/**
 * What a Holdfast store brings to an application written for express-session: each race is forced twice in one test, on the
 * original, which loses it, and on the drop-in.
 */

/** An application whose requests wait in the middle, with the session loaded, where they are told to by `?hold=name`. */
interface Application extends Served {
  barrier(name: string): Barrier;
}

async function open(subject: Subject, options: Record<string, any> = {}): Promise<Application> {
  const barriers = new Map<string, Barrier>();
  const barrier = (name: string) => {
    const found = barriers.get(name) ?? new Barrier();
    barriers.set(name, found);
    return found;
  };
  const served = await serve(subject, EXPRESS_5, { genid: undefined, ...options }, async (req, res) => {
    const { pathname, searchParams } = new URL(req.url!, "http://localhost");
    const [, action, key = "", value] = pathname.split("/");
    const hold = searchParams.get("hold");
    if (hold !== null) await barrier(hold).wait();
    if (action === "set") req.session[key] = value;
    if (action === "add") req.session[key] = { ...req.session[key], [value!]: true };
    if (action === "login") {
      await new Promise((resolve) => req.session.regenerate(resolve));
      req.session.passport = { user: key };
    }
    if (action === "logout") await new Promise((resolve) => req.session.destroy(resolve));
    if (action === "stream") {
      res.write("first ");
      await barrier(key).wait();
      req.session.streamed = true;
      return res.end("last");
    }
    if (action === "save") {
      req.session[key] = value;
      await new Promise((resolve) => req.session.save(resolve));
    }
    const { cookie: _, ...data } = req.session ?? {};
    sendJson(res, data);
  });
  return { ...served, barrier };
}

const read = async (browser: Browser) => JSON.parse((await browser.get("/show")).body);

describe.each(STORES)("with Holdfast's $name store", ({ open: openStore }) => {
  let store: Store;
  const applications: Application[] = [];
  const start = async (subject: Subject, options: Record<string, any> = {}) => {
    const application = await open(subject, options);
    applications.push(application);
    return application;
  };
  beforeEach(() => {
    store = openStore();
  });
  afterEach(async () => {
    for (const application of applications.splice(0)) await application.close();
    await store.close();
  });

  /** Plays a race to both; what each had in the end. */
  const race = async (
    play: (application: Application, browser: Browser) => Promise<unknown>,
    options: Record<string, any> = {},
  ) => {
    const outcomes = [];
    for (const application of [await start(ORIGINAL, options), await start(DROP_IN, { ...options, store })])
      outcomes.push(await play(application, application.browser()));
    return { original: outcomes[0], dropIn: outcomes[1] };
  };

  it.each([false, true])(
    "two requests that change different things both keep their change (resave: %s)",
    async (resave) => {
      const outcome = await race(
        async (application, browser) => {
          await browser.get("/set/begun/1");
          const first = browser.get("/set/a/1?hold=first");
          await application.barrier("first").arrived();
          await browser.get("/set/b/2");
          application.barrier("first").open();
          await first;
          return read(browser);
        },
        { resave },
      );
      expect(outcome).toEqual({
        original: { begun: "1", a: "1" },
        dropIn: { begun: "1", a: "1", b: "2" },
      });
    },
  );

  it("a request that only reads takes nothing back, with resave", async () => {
    const outcome = await race(
      async (application, browser) => {
        await browser.get("/set/begun/1");
        const reading = browser.get("/show?hold=reading");
        await application.barrier("reading").arrived();
        await browser.get("/set/a/1");
        application.barrier("reading").open();
        await reading;
        return read(browser);
      },
      { resave: true },
    );
    expect(outcome).toEqual({ original: { begun: "1" }, dropIn: { begun: "1", a: "1" } });
  });

  it("ten requests at once add to one cart", async () => {
    const outcome = await race(async (application, browser) => {
      await browser.get("/add/cart/begun");
      const adding = Array.from({ length: 10 }, (_, n) => browser.get(`/add/cart/item${n}?hold=all`));
      await application.barrier("all").arrived(10);
      application.barrier("all").open();
      await Promise.all(adding);
      return Object.keys((await read(browser)).cart).length;
    });
    expect(outcome.dropIn).toBe(11);
    expect(outcome.original).toBeLessThan(11);
  });

  it.each(["set", "save"])("a late %s doesn't bring back a session that was logged out", async (action) => {
    const outcome = await race(async (application, browser) => {
      await browser.get("/login/ada");
      const stolen = browser.twin();
      const late = browser.twin().get(`/${action}/a/1?hold=late`);
      await application.barrier("late").arrived();
      await browser.get("/logout");
      application.barrier("late").open();
      const { status } = await late;
      return { status, ...(await read(stolen)) };
    });
    expect(outcome).toEqual({
      original: { status: 200, passport: { user: "ada" }, a: "1" },
      dropIn: { status: 200 },
    });
  });

  it("a late write leaves the session of before a login dead", async () => {
    const outcome = await race(async (application, browser) => {
      await browser.get("/set/anonymous/1");
      const fixated = browser.twin();
      const late = browser.twin().get("/set/a/1?hold=late");
      await application.barrier("late").arrived();
      await browser.get("/login/ada");
      application.barrier("late").open();
      await late;
      return { before: await read(fixated), user: (await read(browser)).passport.user };
    });
    expect(outcome).toEqual({
      original: { before: { anonymous: "1", a: "1" }, user: "ada" },
      dropIn: { before: {}, user: "ada" },
    });
  });

  it("a stream that ends after the logout brings nothing back", async () => {
    const outcome = await race(async (application, browser) => {
      await browser.get("/login/ada");
      const stolen = browser.twin();
      const streaming = browser.twin().get("/stream/streaming");
      await application.barrier("streaming").arrived();
      await browser.get("/logout");
      application.barrier("streaming").open();
      await streaming;
      return read(stolen);
    });
    expect(outcome).toEqual({ original: { passport: { user: "ada" }, streamed: true }, dropIn: {} });
  });

  it("a merge is seen by the request that goes on", async () => {
    const application = await start(DROP_IN, { store });
    const browser = application.browser();
    await browser.get("/set/begun/1");
    const first = browser.get("/save/a/1?hold=first");
    await application.barrier("first").arrived();
    await browser.get("/set/b/2");
    application.barrier("first").open();
    expect(JSON.parse((await first).body)).toEqual({ begun: "1", a: "1", b: "2" });
  });

  describe("sessions of a user", () => {
    const sessionsOver = () => createSessions<any>({ secrets: [LONG_SECRET], store, sweepInterval: false });

    it("are listed and revoked by the native API, by what Passport notes", async () => {
      const application = await start(DROP_IN, { store });
      const [phone, laptop, other] = [application.browser(), application.browser(), application.browser()];
      for (const browser of [phone, laptop]) await browser.get("/login/ada");
      await other.get("/login/bob");
      const ada = sessionsOver().ofUser("ada");
      const listed = await ada.list();
      expect(listed).toHaveLength(2);
      await ada.revoke(listed[0]!.id);
      expect([await read(phone), await read(laptop)].filter(({ passport }) => passport)).toHaveLength(1);
      await ada.revokeAll();
      expect(await Promise.all([phone, laptop].map(read))).toEqual([{}, {}]);
      expect((await read(other)).passport.user).toBe("bob");
      expect(await ada.list()).toEqual([]);
    });

    it("are those that the option userId names", async () => {
      const connectStore = toConnectStore(store, { userId: ({ account }) => account });
      const application = await start(DROP_IN, { store: connectStore });
      const browser = application.browser();
      await browser.get("/set/account/7");
      expect(await sessionsOver().ofUser("7").list()).toHaveLength(1);
      await browser.get("/set/account/8");
      expect(await sessionsOver().ofUser("7").list()).toHaveLength(0);
      expect(await sessionsOver().ofUser("8").list()).toHaveLength(1);
    });

    it.each(["revokeAll", "revoke"] as const)(
      "that were ended by %s stay so, whatever is still under way",
      async (way) => {
        const application = await start(DROP_IN, { store });
        const browser = application.browser();
        await browser.get("/login/ada");
        const late = browser.get("/set/a/1?hold=late");
        await application.barrier("late").arrived();
        const ada = sessionsOver().ofUser("ada");
        if (way === "revokeAll") await ada.revokeAll();
        else for (const { id } of await ada.list()) await ada.revoke(id);
        application.barrier("late").open();
        await late;
        expect(await read(browser)).toEqual({});
      },
    );

    it("may be called anything: a user whom no store can name is not listed, and logs in all the same", async () => {
      const application = await start(DROP_IN, { store });
      const browser = application.browser();
      const name = "x".repeat(300);
      expect((await browser.get(`/login/${name}`)).status).toBe(200);
      expect((await read(browser)).passport.user).toBe(name);
    });
  });
});

describe("a store that was stolen", () => {
  it("holds no session id, in any call", async () => {
    const store = memoryStore();
    const seen: string[] = [];
    const spied = new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          seen.push(JSON.stringify(args.slice(0, -1)));
          return value.apply(target, args);
        };
      },
    });
    await expectNoIdIn(spied, () => seen.join("\n"));
  });

  it("holds no session id, in any file", async () => {
    const path = temporaryFile("sessions.db");
    await expectNoIdIn(sqliteStore({ path }), () =>
      readdirSync(dirname(path))
        .map((file) => readFileSync(join(dirname(path), file), "latin1"))
        .join("\n"),
    );
  });

  async function expectNoIdIn(store: Store, contents: () => string): Promise<void> {
    const application = await open(DROP_IN, { store });
    const browser = application.browser();
    const ids: string[] = [];
    for (const path of ["/set/marker/findme", "/login/ada", "/show"]) {
      await browser.get(path);
      ids.push(decodeURIComponent(browser.cookies.get("connect.sid")!).slice(2).split(".")[0]!);
    }
    const text = contents();
    expect(text).toContain("findme");
    for (const id of ids) expect(text).not.toContain(id);
    await application.close();
    await store.close();
  }
});
