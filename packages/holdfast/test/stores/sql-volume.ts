import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Store } from "../../src/stores/contract.js";
import { openShop } from "../support/shop.js";
import { call, newId, recordOf, type SqlBackend } from "../support/sql.js";

const MANY = 100_000;
const SESSIONS_EACH = 5;
const PAGE = 200;

export interface Volume {
  /** Fills the table with `count` sessions of `SESSIONS_EACH` a user, "user-0" and so on. */
  fill(count: number, each: number, idleDeadline: number, payload: string): Promise<void>;
  /** Bytes that the table and its indexes take. */
  size(): Promise<number>;
  /** Rows that the server reads for one `listByUser` of the store, by its own account, and how it finds them. */
  cost(userId: string): Promise<{ rows: number; plan: string; index: string | undefined }>;
  /** Rows that the server reads for a page of `scan` after this id, by its own account. */
  pageCost(after: string, limit: number): Promise<number>;
}

/** What many sessions cost: to list one user's, and to sweep while requests run. */
export function testVolume(title: string, backend: SqlBackend, volume: Volume): void {
  describe(`${title}: a hundred thousand sessions`, () => {
    let store: Store;
    beforeAll(() => {
      store = backend.open();
    });
    afterAll(() => store.close());

    it("cost a user's list only that user's sessions", async () => {
      const [now, user] = [Date.now(), `user-${newId()}`];
      for (let n = 0; n < SESSIONS_EACH; n++) await store.create(newId(), recordOf(user), call());
      const before = await volume.size();
      await volume.fill(MANY, SESSIONS_EACH, now + 3_600_000, PAYLOAD);
      const bytes = (await volume.size()) - before;
      console.log(
        `${title}: ${Math.round(bytes / MANY)} bytes a session, with a payload of ${Buffer.byteLength(PAYLOAD)} bytes`,
      );

      expect(await store.listByUser("user-77", call())).toHaveLength(SESSIONS_EACH);
      const cost = await volume.cost("user-77");
      console.log(`${title}: listing one user: ${cost.plan}`);
      expect(cost.index).toMatch(/by_user$/);
      expect(cost.rows).toBeLessThanOrEqual(2 * SESSIONS_EACH);
      expect(await store.deleteByUser("user-77", undefined, call())).toHaveLength(SESSIONS_EACH);
      expect(await store.listByUser("user-78", call())).toHaveLength(SESSIONS_EACH);
    });

    it("are listed page by page while requests run, and a page costs its records wherever it is", async () => {
      const shop = await openShop(backend.open());
      const user = shop.browser();
      const mine = Array.from({ length: 10 }, newId);
      for (const id of mine) await store.create(id, recordOf(null), call());
      const seen = new Set<string>();
      let served = 0;
      for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
        const [page, answer] = await Promise.all([
          store.scan!(cursor, PAGE, call()),
          served < 50 ? user.post("/increment") : undefined,
        ]);
        if (answer !== undefined) expect(answer).toMatchObject({ status: 200, body: String(++served) });
        expect(page.sessions.length).toBeLessThanOrEqual(PAGE);
        for (const { id } of page.sessions) seen.add(id);
        cursor = page.next;
      }
      expect(seen.size).toBeGreaterThanOrEqual(MANY);
      expect(mine.filter((id) => !seen.has(id))).toEqual([]);
      for (const after of ["", "N", "z"]) {
        expect(await volume.pageCost(after, PAGE)).toBeLessThanOrEqual(PAGE + 2);
      }
      await shop.close();
    });

    it("are swept while requests run", async () => {
      const shop = await openShop(backend.open());
      const browsers = Array.from({ length: 5 }, () => shop.browser());
      /** Milliseconds of each request until `done`. */
      const measure = async (done: () => boolean) => {
        const times: number[] = [];
        const visit = async (browser: (typeof browsers)[number]) => {
          while (!done()) {
            const began = performance.now();
            expect((await browser.post("/increment")).status).toBe(200);
            times.push(performance.now() - began);
          }
        };
        await Promise.all(browsers.map(visit));
        return times.sort((a, b) => a - b);
      };
      await measure(countdown(200));
      const calm = await measure(countdown(1500));
      await shop.sessions.sweep();
      await volume.fill(MANY, SESSIONS_EACH, shop.clock.time - 1, PAYLOAD);
      let swept: number | undefined;
      const began = performance.now();
      const sweeping = shop.sessions.sweep().then((removed) => {
        swept = removed;
        return performance.now() - began;
      });
      const busy = await measure(() => swept !== undefined);
      const took = await sweeping;
      expect(swept).toBe(MANY);
      const p99 = (times: number[]) => `${times[Math.floor(times.length * 0.99)]!.toFixed(1)} ms`;
      const p50 = (times: number[]) => `${times[Math.floor(times.length * 0.5)]!.toFixed(1)} ms`;
      console.log(
        `${title}: writes of 5 clients: p50 ${p50(calm)}, p99 ${p99(calm)} (${calm.length} requests); while ${swept} expired ` +
          `sessions were swept in ${(took / 1000).toFixed(1)} s: p50 ${p50(busy)}, p99 ${p99(busy)} (${busy.length} requests)`,
      );
      await shop.close();
    });

    it("are swept by several at once, each by one of them", async () => {
      const living = newId();
      await store.create(living, recordOf(null), call());
      await store.sweep(call());
      await volume.fill(MANY / 4, SESSIONS_EACH, Date.now() - 60_000, PAYLOAD);
      const sweepers = [store, backend.open(), backend.open()];
      const removed = await Promise.all(sweepers.map((each) => each.sweep(call())));
      const rest = await store.sweep(call());
      console.log(`${title}: three sweepers removed ${removed.join(" + ")}, and a last one ${rest}`);
      expect(removed.reduce((sum, n) => sum + n, rest)).toBe(MANY / 4);
      expect(removed.every((n) => n > 0)).toBe(true);
      expect(await store.load(living, call())).toBeDefined();
      await Promise.all(sweepers.slice(1).map((each) => each.close()));
    });
  });
}

function countdown(times: number): () => boolean {
  let left = times;
  return () => left-- <= 0;
}

/** As the engine writes it, for somebody who is logged in and has a few things in a cart. */
const PAYLOAD = `${JSON.stringify({
  format: 1,
  createdAt: 1893456000000,
  seenAt: 1893456000000,
  tokenAt: 1893456000000,
  authenticatedAt: 1893456000000,
  client: { browser: "Firefox", system: "Windows" },
})}
${JSON.stringify({ cart: Array.from({ length: 4 }, (_, n) => ({ sku: `SKU-00${n}42`, quantity: 1, price: 1995 })), locale: "de-DE", theme: "dark" })}`;
