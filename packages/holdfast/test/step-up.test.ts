import { afterEach, describe, expect, it } from "vitest";
import type { SessionsOptions } from "../src/engine/create-sessions.js";
import { decodePayload } from "../src/engine/record.js";
import { memoryStore } from "../src/stores/memory.js";
import type { Answer } from "./support/browser.js";
import { openCookieShop } from "./support/cookie-shop.js";
import { type Data, openShop, type TestShop } from "./support/shop.js";
import { STORES } from "./support/stores.js";

const MINUTE = 60_000;
const session = (answer: Answer) => JSON.parse(answer.body);

type Shop = Pick<TestShop, "app" | "clock" | "events" | "browser" | "barrier" | "close">;
let shop: Shop;
afterEach(() => shop.close());

function addRoutes(): void {
  const { app } = shop;
  app.post("/password/:user", async (req, res) => {
    await req.session.login(req.params.user, { methods: ["pwd"], level: 1 });
    res.end();
  });
  app.post("/otp", async (req, res) => {
    await req.session.elevate({ methods: ["otp"], level: 2, for: "10m" });
    res.end();
  });
  app.post("/drop", async (req, res) => {
    await req.session.dropElevation();
    res.end();
  });
  app.get("/how", ({ session: { authentication, isElevated, elevatedUntil, authenticatedAt } }, res) => {
    res.json({ authentication, isElevated, elevatedUntil, authenticatedAt });
  });
  app.get("/recent", (req, res) => {
    req.session.requireRecentLogin("5m");
    res.send("recent");
  });
  app.get("/elevated", (req, res) => {
    req.session.requireElevation();
    res.send("elevated");
  });
  app.get("/level-2", (req, res) => {
    req.session.requireElevation({ level: 2, methods: ["pwd", "otp"] });
    res.send("level 2");
  });
}

const KINDS = [
  ...STORES.map(({ name, open }) => ({
    name: `the ${name} store`,
    open: (options: Partial<SessionsOptions<Data>>) => openShop(open(), options) as Promise<Shop>,
  })),
  {
    name: "sessions in cookies",
    open: (options: object) => openCookieShop(undefined, options) as Promise<Shop>,
  },
  {
    name: "sessions in cookies, with a list of the ended",
    open: (options: object) => openCookieShop(memoryStore(), options) as Promise<Shop>,
  },
];

describe.each(KINDS)("on $name", ({ open }) => {
  const start = async (options: object = {}) => {
    shop = await open(options);
    addRoutes();
    return shop;
  };

  it("keeps the methods and the level of a login, and forgets them with the next", async () => {
    const { browser, clock } = await start();
    const user = browser();
    expect(session(await user.get("/how"))).toEqual({ isElevated: false });
    await user.post("/password/ada");
    const at = new Date(clock.time).toISOString();
    expect(session(await user.get("/how"))).toEqual({
      authentication: { at, methods: ["pwd"], level: 1 },
      authenticatedAt: at,
      isElevated: false,
    });
    await user.post("/otp");
    await user.post("/login/ada");
    expect(session(await user.get("/how"))).toEqual({
      authentication: { at, methods: [] },
      authenticatedAt: at,
      isElevated: false,
    });
  });

  it("elevate gives a new token, keeps the data, and ends by the server's clock", async () => {
    const { browser, clock, events } = await start();
    const user = browser();
    await user.post("/set/cart/tea");
    await user.post("/password/ada");
    const before = user.cookieHeader;
    const { id } = session(await user.get("/session"));
    clock.advance(MINUTE);
    await user.post("/otp");
    expect(user.cookieHeader).not.toBe(before);
    const elevated = session(await user.get("/session"));
    expect(elevated).toMatchObject({ userId: "ada", data: { cart: "tea" } });
    expect(elevated.id).not.toBe(id);
    const at = clock.time;
    expect(session(await user.get("/how"))).toMatchObject({
      authentication: { at: new Date(at).toISOString(), methods: ["pwd", "otp"], level: 2 },
      isElevated: true,
      elevatedUntil: new Date(at + 10 * MINUTE).toISOString(),
    });
    expect(events).toContainEqual({
      name: "elevated",
      at: new Date(at),
      sessionId: elevated.id,
      userId: "ada",
      methods: ["otp"],
      level: 2,
      until: new Date(at + 10 * MINUTE),
    });
    for (const path of ["/elevated", "/level-2"]) expect((await user.get(path)).status).toBe(200);

    clock.advance(10 * MINUTE - 1);
    // Activity doesn't make it longer.
    await user.post("/set/theme/dark");
    expect((await user.get("/elevated")).status).toBe(200);
    clock.advance(1);
    for (const path of ["/elevated", "/level-2"]) expect((await user.get(path)).status).toBe(401);
    expect(session(await user.get("/how"))).toMatchObject({
      authentication: { methods: ["pwd"], level: 1 },
      isElevated: false,
    });
    expect(session(await user.get("/session")).userId).toBe("ada");
  });

  it("dropElevation ends it, and so does a logout", async () => {
    const { browser } = await start();
    const user = browser();
    await user.post("/password/ada");
    await user.post("/otp");
    const { id } = session(await user.get("/session"));
    await user.post("/drop");
    expect((await user.get("/elevated")).status).toBe(401);
    expect(session(await user.get("/session"))).toMatchObject({ id, userId: "ada" });
    await user.post("/drop");
    await user.post("/otp");
    await user.post("/logout");
    await user.post("/password/ada");
    expect((await user.get("/elevated")).status).toBe(401);
  });

  it("asks again once the login is too long ago, and takes a login or an elevation for an answer", async () => {
    const { browser, clock } = await start();
    const user = browser();
    expect(await user.get("/recent")).toMatchObject({ status: 401 });
    await user.post("/password/ada");
    clock.advance(5 * MINUTE - 1);
    expect((await user.get("/recent")).status).toBe(200);
    clock.advance(1);
    expect((await user.get("/recent")).status).toBe(401);
    await user.post("/otp");
    expect((await user.get("/recent")).status).toBe(200);
    clock.advance(5 * MINUTE);
    expect((await user.get("/recent")).status).toBe(401);
    await user.post("/password/ada");
    expect((await user.get("/recent")).status).toBe(200);
  });
});

describe.each(STORES)("on the $name store", ({ open }) => {
  const start = async (options: Partial<SessionsOptions<Data>> = {}) => {
    const opened = await openShop(open(), options);
    shop = opened;
    addRoutes();
    return opened;
  };

  it("the token from before an elevation is dead at once", async () => {
    const { browser } = await start();
    const user = browser();
    await user.post("/password/ada");
    const thief = user.twin();
    await user.post("/otp");
    expect(session(await thief.get("/session"))).toMatchObject({ isNew: true });
    expect((await thief.get("/elevated")).status).toBe(401);
  });

  it("a request that began before loses neither its change nor the elevation", async () => {
    const { browser, barrier } = await start();
    const user = browser();
    await user.post("/password/ada");
    await user.post("/otp");
    const slow = user.post("/set/late/yes?hold=slow");
    await barrier("slow").arrived();
    await user.post("/drop");
    barrier("slow").open();
    await slow;
    expect(session(await user.get("/session")).data).toEqual({ late: "yes" });
    expect((await user.get("/elevated")).status).toBe(401);
  });

  it("an elevation of a session that is revoked meanwhile brings nothing back", async () => {
    const { browser, barrier, sessions } = await start();
    const user = browser();
    await user.post("/password/ada");
    const slow = user.post("/otp?hold=slow");
    await barrier("slow").arrived();
    await sessions.ofUser("ada").revokeAll();
    barrier("slow").open();
    expect((await slow).status).toBe(401);
    expect(session(await user.get("/session")).isNew).toBe(true);
  });

  it("it is in the list of devices", async () => {
    const { browser, clock, sessions } = await start();
    const user = browser();
    await user.post("/password/ada");
    await user.post("/otp");
    const [listed] = await sessions.ofUser("ada").list();
    expect(listed).toMatchObject({
      authentication: { methods: ["pwd", "otp"], level: 2 },
      remembered: false,
      elevatedUntil: new Date(clock.time + 10 * MINUTE),
    });
    clock.advance(10 * MINUTE);
    expect((await sessions.ofUser("ada").list())[0]!.elevatedUntil).toBeUndefined();
  });
});

describe("what a session can't be told", () => {
  it.each([
    [{ methods: "pwd" }],
    [{ methods: [""] }],
    [{ methods: ["a b"] }],
    [{ methods: ["x".repeat(33)] }],
    [{ methods: Array.from({ length: 17 }, (_, n) => `m${n}`) }],
    [{ level: -1 }],
    [{ level: 1.5 }],
    [{ level: "2" }],
    [{ for: "soon" }],
    [{ for: 10 }],
  ])("%j", async (options) => {
    const opened = await openShop(memoryStore());
    shop = opened;
    const errors: unknown[] = [];
    opened.app.post("/try", async (req, res) => {
      await req.session.login("ada");
      await req.session.elevate(options as object).catch((error) => errors.push(error));
      res.json({ isElevated: req.session.isElevated });
    });
    expect(session(await opened.browser().post("/try"))).toEqual({ isElevated: false });
    expect(errors).toMatchObject([{ code: "ERR_HOLDFAST_INVALID_ARGUMENT" }]);
  });

  it("nobody can be elevated who is nobody", async () => {
    const opened = await openShop(memoryStore());
    shop = opened;
    addRoutes();
    const answer = await opened.browser().post("/otp");
    expect(answer).toMatchObject({ status: 500, setCookie: [] });
  });

  it.each([
    { authentication: "pwd" },
    { authentication: { methods: [1] } },
    { authentication: { level: "2" } },
    { elevation: {} },
    { elevation: { at: 1 } },
    { elevation: { at: 1, until: "never" } },
  ])("a record that says %j is corrupt", (meta) => {
    shop = { close: async () => {} } as Shop;
    const head = { format: 1, createdAt: 1, seenAt: 1, tokenAt: 1, ...meta };
    expect(() => decodePayload(`${JSON.stringify(head)}\n{}`)).toThrow("malformed");
  });
});
