import { afterEach, describe, expect, it } from "vitest";
import { fixedRecord } from "../src/engine/record.js";
import type { Store } from "../src/stores/contract.js";
import { memoryStore } from "../src/stores/memory.js";
import { openShop, type TestShop } from "./support/shop.js";

let shop: TestShop;
afterEach(() => shop.close());

const all = async () =>
  (async () => {
    const listed = [];
    for await (const one of shop.sessions.ofEveryone().list()) listed.push(one);
    return listed;
  })();

describe("all sessions, for administration", () => {
  it("lists the living ones of every user and of nobody, page by page, without tombstones", async () => {
    shop = await openShop(memoryStore());
    const browsers = Array.from({ length: 450 }, () => shop.browser());
    for (const [index, browser] of browsers.entries()) {
      await browser.post("/set/theme/dark");
      if (index % 3 === 0) await browser.post(`/login/user-${index}`);
    }
    await browsers[0]!.post("/logout");
    const listed = await all();
    expect(listed).toHaveLength(449);
    expect(new Set(listed.map(({ id }) => id)).size).toBe(449);
    expect(listed.filter(({ userId }) => userId !== undefined)).toHaveLength(149);
  });

  it("finds one by its id, and ends it whosever it is", async () => {
    shop = await openShop(memoryStore());
    const browser = shop.browser();
    await browser.post("/login/ada");
    const { id } = JSON.parse((await browser.get("/session")).body);
    expect(await shop.sessions.ofEveryone().find(id)).toMatchObject({ id, userId: "ada" });
    expect(await shop.sessions.ofEveryone().revoke(id)).toBe(true);
    expect(await shop.sessions.ofEveryone().revoke(id)).toBe(false);
    expect(await shop.sessions.ofEveryone().find(id)).toBeUndefined();
    expect(await shop.sessions.ofEveryone().revoke("' OR 1=1 --")).toBe(false);
    expect(JSON.parse((await browser.get("/session")).body).userId).toBeUndefined();
    expect(shop.events.filter(({ name }) => name === "revoked")).toMatchObject([{ userId: "ada" }]);
  });

  it("ends everybody's, one that takes a new token meanwhile as well", async () => {
    const store = memoryStore();
    let rotate: (() => Promise<unknown>) | undefined;
    // Between the listing and the end of what was listed, a session goes on under another token.
    const meddling: Store = {
      ...store,
      async scan(cursor, limit, call) {
        const page = await store.scan!(cursor, limit, call);
        await rotate?.();
        rotate = undefined;
        return page;
      },
    };
    shop = await openShop(meddling);
    const [ada, bob] = [shop.browser(), shop.browser()];
    await ada.post("/login/ada");
    await bob.post("/set/theme/dark");
    rotate = () => ada.post("/rotate");
    await shop.sessions.ofEveryone().revokeAll();
    expect(await all()).toEqual([]);
    expect(JSON.parse((await ada.get("/session")).body).userId).toBeUndefined();
  });

  it("ends the only one there is, though it takes a new token between the pages of the first look", async () => {
    const store = memoryStore();
    let meddle: (() => Promise<unknown>) | undefined;
    // The old id is on the second page, and the new one would have been on the first.
    const paged: Store = {
      ...store,
      async scan(cursor, limit, call) {
        if (meddle !== undefined) {
          if (cursor === undefined) return { sessions: [], next: "second" };
          const { sessions } = await store.scan!(undefined, limit, call);
          const old = sessions.map(({ id }) => id);
          await meddle();
          meddle = undefined;
          const later = await store.scan!(undefined, limit, call);
          return { sessions: later.sessions.filter(({ id }) => old.includes(id)), next: undefined };
        }
        return store.scan!(cursor, limit, call);
      },
    };
    shop = await openShop(paged);
    const ada = shop.browser();
    await ada.post("/login/ada");
    meddle = () => ada.post("/rotate");
    expect(await shop.sessions.ofEveryone().revokeAll()).toBe(1);
    expect(JSON.parse((await ada.get("/session")).body).userId).toBeUndefined();
  });

  it("passes over what is no session: notes of the library's own, and records that nobody can read", async () => {
    const store = memoryStore();
    shop = await openShop(store);
    const ada = shop.browser();
    await ada.post("/login/ada");
    const call = { now: shop.clock.time, signal: new AbortController().signal };
    const deadline = shop.clock.time + 60_000;
    const note = (payload: string) => fixedRecord(1, payload, deadline);
    await store.create("note".padEnd(43, "-"), note('{"users":["ada"]}'), call);
    await store.create("broken".padEnd(43, "-"), note('{"format":1}\n{}'), call);
    expect(await all()).toMatchObject([{ userId: "ada" }]);
    expect(shop.events.filter(({ name }) => name === "store-error")).toHaveLength(1);
    expect(await shop.sessions.ofEveryone().revokeAll()).toBe(1);
    expect(await all()).toEqual([]);
  });

  it("ends those of a server whose clock is ahead, too", async () => {
    shop = await openShop(memoryStore());
    const ada = shop.browser();
    shop.clock.advance(5000);
    await ada.post("/login/ada");
    shop.clock.advance(-5000);
    expect(await shop.sessions.ofEveryone().revokeAll()).toBe(1);
    expect(JSON.parse((await ada.get("/session")).body).userId).toBeUndefined();
  });

  it("says that a store without `scan` can't list", async () => {
    const { scan: _, ...store } = memoryStore();
    shop = await openShop(store);
    await expect(all()).rejects.toThrow('The store "memory" can\'t list all sessions.');
  });
});
