import { afterEach, describe, expect, it } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import { Barrier } from "./support/barrier.js";
import type { Answer } from "./support/browser.js";
import { finishedCookie, requestWith } from "./support/exchange.js";
import { type Data, openShop, SECRET, type TestShop } from "./support/shop.js";
import { SEALED_STORES, STORES } from "./support/stores.js";

/** The promises of DESIGN part 1, over real HTTP, on every store, with the interleavings forced. */
describe.each([...STORES, ...SEALED_STORES])("on the $name store", ({ open }) => {
  let shop: TestShop;

  const start = async (options: Partial<SessionsOptions<Data>> = {}) => {
    shop = await openShop(open(), options);
    return shop;
  };
  afterEach(() => shop.close());

  const eventNames = () => shop.events.map(({ name }) => name);
  const session = (answer: Answer) => JSON.parse(answer.body);

  describe("no lost updates", () => {
    it("keeps what two overlapping requests wrote to different keys", async () => {
      const { browser, barrier } = await start();
      const user = browser();
      await user.post("/set/first/0");
      const slow = user.post("/set/a/1?hold=slow");
      await barrier("slow").arrived();
      await user.post("/set/b/2");
      barrier("slow").open();
      await slow;
      expect(session(await user.get("/session")).data).toEqual({ first: "0", a: "1", b: "2" });
      expect(eventNames()).toContain("conflict");
    });

    it("keeps both of two appends to one array", async () => {
      const { browser, barrier } = await start();
      const user = browser();
      await user.post("/cart/apple");
      const slow = user.post("/cart/pear?hold=slow");
      await barrier("slow").arrived();
      await user.post("/cart/plum");
      barrier("slow").open();
      expect(JSON.parse((await slow).body)).toEqual(["apple", "plum", "pear"]);
      expect(session(await user.get("/session")).data.cart).toEqual(["apple", "plum", "pear"]);
    });

    it("counts a hundred increments at once to a hundred", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/set/first/0");
      const answers = await Promise.all(Array.from({ length: 100 }, () => user.post("/increment")));
      expect(new Set(answers.map(({ body }) => body)).size).toBe(100);
      expect(session(await user.get("/session")).data.counter).toBe(100);
    });

    it("keeps what the handler changed while its own update was under way", async () => {
      const { browser, app } = await start();
      app.post("/both", async (req, res) => {
        req.session.data.before = 1;
        const update = req.session.update((data) => {
          data.counter = (data.counter ?? 0) + 1;
        });
        req.session.data.meanwhile = 1;
        await update;
        expect(req.session.data).toEqual({ first: "0", before: 1, meanwhile: 1, counter: 1 });
        res.end();
      });
      const user = browser();
      await user.post("/set/first/0");
      await user.post("/both");
      expect(session(await user.get("/session")).data).toEqual({
        first: "0",
        before: 1,
        meanwhile: 1,
        counter: 1,
      });
    });

    it("keeps the flash messages that come and go while the session is being saved", async () => {
      const store = open();
      const replace = store.replace.bind(store);
      const storing = new Barrier();
      store.replace = async (...args) => {
        await storing.wait();
        return replace(...args);
      };
      shop = await openShop(store);
      shop.app.post("/save", async (req, res) => {
        req.session.flash("first", 1);
        req.session.flash("taken", 1);
        const saving = req.session.save();
        await storing.arrived();
        req.session.flash("second", 2);
        req.session.flash("taken");
        storing.open();
        await saving;
        res.end();
      });
      shop.app.get("/flash", (req, res) => {
        res.json(["first", "second", "taken"].map((key) => req.session.flash(key)));
      });
      const user = shop.browser();
      await user.post("/set/a/1");
      await user.post("/save");
      expect(JSON.parse((await user.get("/flash")).body)).toEqual([[1], [2], []]);
    });

    it("merges a deletion with another request's change", async () => {
      const { browser, barrier, app } = await start();
      app.post("/delete/:key", (req, res) => {
        delete req.session.data[req.params.key];
        res.end();
      });
      const user = browser();
      await user.post("/set/old/1");
      const slow = user.post("/delete/old?hold=slow");
      await barrier("slow").arrived();
      await user.post("/set/new/2");
      barrier("slow").open();
      await slow;
      expect(session(await user.get("/session")).data).toEqual({ new: "2" });
    });

    it("applies the strategies that were declared for keys", async () => {
      const { browser, barrier, app } = await start({
        merge: {
          cart: "append",
          counter: "counter",
          seen: (_base, mine, theirs) => Math.max(Number(mine), Number(theirs)),
        },
      });
      app.post("/visit/:seen", (req, res) => {
        const { data } = req.session;
        data.cart = [...(data.cart ?? []), `item${req.params.seen}`];
        data.counter = (data.counter ?? 0) + 1;
        data.seen = Number(req.params.seen);
        res.end();
      });
      const user = browser();
      await user.post("/visit/1");
      const slow = user.post("/visit/5?hold=slow");
      await barrier("slow").arrived();
      await user.post("/visit/9");
      barrier("slow").open();
      await slow;
      expect(session(await user.get("/session")).data).toEqual({
        cart: ["item1", "item9", "item5"],
        counter: 3,
        seen: 9,
      });
    });

    it("keeps the flash messages of two overlapping requests, and gives each once", async () => {
      const { browser, barrier, app } = await start();
      app.post("/flash/:message", (req, res) => {
        req.session.flash("notice", req.params.message);
        res.end();
      });
      app.get("/flash", (req, res) => {
        res.json(req.session.flash("notice"));
      });
      const user = browser();
      await user.post("/flash/one");
      const slow = user.post("/flash/three?hold=slow");
      await barrier("slow").arrived();
      await user.post("/flash/two");
      barrier("slow").open();
      await slow;
      expect(JSON.parse((await user.get("/flash")).body)).toEqual(["one", "two", "three"]);
      expect(JSON.parse((await user.get("/flash")).body)).toEqual([]);
    });
  });

  describe("no resurrection", () => {
    const enders = [
      ["logout", (user: ReturnType<TestShop["browser"]>) => user.post("/logout")],
      ["rotate", (user: ReturnType<TestShop["browser"]>) => user.post("/rotate")],
      ["revokeAll", () => shop.sessions.ofUser("ada").revokeAll()],
      [
        "revoke",
        async () => shop.sessions.ofUser("ada").revoke((await shop.sessions.ofUser("ada").list())[0]!.id),
      ],
      ["idle expiry", async () => shop.clock.advance(31 * 60_000)],
      [
        "expiry seen by another",
        async (user: ReturnType<TestShop["browser"]>) => {
          shop.clock.advance(31 * 60_000);
          await user.twin().get("/session");
        },
      ],
      [
        "expiry and sweep",
        async () => {
          shop.clock.advance(31 * 60_000);
          await shop.sessions.sweep();
        },
      ],
    ] as const;

    it.each(enders)(
      "a slow writer doesn't undo %s, nor touches the browser's cookie",
      async (ender, endIt) => {
        const { browser, barrier } = await start();
        const user = browser();
        await user.post("/set/a/1");
        await user.post("/login/ada");
        const old = user.twin();
        const slow = old.post("/set/late/1?hold=slow");
        const slowUpdate = old.post("/increment?hold=slow");
        await barrier("slow").arrived(2);
        await endIt(user);
        const cookieAfter = user.cookieHeader;
        barrier("slow").open();

        const late = await slow;
        expect(late.status).toBe(200);
        expect(late.setCookie).toEqual([]);
        const refused = await slowUpdate;
        expect(refused.status).toBe(401);
        expect(refused.setCookie).toEqual([]);
        expect(shop.events).toContainEqual(
          expect.objectContaining({ name: "dropped-write", reason: "gone" }),
        );
        expect(session(await old.get("/session"))).toMatchObject({ isNew: true, data: {} });

        expect(user.cookieHeader).toBe(cookieAfter);
        const listed = await shop.sessions.ofUser("ada").list();
        expect(listed.length).toBe(ender === "rotate" ? 1 : 0);
        if (ender === "rotate") expect(session(await user.get("/session")).data).toEqual({ a: "1" });
      },
    );

    it("a login in one tab and a slow write of the anonymous session in another", async () => {
      const { browser, barrier } = await start();
      const user = browser();
      await user.post("/cart/apple");
      const tab = user.twin();
      const slow = tab.post("/set/late/1?hold=slow");
      await barrier("slow").arrived();
      await user.post("/login/ada");
      barrier("slow").open();
      expect((await slow).setCookie).toEqual([]);
      expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: { cart: ["apple"] } });
      expect(session(await user.get("/session")).data.late).toBeUndefined();
    });

    it("a write that the anonymous session got before the login finished is kept", async () => {
      const { browser, barrier } = await start();
      const user = browser();
      await user.post("/cart/apple");
      const login = user.post("/login/ada?hold=login");
      await barrier("login").arrived();
      await user.twin().post("/cart/pear");
      barrier("login").open();
      await login;
      expect(session(await user.get("/session"))).toMatchObject({
        userId: "ada",
        data: { cart: ["apple", "pear"] },
      });
    });

    it("a request that arrives late with the token from before a login starts no session of its own", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/cart/apple");
      const late = user.twin();
      await user.post("/login/ada");
      expect((await late.post("/set/late/1")).setCookie).toEqual([]);
      expect(shop.events).toContainEqual(expect.objectContaining({ name: "dropped-write", reason: "stale" }));
      // The browser is not locked out for it: logging in works at once, and anything does after the grace.
      expect((await late.twin().post("/login/ada")).setCookie).toHaveLength(1);
      shop.clock.advance(30_000);
      expect((await late.post("/set/later/1")).setCookie).toHaveLength(1);
    });

    it("a browser whose session was revoked may start a new one at once: it has been told nothing newer", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/login/ada");
      const [listed] = await shop.sessions.ofUser("ada").list();
      await shop.sessions.ofUser("ada").revoke(listed!.id);
      expect((await user.post("/set/a/1")).setCookie).toHaveLength(1);
      expect(session(await user.get("/session")).data).toEqual({ a: "1" });
    });

    it("a logout that arrives late, with the token from before a login, leaves the newer cookie alone", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/cart/apple");
      const late = user.twin();
      await user.post("/login/ada");
      expect((await late.post("/logout")).setCookie).toEqual([]);
      expect(session(await user.get("/session")).userId).toBe("ada");
    });

    it("two logins at once from one anonymous session both work, both are listed, both keep the cart", async () => {
      const { browser, barrier } = await start();
      const user = browser();
      await user.post("/cart/apple");
      const [one, two] = [user.twin(), user.twin()];
      const first = one.post("/login/ada?hold=both");
      const second = two.post("/login/ada?hold=both");
      await barrier("both").arrived(2);
      barrier("both").open();
      await Promise.all([first, second]);
      for (const each of [one, two]) {
        expect(session(await each.get("/session"))).toMatchObject({
          userId: "ada",
          data: { cart: ["apple"] },
        });
      }
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(2);
      expect(await shop.sessions.ofUser("ada").revokeAll()).toBe(2);
      for (const each of [one, two]) expect(session(await each.get("/session")).isNew).toBe(true);
    });

    it("a login that finds its anonymous session logged out doesn't bring its data back", async () => {
      const { browser, barrier } = await start();
      const user = browser();
      await user.post("/cart/private");
      const login = user.post("/login/ada?hold=login");
      await barrier("login").arrived();
      await user.twin().post("/logout");
      barrier("login").open();
      await login;
      expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: {} });
    });

    it("a request that only reads doesn't bring a logged-out session back by its touch", async () => {
      const { browser, barrier } = await start({ cookie: { persistent: true } });
      const user = browser();
      await user.post("/login/ada");
      shop.clock.advance(5 * 60_000);
      const slow = user.twin().get("/session?hold=slow");
      await barrier("slow").arrived();
      await user.post("/logout");
      barrier("slow").open();
      expect((await slow).setCookie).toEqual([]);
      expect(await shop.sessions.ofUser("ada").list()).toEqual([]);
    });
  });

  describe("read your writes", () => {
    it("a redirect right after login always finds the user", async () => {
      const { browser } = await start();
      for (let n = 0; n < 20; n++) {
        const user = browser();
        const redirect = await user.post("/login/ada");
        expect(redirect.status).toBe(302);
        expect(session(await user.get("/session")).userId).toBe("ada");
      }
    });
  });

  describe("safe rotation", () => {
    it("login gives a new token at once, keeps the data, and kills the old token", async () => {
      const { browser, barrier, app } = await start();
      app.post("/slow-login", async (req, res) => {
        await req.session.login("ada");
        await barrier("after-login").wait();
        res.end();
      });
      const user = browser();
      await user.post("/cart/apple");
      const old = user.twin();
      const before = session(await user.get("/session"));
      const login = user.post("/slow-login");
      await barrier("after-login").arrived();
      // Before the response has left, the old token is dead already.
      expect(session(await old.get("/session"))).toMatchObject({ isNew: true, data: {} });
      barrier("after-login").open();
      await login;
      const after = session(await user.get("/session"));
      expect(after).toMatchObject({ userId: "ada", data: { cart: ["apple"] } });
      expect(after.id).not.toBe(before.id);
      expect(eventNames()).toEqual(expect.arrayContaining(["created", "rotated", "login"]));
    });

    it("login keeps only the keys that it is told to", async () => {
      const { browser, app } = await start();
      app.post("/login-keep", async (req, res) => {
        await req.session.login("ada", { keep: ["cart"] });
        res.end();
      });
      const user = browser();
      await user.post("/cart/apple");
      await user.post("/set/coupon/GUESSED");
      await user.post("/login-keep");
      expect(session(await user.get("/session")).data).toEqual({ cart: ["apple"] });
    });

    it("login as another user in a living session is refused, and changes nothing", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/login/ada");
      const cookie = user.cookieHeader;
      expect((await user.post("/login/grace")).status).toBe(409);
      expect(user.cookieHeader).toBe(cookie);
      expect(session(await user.get("/session")).userId).toBe("ada");
    });

    it("a login again of the same user rotates and starts the absolute timeout anew", async () => {
      const { browser } = await start({ idleTimeout: "12h" });
      const user = browser();
      await user.post("/login/ada");
      const old = user.twin();
      shop.clock.advance(11 * 3_600_000);
      await user.post("/login/ada");
      shop.clock.advance(2 * 3_600_000);
      expect(session(await user.get("/session")).userId).toBe("ada");
      expect(session(await old.get("/session")).isNew).toBe(true);
    });

    it("rotate keeps data and user, and doesn't move the absolute deadline", async () => {
      const { browser } = await start({ idleTimeout: "12h", renewAfter: false });
      const user = browser();
      await user.post("/login/ada");
      await user.post("/cart/apple");
      const old = user.twin();
      shop.clock.advance(6 * 3_600_000);
      await user.post("/rotate");
      expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: { cart: ["apple"] } });
      expect(session(await old.get("/session")).isNew).toBe(true);
      shop.clock.advance(6 * 3_600_000);
      expect(session(await user.get("/session")).isNew).toBe(true);
    });

    it("renewal gives a new token, and requests in flight with the old one stay in the session", async () => {
      const { browser, barrier } = await start();
      const user = browser();
      await user.post("/login/ada");
      shop.clock.advance(20 * 60_000);
      await user.get("/session");
      shop.clock.advance(20 * 60_000);
      await user.get("/session");
      shop.clock.advance(20 * 60_000);

      const old = user.twin();
      const slow = old.post("/set/late/1?hold=slow");
      const slowUpdate = old.post("/increment?hold=slow");
      await barrier("slow").arrived(2);
      expect((await user.get("/session")).setCookie).toHaveLength(1);
      expect(user.cookieHeader).not.toBe(old.cookieHeader);
      barrier("slow").open();
      expect((await slow).setCookie).toEqual([]);
      expect((await slowUpdate).body).toBe("1");

      // The old token leads to the renewed session for the grace, and no longer.
      const late = old.twin();
      expect(session(await late.get("/session"))).toMatchObject({
        userId: "ada",
        data: { late: "1", counter: 1 },
      });
      expect(session(await user.get("/session"))).toMatchObject({
        userId: "ada",
        data: { late: "1", counter: 1 },
      });
      shop.clock.advance(30_000);
      expect(session(await late.get("/session")).isNew).toBe(true);
      expect(shop.events).toContainEqual(
        expect.objectContaining({ name: "rejected-cookie", reason: "renewed" }),
      );
      expect(session(await user.get("/session")).userId).toBe("ada");
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(1);
    });

    it("of many requests that find a renewal due, one renews and none writes a cookie besides", async () => {
      const { browser } = await start({ idleTimeout: "2h" });
      const user = browser();
      await user.post("/login/ada");
      shop.clock.advance(61 * 60_000);
      const twins = Array.from({ length: 10 }, () => user.twin());
      const answers = await Promise.all(twins.map((twin, n) => twin.post(`/set/key${n}/1`)));
      expect(answers.flatMap(({ setCookie }) => setCookie)).toHaveLength(1);
      const renewed = twins.find((_, n) => answers[n]!.setCookie.length > 0)!;
      expect(Object.keys(session(await renewed.get("/session")).data)).toHaveLength(10);
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(1);
    });

    it("a renewal whose response never arrived logs nobody out, however often it happens", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/login/ada");
      for (let minutes = 0; minutes < 40; minutes += 20) {
        shop.clock.advance(20 * 60_000);
        await user.get("/session");
      }
      shop.clock.advance(20 * 60_000);
      // From here the browser sends the same old token again and again, as if no response had come.
      for (let lost = 0; lost < 3; lost++) {
        const unlucky = user.twin();
        expect(session(await unlucky.get("/session")).userId).toBe("ada");
        expect(session(await user.twin().get("/session")).userId).toBe("ada");
        shop.clock.advance(10 * 60_000);
      }
      const answer = await user.get("/session");
      expect(answer.setCookie).toHaveLength(1);
      shop.clock.advance(60_000);
      expect(session(await user.get("/session")).userId).toBe("ada");
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(1);
    });

    it("many renewals of a long session leave one tombstone, not one each", async () => {
      const store = open();
      const living = new Set<string>();
      const [create, remove] = [store.create.bind(store), store.delete.bind(store)];
      store.create = (id, ...rest) => {
        living.add(id);
        return create(id, ...rest);
      };
      store.delete = (id, call) => {
        living.delete(id);
        return remove(id, call);
      };
      shop = await openShop(store, { idleTimeout: "30d", absoluteTimeout: "90d" });
      const user = shop.browser();
      await user.post("/login/ada");
      for (let hour = 0; hour < 20; hour++) {
        shop.clock.advance(61 * 60_000);
        expect((await user.get("/session")).setCookie).toHaveLength(1);
        await user.get("/session");
      }
      expect(living.size).toBe(2);
      expect(session(await user.get("/session")).userId).toBe("ada");
    });

    it("a logout with the token from before a renewal ends the renewed session", async () => {
      const { browser } = await start({ idleTimeout: "2h" });
      const user = browser();
      await user.post("/login/ada");
      shop.clock.advance(61 * 60_000);
      const old = user.twin();
      await user.get("/session");
      await old.post("/logout");
      expect(session(await user.get("/session")).isNew).toBe(true);
    });

    it("a logout that meets a renewal ends the session, whichever is first", async () => {
      const { browser, barrier } = await start({ idleTimeout: "2h" });
      const user = browser();
      await user.post("/login/ada");
      shop.clock.advance(61 * 60_000);
      const logout = user.twin().post("/logout?hold=logout");
      await barrier("logout").arrived();
      await user.get("/session");
      barrier("logout").open();
      await logout;
      expect(session(await user.get("/session")).isNew).toBe(true);
      expect(await shop.sessions.ofUser("ada").list()).toEqual([]);
    });

    it("revoking the id from before a renewal ends the renewed session", async () => {
      const { browser } = await start({ idleTimeout: "2h" });
      const user = browser();
      await user.post("/login/ada");
      const [listed] = await shop.sessions.ofUser("ada").list();
      shop.clock.advance(61 * 60_000);
      await user.get("/session");
      expect(await shop.sessions.ofUser("grace").revoke(listed!.id)).toBe(false);
      expect(await shop.sessions.ofUser("ada").revoke(listed!.id)).toBe(true);
      expect(session(await user.get("/session")).isNew).toBe(true);
    });
  });

  describe("expiry is the server's", () => {
    it("ends an idle session, to the millisecond, and says which timeout", async () => {
      const { browser } = await start({ touchInterval: 1 });
      const user = browser();
      await user.post("/set/a/1");
      shop.clock.advance(30 * 60_000 - 1);
      expect(session(await user.get("/session")).isNew).toBe(false);
      shop.clock.advance(30 * 60_000);
      expect(session(await user.get("/session"))).toMatchObject({ isNew: true, data: {} });
      expect(shop.events).toContainEqual(expect.objectContaining({ name: "expired", timeout: "idle" }));
    });

    it("ends a busy session at the absolute timeout, which no activity moves", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/login/ada");
      for (let hours = 0; hours < 12; hours += 0.25) {
        expect(session(await user.get("/session")).userId).toBe("ada");
        shop.clock.advance(15 * 60_000);
      }
      expect(session(await user.get("/session")).isNew).toBe(true);
      expect(shop.events).toContainEqual(expect.objectContaining({ name: "expired", timeout: "absolute" }));
    });

    it("moves the deadline of a reader at most once in the touch interval", async () => {
      const store = open();
      let touches = 0;
      const touch = store.touch.bind(store);
      store.touch = (...args) => {
        touches++;
        return touch(...args);
      };
      shop = await openShop(store);
      const user = shop.browser();
      await user.post("/set/a/1");
      for (let n = 0; n < 30; n++) {
        shop.clock.advance(10_000);
        await user.get("/plain");
      }
      expect(touches).toBe(5);
    });

    it("tells a handler the deadline that holds once its own request has counted", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/set/a/1");
      shop.clock.advance(20 * 60_000);
      const told = session(await user.get("/session")).expiresAt;
      expect(told).toBe(new Date(shop.clock.time + 30 * 60_000).toISOString());
    });

    it("doesn't count a request that is no activity of the user's, such as one that polls", async () => {
      const { browser, app } = await start();
      app.get("/poll", (req, res) => {
        req.session.ignoreActivity();
        res.json(req.session);
      });
      const user = browser();
      await user.post("/set/a/1");
      const { expiresAt } = session(await user.get("/poll"));
      shop.clock.advance(20 * 60_000);
      expect(session(await user.get("/poll")).expiresAt).toBe(expiresAt);
      shop.clock.advance(10 * 60_000);
      expect(session(await user.get("/poll")).isNew).toBe(true);
    });

    it("moves the deadline at once where the handler asks for it", async () => {
      const { browser, app } = await start();
      app.post("/extend", async (req, res) => {
        await req.session.touch();
        res.json(req.session);
      });
      const user = browser();
      expect(session(await user.post("/extend")).isNew).toBe(true);
      await user.post("/set/a/1");
      shop.clock.advance(1000);
      expect(session(await user.post("/extend")).expiresAt).toBe(
        new Date(shop.clock.time + 30 * 60_000).toISOString(),
      );
      shop.clock.advance(30 * 60_000 - 1);
      expect(session(await user.get("/session")).isNew).toBe(false);
    });

    it("follows with the cookie where it is persistent", async () => {
      const { browser } = await start({ cookie: { persistent: true } });
      const user = browser();
      expect((await user.post("/set/a/1")).setCookie[0]).toContain("; Max-Age=1800;");
      shop.clock.advance(10_000);
      expect((await user.get("/session")).setCookie).toEqual([]);
      shop.clock.advance(60_000);
      expect((await user.get("/session")).setCookie[0]).toContain("; Max-Age=1800;");
    });
  });

  it("makes the data of each new session anew, and a session under a shorter timeout was seen in the past", async () => {
    const store = open();
    shop = await openShop(store, { idleTimeout: "12h" });
    const { sessions } = shop;
    const other = createSessions<Data>({
      secrets: [SECRET],
      store,
      clock: shop.clock.read,
      sweepInterval: false,
      initial: () => ({ counter: Math.random() }),
    });
    const [one, two] = [await other.open(requestWith(undefined)), await other.open(requestWith(undefined))];
    expect(one.session.data.counter).not.toBe(two.session.data.counter);
    expect(await finishedCookie(one)).toBeUndefined();

    const long = await sessions.open(requestWith(undefined));
    long.session.data.a = 1;
    const cookie = await finishedCookie(long);
    shop.clock.advance(1000);
    const { lastSeenAt } = (await other.open(requestWith(cookie))).session;
    expect(lastSeenAt.getTime()).toBeLessThanOrEqual(shop.clock.time);
  });

  describe("nothing is made for nobody", () => {
    it("a reader gets no cookie and costs no store call", async () => {
      const store = open();
      const calls = countCalls(store);
      shop = await openShop(store);
      const user = shop.browser();
      const answer = await user.get("/session");
      expect(answer.setCookie).toEqual([]);
      await user.get("/plain");
      expect(calls).toEqual([]);
    });

    it("a reader of a living session costs one load", async () => {
      const store = open();
      const calls = countCalls(store);
      shop = await openShop(store);
      const user = shop.browser();
      await user.post("/set/a/1");
      calls.length = 0;
      const answer = await user.get("/session");
      expect(answer.setCookie).toEqual([]);
      expect(calls).toEqual(["load"]);
    });
  });

  describe("bounded", () => {
    it("refuses data beyond the limit, names the biggest keys, and stores nothing of it", async () => {
      const { browser, app } = await start();
      let error: any;
      app.post("/huge", (req, res) => {
        req.session.data.essay = "x".repeat(70_000);
        req.session.data.small = 1;
        res.send("never sent");
      });
      app.use((failure: any, _req: any, res: any, _next: any) => {
        error = failure;
        res.status(failure.status).send(failure.code);
      });
      const user = browser();
      await user.post("/set/a/1");
      const answer = await user.post("/huge");
      expect(answer).toMatchObject({ status: 500, body: "ERR_HOLDFAST_PAYLOAD_TOO_LARGE" });
      expect(error.keys[0]).toEqual({ key: "essay", bytes: 70_012 });
      expect(error.message).not.toContain("xxx");
      expect(session(await user.get("/session")).data).toEqual({ a: "1" });
    });

    it("keeps a user's sessions at the limit, and ends the one last seen longest ago", async () => {
      const { browser } = await start({ maxSessionsPerUser: 3 });
      const browsers = Array.from({ length: 5 }, () => browser());
      for (const each of browsers) {
        await each.post("/login/ada");
        shop.clock.advance(1000);
      }
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(3);
      const alive = await Promise.all(
        browsers.map(async (each) => !session(await each.get("/session")).isNew),
      );
      expect(alive).toEqual([false, false, true, true, true]);
      expect(shop.events).toContainEqual(
        expect.objectContaining({ name: "revoked", by: "limit", userId: "ada" }),
      );
    });
  });

  describe("a user's sessions", () => {
    it("lists them with times and the client, and revokes one, the others, all", async () => {
      const { browser } = await start();
      const [laptop, phone, stranger] = [browser(), browser(), browser()];
      const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
      await laptop.post("/login/ada", { "user-agent": firefox });
      shop.clock.advance(1000);
      await phone.post("/login/ada", {
        "user-agent":
          "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
      });
      await stranger.post("/login/grace");
      const ofAda = shop.sessions.ofUser("ada");
      const listed = await ofAda.list();
      expect(listed.map(({ client }) => client)).toEqual([
        { browser: "Safari", system: "iOS" },
        { browser: "Firefox", system: "Windows" },
      ]);
      expect(listed[1]).toMatchObject({
        createdAt: new Date(Date.UTC(2030, 0, 1)),
        authenticatedAt: new Date(Date.UTC(2030, 0, 1)),
        expiresAt: new Date(Date.UTC(2030, 0, 1, 0, 30)),
      });

      const current = session(await laptop.get("/session")).id;
      expect(await ofAda.revokeAll({ except: current })).toBe(1);
      expect(session(await phone.get("/session")).isNew).toBe(true);
      expect(session(await laptop.get("/session")).userId).toBe("ada");
      expect(await shop.sessions.ofUser("grace").revoke(current)).toBe(false);
      expect(await ofAda.revoke("no such id; DROP TABLE")).toBe(false);
      expect(await ofAda.revoke(current)).toBe(true);
      expect(await ofAda.revoke(current)).toBe(false);
      expect(session(await laptop.get("/session")).isNew).toBe(true);
      expect(session(await stranger.get("/session")).userId).toBe("grace");
    });
  });
});

function countCalls(store: any): string[] {
  const calls: string[] = [];
  for (const method of ["load", "create", "replace", "touch", "delete"]) {
    const original = store[method].bind(store);
    store[method] = (...args: unknown[]) => {
      calls.push(method);
      return original(...args);
    };
  }
  return calls;
}
