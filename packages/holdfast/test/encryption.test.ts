import { existsSync, readFileSync } from "node:fs";
import pg from "pg";
import { createClient } from "redis";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { EncryptOptions } from "../src/engine/encryption/encrypt.js";
import type { ReencryptProgress } from "../src/engine/encryption/reencrypt.js";
import type { Store, StoreCall, StoreRecord } from "../src/stores/contract.js";
import { memoryStore } from "../src/stores/memory.js";
import { mysqlStore } from "../src/stores/mysql.js";
import { postgresStore } from "../src/stores/postgres.js";
import { redisStore } from "../src/stores/redis.js";
import { sqliteStore } from "../src/stores/sqlite.js";
import { secretsFrom } from "../src/token/refreshed-secrets.js";
import { startMysql } from "./services/mysql.js";
import { startPostgres } from "./services/postgres.js";
import { type RedisServer, redisProgram, startRedis } from "./services/redis.js";
import { Barrier } from "./support/barrier.js";
import type { Answer, Browser } from "./support/browser.js";
import { FOREIGN_KEY, KEY, OLDER_KEY } from "./support/sealing.js";
import { openShop, type TestShop } from "./support/shop.js";
import { temporaryFile } from "./support/stores.js";

/** Encryption at rest, over real HTTP on real stores. */

const program = await redisProgram();
const [postgres, mysql] = await Promise.all([startPostgres(), startMysql()]);
let redis: RedisServer | undefined;
if (program !== undefined) redis = await startRedis(program);
afterAll(async () => {
  await redis?.stop();
  await postgres?.close();
  await mysql?.close();
});

/** What opens stores on the same data each time. */
type Opener = () => Store;

interface Backend {
  readonly name: string;
  readonly there: boolean;
  /** Data of its own for each test. */
  fresh(): Promise<Opener>;
}

let tables = 0;
const BACKENDS: Backend[] = [
  {
    name: "memory",
    there: true,
    async fresh() {
      const store = memoryStore();
      return () => ({ ...store, close() {} });
    },
  },
  {
    name: "sqlite",
    there: true,
    async fresh() {
      const path = temporaryFile("encrypted.db");
      return () => sqliteStore({ path });
    },
  },
  {
    name: "redis",
    there: redis !== undefined,
    async fresh() {
      const prefix = `encrypted${tables++}:`;
      return () => redisStore({ url: redis!.url, prefix });
    },
  },
  {
    name: "postgres",
    there: postgres !== undefined,
    async fresh() {
      const table = `encrypted_${tables++}`;
      const open = () => postgresStore({ connectionString: postgres!.url, table });
      const store = open();
      await store.migrate();
      await store.close();
      return open;
    },
  },
  {
    name: "mysql",
    there: mysql !== undefined,
    async fresh() {
      const table = `encrypted_${tables++}`;
      const open = () => mysqlStore({ uri: mysql!.url, table });
      const store = open();
      await store.migrate();
      await store.close();
      return open;
    },
  },
];

const closing: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function shopOn(store: Store, encrypt: boolean | EncryptOptions | undefined): Promise<TestShop> {
  // Redis removes keys by its own time.
  const shop = await openShop(store, {
    clock: Date.now,
    ...(encrypt !== undefined && { encrypt }),
  });
  let closed = false;
  const close = async () => {
    if (!closed) await shop.close();
    closed = true;
  };
  closing.push(close);
  return { ...shop, close };
}

const call = (): StoreCall => ({ now: Date.now(), signal: new AbortController().signal });

async function recordsIn(open: Opener): Promise<Map<string, StoreRecord>> {
  const store = open();
  const records = new Map<string, StoreRecord>();
  let cursor: string | undefined;
  do {
    const page = await store.scan!(cursor, 100, call());
    for (const { id, record } of page.sessions) records.set(id, record);
    cursor = page.next;
  } while (cursor !== undefined);
  await store.close();
  return records;
}

const payloadsIn = async (open: Opener) =>
  [...(await recordsIn(open)).values()].map(({ payload }) => payload);
const session = (answer: Answer) => JSON.parse(answer.body);
/** The same browser, at another server. */
const at = (shop: TestShop, browser: Browser) => {
  const other = shop.browser();
  for (const [name, value] of browser.cookies) other.cookies.set(name, value);
  return other;
};

describe.each(BACKENDS.filter(({ there }) => there))("on $name", ({ fresh }) => {
  it("what the store holds of a session, its tombstone and its user's other sessions is sealed", async () => {
    const open = await fresh();
    const shop = await shopOn(open(), true);
    const [one, other] = [shop.browser(), shop.browser()];
    for (const browser of [one, other]) {
      await browser.post("/set/note/the-words-of-ada");
      await browser.post("/login/ada");
    }
    await one.post("/rotate");
    expect(session(await one.get("/session"))).toMatchObject({
      data: { note: "the-words-of-ada" },
      userId: "ada",
    });
    expect(await shop.sessions.ofUser("ada").list()).toHaveLength(2);
    expect(await other.post("/logout")).toMatchObject({ status: 200 });
    const payloads = await payloadsIn(open);
    expect(payloads.length).toBeGreaterThan(3);
    for (const payload of payloads) {
      expect(payload).toMatch(/^sealed:[A-Za-z0-9_-]+$/);
      expect(Buffer.from(payload.slice(7), "base64url").includes("words")).toBe(false);
    }
  });

  it("turning it on under load, server by server, logs nobody out and loses nothing; then plain ones are refused", async () => {
    const open = await fresh();
    const before = await shopOn(open(), undefined);
    const people = Array.from({ length: 20 }, () => before.browser());
    const counts = new Map<Browser, number>();
    let stop = false;
    const fail: unknown[] = [];

    const expectAnswer = (answer: Answer, browser: Browser, counted: number) => {
      if (answer.status !== 200) fail.push(`${answer.status} ${answer.body}`);
      else if (Number(answer.body) !== counted + 1) fail.push(`${answer.body} after ${counted}`);
      counts.set(browser, counted + 1);
    };
    for (const [n, browser] of people.entries()) {
      await browser.post("/set/cart/full");
      await browser.post(`/login/user-${n}`);
      counts.set(browser, 0);
    }
    // Two servers as a load balancer knows them; each request takes the next.
    const servers = [before, await shopOn(open(), undefined)];
    let turn = 0;
    const load = people.map(async (browser) => {
      for (let n = 0; !stop || n < 3; n++) {
        const there = at(servers[turn++ % servers.length]!, browser);
        const counted = counts.get(browser)!;
        expectAnswer(await there.post("/increment"), browser, counted);
        for (const [name, value] of there.cookies) browser.cookies.set(name, value);
      }
    });
    const deploy = async (encrypt: EncryptOptions) => {
      for (const index of servers.keys()) {
        servers[index] = await shopOn(open(), encrypt);
        const reached = turn + 40;
        while (turn < reached) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    // What opens both before anything seals, so that no server meets what it doesn't know.
    await deploy({ keys: [KEY], seal: false });
    await deploy({ keys: [KEY] });
    const { complete, unreadable } = await servers[0]!.sessions.reencrypt();
    expect([complete, unreadable]).toEqual([true, 0]);
    for (const payload of await payloadsIn(open)) expect(payload).toMatch(/^sealed:/);
    await deploy({ keys: [KEY], plain: "refuse" });
    stop = true;
    await Promise.all(load);

    expect(fail).toEqual([]);
    for (const [n, browser] of people.entries()) {
      const seen = session(await at(servers[0]!, browser).get("/session"));
      expect(seen).toMatchObject({
        userId: `user-${n}`,
        data: { cart: "full", counter: counts.get(browser) },
      });
    }
    const rejected = servers.flatMap(({ events }) => events).filter(({ name }) => name === "rejected-cookie");
    expect(rejected).toEqual([]);
  }, 60_000);

  it("keys are rotated server by server: new last, new first, old gone; what was sealed before is opened", async () => {
    const open = await fresh();
    const steps: EncryptOptions[] = [
      { keys: [OLDER_KEY] },
      { keys: [OLDER_KEY, KEY] },
      { keys: [KEY, OLDER_KEY] },
    ];
    let servers = [await shopOn(open(), steps[0]), await shopOn(open(), steps[0])];
    const person = servers[0]!.browser();
    const asleep = servers[0]!.browser();
    for (const browser of [person, asleep]) {
      await browser.post("/increment");
      await browser.post("/login/ada");
    }
    let counter = 1;
    const round = async () => {
      for (const server of servers) {
        const there = at(server, person);
        expect((await there.post("/increment")).body).toBe(String(++counter));
        expect(session(await there.get("/session")).userId).toBe("ada");
      }
    };
    await round();
    for (const step of steps.slice(1)) {
      for (const index of servers.keys()) {
        await servers[index]!.close();
        servers[index] = await shopOn(open(), step);
        await round();
      }
    }

    // The one that nobody has used since still needs the old key; who forgets that is told, and nobody is logged out.
    const early = await shopOn(open(), { keys: [KEY] });
    const answer = await at(early, asleep).get("/session");
    expect([answer.status, answer.setCookie]).toEqual([503, []]);
    expect(early.events).toMatchObject([
      { name: "store-error", error: { code: "ERR_HOLDFAST_UNKNOWN_KEY" } },
    ]);
    expect(await early.sessions.reencrypt()).toMatchObject({ complete: false });

    expect(await servers[0]!.sessions.reencrypt()).toMatchObject({
      complete: true,
      unreadable: 0,
      missed: 0,
    });
    servers = [await shopOn(open(), { keys: [KEY] }), await shopOn(open(), { keys: [KEY] })];
    await round();
    expect(session(await at(servers[1]!, asleep).get("/session"))).toMatchObject({ data: { counter: 1 } });
  });

  it("a store under a key that nobody has is a 503 for each request, and its users are back with the key", async () => {
    const open = await fresh();
    const shop = await shopOn(open(), { keys: [KEY] });
    const user = shop.browser();
    await user.post("/increment");
    await user.post("/login/ada");
    await shop.close();

    const wrong = await shopOn(open(), { keys: [FOREIGN_KEY] });
    const there = at(wrong, user);
    for (const path of ["/session", "/session"]) {
      const answer = await there.get(path);
      expect([answer.status, answer.setCookie]).toEqual([503, []]);
      expect(answer.body).not.toContain("counter");
    }
    expect((await there.post("/logout")).status).toBe(503);
    expect((await there.get("/plain")).status).toBe(503);
    expect(await recordsIn(open)).not.toHaveProperty("size", 0);
    await wrong.close();

    const again = await shopOn(open(), { keys: [KEY] });
    expect(session(await at(again, user).get("/session"))).toMatchObject({
      userId: "ada",
      data: { counter: 1 },
    });
  });

  it("a server that was not told of encryption answers 503 to a sealed session, and says why", async () => {
    const open = await fresh();
    const shop = await shopOn(open(), true);
    const user = shop.browser();
    await user.post("/login/ada");
    const untold = await shopOn(open(), undefined);
    const answer = await at(untold, user).get("/session");
    expect([answer.status, answer.setCookie]).toEqual([503, []]);
    expect(untold.events.at(-1)).toMatchObject({
      name: "store-error",
      error: { message: expect.stringContaining("it is sealed, and `encrypt` is off here") },
    });
  });

  it("and back: with `seal: false` everything is plain again in the end, with nobody logged out", async () => {
    const open = await fresh();
    const shop = await shopOn(open(), true);
    const user = shop.browser();
    await user.post("/increment");
    await user.post("/login/ada");
    const back = await shopOn(open(), { seal: false });
    expect((await at(back, user).post("/increment")).body).toBe("2");
    expect(await back.sessions.reencrypt()).toMatchObject({ complete: true });
    for (const payload of await payloadsIn(open)) expect(payload).toMatch(/^\{/);
    const plain = await shopOn(open(), undefined);
    expect(session(await at(plain, user).get("/session"))).toMatchObject({
      userId: "ada",
      data: { counter: 2 },
    });
  });
});

describe("somebody who can write to the store, but has no key", () => {
  /** Puts a record in place of what is there. */
  async function put(open: Opener, id: string, record: StoreRecord): Promise<void> {
    const store = open();
    await store.delete(id, call());
    await store.create(id, record, call());
    await store.close();
  }

  const ATTACKS: Array<[string, (mine: StoreRecord, others: StoreRecord) => StoreRecord]> = [
    ["makes their session an administrator's", (mine) => ({ ...mine, userId: "admin" })],
    ["puts an administrator's record in place of theirs", (_mine, theirs) => theirs],
    ["puts an administrator's data into their session", (mine, { payload }) => ({ ...mine, payload })],
    ["has their session live for ever", (mine) => ({ ...mine, idleDeadline: 9e12, absoluteDeadline: 9e12 })],
    [
      "writes a session of their own making",
      (mine) => ({
        ...mine,
        userId: "admin",
        payload: `{"format":1,"createdAt":1,"seenAt":1,"tokenAt":${Date.now()}}\n{"admin":true}`,
      }),
    ],
  ];

  it.each(ATTACKS)("%s: it works on plain records, and is a 503 on sealed ones", async (_name, attack) => {
    for (const encrypt of [undefined, { keys: [KEY], plain: "refuse" } as const]) {
      const path = temporaryFile("attacked.db");
      const open = () => sqliteStore({ path });
      const shop = await shopOn(open(), encrypt);
      const [mallory, admin] = [shop.browser(), shop.browser()];
      for (const [browser, user] of [
        [mallory, "mallory"],
        [admin, "admin"],
      ] as const) {
        await browser.post(`/set/of/${user}`);
        await browser.post(`/login/${user}`);
      }
      const id = session(await mallory.get("/session")).id;
      const records = await recordsIn(open);
      const theirs = records.get(session(await admin.get("/session")).id)!;
      await put(open, id, attack(records.get(id)!, theirs));

      const answer = await mallory.get("/session");
      if (encrypt === undefined) {
        expect(answer.status).toBe(200);
        continue;
      }
      expect([answer.status, answer.setCookie]).toEqual([503, []]);
      expect(shop.events.at(-1)).toMatchObject({
        name: "store-error",
        error: { code: expect.stringMatching(/^ERR_HOLDFAST_(BROKEN_SEAL|NOT_SEALED)$/) },
      });
      expect(session(await admin.get("/session")).userId).toBe("admin");
    }
  });
});

describe("one record of a user's that can't be opened", () => {
  async function withOneLost() {
    const inner = memoryStore();
    const lost = await shopOn({ ...inner, close() {} }, { keys: [FOREIGN_KEY] });
    const stranded = lost.browser();
    await stranded.post("/login/ada");
    const shop = await shopOn({ ...inner, close() {} }, { keys: [KEY], plain: "refuse" });
    // Written by somebody who has no key: readable, were it not refused.
    const plain = await shopOn({ ...inner, close() {} }, undefined);
    await plain.browser().post("/set/n/1");
    return { inner, shop, stranded };
  }

  it("stops a login, which has to see all of them, and is told for what it is", async () => {
    const { shop } = await withOneLost();
    expect((await shop.browser().post("/login/ada")).status).toBe(503);
    const unknown = { code: "ERR_HOLDFAST_UNKNOWN_KEY" };
    expect(shop.events.at(-1)).toMatchObject({ name: "store-error", error: unknown });
    await expect(shop.sessions.ofUser("ada").list()).rejects.toMatchObject(unknown);
  });

  it("keeps nobody from ending the user's sessions: it goes with them", async () => {
    const { shop, inner, stranded } = await withOneLost();
    await shop.sessions.ofUser("ada").revokeAll();
    expect(await inner.listByUser("ada", call())).toEqual([]);
    expect(session(await at(shop, stranded).get("/session")).isNew).toBe(true);
    const user = shop.browser();
    expect((await user.post("/login/ada")).status).toBe(302);
    expect(await shop.sessions.ofUser("ada").list()).toHaveLength(1);
  });

  it("is passed over where everybody's are listed", async () => {
    const { shop } = await withOneLost();
    await shop.browser().post("/login/grace");
    const listed: Array<string | undefined> = [];
    for await (const { userId } of shop.sessions.ofEveryone().list()) listed.push(userId);
    expect(listed).toEqual(["grace"]);
  });
});

describe("the pass over the store", () => {
  /** A store whose `rewrite` waits at a barrier; so a request comes between the pass's reading and its writing. */
  function held(inner: Store): { store: Store; barrier: Barrier } {
    const barrier = new Barrier();
    return {
      barrier,
      store: {
        ...inner,
        close() {},
        async rewrite(...args) {
          await barrier.wait();
          return inner.rewrite!(...args);
        },
      },
    };
  }

  async function racing() {
    const inner = memoryStore();
    const plain = await shopOn({ ...inner, close() {} }, undefined);
    const user = plain.browser();
    await user.post("/increment");
    await user.post("/login/ada");
    await plain.close();
    const { store, barrier } = held(inner);
    const shop = await shopOn(store, true);
    const there = at(shop, user);
    const { id } = session(await there.get("/session"));
    const pass = shop.sessions.reencrypt();
    // The session, and the tombstone of the one before the login.
    await barrier.arrived(2);
    return { inner, shop, there, id, pass, barrier };
  }

  it("a request that writes in between wins, and the pass finds nothing left to do", async () => {
    const { inner, there, id, pass, barrier } = await racing();
    expect((await there.post("/increment")).body).toBe("2");
    barrier.open();
    expect(await pass).toMatchObject({ scanned: 2, changed: 1, missed: 0, complete: true });
    expect(session(await there.get("/session")).data.counter).toBe(2);
    expect((await inner.load(id, call()))?.payload).toMatch(/^sealed:/);
  });

  it("a request that was under way before, and writes after, keeps both", async () => {
    const { shop, there, pass, barrier } = await racing();
    const slow = there.post("/set/slow/kept?hold=slow");
    await shop.barrier("slow").arrived();
    barrier.open();
    expect(await pass).toMatchObject({ changed: 2, complete: true });
    shop.barrier("slow").open();
    expect((await slow).status).toBe(200);
    expect(session(await there.get("/session")).data).toEqual({ counter: 1, slow: "kept" });
  });

  it("a touch in between stays", async () => {
    const { inner, id, pass, barrier } = await racing();
    const { idleDeadline } = (await inner.load(id, call()))!;
    await inner.touch(id, idleDeadline + 5000, call());
    barrier.open();
    expect(await pass).toMatchObject({ changed: 2 });
    const record = (await inner.load(id, call()))!;
    expect(record.payload).toMatch(/^sealed:/);
    expect(record.idleDeadline).toBe(idleDeadline + 5000);
  });

  it("a logout in between stays, and so does a revocation", async () => {
    for (const end of ["/logout", "/revoke-all"]) {
      const { there, shop, pass, barrier } = await racing();
      const copy = there.twin();
      expect((await there.post(end)).status).toBe(200);
      barrier.open();
      expect(await pass).toMatchObject({ missed: 0, unreadable: 0 });
      expect(session(await copy.get("/session"))).toMatchObject({ isNew: true });
      expect(await shop.sessions.ofUser("ada").list()).toEqual([]);
    }
  });

  it("one that requests write to again and again is left to them, and it is said", async () => {
    const inner = memoryStore();
    const plain = await shopOn({ ...inner, close() {} }, undefined);
    const user = plain.browser();
    await user.post("/increment");
    const id = session(await user.get("/session")).id;
    const { length: tries } = await (async () => {
      const attempts: number[] = [];
      const busy: Store = {
        ...inner,
        close() {},
        async rewrite(...args) {
          attempts.push(args[1]);
          expect((await user.post("/increment")).status).toBe(200);
          return inner.rewrite!(...args);
        },
      };
      const shop = await shopOn(busy, true);
      expect(await shop.sessions.reencrypt()).toMatchObject({ changed: 0, missed: 1, complete: false });
      return attempts;
    })();
    expect(session(await user.get("/session")).data.counter).toBe(1 + tries);
    expect((await inner.load(id, call()))?.payload).toMatch(/^\{/);
  });

  it("tells how far it is, ends on a signal, and goes on from where it was", async () => {
    const inner = memoryStore();
    for (let n = 0; n < 1000; n++) {
      const id = String(n).padStart(43, "0");
      const record = { version: 1, payload: "{}", idleDeadline: 9e12, absoluteDeadline: 9e12, userId: null };
      await inner.create(id, record, call());
    }
    const open = () => ({ ...inner, close() {} });
    const shop = await shopOn(open(), true);
    const told: ReencryptProgress[] = [];
    const controller = new AbortController();
    const part = await shop.sessions.reencrypt({
      signal: controller.signal,
      onProgress(progress) {
        told.push(progress);
        if (told.length === 2) controller.abort();
      },
    });
    expect(told.map(({ scanned, changed }) => [scanned, changed])).toEqual([
      [200, 200],
      [400, 400],
    ]);
    expect(part).toMatchObject({ scanned: 400, complete: false, cursor: String(399).padStart(43, "0") });
    const rest = await shop.sessions.reencrypt({ cursor: part.cursor });
    expect(rest).toEqual({
      scanned: 600,
      changed: 600,
      unreadable: 0,
      missed: 0,
      cursor: undefined,
      complete: true,
    });
    expect(await shop.sessions.reencrypt()).toMatchObject({ scanned: 1000, changed: 0, complete: true });
  });

  it("counts what no key opens and leaves it, or removes it where that is said", async () => {
    const inner = memoryStore();
    const open = () => ({ ...inner, close() {} });
    const lost = await shopOn(open(), { keys: [FOREIGN_KEY] });
    await lost.browser().post("/increment");
    const shop = await shopOn(open(), { keys: [KEY] });
    const user = shop.browser();
    await user.post("/increment");
    expect(await shop.sessions.reencrypt()).toMatchObject({ scanned: 2, unreadable: 1, complete: false });
    expect(await recordsIn(open)).toHaveProperty("size", 2);
    const removal = await shop.sessions.reencrypt({ unreadable: "delete" });
    expect(removal).toMatchObject({ scanned: 2, unreadable: 1, complete: true });
    expect(await recordsIn(open)).toHaveProperty("size", 1);
    expect(session(await user.get("/session")).data.counter).toBe(1);
    await expect(shop.sessions.reencrypt({ unreadable: "drop" as never })).rejects.toThrow(/^unreadable: /);
  });

  it("is not complete where another key has come to seal meanwhile: what it saw before needs the older one", async () => {
    const inner = memoryStore();
    const open = () => ({ ...inner, close() {} });
    let given = [OLDER_KEY, KEY];
    const keys = await secretsFrom(() => given, { refresh: "1h" });
    const shop = await shopOn(open(), { keys });
    const user = shop.browser();
    await user.post("/increment");
    for (let n = 0; n < 300; n++) {
      const record = { version: 1, payload: "{}", idleDeadline: 9e12, absoluteDeadline: 9e12, userId: null };
      await inner.create("z".repeat(40) + String(n).padStart(3, "0"), record, call());
    }
    let changing: Promise<void> | undefined;
    const during = await shop.sessions.reencrypt({
      onProgress() {
        given = [KEY, OLDER_KEY];
        changing ??= keys.refresh();
      },
    });
    await changing;
    const later = await shopOn(open(), { keys: [KEY] });
    expect((await at(later, user).get("/session")).status).toBe(503);
    expect(during).toMatchObject({ unreadable: 0, missed: 0, cursor: undefined, complete: false });
    expect(await shop.sessions.reencrypt()).toMatchObject({ complete: true });
    expect(session(await at(later, user).get("/session")).data.counter).toBe(1);
  });

  it("is refused where nothing is encrypted, and where the store can't list its records", async () => {
    const shop = await shopOn(memoryStore(), undefined);
    await expect(shop.sessions.reencrypt()).rejects.toMatchObject({ code: "ERR_HOLDFAST_CONFIG" });
    const { scan: _, ...unlisted } = memoryStore();
    const other = await shopOn(unlisted, true);
    await expect(other.sessions.reencrypt()).rejects.toMatchObject({ code: "ERR_HOLDFAST_UNSUPPORTED" });
  });

  it("does without `rewrite`, by `replace`", async () => {
    const { rewrite: _, ...inner } = memoryStore();
    const open = () => ({ ...inner, close() {} });
    const plain = await shopOn(open(), undefined);
    const user = plain.browser();
    await user.post("/increment");
    const shop = await shopOn(open(), { plain: "read" });
    expect(await shop.sessions.reencrypt()).toMatchObject({ changed: 1, complete: true });
    expect(session(await at(shop, user).get("/session")).data.counter).toBe(1);
  });
});

describe("a stolen copy of the store", () => {
  const WORDS = "the-account-number-4929";

  const filesOf = (path: string) =>
    Buffer.concat([path, `${path}-wal`].filter(existsSync).map((file) => readFileSync(file)));

  async function use(open: Opener): Promise<{ token: string; shop: TestShop }> {
    const shop = await shopOn(open(), true);
    const user = shop.browser();
    await user.post(`/set/account/${WORDS}`);
    await user.post("/login/ada");
    await user.post("/cart/one-way-ticket");
    const [value] = user.cookies.values();
    return { token: value!, shop };
  }

  /** Neither as text nor, where it is long enough to be no accident, in base64 at any of its three offsets. */
  function expectNothing(copy: Buffer, token: string): void {
    for (const words of [WORDS, "one-way-ticket", "account", token, token.slice(0, 43), token.slice(44)]) {
      expect(copy.includes(words)).toBe(false);
      if (words.length < 14) continue;
      for (const before of ["", "a", "aa"]) {
        const base64 = Buffer.from(before + words)
          .toString("base64url")
          .slice(4, -4);
        expect(copy.includes(base64)).toBe(false);
      }
    }
  }

  it("of SQLite, its log included, holds no data and no token", async () => {
    const path = temporaryFile("stolen.db");
    const { token } = await use(() => sqliteStore({ path }));
    const copy = filesOf(path);
    expect(copy.includes("ada")).toBe(true);
    expectNothing(copy, token);
  });

  it.skipIf(redis === undefined)("of Redis: its dump holds neither", async () => {
    const { token } = await use(() => redisStore({ url: redis!.url, prefix: "stolen:" }));
    const client = createClient({ url: redis!.url });
    await client.connect();
    await client.sendCommand(["SAVE"]);
    const { dir, dbfilename } = {
      ...((await client.configGet("dir")) as { dir: string }),
      ...((await client.configGet("dbfilename")) as { dbfilename: string }),
    };
    client.destroy();
    const copy = readFileSync(`${dir}/${dbfilename}`);
    expect(copy.includes("ada")).toBe(true);
    expectNothing(copy, token);
  });

  it.skipIf(postgres === undefined)("of PostgreSQL: all columns hold neither", async () => {
    const table = `stolen_${tables++}`;
    const open = () => postgresStore({ connectionString: postgres!.url, table });
    const store = open();
    await store.migrate();
    await store.close();
    const { token } = await use(open);
    const client = new pg.Client({ connectionString: postgres!.url });
    await client.connect();
    const { rows } = await client.query(`SELECT * FROM ${table}`);
    await client.end();
    const copy = Buffer.from(JSON.stringify(rows));
    expect(copy.includes("ada")).toBe(true);
    expectNothing(copy, token);
  });

  it("after encryption was turned on, SQLite has nothing left of before once it is told to write itself anew", async () => {
    const path = temporaryFile("before.db");
    const plain = await shopOn(sqliteStore({ path }), undefined);
    for (let n = 0; n < 50; n++) await plain.browser().post(`/set/account/${WORDS}`);
    await plain.close();
    expect(filesOf(path).includes(WORDS)).toBe(true);

    const shop = await shopOn(sqliteStore({ path }), true);
    expect(await shop.sessions.reencrypt()).toMatchObject({ changed: 50, complete: true });
    await shop.close();
    const { default: Database } = await import("libsql");
    const database = new Database(path);
    database.exec("VACUUM");
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    database.close();
    expect(filesOf(path).includes(WORDS)).toBe(false);
  });
});

it("no event, error or answer holds a word of what is sealed, whatever fails", async () => {
  const path = temporaryFile("quiet.db");
  const open = () => sqliteStore({ path });
  const shop = await shopOn(open(), { keys: [KEY] });
  const user = shop.browser();
  await user.post("/set/word/do-not-repeat-me");
  await user.post("/login/ada");
  const other = await shopOn(open(), { keys: [FOREIGN_KEY] });
  const answers = [await at(other, user).get("/session"), await at(other, user).post("/increment")];
  const strict = await shopOn(open(), { keys: [KEY], plain: "refuse" });
  const records = await recordsIn(open);
  const store = open();
  for (const [id, record] of records) {
    await store.delete(id, call());
    await store.create(id, { ...record, userId: "admin" }, call());
  }
  answers.push(await at(strict, user).get("/session"));
  await store.close();
  const errors = [...other.events, ...strict.events].map(
    ({ error }) => `${error?.stack}${JSON.stringify(error)}`,
  );
  const told = JSON.stringify([answers, errors, other.events, strict.events]);
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
  expect(told).not.toContain("do-not-repeat-me");
  for (const { payload } of records.values()) expect(told).not.toContain(payload.slice(10, 60));
  for (const key of [KEY, FOREIGN_KEY]) expect(told).not.toContain(key);
});
