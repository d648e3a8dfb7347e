import { afterEach, describe, expect, it } from "vitest";
import type { SessionsOptions } from "../src/engine/create-sessions.js";
import { createSessions } from "../src/engine/create-sessions.js";
import type { RevokeOptions } from "../src/engine/users/revocation.js";
import type { Store } from "../src/stores/contract.js";
import { cookieStore } from "../src/stores/cookie.js";
import { memoryStore } from "../src/stores/memory.js";
import type { Answer, Browser } from "./support/browser.js";
import { openCookieShop } from "./support/cookie-shop.js";
import { type Data, openShop, SECRET, type TestShop } from "./support/shop.js";
import { STORES } from "./support/stores.js";

const MINUTE = 60_000;
const session = (answer: Answer) => JSON.parse(answer.body);

let shop: Pick<TestShop, "app" | "clock" | "events" | "close">;
afterEach(() => shop.close());

function addReason(): void {
  shop.app.get("/reason", (req, res) => {
    res.send(req.session.reason);
  });
}
const reasonOf = async (browser: Browser) => (await browser.get("/reason")).body;
const idOf = async (browser: Browser): Promise<string> => session(await browser.get("/session")).id;

/** A store on which `meanwhile` happens once, after the answer of a method and before who asked for it gets it. */
function meddling(store: Store, method: "load" | "listByUser") {
  const state: { meanwhile: (() => Promise<unknown>) | undefined; after: number } = {
    meanwhile: undefined,
    after: 0,
  };
  const meddled: Store = {
    ...store,
    async [method](...args: [any, any]) {
      const answer = await store[method](...args);
      if (state.meanwhile !== undefined && state.after-- > 0) return answer;
      const { meanwhile } = state;
      state.meanwhile = undefined;
      await meanwhile?.();
      return answer;
    },
  };
  for (const name of ["create", "replace", "touch", "delete", "load", "listByUser", "deleteByUser"] as const)
    if (name !== method) Object.assign(meddled, { [name]: store[name].bind(store) });
  return { store: meddled, state };
}

describe.each(STORES)("on the $name store", ({ open }) => {
  const start = async (options: Partial<SessionsOptions<Data>> = {}, store = open()) => {
    const opened = await openShop(store, options);
    shop = opened;
    addReason();
    return opened;
  };

  describe("why a session ended is told to the next request of its browser", () => {
    const cases: Array<[string, RevokeOptions, string]> = [
      ["nobody says why", {}, "revoked"],
      ["a password change", { reason: "password-changed" }, "password-changed"],
      ["a disabled account", { reason: "account-disabled" }, "account-disabled"],
      ["a reason of the application's own", { reason: "app:terms-changed" }, "app:terms-changed"],
    ];
    it.each(cases)("revoke, revokeAll and an administrator's revoke: %s", async (_name, options, reason) => {
      const { browser, sessions, events } = await start();
      const [one, two, three] = [browser(), browser(), browser()];
      for (const each of [one, two, three]) await each.post("/login/ada");
      const by = "admin:grace";
      expect(await sessions.ofUser("ada").revoke(await idOf(one), { ...options, by })).toBe(true);
      expect(await sessions.ofEveryone().revoke(await idOf(two), { ...options, by })).toBe(true);
      expect(await sessions.ofUser("ada").revokeAll({ ...options, by })).toBe(1);
      for (const each of [one, two, three]) {
        expect(await reasonOf(each)).toBe(reason);
        // Again, until it has a new session: the cookie is not taken away by asking.
        expect(await reasonOf(each)).toBe(reason);
      }
      const told = events.filter(({ name }) => name === "revoked");
      expect(told.map((event) => [event.by, event.reason, event.actor])).toEqual([
        ["revoke", reason, by],
        ["revoke", reason, by],
        ["revokeAll", reason, by],
      ]);
    });

    it("for as long as the session could have lived idle, and not longer", async () => {
      const { browser, clock, sessions } = await start();
      const user = browser();
      await user.post("/login/ada");
      clock.advance(10 * MINUTE);
      await sessions.ofUser("ada").revokeAll({ reason: "password-changed" });
      clock.advance(20 * MINUTE - 1);
      expect(await reasonOf(user)).toBe("password-changed");
      clock.advance(1);
      expect(await reasonOf(user)).toBe("unknown");
      expect(await sessions.sweep()).toBe(1);
    });

    it("timeouts", async () => {
      const { browser, clock } = await start({ absoluteTimeout: "45m" });
      const [idle, busy] = [browser(), browser()];
      await idle.post("/login/ada");
      await busy.post("/login/ada");
      clock.advance(29 * MINUTE);
      await busy.get("/session");
      clock.advance(MINUTE);
      expect(await reasonOf(idle)).toBe("idle-timeout");
      clock.advance(15 * MINUTE);
      expect(await reasonOf(busy)).toBe("absolute-timeout");
    });

    it("not to who comes without its token: with none, with the id, or with one that was dead before", async () => {
      const { browser, clock, sessions } = await start({ renewAfter: "5m" });
      const user = browser();
      await user.post("/login/ada");
      const thief = user.twin();
      clock.advance(5 * MINUTE);
      await user.get("/session");
      await user.get("/session");
      clock.advance(MINUTE);
      // The renewal is confirmed and its grace is over.
      expect(await reasonOf(thief)).toBe("renewed");
      const id = await idOf(user);
      await sessions.ofUser("ada").revokeAll({ reason: "account-disabled" });
      expect(await reasonOf(user)).toBe("account-disabled");
      expect(await reasonOf(thief)).toBe("renewed");
      expect(await reasonOf(browser())).toBe("none-sent");
      const guesser = browser();
      for (const name of user.cookies.keys()) guesser.cookies.set(name, id);
      expect(await reasonOf(guesser)).toBe("malformed");
    });

    it("to a browser whose renewal got lost, by the token that it still has", async () => {
      const { browser, clock, sessions } = await start({ renewAfter: "5m" });
      const user = browser();
      await user.post("/login/ada");
      clock.advance(5 * MINUTE);
      await user.twin().get("/session");
      clock.advance(MINUTE);
      await sessions.ofUser("ada").revokeAll({ reason: "password-changed" });
      expect(await reasonOf(user)).toBe("password-changed");
    });

    it("and nothing of the session comes back with it", async () => {
      const { browser, sessions } = await start();
      const user = browser();
      await user.post("/set/cart/tea");
      await user.post("/login/ada");
      await sessions.ofUser("ada").revokeAll();
      expect(session(await user.get("/session"))).toMatchObject({ isNew: true, data: {} });
      await user.post("/set/theme/dark");
      expect(session(await user.get("/session"))).toMatchObject({ isNew: false, data: { theme: "dark" } });
      expect(await sessions.ofUser("ada").list()).toEqual([]);
    });
  });

  it("a reason, or an actor, that is none is refused and nothing is ended", async () => {
    const { browser, sessions } = await start();
    const user = browser();
    await user.post("/login/ada");
    for (const options of [
      { reason: "limit" },
      { reason: "app:" },
      { reason: "app:<b>" },
      { reason: "anything" },
      { reason: "app:x".padEnd(50, "x") },
      { by: "" },
      { by: "a\nb" },
      { by: "x".repeat(256) },
      { by: 7 },
    ] as any[]) {
      await expect(sessions.ofUser("ada").revokeAll(options)).rejects.toThrow("revokeAll() takes");
      await expect(sessions.ofUser("ada").revoke("x", options)).rejects.toThrow("revoke() takes");
      await expect(sessions.ofEveryone().revokeAll(options)).rejects.toThrow("revokeAll() takes");
    }
    expect(session(await user.get("/session")).userId).toBe("ada");
  });

  describe("a session that moves to a new token while it is being ended", () => {
    it.each(["rotate", "login/ada"])("revoke finds it there: %s", async (action) => {
      const { store, state } = meddling(open(), "load");
      const { browser, sessions, events } = await start({}, store);
      const user = browser();
      await user.post("/login/ada");
      const id = await idOf(user);
      state.meanwhile = () => user.post(`/${action}`);
      // It has been loaded by `revoke`, and rotates before that is written.
      expect(await sessions.ofUser("ada").revoke(id)).toBe(true);
      expect(await reasonOf(user)).toBe("revoked");
      expect(await sessions.ofUser("ada").list()).toEqual([]);
      expect(events.filter(({ name }) => name === "revoked")).toHaveLength(1);
    });

    it("revoke finds it by the id that a page of devices showed a moment ago", async () => {
      const { browser, sessions } = await start();
      const [user, visitor] = [browser(), browser()];
      await user.post("/login/ada");
      const id = await idOf(user);
      await user.post("/rotate");
      await user.post("/rotate");
      expect(await sessions.ofUser("bob").revoke(id)).toBe(false);
      expect(await sessions.ofUser("ada").revoke(id)).toBe(true);
      expect(await sessions.ofUser("ada").revoke(id)).toBe(false);
      // A session of nobody's, for an administrator.
      await visitor.post("/set/theme/dark");
      const anonymous = await idOf(visitor);
      await visitor.post("/rotate");
      expect(await sessions.ofEveryone().revoke(anonymous)).toBe(true);
      expect(await reasonOf(visitor)).toBe("revoked");
    });

    it("its old token leads nowhere, though who ends it is led on", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/login/ada");
      const thief = user.twin();
      await user.post("/rotate");
      expect(session(await thief.get("/session")).isNew).toBe(true);
      expect(await reasonOf(thief)).toBe("rotated");
      await thief.post("/logout");
      expect(session(await user.get("/session")).userId).toBe("ada");
    });

    it.each(["rotate", "session"])("revokeAll with it in `except` keeps it: %s", async (action) => {
      const { store, state } = meddling(open(), "listByUser");
      const { browser, clock, sessions } = await start({ renewAfter: "5m" }, store);
      const [user, other] = [browser(), browser()];
      await user.post("/login/ada");
      await other.post("/login/ada");
      const except = await idOf(user);
      clock.advance(5 * MINUTE);
      state.meanwhile = () => (action === "rotate" ? user.post("/rotate") : user.get("/session"));
      // The list has been read, and it moves before anything is ended.
      expect(await sessions.ofUser("ada").revokeAll({ except })).toBe(1);
      expect(await idOf(user)).not.toBe(except);
      expect(session(await user.get("/session")).userId).toBe("ada");
      expect(await reasonOf(other)).toBe("revoked");
    });

    it("revokeAll with the id in `except` that it had a moment ago keeps it", async () => {
      const { browser, sessions } = await start();
      const user = browser();
      await user.post("/login/ada");
      const except = await idOf(user);
      await user.post("/rotate");
      expect(await sessions.ofUser("ada").revokeAll({ except })).toBe(0);
      expect(session(await user.get("/session")).userId).toBe("ada");
    });

    it.each(["rotate", "session"])("revokeAll ends it under its new token: %s", async (action) => {
      const { store, state } = meddling(open(), "listByUser");
      const { browser, clock, sessions } = await start({ renewAfter: "5m" }, store);
      const user = browser();
      await user.post("/login/ada");
      clock.advance(5 * MINUTE);
      state.meanwhile = () => (action === "rotate" ? user.post("/rotate") : user.get("/session"));
      await sessions.ofUser("ada").revokeAll({ reason: "account-disabled" });
      expect(await reasonOf(user)).toBe("account-disabled");
      expect(await sessions.ofUser("ada").list()).toEqual([]);
    });
  });

  it("revokeAll ends what is there, and not a login that comes after it was called", async () => {
    const { store, state } = meddling(open(), "listByUser");
    const { browser, clock, sessions } = await start({}, store);
    const [old, fresh] = [browser(), browser()];
    await old.post("/login/ada");
    clock.advance(1000);
    // What is there has been looked at: what can't be read first, and then what lives.
    state.after = 1;
    state.meanwhile = async () => {
      clock.advance(1);
      await fresh.post("/login/ada");
    };
    await sessions.ofUser("ada").revokeAll({ reason: "password-changed" });
    expect(await reasonOf(old)).toBe("password-changed");
    expect(await reasonOf(fresh)).toBe("living");
  });

  it("revokeAll also ends what can't be read, and what another server's clock takes for living", async () => {
    const store = open();
    const { browser, clock, sessions } = await start({}, store);
    const user = browser();
    await user.post("/login/ada");
    const id = await idOf(user);
    const call = { now: clock.time, signal: new AbortController().signal };
    const record = (await store.load(id, call))!;
    await store.create("A".repeat(43), { ...record, version: 1, payload: "not ours" }, call);
    const behind = createSessions<any>({
      secrets: [SECRET],
      store,
      clock: () => clock.time - MINUTE,
      sweepInterval: false,
    });
    clock.advance(30 * MINUTE);
    expect(await sessions.ofUser("ada").revokeAll()).toBe(0);
    expect(await behind.ofUser("ada").list()).toEqual([]);
    expect(await store.listByUser("ada", call)).toEqual([]);
  });
});

describe.each(STORES)("sessions in cookies, with a list of the ended on the $name store", ({ open }) => {
  it("tell why they ended: one, all", async () => {
    const opened = await openCookieShop(open());
    shop = opened;
    addReason();
    const [one, two] = [opened.browser(), opened.browser()];
    await one.post("/login/ada");
    await two.post("/login/ada");
    await opened.sessions.ofUser("ada").revoke(await idOf(one), { reason: "app:lost-phone", by: "ada" });
    expect(await reasonOf(one)).toBe("app:lost-phone");
    opened.clock.advance(1);
    await opened.sessions.ofUser("ada").revokeAll({ reason: "password-changed" });
    expect(await reasonOf(one)).toBe("app:lost-phone");
    expect(await reasonOf(two)).toBe("password-changed");
    expect(shop.events).toContainEqual(
      expect.objectContaining({ name: "revoked", reason: "app:lost-phone", actor: "ada" }),
    );
  });

  it("are ended under the token that a rotation gave them a moment ago", async () => {
    const opened = await openCookieShop(open());
    shop = opened;
    addReason();
    const user = opened.browser();
    await user.post("/login/ada");
    const id = await idOf(user);
    await user.post("/rotate");
    await opened.sessions.ofUser("ada").revoke(id);
    expect(await reasonOf(user)).toBe("revoked");
  });
});

it("limits need a server's memory: refused for sessions in cookies, by name", () => {
  shop = { close: async () => {} } as typeof shop;
  const create = (options: object) => () =>
    createSessions({ secrets: [SECRET], store: cookieStore(), ...options } as any);
  expect(create({ maxSessionsPerUser: 1 })).toThrow("maxSessionsPerUser: means nothing");
  expect(create({ atSessionLimit: "refuse" })).toThrow("atSessionLimit: means nothing");
});

it("everybody's sessions ended at once tell why", async () => {
  const opened = await openShop(memoryStore());
  shop = opened;
  addReason();
  const { browser, sessions } = opened;
  const [ada, visitor] = [browser(), browser()];
  await ada.post("/login/ada");
  await visitor.post("/set/theme/dark");
  await sessions.ofEveryone().revokeAll({ reason: "app:maintenance" });
  expect(await reasonOf(ada)).toBe("app:maintenance");
  expect(await reasonOf(visitor)).toBe("app:maintenance");
});
