import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { signConnectId } from "../../../src/compat/express-session/signature.js";
import { migrateFrom } from "../../../src/compat/migrate/index.js";
import type { SessionsOptions } from "../../../src/engine/create-sessions.js";
import type { Store } from "../../../src/stores/contract.js";
import { memoryStore } from "../../../src/stores/memory.js";
import type { Answer, Browser } from "../../support/browser.js";
import { type Data, openShop, type TestShop } from "../../support/shop.js";
import {
  countOf,
  expressSession,
  HOUR,
  loggedIn,
  OLD_KEYS,
  OLD_SECRET,
  type OldApplication,
  oldExpress,
  WatchedOldStore,
} from "./old-applications.js";

let records: any;
let oldStore: WatchedOldStore;
let old: OldApplication;
let shop: TestShop;
let errors: any[];

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
  const migration = migrateFrom({
    expressSession: { secret: OLD_SECRET, store: oldStore },
    koaSession: { keys: OLD_KEYS, store: { get: oldStore.get as any, destroy: () => undefined } },
  });
  shop = await openShop(store, { migration, ...options });
  shop.clock.time = Date.now();
  errors = [];
  shop.app.use((error: any, _req: any, res: any, _next: any) => {
    errors.push(error);
    res.status(error.status ?? 500).end(error.code);
  });
}

const arrive = (user?: string): Promise<Browser> => loggedIn(old, shop.browser(), user);
const session = (answer: Answer) => JSON.parse(answer.body);
const named = (name: string) => shop.events.filter((event) => event.name === name);

describe("an old store that fails", () => {
  it("to answer is a 503 that clears nothing, and the next request takes over", async () => {
    await open();
    const browser = await arrive();
    oldStore.failing = ["get"];
    const answer = await browser.get("/session");
    expect([answer.status, answer.body, answer.setCookie]).toEqual([503, "ERR_HOLDFAST_STORE", []]);
    expect(named("store-error")).toMatchObject([{ operation: "load", error: { store: "migration" } }]);
    oldStore.failing = [];
    expect(session(await browser.get("/session"))).toMatchObject({ userId: "ada" });
  });

  it("to remove the record doesn't stop the takeover, and what is left is never usable again", async () => {
    await open();
    const browser = await arrive();
    const thief = browser.twin();
    oldStore.failing = ["destroy"];
    expect(session(await browser.get("/session"))).toMatchObject({ userId: "ada" });
    expect(named("store-error")).toMatchObject([{ operation: "remove" }]);
    expect(named("migrated")).toHaveLength(1);
    expect(await countOf(records)).toBe(1);
    oldStore.failing = [];
    await browser.get("/session");
    await browser.post("/logout");
    // This old cookie names no end of its own.
    for (let day = 0; day < 399; day += 7) {
      shop.clock.advance(7 * 24 * HOUR);
      expect(session(await thief.twin().get("/session"))).toMatchObject({ isNew: true });
    }
    expect(named("migrated")).toHaveLength(1);
  });

  it("to answer at all is a 503 at the deadline, and a takeover at the deadline where it is about the removal", async () => {
    await open(memoryStore(), { storeTimeout: 50 });
    const browser = await arrive();
    oldStore.hanging = ["get"];
    const answer = await browser.get("/session");
    expect([answer.status, answer.body]).toEqual([503, "ERR_HOLDFAST_STORE_TIMEOUT"]);
    oldStore.hanging = ["destroy"];
    expect(session(await browser.get("/session"))).toMatchObject({ userId: "ada" });
    expect(named("store-error").map(({ operation }) => operation)).toEqual(["load", "remove"]);
  });
});

/** A memory store whose nth call from now on fails: before it has done its work, or after, as where the answer is lost. */
function failingStore() {
  const store: any = memoryStore();
  let countdown = Number.POSITIVE_INFINITY;
  let late = false;
  for (const method of ["load", "create", "replace", "delete", "listByUser"]) {
    const original = store[method];
    store[method] = async (...args: any[]) => {
      const fails = --countdown === 0;
      if (fails && !late) throw new Error("cut off");
      const answer = await original(...args);
      if (fails) throw new Error("cut off");
      return answer;
    };
  }
  const failAt = (call: number, afterItsWork: boolean) => {
    countdown = call;
    late = afterItsWork;
  };
  return { store: store as Store, failAt, reached: () => countdown <= 0 };
}

describe("a takeover that is cut off at any step", () => {
  for (const late of [false, true]) {
    it(`logs nobody out and doubles nothing, where the step has ${late ? "" : "not "}done its work`, async () => {
      let steps = 0;
      for (let step = 1; ; step++) {
        const { store, failAt, reached } = failingStore();
        await open(store);
        const browser = await arrive();
        failAt(step, late);
        // The response is lost as well.
        await browser.twin().get("/session");
        const wasReached = reached();
        failAt(Number.POSITIVE_INFINITY, false);
        const answer = session(await browser.get("/session"));
        expect(answer, `step ${step}`).toMatchObject({ userId: "ada", data: { cart: ["book"] } });
        shop.clock.advance(30_000);
        expect(session(await browser.get("/session")), `step ${step}`).toMatchObject({ userId: "ada" });
        expect(browser.cookies.has("sid"), `step ${step}`).toBe(true);
        expect(await shop.sessions.ofUser("ada").list(), `step ${step}`).toHaveLength(1);
        await shop.close();
        if (!wasReached) break;
        steps = step;
      }
      expect(steps).toBeGreaterThanOrEqual(7);
    });
  }
});

describe("cookies that are not the old library's", () => {
  it("reach no store, 10,000 of them", async () => {
    let calls = 0;
    const store: any = memoryStore();
    const load = store.load;
    store.load = (...args: any[]) => {
      calls++;
      return load(...args);
    };
    await open(store);
    const signed = signConnectId("x".repeat(32), OLD_SECRET);
    const letters = "abcXYZ019-_.:=%s/+\"' ";
    let seed = 42;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    const noise = () => Array.from({ length: random(60) }, () => letters[random(letters.length)]).join("");
    const values = [
      noise,
      () => `s:${noise()}`,
      () => `s:${noise()}.${noise()}`,
      () => encodeURIComponent(`s:${noise()}.${noise()}`),
      () => `s%3A${"x".repeat(32)}.${noise()}`,
      // Well signed, but for one character.
      () => {
        const at = random(signed.length);
        return `${signed.slice(0, at)}${signed[at] === "A" ? "B" : "A"}${signed.slice(at + 1)}`;
      },
      () => signConnectId("x".repeat(32), `${OLD_SECRET}.`),
      () => "s:".repeat(random(2000)),
      () => "%E0%A4%A",
    ];
    for (let round = 0; round < 10_000; round++) {
      const value = values[round % values.length]!();
      const cookie = [
        `connect.sid=${value}`,
        `koa.sess=${value}; koa.sess.sig=${noise()}`,
        `koa.sess=${value}`,
        `connect.sid=${value}; connect.sid=${noise()}; koa.sess.sig=${noise()}`,
      ][random(4)]!;
      const headers: Record<string, string> = { cookie, host: "localhost" };
      const exchange = await shop.sessions.open({
        method: "GET",
        target: "/",
        header: (name) => headers[name],
        encrypted: false,
        remoteAddress: "127.0.0.1",
      });
      if (!exchange.session.isNew) throw new Error(`taken over: ${cookie}`);
    }
    expect(calls).toBe(0);
    expect(oldStore.calls).toEqual([]);
    expect(shop.events).toEqual([]);
  });

  it("and those that name nothing any more, begin nothing and are asked for in both stores only", async () => {
    await open();
    const browser = shop.browser();
    browser.cookies.set("connect.sid", encodeURIComponent(signConnectId("gone", OLD_SECRET)));
    const answer = await browser.get("/session");
    expect(session(answer)).toMatchObject({ isNew: true });
    expect(answer.setCookie).toEqual([]);
    expect(oldStore.calls).toEqual(["get"]);
    expect(shop.events).toEqual([]);
  });
});

it("no token, id of the old session or data is in any event, error or warning", async () => {
  const warnings: unknown[] = [];
  const note = (warning: unknown) => warnings.push(warning);
  process.on("warning", note);
  await open();
  const browser = await arrive("ada-secret-user");
  await loggedIn(old, shop.browser());
  const [sid] = Object.keys(records.sessions);
  // A store that finds text that is no JSON says which.
  const get = records.get;
  records.get = (_sid: string, callback: (error: unknown) => void) => {
    try {
      JSON.parse('card-number: "4111"');
    } catch (error) {
      callback(error);
    }
  };
  expect((await browser.get("/session")).status).toBe(503);
  records.get = get;
  oldStore.failing = ["destroy"];
  await browser.get("/session");
  await browser.twin().post("/logout");
  await browser.get("/session");
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", note);
  const { inspect } = await import("node:util");
  const told = inspect([shop.events, errors, warnings], { depth: 20, showHidden: true });
  expect(shop.events.map(({ name }) => name)).toContain("migrated");
  for (const secret of [sid!, "4111", "card", "book", ...browser.cookies.values()])
    expect(told).not.toContain(secret);
});
