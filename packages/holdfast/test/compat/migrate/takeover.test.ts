import express from "express";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expressSessions } from "../../../src/adapters/express.js";
import {
  type ExpressSessionSource,
  type MigrateFromOptions,
  migrateFrom,
} from "../../../src/compat/migrate/index.js";
import type { SessionsOptions } from "../../../src/engine/create-sessions.js";
import type { Session } from "../../../src/engine/session.js";
import type { Store } from "../../../src/stores/contract.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { Barrier } from "../../support/barrier.js";
import { Browser, listen } from "../../support/browser.js";
import { type Data, openShop, type TestShop } from "../../support/shop.js";
import { STORES } from "../../support/stores.js";
import {
  cookiesOf,
  countOf,
  dataOf,
  expressSession,
  HOUR,
  loggedIn,
  OLD_SECRET,
  type OldApplication,
  oldExpress,
  WatchedOldStore,
} from "./old-applications.js";

const GRACE = 30_000;
const MINUTE = 60_000;

let records: any;
let oldStore: WatchedOldStore;
let old: OldApplication;
let shop: TestShop;

beforeEach(async () => {
  records = new expressSession.MemoryStore();
  oldStore = new WatchedOldStore(records);
  old = await oldExpress({ store: records, cookie: { maxAge: 24 * HOUR } });
});
afterEach(async () => {
  await shop?.close();
  await old.close();
});

async function open(
  store: Store = memoryStore(),
  source: Partial<MigrateFromOptions["expressSession"]> = {},
  options: Partial<SessionsOptions<Data>> = {},
) {
  const migration = migrateFrom({ expressSession: { secret: OLD_SECRET, store: oldStore, ...source } });
  shop = await openShop(store, { migration, ...options });
  shop.clock.time = Date.now();
  return migration;
}

const arrive = (user?: string): Promise<Browser> => loggedIn(old, shop.browser(), user);
const session = async (browser: Browser, path = "/session") => JSON.parse((await browser.get(path)).body);
const named = (name: string) => shop.events.filter((event) => event.name === name);
const listOf = (user = "ada") => shop.sessions.ofUser(user).list();

describe.each(STORES)("a session of express-session, on the $name store", ({ open: openStore }) => {
  it("is taken over by the first request, though it only reads", async () => {
    const migration = await open(openStore());
    const browser = await arrive();
    const answer = await browser.get("/session");
    expect(JSON.parse(answer.body)).toMatchObject({ isNew: false, userId: "ada" });
    expect(dataOf(answer)).toEqual({ passport: { user: "ada" }, cart: ["book"] });
    expect(answer.setCookie).toEqual([
      expect.stringMatching(/^sid=[\w-]{43}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/),
      "connect.sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly",
    ]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect([...browser.cookies.keys()]).toEqual(["sid"]);
    expect(await countOf(records)).toBe(0);
    const [listed, ...others] = await listOf();
    expect(others).toEqual([]);
    expect(listed!.id).toBe(JSON.parse(answer.body).id);
    expect(named("created")).toHaveLength(1);
    expect(named("migrated")).toEqual([
      {
        name: "migrated",
        at: expect.any(Date),
        sessionId: listed!.id,
        userId: "ada",
        from: "express-session",
      },
    ]);
    expect(await migration.progress()).toEqual({ migrated: 1, remaining: 0 });

    // The second request is an ordinary one, and asks no old store.
    const calls = oldStore.calls.length;
    expect(await session(browser)).toMatchObject({ id: listed!.id, userId: "ada" });
    expect(oldStore.calls).toHaveLength(calls);
  });

  it("is taken over by a route that doesn't look at the session, and by one that writes", async () => {
    await open(openStore());
    const reader = await arrive();
    expect(cookiesOf(await reader.get("/plain"))).toEqual({ set: ["sid"], erased: ["connect.sid"] });
    expect(await session(reader)).toMatchObject({ userId: "ada" });
    const writer = await arrive("bob");
    expect(cookiesOf(await writer.post("/set/colour/red"))).toEqual({
      set: ["sid"],
      erased: ["connect.sid"],
    });
    expect((await session(writer)).data).toMatchObject({ cart: ["book"], colour: "red" });
  });

  it("is taken over once by ten overlapping requests, and all ten keep their writes", async () => {
    await open(openStore());
    const browser = await arrive();
    const twins = Array.from({ length: 10 }, () => browser.twin());
    const answers = twins.map((twin, index) => twin.post(`/set/key${index}/value${index}?hold=all`));
    await shop.barrier("all").arrived(10);
    shop.barrier("all").open();
    const set = (await Promise.all(answers)).flatMap(({ status, setCookie }) => {
      expect(status).toBe(200);
      return setCookie.filter((line) => line.startsWith("sid="));
    });
    expect(set).toHaveLength(1);
    const winner = twins.find((twin) => twin.cookies.has("sid"))!;
    const { data } = await session(winner);
    for (let index = 0; index < 10; index++) expect(data[`key${index}`]).toBe(`value${index}`);
    expect(data.cart).toEqual(["book"]);
    expect(await listOf()).toHaveLength(1);
    expect(named("migrated")).toHaveLength(1);
    expect(named("created")).toHaveLength(1);
    expect(named("dropped-write")).toEqual([]);
  });

  it("is not missed by a request that asks the old store just after another has removed the record", async () => {
    await open(openStore());
    const browser = await arrive();
    let release!: () => void;
    let asked!: () => void;
    const waits = new Promise<void>((resolve) => {
      asked = resolve;
    });
    oldStore.beforeGet = () => {
      oldStore.beforeGet = async () => {};
      asked();
      return new Promise((resolve) => {
        release = resolve;
      });
    };
    const late = browser.twin().post("/set/late/yes");
    await waits;
    expect(await session(browser)).toMatchObject({ userId: "ada" });
    expect(await countOf(records)).toBe(0);
    release();
    expect((await late).setCookie).toEqual([]);
    expect(await session(browser)).toMatchObject({ userId: "ada", data: { late: "yes", cart: ["book"] } });
  });

  it("survives a response that is lost: within the grace, and after it", async () => {
    await open(openStore());
    const browser = await arrive();
    const { id } = await session(browser.twin());
    expect(await session(browser)).toMatchObject({ id, userId: "ada" });
    expect([...browser.cookies.keys()]).toEqual(["connect.sid"]);

    shop.clock.advance(GRACE);
    const answer = await browser.get("/session");
    expect(JSON.parse(answer.body)).toMatchObject({ userId: "ada", isNew: false });
    expect(cookiesOf(answer)).toEqual({ set: ["sid"], erased: ["connect.sid"] });
    expect(await session(browser)).toMatchObject({ userId: "ada" });
    expect(await listOf()).toHaveLength(1);
    expect(named("migrated")).toHaveLength(1);
  });

  it("survives three lost responses in a row", async () => {
    await open(openStore());
    const browser = await arrive();
    for (let lost = 0; lost < 3; lost++) {
      expect(await session(browser.twin())).toMatchObject({ userId: "ada" });
      shop.clock.advance(GRACE);
    }
    expect(await session(browser)).toMatchObject({ userId: "ada" });
    expect(browser.cookies.has("sid")).toBe(true);
    expect(await listOf()).toHaveLength(1);
  });

  it("once the browser has the new cookie, is dead for whoever replays the old one", async () => {
    await open(openStore(), {}, { renewAfter: "10m" });
    const browser = await arrive();
    const thief = browser.twin();
    await session(browser);
    await session(browser);
    for (let minute = 0; minute < 120; minute++) {
      shop.clock.advance(MINUTE);
      const stolen = await thief.twin().get("/session");
      expect(JSON.parse(stolen.body)).toMatchObject({ isNew: true });
      expect(stolen.setCookie).toEqual([]);
      // Renewals come and go, at once and unseen: none of them makes the old cookie good again.
      expect(await session(browser)).toMatchObject({ userId: "ada" });
    }
    expect(named("renewed").length).toBeGreaterThan(5);
    expect(await listOf()).toHaveLength(1);
  });

  it("is dead after a logout, at once and for ever, and no late request begins another", async () => {
    await open(openStore());
    const browser = await arrive();
    const thief = browser.twin();
    await session(browser);
    expect(cookiesOf(await browser.post("/logout")).erased).toContain("sid");
    const late = await thief.twin().post("/set/late/yes");
    expect(late.setCookie).toEqual([]);
    expect(named("dropped-write")).toMatchObject([{ reason: "stale" }]);
    for (const pause of [0, GRACE, HOUR, 11 * HOUR, 11 * HOUR]) {
      shop.clock.advance(pause);
      expect(await session(thief.twin())).toMatchObject({ isNew: true });
    }
    expect(await listOf()).toEqual([]);
    expect(named("migrated")).toHaveLength(1);
  });

  it("is dead after a logout by the very request that takes it over", async () => {
    await open(openStore());
    const browser = await arrive();
    const twin = browser.twin();
    expect(cookiesOf(await browser.post("/logout"))).toEqual({ set: [], erased: ["sid", "connect.sid"] });
    expect(await session(twin)).toMatchObject({ isNew: true });
    expect(await countOf(records)).toBe(0);
  });

  it("goes on through login and rotate, after which the old cookie is dead", async () => {
    await open(openStore());
    for (const path of ["/login/ada", "/rotate"]) {
      const browser = await arrive();
      const twin = browser.twin();
      const answer = await browser.post(path);
      expect(cookiesOf(answer)).toEqual({ set: ["sid"], erased: ["connect.sid"] });
      expect((await session(browser)).data.cart).toEqual(["book"]);
      expect(await session(twin)).toMatchObject({ isNew: true });
      await browser.post("/logout");
    }
  });

  it("of a user whose sessions were all revoked, is not taken over, though its browser comes later", async () => {
    await open(openStore());
    const here = await arrive();
    const [elsewhere, inRace] = [await arrive(), await arrive()];
    const another = await arrive("bob");
    await session(here);
    expect(JSON.parse((await here.post("/revoke-all")).body)).toBe(1);
    expect(await session(elsewhere)).toMatchObject({ isNew: true });
    expect(await session(inRace)).toMatchObject({ isNew: true });
    expect(await session(another)).toMatchObject({ userId: "bob" });
    expect(await listOf()).toEqual([]);
    expect(await countOf(records)).toBe(0);
    await here.post("/login/ada");
    expect(await session(here)).toMatchObject({ userId: "ada" });
  });

  it("that is expired is not taken over", async () => {
    await open(openStore());
    const browser = await arrive();
    shop.clock.advance(25 * HOUR);
    expect(await session(browser)).toMatchObject({ isNew: true });
    expect(named("migrated")).toEqual([]);
  });
});

describe("an old cookie", () => {
  it("counts only without a living session of ours", async () => {
    await open();
    const ours = shop.browser();
    await ours.post("/login/carol");
    const both = (await arrive("dan")).twin();
    both.cookies.set("sid", ours.cookies.get("sid")!);
    expect(await session(both)).toMatchObject({ userId: "carol" });
    expect(await countOf(records)).toBe(1);
    expect(await listOf("dan")).toEqual([]);
  });

  it("counts beside a cookie of ours that is dead", async () => {
    await open();
    const ours = shop.browser();
    await ours.post("/login/carol");
    const browser = await arrive();
    browser.cookies.set("sid", ours.cookies.get("sid")!);
    shop.clock.advance(HOUR);
    expect(await session(browser)).toMatchObject({ userId: "ada" });
    expect(await session(browser)).toMatchObject({ userId: "ada" });
  });

  it("doesn't count beside one of ours that was logged out a moment ago", async () => {
    await open();
    const ours = shop.browser();
    await ours.post("/login/carol");
    const late = (await arrive()).twin();
    late.cookies.set("sid", ours.cookies.get("sid")!);
    await ours.post("/logout");
    const answer = await late.post("/set/late/yes");
    expect(answer.setCookie).toEqual([]);
    expect(await listOf()).toEqual([]);
  });

  it("of the name that the new cookie has is replaced, not erased", async () => {
    await old.close();
    old = await oldExpress({ store: records, name: "sid" });
    await open(memoryStore(), { name: "sid" });
    const browser = await arrive();
    expect(cookiesOf(await browser.get("/session"))).toEqual({ set: ["sid"], erased: [] });
    expect(await session(browser)).toMatchObject({ userId: "ada" });
  });

  it("of another path and domain is erased there", async () => {
    await open(memoryStore(), { cookie: { path: "/shop", domain: "example.com" } });
    const { setCookie } = await (await arrive()).get("/session");
    expect(setCookie[1]).toBe(
      "connect.sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/shop; Domain=example.com; HttpOnly",
    );
  });

  it("with a prefix is erased as browsers want it", async () => {
    await old.close();
    old = await oldExpress({ store: records, name: "__Host-old" });
    await open(memoryStore(), { name: "__Host-old" });
    const { setCookie } = await (await arrive()).get("/session");
    expect(setCookie[1]).toBe(
      "__Host-old=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly; Secure",
    );
  });

  it("of an older secret counts, where that is among the secrets", async () => {
    await open(memoryStore(), { secret: ["a newer secret", OLD_SECRET] });
    expect(await session(await arrive())).toMatchObject({ userId: "ada" });
  });

  it("is not looked at where the request comes with a bearer token, or could", async () => {
    await open(
      memoryStore(),
      {},
      { transport: (request) => (request.header("x-client") === "app" ? "bearer" : "cookie") },
    );
    const browser = await arrive();
    for (const headers of [
      { "x-client": "app" },
      { "x-client": "app", authorization: "Bearer none" },
    ] as Record<string, string>[]) {
      const answer = await browser.get("/session", headers);
      expect(JSON.parse(answer.body)).toMatchObject({ isNew: true });
      expect(answer.headers.get("session-token")).toBeNull();
    }
    expect(oldStore.calls).toEqual([]);
    expect(await session(browser)).toMatchObject({ userId: "ada" });
  });
});

describe("what is taken over", () => {
  it("is laid over the data that a new session starts with", async () => {
    await open(memoryStore(), {}, { initial: () => ({ cart: [], theme: "light" }) } as any);
    expect((await session(await arrive())).data).toEqual({
      cart: ["book"],
      theme: "light",
      passport: { user: "ada" },
    });
  });

  it("is what `data` and `userId` make of it", async () => {
    await open(memoryStore(), {
      data: ({ cart, cookie }) => ({ items: cart, cookie: typeof cookie }),
      userId: ({ passport }) => `user-${passport.user}`,
    });
    expect(await session(await arrive())).toMatchObject({
      userId: "user-ada",
      data: { items: ["book"], cookie: "undefined" },
    });
  });

  it("is nothing where `data` gives undefined", async () => {
    await open(memoryStore(), { data: () => undefined });
    const browser = await arrive();
    expect(await session(browser)).toMatchObject({ isNew: true });
    expect(browser.cookies.has("connect.sid")).toBe(true);
    expect(await countOf(records)).toBe(1);
  });

  it("has no user where there is none, or Passport notes an object", async () => {
    await open(memoryStore(), { data: () => ({ a: 1 }), userId: () => undefined });
    expect((await session(await arrive())).userId).toBeUndefined();
  });

  const mistakes: Array<[string, Partial<ExpressSessionSource>, string]> = [
    ["a user id that is a number", { userId: () => 7 as any }, "ERR_HOLDFAST_INVALID_ARGUMENT"],
    ["an empty user id", { userId: () => "" }, "ERR_HOLDFAST_INVALID_ARGUMENT"],
    ["data that is a promise", { data: (async () => ({})) as any }, "ERR_HOLDFAST_CONFIG"],
    ["data that is a list", { data: () => [] as any }, "ERR_HOLDFAST_CONFIG"],
    ["a date", { data: () => ({ at: new Date() }) }, "ERR_HOLDFAST_NOT_SERIALIZABLE"],
    ["too much", { data: () => ({ text: "x".repeat(70_000) }) }, "ERR_HOLDFAST_PAYLOAD_TOO_LARGE"],
    [
      "a function that throws",
      {
        data: () => {
          throw Object.assign(new Error("a mistake"), { code: "MISTAKE" });
        },
      },
      "MISTAKE",
    ],
  ];

  it.each(mistakes)(
    "is a clear error where it is %s, and the old session stays",
    async (_what, source, code) => {
      await open(memoryStore(), source);
      const errors: any[] = [];
      shop.app.use((error: any, _req: any, res: any, _next: any) => {
        errors.push(error);
        res.status(500).end();
      });
      const browser = await arrive();
      const answer = await browser.get("/session");
      expect(answer.status).toBe(500);
      expect(answer.setCookie).toEqual([]);
      expect(errors).toMatchObject([{ code }]);
      expect(await countOf(records)).toBe(1);
      expect(named("store-error")).toEqual([]);
    },
  );
});

it("with `lazy`, a session is taken over when it is asked for", async () => {
  await open();
  const app = express();
  app.use(expressSessions(shop.sessions, { lazy: true }));
  app.get("/plain", (_req, res) => {
    res.send("nobody asked");
  });
  app.get("/session", async (req, res) => {
    const opened: Session = await req.openSession();
    res.json({ userId: opened.userId });
  });
  const server = await listen(app);
  const browser = await loggedIn(old, new Browser(server.url));
  expect((await browser.get("/plain")).setCookie).toEqual([]);
  expect(oldStore.calls).toEqual([]);
  const answer = await browser.get("/session");
  expect(JSON.parse(answer.body)).toEqual({ userId: "ada" });
  expect(cookiesOf(answer)).toEqual({ set: ["sid"], erased: ["connect.sid"] });
  await server.close();
});

it("past the limit of sessions for each user, a takeover ends the oldest", async () => {
  await open(memoryStore(), {}, { maxSessionsPerUser: 2 });
  const browsers = [await arrive(), await arrive(), await arrive()];
  for (const browser of browsers) {
    await session(browser);
    shop.clock.advance(1000);
  }
  expect(await listOf()).toHaveLength(2);
  expect(await session(browsers[0]!)).toMatchObject({ isNew: true });
  expect(await session(browsers[2]!)).toMatchObject({ userId: "ada" });
});

it("where logins past the limit are refused, so are takeovers: the old session waits until there is room", async () => {
  await open(memoryStore(), {}, { maxSessionsPerUser: 1, atSessionLimit: "refuse" });
  shop.app.get("/reason", (req, res) => {
    res.send(req.session.reason);
  });
  const [first, second] = [await arrive(), await arrive()];
  expect(await session(first)).toMatchObject({ userId: "ada" });
  expect(await session(second)).toMatchObject({ isNew: true });
  expect((await second.get("/reason")).body).toBe("limit");
  expect([...second.cookies.keys()]).toEqual(["connect.sid"]);
  expect(named("refused-login")).toMatchObject([
    { userId: "ada", limit: 1 },
    { userId: "ada", limit: 1 },
  ]);
  expect(await listOf()).toHaveLength(1);
  await first.post("/logout");
  expect(await session(second)).toMatchObject({ userId: "ada", data: { cart: ["book"] } });
});

it("requests that overlap and take over one old session need one place, and lose nothing", async () => {
  const store = memoryStore();
  const storing = new Barrier();
  let hold = true;
  await open(
    {
      ...store,
      async create(id, record, call) {
        if (hold && record.userId === "ada") {
          hold = false;
          await storing.wait();
        }
        return store.create(id, record, call);
      },
    },
    {},
    { maxSessionsPerUser: 1, atSessionLimit: "refuse" },
  );
  const browser = await arrive();
  const [one, other] = [browser, browser.twin()];
  const slow = one.post("/set/slow/1");
  await storing.arrived();
  await other.post("/set/fast/1");
  storing.open();
  await slow;
  expect(named("refused-login")).toEqual([]);
  expect(await session(other)).toMatchObject({ userId: "ada", data: { slow: "1", fast: "1" } });
  expect(await session(one)).toMatchObject({ userId: "ada" });
  expect(await listOf()).toHaveLength(1);
  await other.post("/logout");
  const another = shop.browser();
  expect((await another.post("/login/ada")).status).toBe(302);
});

it("a takeover that took longer than a place is kept is undone where that went to another", async () => {
  const store = memoryStore();
  const storing = new Barrier();
  let hold = true;
  await open(
    {
      ...store,
      async create(id, record, call) {
        if (hold && record.userId === "ada") {
          hold = false;
          await storing.wait();
        }
        return store.create(id, record, call);
      },
    },
    {},
    { maxSessionsPerUser: 1, atSessionLimit: "refuse" },
  );
  const [late, fast] = [await arrive(), shop.browser()];
  const slow = late.get("/session");
  await storing.arrived();
  shop.clock.advance(MINUTE);
  expect((await fast.post("/login/ada")).status).toBe(302);
  storing.open();
  expect((await slow).status).toBe(409);
  expect(await session(late)).toMatchObject({ isNew: true });
  expect(await session(fast)).toMatchObject({ userId: "ada" });
  expect(await listOf()).toHaveLength(1);
});

it("revokeAll in the middle of a takeover ends that session, too, at whichever step it comes", async () => {
  let steps = 0;
  for (let step = 1; ; step++) {
    const store: any = memoryStore();
    let countdown = Number.POSITIVE_INFINITY;
    for (const method of ["load", "create", "replace", "delete", "listByUser"]) {
      const original = store[method];
      store[method] = async (...args: any[]) => {
        countdown--;
        if (countdown === 0) await shop.sessions.ofUser("ada").revokeAll();
        return original(...args);
      };
    }
    await open(store);
    const browser = await arrive();
    countdown = step;
    await session(browser);
    const wasReached = countdown <= 0;
    if (!wasReached) break;
    expect(await session(browser), `step ${step}`).toMatchObject({ isNew: true });
    expect(await listOf(), `step ${step}`).toEqual([]);
    await shop.close();
    steps = step;
  }
  expect(steps).toBeGreaterThanOrEqual(8);
});

describe("progress()", () => {
  it("counts what was taken over and what remains", async () => {
    const migration = await open();
    const browsers = [await arrive(), await arrive("bob"), await arrive("carol")];
    expect(await migration.progress()).toEqual({ migrated: 0, remaining: 3 });
    await session(browsers[0]!);
    await session(browsers[1]!);
    await session(browsers[1]!);
    expect(await migration.progress()).toEqual({ migrated: 2, remaining: 1 });
  });

  it("says nothing of what remains where the store can't count", async () => {
    const { get, destroy } = records;
    const store = { get: get.bind(records), destroy: destroy.bind(records) };
    const migration = await open(memoryStore(), { store });
    await session(await arrive());
    expect(await migration.progress()).toEqual({ migrated: 1, remaining: undefined });
  });
});
