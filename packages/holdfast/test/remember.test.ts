import { afterEach, describe, expect, it } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import { aal1, aal2, aal3 } from "../src/engine/presets.js";
import { memoryStore } from "../src/stores/memory.js";
import type { Answer } from "./support/browser.js";
import { openCookieShop } from "./support/cookie-shop.js";
import { type Data, openShop, SECRET, type TestShop } from "./support/shop.js";
import { STORES } from "./support/stores.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const session = (answer: Answer) => JSON.parse(answer.body);
const maxAge = (answer: Answer) => {
  const found = /Max-Age=(\d+)/.exec(answer.setCookie[0] ?? "");
  return found === null ? undefined : Number(found[1]) * 1000;
};

type Shop = Pick<TestShop, "app" | "clock" | "events" | "browser" | "close">;
let shop: Shop;
afterEach(() => shop.close());

function addRoutes(): void {
  shop.app.post("/remember/:user", async (req, res) => {
    await req.session.login(req.params.user, { remember: true });
    res.json({ remembered: req.session.remembered, expiresAt: req.session.expiresAt });
  });
  shop.app.get("/remembered", ({ session: { remembered, reason, userId, lastSeenAt, expiresAt } }, res) => {
    res.json({ remembered, reason, userId, lastSeenAt, expiresAt });
  });
}

const KINDS = [
  ...STORES.map(({ name, open }) => ({
    name: `the ${name} store`,
    open: (options: Partial<SessionsOptions<Data>>) => openShop(open(), options) as Promise<Shop>,
  })),
  {
    name: "sessions in cookies",
    open: ({ renewAfter: _, ...options }: Partial<SessionsOptions<Data>>) =>
      openCookieShop(undefined, options as object) as Promise<Shop>,
  },
  {
    name: "sessions in cookies, with a list of the ended",
    open: ({ renewAfter: _, ...options }: Partial<SessionsOptions<Data>>) =>
      openCookieShop(memoryStore(), options as object) as Promise<Shop>,
  },
];

describe.each(KINDS)("a user who asked to be remembered, on $name", ({ open }) => {
  const start = async (options: Partial<SessionsOptions<Data>> = {}) => {
    shop = await open({ remember: true, renewAfter: false, ...options });
    addRoutes();
    return shop;
  };

  it("stays for 14 days without a visit, and 30 in all, by a cookie that outlives the browser", async () => {
    const { browser, clock } = await start();
    const user = browser();
    const login = await user.post("/remember/ada");
    expect(maxAge(login)).toBe(14 * DAY);
    expect(session(login)).toEqual({
      remembered: true,
      expiresAt: new Date(clock.time + 14 * DAY).toISOString(),
    });
    clock.advance(14 * DAY - 1);
    const visit = await user.get("/remembered");
    expect(session(visit)).toMatchObject({ remembered: true, userId: "ada", reason: "living" });
    expect(maxAge(visit)).toBe(14 * DAY);
    clock.advance(10 * DAY);
    const later = await user.get("/remembered");
    expect(session(later)).toMatchObject({
      userId: "ada",
      lastSeenAt: new Date(clock.time - 10 * DAY).toISOString(),
    });
    // What is left until the absolute end.
    expect(maxAge(later)).toBe(Math.floor((6 * DAY + 1) / 1000) * 1000);
    clock.advance(6 * DAY + 1);
    expect(session(await user.get("/remembered"))).toMatchObject({ remembered: false });
  });

  it("ends at 14 days without a visit", async () => {
    const { browser, clock } = await start();
    const user = browser();
    await user.post("/remember/ada");
    clock.advance(14 * DAY);
    expect(session(await user.get("/remembered")).userId).toBeUndefined();
  });

  it("others have the usual times, and a cookie that goes with the browser", async () => {
    const { browser, clock } = await start();
    const user = browser();
    const login = await user.post("/login/ada");
    expect(login.setCookie).toHaveLength(1);
    expect(maxAge(login)).toBeUndefined();
    expect(session(await user.get("/remembered")).remembered).toBe(false);
    clock.advance(30 * MINUTE);
    expect(session(await user.get("/remembered")).userId).toBeUndefined();
  });

  it("a login again without it, and one after a logout, go back to the usual times", async () => {
    const { browser, clock } = await start();
    const [again, after] = [browser(), browser()];
    for (const each of [again, after]) await each.post("/remember/ada");
    clock.advance(HOUR);
    const login = await again.post("/login/ada");
    expect(maxAge(login)).toBeUndefined();
    await after.post("/logout");
    expect(maxAge(await after.post("/login/ada"))).toBeUndefined();
    for (const each of [again, after]) {
      expect(session(await each.get("/remembered"))).toMatchObject({ userId: "ada", remembered: false });
    }
    clock.advance(30 * MINUTE);
    for (const each of [again, after]) {
      expect(session(await each.get("/remembered")).userId).toBeUndefined();
    }
  });

  it("what is written, and a rotation, keep the longer times", async () => {
    const { browser, clock } = await start();
    const user = browser();
    await user.post("/remember/ada");
    clock.advance(13 * DAY);
    expect(maxAge(await user.post("/set/theme/dark"))).toBe(14 * DAY);
    clock.advance(13 * DAY);
    const rotated = await user.post("/rotate");
    expect(maxAge(rotated)).toBe(4 * DAY);
    clock.advance(3 * DAY);
    expect(session(await user.get("/remembered"))).toMatchObject({ userId: "ada", remembered: true });
  });

  it("is refused where the option is off", async () => {
    const { browser, app } = await start({ remember: false });
    app.use(((error, _req, res, _next) => {
      res.status(500).send(error.message);
    }) as import("express").ErrorRequestHandler);
    const answer = await browser().post("/remember/ada");
    expect(answer).toMatchObject({ status: 500, setCookie: [] });
    expect(answer.body).toContain("has the option `remember`");
  });
});

describe("with a server's memory", () => {
  it("a renewal whose response got lost is found days later", async () => {
    const opened = await openShop(memoryStore(), { remember: true, renewAfter: "1h" });
    shop = opened;
    addRoutes();
    const user = opened.browser();
    await user.post("/remember/ada");
    opened.clock.advance(2 * HOUR);
    await user.twin().get("/remembered");
    opened.clock.advance(10 * DAY);
    expect(session(await user.get("/remembered"))).toMatchObject({ userId: "ada", remembered: true });
  });

  it("lists it, and revoking it tells its browser why for as long as it would have lived", async () => {
    const opened = await openShop(memoryStore(), { remember: true });
    shop = opened;
    addRoutes();
    const user = opened.browser();
    await user.post("/remember/ada");
    const [listed] = await opened.sessions.ofUser("ada").list();
    expect(listed).toMatchObject({ remembered: true, expiresAt: new Date(opened.clock.time + 14 * DAY) });
    expect(listed!.lastSeenAt).toEqual(new Date(opened.clock.time));
    await opened.sessions.ofUser("ada").revokeAll({ reason: "password-changed" });
    opened.clock.advance(13 * DAY);
    expect(session(await user.get("/remembered")).reason).toBe("password-changed");
  });

  it("a list of ended sessions keeps a remembered one for as long as its cookie could be good", async () => {
    const list = memoryStore();
    const opened = await openCookieShop(list, { remember: true });
    shop = opened;
    addRoutes();
    const user = opened.browser();
    await user.post("/remember/ada");
    const thief = user.twin();
    await user.post("/logout");
    opened.clock.advance(13 * DAY);
    expect(await opened.sessions.sweep()).toBe(0);
    expect(session(await thief.get("/remembered")).userId).toBeUndefined();
  });
});

describe("the option", () => {
  const create = (remember: unknown, options: object = {}) => {
    shop = { close: async () => {} } as Shop;
    return () =>
      createSessions({ secrets: [SECRET], store: memoryStore(), remember: remember as boolean, ...options });
  };

  it.each([
    ["remember", "yes"],
    ["remember.idle", { idle: "1d" }],
    ["remember.idleTimeout", { idleTimeout: "31d" }],
    ["remember.idleTimeout", { idleTimeout: "1m" }],
    ["remember.absoluteTimeout", { absoluteTimeout: "1h" }],
    ["remember.absoluteTimeout", { absoluteTimeout: "soon" }],
  ])("is refused, by the name of what is wrong: %s", (name, remember) => {
    expect(create(remember)).toThrow(`${name}:`);
  });

  it.each([true, false, {}, { idleTimeout: "30d", absoluteTimeout: "90d" }])("takes %j", (remember) => {
    expect(create(remember)()).toHaveProperty("open");
  });

  it("is never shorter than the usual times by default", () => {
    expect(create(true, { idleTimeout: "60d", absoluteTimeout: "90d" })()).toHaveProperty("open");
  });

  it.each([aal1, aal2, aal3])("the preset %j is accepted", (preset) => {
    expect(create(undefined, preset)()).toHaveProperty("open");
  });
});
