import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import { beyondNewest } from "../src/engine/users/limit.js";
import type { LivingSession } from "../src/engine/users/living-sessions.js";
import type { Store } from "../src/stores/contract.js";
import { sqliteStore } from "../src/stores/sqlite.js";
import { Barrier } from "./support/barrier.js";
import type { Answer } from "./support/browser.js";
import { finishedCookie, requestWith } from "./support/exchange.js";
import { checkManyLogins } from "./support/many-logins.js";
import { type Data, openShop, SECRET, type TestShop } from "./support/shop.js";
import { STORES, temporaryFile } from "./support/stores.js";

const session = (answer: Answer) => JSON.parse(answer.body);

describe.each(STORES)("the limit of a user's sessions, on the $name store", ({ open }) => {
  let shop: TestShop;
  afterEach(() => shop.close());

  const start = async (options: Partial<SessionsOptions<Data>>, store: Store = open()) => {
    shop = await openShop(store, options);
    shop.app.get("/reason", (req, res) => {
      res.send(req.session.reason);
    });
    return shop;
  };
  const reasonOf = async (browser: { get(path: string): Promise<Answer> }) =>
    (await browser.get("/reason")).body;

  describe("ends the oldest login", () => {
    it("also where that session is the busiest", async () => {
      const { browser, clock, events } = await start({ maxSessionsPerUser: 2 });
      const [first, second, third] = [browser(), browser(), browser()];
      await first.post("/login/ada");
      clock.advance(1000);
      await second.post("/login/ada");
      clock.advance(120_000);
      await first.get("/session");
      await third.post("/login/ada");
      expect(await reasonOf(first)).toBe("limit");
      expect(await reasonOf(second)).toBe("living");
      expect(await reasonOf(third)).toBe("living");
      expect(events).toContainEqual(
        expect.objectContaining({ name: "revoked", by: "limit", reason: "limit", userId: "ada" }),
      );
    });

    it("two logins at once with a limit of 1 leave one: each has stored its own before either looks", async () => {
      const store = open();
      const stored = new Barrier();
      const { browser } = await start(
        { maxSessionsPerUser: 1 },
        {
          ...bound(store),
          async create(id, record, call) {
            const done = await store.create(id, record, call);
            await stored.wait();
            return done;
          },
        },
      );
      const [one, two] = [browser(), browser()];
      const logins = [one.post("/login/ada"), two.post("/login/ada")];
      await stored.arrived(2);
      stored.open();
      await Promise.all(logins);
      const alive = [session(await one.get("/session")), session(await two.get("/session"))].filter(
        ({ isNew }) => !isNew,
      );
      expect(alive).toHaveLength(1);
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(1);
    });

    it.each([1, 3])("twenty logins at once leave %i", async (maxSessionsPerUser) => {
      const { browser } = await start({ maxSessionsPerUser });
      const browsers = Array.from({ length: 20 }, () => browser());
      await Promise.all(browsers.map((each) => each.post("/login/ada")));
      const reasons = await Promise.all(browsers.map(reasonOf));
      expect(reasons.filter((reason) => reason === "living")).toHaveLength(maxSessionsPerUser);
      expect(reasons.filter((reason) => reason === "limit")).toHaveLength(20 - maxSessionsPerUser);
    });

    it("the newest login stays, also at the same millisecond, and on a server whose clock is behind", async () => {
      const store = open();
      const { browser, clock } = await start({ maxSessionsPerUser: 1 }, store);
      const user = browser();
      await user.post("/login/ada");
      const behind = createSessions<any>({
        secrets: [SECRET],
        store,
        clock: () => clock.time - 60_000,
        maxSessionsPerUser: 1,
        sweepInterval: false,
      });
      const exchange = await behind.open(requestWith(undefined));
      await exchange.session.login("ada");
      const cookie = await finishedCookie(exchange);
      expect((await behind.open(requestWith(cookie))).session.userId).toBe("ada");
      expect(await reasonOf(user)).toBe("limit");
      await user.post("/login/ada");
      expect(session(await user.get("/session")).userId).toBe("ada");
      expect((await behind.open(requestWith(cookie))).session.reason).toBe("limit");
    });

    it("a session that is moving to a new token counts once", async () => {
      const store = open();
      const rotating = new Barrier();
      let hold = false;
      const { browser } = await start(
        { maxSessionsPerUser: 2 },
        {
          ...bound(store),
          // The new record is stored, and the old one not yet buried.
          async replace(...args) {
            if (hold) {
              hold = false;
              await rotating.wait();
            }
            return store.replace(...args);
          },
        },
      );
      const [first, second] = [browser(), browser()];
      await first.post("/login/ada");
      hold = true;
      const rotation = first.post("/rotate");
      await rotating.arrived();
      await second.post("/login/ada");
      rotating.open();
      await rotation;
      expect(session(await first.get("/session")).userId).toBe("ada");
      expect(session(await second.get("/session")).userId).toBe("ada");
    });

    it("a login again in a session that counts already ends no other", async () => {
      const { browser, clock } = await start({ maxSessionsPerUser: 2 });
      const [first, second] = [browser(), browser()];
      await first.post("/login/ada");
      clock.advance(1000);
      await second.post("/login/ada");
      clock.advance(1000);
      await first.post("/login/ada");
      for (const each of [first, second]) expect(await reasonOf(each)).toBe("living");
      // By that login it is the newest.
      clock.advance(1000);
      await browser().post("/login/ada");
      expect(await reasonOf(first)).toBe("living");
      expect(await reasonOf(second)).toBe("limit");
    });
  });

  describe("refuses the login", () => {
    it("with 409 and what to do, ends none, and takes it once there is room", async () => {
      const { browser, events, sessions } = await start({ maxSessionsPerUser: 2, atSessionLimit: "refuse" });
      const [first, second, third] = [browser(), browser(), browser()];
      await first.post("/login/ada");
      await second.post("/login/ada");
      await third.post("/set/cart/tea");
      const refused = await third.post("/login/ada");
      expect(refused.status).toBe(409);
      expect(refused.body).toContain("revoke(id)");
      expect(refused.setCookie).toEqual([]);
      expect(session(await third.get("/session"))).toMatchObject({ data: { cart: "tea" } });
      expect(session(await third.get("/session")).userId).toBeUndefined();
      for (const each of [first, second]) expect(await reasonOf(each)).toBe("living");
      expect(events).toContainEqual(
        expect.objectContaining({ name: "refused-login", userId: "ada", limit: 2 }),
      );
      expect(await sessions.ofUser("ada").list()).toHaveLength(2);

      await second.post("/logout");
      await third.post("/login/ada");
      expect(session(await third.get("/session"))).toMatchObject({ userId: "ada", data: { cart: "tea" } });
      expect((await browser().post("/login/ada")).status).toBe(409);
      expect((await browser().post("/login/bob")).status).toBe(302);
    });

    it("where sessions are encrypted, the notes of logins under way are, too", async () => {
      const { browser } = await start({ maxSessionsPerUser: 2, atSessionLimit: "refuse", encrypt: true });
      const answers = await Promise.all(Array.from({ length: 5 }, () => browser().post("/login/ada")));
      expect(answers.map(({ status }) => status).sort()).toEqual([302, 302, 409, 409, 409]);
      expect(await shop.sessions.ofUser("ada").revokeAll()).toBe(2);
      expect((await browser().post("/login/ada")).status).toBe(302);
    });

    it("a login again of one that counts already, and one after the others have expired, are taken", async () => {
      const { browser, clock } = await start({ maxSessionsPerUser: 1, atSessionLimit: "refuse" });
      const [first, second] = [browser(), browser()];
      await first.post("/login/ada");
      await first.post("/login/ada");
      expect(session(await first.get("/session")).userId).toBe("ada");
      expect((await second.post("/login/ada")).status).toBe(409);
      clock.advance(30 * 60_000);
      await second.post("/login/ada");
      expect(session(await second.get("/session")).userId).toBe("ada");
    });

    it.each([1, 3])("of twenty logins at once %i are taken", async (maxSessionsPerUser) => {
      const { browser } = await start({ maxSessionsPerUser, atSessionLimit: "refuse" });
      const answers = await Promise.all(Array.from({ length: 20 }, () => browser().post("/login/ada")));
      expect(answers.filter(({ status }) => status === 302)).toHaveLength(maxSessionsPerUser);
      expect(answers.filter(({ status }) => status === 409)).toHaveLength(20 - maxSessionsPerUser);
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(maxSessionsPerUser);
    });

    it("the same login form sent twice at once in a session that counts leaves one session", async () => {
      const { browser, barrier } = await start({ maxSessionsPerUser: 1, atSessionLimit: "refuse" });
      const user = browser();
      await user.post("/login/ada");
      const both = [user.post("/login/ada?hold=both"), user.twin().post("/login/ada?hold=both")];
      await barrier("both").arrived(2);
      barrier("both").open();
      const statuses = (await Promise.all(both)).map(({ status }) => status).sort();
      expect(statuses).toEqual([302, 409]);
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(1);
    });

    it("a login that failed gives its place back", async () => {
      const store = open();
      let failing = false;
      const { browser } = await start(
        { maxSessionsPerUser: 1, atSessionLimit: "refuse" },
        {
          ...bound(store),
          create(id, record, call) {
            if (failing && record.userId === "ada") throw new Error("the disk is full");
            return store.create(id, record, call);
          },
        },
      );
      failing = true;
      expect((await browser().post("/login/ada")).status).toBe(503);
      failing = false;
      expect((await browser().post("/login/ada")).status).toBe(302);
    });

    it("a login that took longer than a place is kept asks again, and is undone where that went to another", async () => {
      const store = open();
      const storing = new Barrier();
      let hold = true;
      const { browser, clock } = await start(
        { maxSessionsPerUser: 1, atSessionLimit: "refuse" },
        {
          ...bound(store),
          async create(id, record, call) {
            if (hold && record.userId === "ada") {
              hold = false;
              await storing.wait();
            }
            return store.create(id, record, call);
          },
        },
      );
      const [slow, fast] = [browser(), browser()];
      const late = slow.post("/login/ada");
      await storing.arrived();
      expect((await fast.post("/login/ada")).status).toBe(409);
      clock.advance(60_000);
      expect((await fast.post("/login/ada")).status).toBe(302);
      storing.open();
      expect((await late).status).toBe(409);
      expect(session(await slow.get("/session")).isNew).toBe(true);
      expect(session(await fast.get("/session")).userId).toBe("ada");
      expect(await shop.sessions.ofUser("ada").list()).toHaveLength(1);
    });
  });
});

describe("several processes on one SQLite file", () => {
  it.each([
    [1, "end-oldest"],
    [3, "end-oldest"],
    [3, "refuse"],
  ] as const)("twenty logins at once leave %i (%s)", async (most, atLimit) => {
    const path = temporaryFile("sessions.db");
    await checkManyLogins(path, sqliteStore({ path }), most, atLimit);
  });
});

describe("the order of logins", () => {
  const login = fc.record({ at: fc.nat(3), name: fc.string({ minLength: 1, maxLength: 3 }) });
  const living = ({ at, name }: { at: number; name: string }, index: number): LivingSession => ({
    id: `id-${index}`,
    record: { version: 1, payload: "", idleDeadline: 1, absoluteDeadline: 1, userId: "ada" },
    meta: { createdAt: at, seenAt: at, tokenAt: at, login: name },
  });
  const names = (sessions: readonly LivingSession[]) => new Set(sessions.map(({ meta }) => meta.login));

  it("whoever sees only some of the logins ends none of the newest, and whoever sees all leaves just those", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(login, { selector: ({ name }) => name, minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        fc.integer(),
        (logins, most, seen, seed) => {
          const all = logins.map(living);
          const shuffled = [...all].sort((a, b) => hash(a.id, seed) - hash(b.id, seed));
          const ended = names(beyondNewest(shuffled, most));
          const kept = [...names(all)].filter((name) => !ended.has(name));
          expect(kept).toHaveLength(Math.min(most, all.length));
          // In whatever order, and by whomever, it is the same ones.
          expect(names(beyondNewest(all, most))).toEqual(ended);
          const some = all.filter((_, index) => seen[index]);
          for (const name of names(beyondNewest(some, most))) expect(kept).not.toContain(name);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

function hash(text: string, seed: number): number {
  let value = seed;
  for (const character of text) value = (value * 31 + character.charCodeAt(0)) | 0;
  return value;
}

/** The store's methods as properties of its own, for one of them to be replaced. */
function bound(store: Store): Store {
  return Object.fromEntries(
    Object.entries(store).map(([name, value]) => [
      name,
      typeof value === "function" ? value.bind(store) : value,
    ]),
  ) as unknown as Store;
}
