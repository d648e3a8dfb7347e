import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Browser } from "../support/browser.js";
import { openShop, type TestShop } from "../support/shop.js";
import { STORES } from "../support/stores.js";
import { countingStore } from "./counting-store.js";

/** What each kind of request costs in calls to the store, over real HTTP: a count that no machine changes. */
describe.each(STORES)("calls to the $name store", ({ open }) => {
  let calls: () => string[];
  let shop: TestShop;
  let browser: Browser;
  beforeEach(async () => {
    const counting = countingStore(open());
    calls = counting.calls;
    shop = await openShop(counting.store, { idleTimeout: "30m", touchInterval: "1m", renewAfter: "1h" });
    browser = shop.browser();
  });
  afterEach(() => shop.close());

  /** The calls of one request. */
  async function costOf(answering: Promise<{ status: number }>): Promise<string[]> {
    expect((await answering).status).toBeLessThan(400);
    return calls();
  }

  const startSession = () => costOf(browser.post("/set/name/Ada"));

  it("an anonymous reader costs none", async () => {
    expect(await costOf(browser.get("/session"))).toEqual([]);
  });

  it("cookies that don't verify cost none", async () => {
    await startSession();
    const [{ length }] = [...browser.cookies.values()] as [string];
    for (const value of ["", "garbage", "x".repeat(length), `${"A".repeat(43)}.${"A".repeat(43)}`]) {
      for (const name of browser.cookies.keys()) browser.cookies.set(name, value);
      expect(await costOf(browser.get("/session"))).toEqual([]);
    }
  });

  it("the first write costs one", async () => {
    expect(await startSession()).toEqual(["create"]);
  });

  it("a read costs one, whether the session is looked at or not", async () => {
    await startSession();
    for (let n = 0; n < 3; n++) expect(await costOf(browser.get("/session"))).toEqual(["load"]);
    expect(await costOf(browser.get("/plain"))).toEqual(["load"]);
  });

  it("a write costs a load and one write", async () => {
    await startSession();
    expect(await costOf(browser.post("/set/name/Grace"))).toEqual(["load", "replace"]);
    expect(await costOf(browser.post("/increment"))).toEqual(["load", "replace"]);
  });

  it("a write of what is there already costs what a read does", async () => {
    await startSession();
    expect(await costOf(browser.post("/set/name/Ada"))).toEqual(["load"]);
  });

  it("a login costs the new record, the old one's tombstone and the user's list", async () => {
    await startSession();
    expect(await costOf(browser.post("/login/ada"))).toEqual(["load", "create", "replace", "listByUser"]);
  });

  it("a logout costs one write", async () => {
    await startSession();
    await costOf(browser.post("/login/ada"));
    expect(await costOf(browser.post("/logout"))).toEqual(["load", "replace"]);
  });

  it("reading touches once in an interval", async () => {
    await startSession();
    for (let interval = 0; interval < 3; interval++) {
      shop.clock.advance(60_000);
      expect(await costOf(browser.get("/session"))).toEqual(["load", "touch"]);
      for (let n = 0; n < 3; n++) {
        shop.clock.advance(19_000);
        expect(await costOf(browser.get("/session"))).toEqual(["load"]);
      }
    }
  });

  it("a list of a user's sessions costs one, however many there are", async () => {
    for (let device = 0; device < 5; device++) await shop.browser().post("/login/ada");
    calls();
    expect(await shop.sessions.ofUser("ada").list()).toHaveLength(5);
    expect(calls()).toEqual(["listByUser"]);
  });
});
