import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { migrateFrom } from "../../../src/compat/migrate/index.js";
import type { SessionsOptions } from "../../../src/engine/create-sessions.js";
import { decodePayload } from "../../../src/engine/record.js";
import type { Store } from "../../../src/stores/contract.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { Browser } from "../../support/browser.js";
import { type Data, openShop, type TestShop } from "../../support/shop.js";
import { STORES } from "../../support/stores.js";
import {
  cookiesOf,
  countOf,
  expressSession,
  HOUR,
  loggedIn,
  OLD_SECRET,
  type OldApplication,
  oldExpress,
  WatchedOldStore,
} from "./old-applications.js";

const GRACE = 30_000;

let records: any;
let oldStore: WatchedOldStore;
let old: OldApplication;
let shop: TestShop;

beforeEach(async () => {
  records = new expressSession.MemoryStore();
  oldStore = new WatchedOldStore(records);
  old = await oldExpress({ store: records });
});
afterEach(async () => {
  await shop?.close();
  await old.close();
});

async function open(store: Store = memoryStore(), options: Partial<SessionsOptions<Data>> = {}) {
  const migration = migrateFrom({ expressSession: { secret: OLD_SECRET, store: oldStore }, keepOld: true });
  shop = await openShop(store, { migration, ...options });
  shop.clock.time = Date.now();
  shop.app.use((error: any, _req: any, res: any, _next: any) => {
    res.status(error.status ?? 500).end(error.code);
  });
  return migration;
}

const arrive = (user?: string): Promise<Browser> => loggedIn(old, shop.browser(), user);
const session = async (browser: Browser, path = "/session") => JSON.parse((await browser.get(path)).body);
const listOf = (user = "ada") => shop.sessions.ofUser(user).list();

/** Who the browser is at the old application, to which everybody is sent back. */
async function userAtOld(browser: Browser): Promise<string | undefined> {
  const back = new Browser(old.url);
  for (const [name, value] of browser.cookies) back.cookies.set(name, value);
  return JSON.parse((await back.get("/session")).body).passport?.user;
}

describe.each(STORES)("with keepOld, on the $name store", ({ open: openStore }) => {
  it("the old record and cookie stay as they are, so that the old application finds the user logged in", async () => {
    await open(openStore());
    const browser = await arrive();
    const before = { ...records.sessions };
    const answer = await browser.post("/set/colour/red");
    expect(cookiesOf(answer)).toEqual({ set: ["sid"], erased: [] });
    expect(await session(browser)).toMatchObject({ userId: "ada", data: { colour: "red" } });
    expect(records.sessions).toEqual(before);
    expect(await userAtOld(browser)).toBe("ada");
    expect(oldStore.calls).not.toContain("destroy");
    expect(await listOf()).toHaveLength(1);
  });

  it("whoever logs out here is logged out there, and the old cookie goes", async () => {
    await open(openStore());
    const browser = await arrive();
    await session(browser);
    const thief = browser.twin();
    expect(cookiesOf(await browser.post("/logout")).erased).toEqual(["sid", "connect.sid"]);
    expect(await userAtOld(thief)).toBeUndefined();
    expect(await countOf(records)).toBe(0);
  });

  it.each([
    ["renewed", async () => shop.clock.advance(61 * 60_000)],
    ["rotated", async (browser: Browser) => browser.post("/rotate")],
    ["logged in again", async (browser: Browser) => browser.post("/login/ada")],
  ] as const)("a session that was %s since still ends the old one with it", async (_how, step) => {
    await open(openStore(), { idleTimeout: "3h" });
    const browser = await arrive();
    await session(browser);
    await step(browser);
    await session(browser);
    expect(await userAtOld(browser)).toBe("ada");
    const copy = browser.twin();
    await browser.post("/logout");
    expect(await userAtOld(copy)).toBeUndefined();
  });

  it("so does each of two that a login sent twice has made of it", async () => {
    await open(openStore());
    for (const last of [0, 1]) {
      const browser = await arrive();
      await session(browser);
      const both = [browser, browser.twin()];
      const hold = `twice${last}`;
      const logins = both.map((each) => each.post(`/login/ada?hold=${hold}`));
      await shop.barrier(hold).arrived(2);
      shop.barrier(hold).open();
      await Promise.all(logins);
      const copy = browser.twin();
      await both[last]!.post("/logout");
      expect(await userAtOld(copy)).toBeUndefined();
    }
  });

  it("whoever is revoked here, one by one or all, is logged out there", async () => {
    await open(openStore());
    const [one, two, three, never] = [await arrive(), await arrive(), await arrive(), await arrive()];
    const { id } = await session(one);
    await session(two);
    await session(three);
    expect(await shop.sessions.ofUser("ada").revoke(id)).toBe(true);
    expect([await userAtOld(one), await userAtOld(two)]).toEqual([undefined, "ada"]);
    const { id: except } = await session(three);
    expect(await shop.sessions.ofUser("ada").revokeAll({ except })).toBe(1);
    expect([await userAtOld(two), await userAtOld(three)]).toEqual([undefined, "ada"]);
    // One that hadn't come before: it is refused here, and then it is gone there.
    expect(await session(never)).toMatchObject({ isNew: true });
    expect(await userAtOld(never)).toBeUndefined();
    expect(await shop.sessions.ofUser("ada").revokeAll()).toBe(1);
    expect(await userAtOld(three)).toBeUndefined();
  });

  it("whoever is beyond the limit is logged out there", async () => {
    await open(openStore(), { maxSessionsPerUser: 1 });
    const [one, two] = [await arrive(), await arrive()];
    await session(one);
    shop.clock.advance(1000);
    await session(two);
    expect([await userAtOld(one), await userAtOld(two)]).toEqual([undefined, "ada"]);
  });

  it("who has idled too long here isn't brought back by the old cookie", async () => {
    await open(openStore());
    const browser = await arrive();
    const before = browser.twin();
    await session(browser);
    for (const pause of [HOUR, 12 * HOUR, 300 * 24 * HOUR]) {
      shop.clock.advance(pause);
      expect(await session(browser.twin())).toMatchObject({ isNew: true });
      expect(await session(before.twin())).toMatchObject({ isNew: true });
      await shop.sessions.sweep();
    }
    expect(shop.events.filter(({ name }) => name === "migrated")).toHaveLength(1);
  });

  it("the old cookie is dead here once the new one has come, though both are sent", async () => {
    await open(openStore());
    const browser = await arrive();
    const thief = browser.twin();
    await session(browser);
    await session(browser);
    shop.clock.advance(GRACE);
    expect(await session(thief)).toMatchObject({ isNew: true });
    expect(await session(browser)).toMatchObject({ userId: "ada" });
  });
});

describe("with keepOld", () => {
  it("a logout that the old store can't follow is a 503, ends nothing, and succeeds the next time", async () => {
    await open();
    const browser = await arrive();
    await session(browser);
    oldStore.failing = ["destroy"];
    const answer = await browser.post("/logout");
    expect([answer.status, answer.setCookie]).toEqual([503, []]);
    expect(await session(browser)).toMatchObject({ userId: "ada" });
    oldStore.failing = [];
    expect((await browser.post("/logout")).status).toBe(200);
    expect(await countOf(records)).toBe(0);
  });

  it("what names the old session is sealed in the record", async () => {
    const store = memoryStore();
    await open(store);
    const browser = await arrive();
    const { id } = await session(browser);
    const [sid] = Object.keys(records.sessions);
    const call = { now: Date.now(), signal: new AbortController().signal };
    const { payload } = (await store.load(id, call))!;
    expect(payload).not.toContain(sid);
    expect((decodePayload(payload) as any).meta.old).toMatch(/^[\w-]{100,}$/);
  });

  it("switched off later, the old record goes with the logout, and the old cookie with the next one that is set", async () => {
    const store = memoryStore();
    await open(store);
    const browser = await arrive();
    await session(browser);
    const migration = migrateFrom({ expressSession: { secret: OLD_SECRET, store: oldStore } });
    const later = await openShop(store, { migration });
    later.clock.time = shop.clock.time;
    const again = later.browser();
    for (const [name, value] of browser.cookies) again.cookies.set(name, value);
    expect(await session(again)).toMatchObject({ userId: "ada" });
    expect(cookiesOf(await again.post("/rotate")).erased).toEqual(["connect.sid"]);
    await again.post("/logout");
    expect(await countOf(records)).toBe(0);
    await later.close();
  });

  it("progress() counts what was taken over among what remains", async () => {
    const migration = await open();
    await session(await arrive());
    expect(await migration.progress()).toEqual({ migrated: 1, remaining: 1 });
  });
});
