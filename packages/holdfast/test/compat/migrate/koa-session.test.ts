import { afterEach, describe, expect, it } from "vitest";
import { type KoaSessionSource, migrateFrom } from "../../../src/compat/migrate/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { Browser } from "../../support/browser.js";
import { openShop, type TestShop } from "../../support/shop.js";
import { STORES } from "../../support/stores.js";
import { cookiesOf, HOUR, loggedIn, OLD_KEYS, type OldApplication, oldKoa } from "./old-applications.js";

const GRACE = 30_000;

let old: OldApplication;
let shop: TestShop;

afterEach(async () => {
  await shop?.close();
  await old.close();
});

/** A store for koa-session, as its documentation wants it. */
class OldKoaStore {
  readonly records = new Map<string, string>();

  async get(key: string, _maxAge: unknown, { rolling: _rolling }: { rolling?: boolean }) {
    const text = this.records.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  }

  async set(key: string, session: object) {
    this.records.set(key, JSON.stringify(session));
  }

  async destroy(key: string) {
    this.records.delete(key);
  }
}

async function open(source: Partial<KoaSessionSource> = {}, keepOld = false, store: any = memoryStore()) {
  const migration = migrateFrom({ koaSession: { keys: OLD_KEYS, ...source }, keepOld });
  shop = await openShop(store, { migration });
  shop.clock.time = Date.now();
  return migration;
}

const arrive = (user?: string): Promise<Browser> => loggedIn(old, shop.browser(), user);
const session = async (browser: Browser, path = "/session") => JSON.parse((await browser.get(path)).body);
const listOf = (user = "ada") => shop.sessions.ofUser(user).list();

async function userAtOld(browser: Browser): Promise<string | undefined> {
  const back = new Browser(old.url);
  for (const [name, value] of browser.cookies) back.cookies.set(name, value);
  return JSON.parse((await back.get("/session")).body).passport?.user;
}

const WAYS = [
  { way: "a signed cookie", makeStore: () => undefined },
  { way: "a store", makeStore: () => new OldKoaStore() },
];

for (const { way, makeStore } of WAYS) {
  describe.each(STORES)(`a session of koa-session in ${way}, on the $name store`, ({ open: openStore }) => {
    async function begin(keepOld = false, options: Record<string, unknown> = {}) {
      const store = makeStore();
      old = await oldKoa({ ...(store && { store }), ...options });
      const migration = await open(store && { store }, keepOld, openStore());
      return { migration, records: store?.records };
    }

    it("is taken over by the first request, though it only reads", async () => {
      const { migration, records } = await begin();
      const browser = await arrive();
      expect([...browser.cookies.keys()]).toEqual(["koa.sess", "koa.sess.sig"]);
      const answer = await browser.get("/session");
      const gone = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly";
      expect(answer.setCookie).toEqual([
        expect.stringMatching(/^sid=[\w-]{43}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/),
        `koa.sess=; ${gone}`,
        `koa.sess.sig=; ${gone}`,
      ]);
      const { id, userId, data } = JSON.parse(answer.body);
      expect({ userId, data }).toEqual({
        userId: "ada",
        data: { passport: { user: "ada" }, cart: ["book"] },
      });
      expect(await listOf()).toMatchObject([{ id }]);
      expect(records?.size ?? 0).toBe(0);
      expect(await migration.progress()).toEqual({ migrated: 1, remaining: undefined });
      expect(shop.events.filter(({ name }) => name === "migrated")).toMatchObject([
        { sessionId: id, userId: "ada", from: "koa-session" },
      ]);
    });

    it("is taken over once by ten overlapping requests, and all ten keep their writes", async () => {
      await begin();
      const browser = await arrive();
      const twins = Array.from({ length: 10 }, () => browser.twin());
      const answers = twins.map((twin, index) => twin.post(`/set/key${index}/value${index}?hold=all`));
      await shop.barrier("all").arrived(10);
      shop.barrier("all").open();
      expect((await Promise.all(answers)).filter(({ setCookie }) => setCookie.length > 0)).toHaveLength(1);
      const { data } = await session(twins.find((twin) => twin.cookies.has("sid"))!);
      for (let index = 0; index < 10; index++) expect(data[`key${index}`]).toBe(`value${index}`);
      expect(await listOf()).toHaveLength(1);
    });

    it("survives a lost response, is dead once the new cookie was used, and after a logout", async () => {
      await begin();
      const browser = await arrive();
      const thief = browser.twin();
      await session(browser.twin());
      shop.clock.advance(GRACE);
      expect(await session(browser)).toMatchObject({ userId: "ada" });
      expect(await session(browser)).toMatchObject({ userId: "ada" });
      shop.clock.advance(GRACE);
      expect(await session(thief.twin())).toMatchObject({ isNew: true });
      await browser.post("/logout");
      expect((await thief.twin().post("/set/late/yes")).setCookie).toEqual([]);
      for (const pause of [GRACE, 11 * HOUR, 14 * HOUR, 300 * 24 * HOUR]) {
        shop.clock.advance(pause);
        expect(await session(thief.twin())).toMatchObject({ isNew: true });
      }
      expect(await listOf()).toEqual([]);
    });

    it("that ends with the browser names no end: its cookie stays dead as long as browsers keep one", async () => {
      await begin(true, { maxAge: "session" });
      const browser = await arrive();
      const before = browser.twin();
      expect((await session(browser)).data).toEqual({ passport: { user: "ada" }, cart: ["book"] });
      for (let day = 0; day < 399; day += 21) {
        shop.clock.advance(21 * 24 * HOUR);
        expect(await session(before.twin())).toMatchObject({ isNew: true });
      }
    });

    it("that is expired is not taken over", async () => {
      await begin(false, { maxAge: HOUR });
      const browser = await arrive();
      shop.clock.advance(HOUR + 60_000);
      expect(await session(browser)).toMatchObject({ isNew: true });
    });

    it("with keepOld, the way back is open, and closed by the logout", async () => {
      const { records } = await begin(true);
      const browser = await arrive();
      expect(cookiesOf(await browser.get("/session"))).toEqual({ set: ["sid"], erased: [] });
      expect(await userAtOld(browser)).toBe("ada");
      const answer = await browser.post("/logout");
      expect(cookiesOf(answer).erased).toEqual(["sid", "koa.sess", "koa.sess.sig"]);
      expect(await userAtOld(browser)).toBeUndefined();
      expect(records?.size ?? 0).toBe(0);
    });

    it("signed by the second of the keys, or under another name, is taken over", async () => {
      const store = makeStore();
      old = await oldKoa({ ...(store && { store }), key: "shop" });
      await open({ ...(store && { store }), key: "shop", keys: ["the newest key", ...OLD_KEYS] });
      expect(await session(await arrive())).toMatchObject({ userId: "ada" });
    });
  });
}

it("a cookie without its signature, or with that of another, is not looked at", async () => {
  old = await oldKoa();
  await open();
  const [browser, other] = [await arrive(), await arrive("bob")];
  const signature = browser.cookies.get("koa.sess.sig")!;
  for (const wrong of [
    undefined,
    "",
    other.cookies.get("koa.sess.sig")!,
    `${signature}x`,
    signature.slice(1),
  ]) {
    const twin = browser.twin();
    if (wrong === undefined) twin.cookies.delete("koa.sess.sig");
    else twin.cookies.set("koa.sess.sig", wrong);
    expect(await session(twin)).toMatchObject({ isNew: true });
  }
  // Signed, but under another name: koa.sess=…
  expect(await session(browser)).toMatchObject({ userId: "ada" });
});

it("a key with a percent sign in it is taken as it was sent, as Koa does", async () => {
  const store = new OldKoaStore();
  old = await oldKoa({ store, genid: () => "key%41" });
  await open({ store });
  expect(await session(await arrive())).toMatchObject({ userId: "ada" });
  expect(store.records.size).toBe(0);
});

it("`keys` may be a Keygrip, and `decode` a function", async () => {
  const { default: Keygrip } = (await import("keygrip" as string)) as { default: any };
  const encode = (data: unknown) => Buffer.from(JSON.stringify(data)).toString("hex");
  const decode = (text: string) => JSON.parse(Buffer.from(text, "hex").toString());
  old = await oldKoa({ encode, decode });
  await open({ keys: new Keygrip(OLD_KEYS), decode });
  expect(await session(await arrive())).toMatchObject({ userId: "ada" });
});

it("a signed cookie that can't be read is none", async () => {
  old = await oldKoa();
  await open({
    decode: () => {
      throw new TypeError("no");
    },
  });
  const answer = await (await arrive()).get("/session");
  expect(JSON.parse(answer.body)).toMatchObject({ isNew: true });
  expect(answer.setCookie).toEqual([]);
});

it("of both libraries' cookies the first that lives is taken over", async () => {
  old = await oldKoa();
  const dead = { get: (_sid: string, done: any) => done(null), destroy: (_sid: string, done: any) => done() };
  const migration = migrateFrom({
    expressSession: { secret: "x", store: dead },
    koaSession: { keys: OLD_KEYS },
  });
  shop = await openShop(memoryStore(), { migration });
  shop.clock.time = Date.now();
  const browser = await arrive();
  const { signConnectId } = await import("../../../src/compat/express-session/signature.js");
  browser.cookies.set("connect.sid", encodeURIComponent(signConnectId("gone", "x")));
  const answer = await browser.get("/session");
  expect(JSON.parse(answer.body)).toMatchObject({ userId: "ada" });
  expect(cookiesOf(answer).erased).toEqual(["connect.sid", "koa.sess", "koa.sess.sig"]);
});
