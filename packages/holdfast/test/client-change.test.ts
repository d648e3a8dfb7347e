import { afterEach, describe, expect, it } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import { networkIn } from "../src/engine/guard/client-address.js";
import type { ClientChangeOptions } from "../src/engine/guard/client-change.js";
import { cookieStore } from "../src/stores/cookie.js";
import { memoryStore } from "../src/stores/memory.js";
import { Barrier } from "./support/barrier.js";
import type { Answer, Browser } from "./support/browser.js";
import { type Data, openShop, SECRET, type TestShop } from "./support/shop.js";
import { STORES } from "./support/stores.js";

const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const FIREFOX_UPDATED = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:152.0) Gecko/20100101 Firefox/152.0";
const CHROME =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
const CHROME_ON_WINDOWS =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
/** As user agents are reduced: a version of zeros, a platform that is the same for all. */
const CHROME_REDUCED = CHROME_ON_WINDOWS.replace("141", "155");

const session = (answer: Answer) => JSON.parse(answer.body);

describe.each(STORES)("the token from another client, on the $name store", ({ open }) => {
  let shop: TestShop;
  afterEach(() => shop.close());

  const start = async (
    clientChange: SessionsOptions<Data>["clientChange"],
    options: Partial<SessionsOptions<Data>> = {},
  ) => {
    shop = await openShop(open(), { clientChange, ...options });
    shop.app.get("/state", (req, res) => {
      const { reason, userId, isElevated, authenticatedAt, authentication } = req.session;
      res.json({ reason, userId, isElevated, authenticatedAt, at: authentication?.at });
    });
    shop.app.get("/recent", (req, res) => {
      req.session.requireRecentLogin("1h");
      res.send("recent");
    });
    shop.app.post("/elevate", async (req, res) => {
      await req.session.elevate();
      res.end();
    });
    return shop;
  };
  const state = async (browser: Browser, agent: string, headers = {}) =>
    session(await browser.get("/state", { "user-agent": agent, ...headers }));
  const anomalies = () => shop.events.filter(({ name }) => name === "anomaly");

  it("is not looked at by default", async () => {
    const { browser } = await start(undefined);
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    expect(await state(user.twin(), CHROME)).toMatchObject({ userId: "ada" });
    expect(anomalies()).toEqual([]);
  });

  it("observe: an event, once for each other client, and nothing else", async () => {
    const { browser } = await start("observe");
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    const { id } = session(await user.get("/session", { "user-agent": FIREFOX }));
    expect(anomalies()).toEqual([]);
    const thief = user.twin();
    for (let n = 0; n < 3; n++) {
      expect(await state(thief, CHROME)).toMatchObject({ userId: "ada" });
      expect(await state(user, FIREFOX)).toMatchObject({ userId: "ada" });
    }
    const from = { browser: "Firefox", system: "Windows" };
    expect(anomalies()).toMatchObject([
      {
        sessionId: id,
        userId: "ada",
        answer: "observe",
        changed: ["browser", "system"],
        from,
        to: { browser: "Chrome", system: "Linux" },
      },
    ]);
    await state(thief, CHROME_ON_WINDOWS);
    await state(thief, CHROME);
    expect(anomalies().map(({ changed }) => changed)).toEqual([["browser", "system"], ["browser"]]);
    await user.get("/recent", { "user-agent": FIREFOX });
    expect((await user.get("/recent", { "user-agent": FIREFOX })).status).toBe(200);
  });

  it("an update of the browser, and a reduced User-Agent, are no other client", async () => {
    const { browser } = await start("end");
    const [first, second] = [browser(), browser()];
    await first.post("/login/ada", { "user-agent": FIREFOX });
    await second.post("/login/ada", { "user-agent": CHROME_ON_WINDOWS });
    expect(await state(first, FIREFOX_UPDATED)).toMatchObject({ userId: "ada" });
    expect(await state(second, CHROME_REDUCED)).toMatchObject({ userId: "ada" });
    expect(anomalies()).toEqual([]);
  });

  it("of two requests at once that bring it, one tells", async () => {
    const deciding = new Barrier();
    const { browser } = await start({
      answer: async () => {
        await deciding.wait();
        return "observe" as const;
      },
    });
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    const thief = user.twin();
    const both = [state(thief, CHROME), state(thief, CHROME)];
    // Both have seen that nobody has noted it yet.
    await deciding.arrived(2);
    deciding.open();
    for (const each of await Promise.all(both)) expect(each).toMatchObject({ userId: "ada" });
    expect(anomalies()).toHaveLength(1);
  });

  it("reauthenticate: the login counts no more, for nobody who has the token, until there is a new one", async () => {
    const { browser } = await start("reauthenticate");
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    await user.post("/elevate", { "user-agent": FIREFOX });
    expect(await state(user, FIREFOX)).toMatchObject({ isElevated: true });
    const thief = user.twin();
    const suspect = { reason: "living", userId: "ada", isElevated: false };
    expect(await state(thief, CHROME)).toEqual(suspect);
    expect(await state(user, FIREFOX)).toEqual(suspect);
    for (const [browser, agent] of [
      [thief, CHROME],
      [user, FIREFOX],
    ] as const)
      expect((await browser.get("/recent", { "user-agent": agent })).status).toBe(401);
    expect(anomalies()).toMatchObject([{ answer: "reauthenticate" }]);
    expect((await shop.sessions.ofUser("ada").list())[0]!.authenticatedAt).toBeUndefined();
    // An elevation alone is no way past it.
    await user.post("/elevate", { "user-agent": FIREFOX });
    expect(await state(user, FIREFOX)).toMatchObject({ isElevated: false });

    await user.post("/login/ada", { "user-agent": FIREFOX });
    expect((await user.get("/recent", { "user-agent": FIREFOX })).status).toBe(200);
    // The new session's token is another one; from another client it is noticed anew.
    expect(await state(user.twin(), CHROME)).toEqual(suspect);
    expect(anomalies()).toHaveLength(2);
  });

  it("a user who goes on in another client logs in there, and that is theirs from then on", async () => {
    const { browser } = await start("reauthenticate");
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    await state(user, CHROME);
    await user.post("/login/ada", { "user-agent": CHROME });
    expect((await user.get("/recent", { "user-agent": CHROME })).status).toBe(200);
    expect(anomalies()).toHaveLength(1);
  });

  it("end: the session ends for everybody, and says why", async () => {
    const { browser } = await start("end");
    const user = browser();
    await user.post("/set/cart/tea", { "user-agent": FIREFOX });
    await user.post("/login/ada", { "user-agent": FIREFOX });
    const thief = user.twin();
    expect(await state(thief, CHROME)).toMatchObject({ reason: "anomaly" });
    expect(await state(user, FIREFOX)).toMatchObject({ reason: "anomaly" });
    expect(session(await user.get("/session", { "user-agent": FIREFOX }))).toMatchObject({ data: {} });
    expect(await shop.sessions.ofUser("ada").list()).toEqual([]);
    const names = shop.events.map(({ name }) => name).filter((name) => /anomaly|revoked/.test(name));
    expect(names).toEqual(["anomaly", "revoked"]);
    expect(shop.events).toContainEqual(
      expect.objectContaining({ name: "revoked", by: "anomaly", reason: "anomaly", userId: "ada" }),
    );
  });

  it("end meets a write of the user's, and nothing of it comes back", async () => {
    const { browser, barrier } = await start("end");
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    const slow = user.post("/set/late/yes?hold=slow", { "user-agent": FIREFOX });
    await barrier("slow").arrived();
    await state(user.twin(), CHROME);
    barrier("slow").open();
    await slow;
    expect(await state(user, FIREFOX)).toMatchObject({ reason: "anomaly" });
    expect(await shop.sessions.ofUser("ada").list()).toEqual([]);
  });

  it("a function decides, once for each other client, and its request waits for it", async () => {
    const asked: string[] = [];
    const deciding = new Barrier();
    const answer: ClientChangeOptions["answer"] = async ({ to }) => {
      asked.push(String(to.browser));
      if (to.system === "Linux") return "ignore";
      await deciding.wait();
      return "end";
    };
    const { browser } = await start({ answer });
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    for (let n = 0; n < 3; n++) expect(await state(user, CHROME)).toMatchObject({ userId: "ada" });
    expect(asked).toEqual(["Chrome"]);
    expect(anomalies()).toEqual([]);
    const waiting = state(user, CHROME_ON_WINDOWS);
    await deciding.arrived();
    deciding.open();
    expect(await waiting).toMatchObject({ reason: "anomaly" });
    expect(anomalies()).toMatchObject([{ answer: "end", changed: ["browser"] }]);
  });

  it.each([
    ["throws", () => Promise.reject(new Error("the rules can't be reached"))],
    ["gives nothing", () => undefined as never],
  ])("a function that %s fails the request, and lets nobody in", async (_name, answer) => {
    const { browser } = await start({ answer });
    const user = browser();
    await user.post("/login/ada", { "user-agent": FIREFOX });
    expect((await user.get("/state", { "user-agent": CHROME })).status).toBe(500);
    expect((await user.get("/state", { "user-agent": FIREFOX })).status).toBe(200);
  });

  it("visitors without a login aren't looked at", async () => {
    const { browser } = await start("end");
    const user = browser();
    await user.post("/set/cart/tea", { "user-agent": FIREFOX });
    expect(session(await user.get("/session", { "user-agent": CHROME })).data).toEqual({ cart: "tea" });
  });

  it("an address in the same network is none, in another is; only the network is kept", async () => {
    const { browser, sessions } = await start(
      { answer: "observe", watch: ["network"] },
      { trustProxy: true },
    );
    const user = browser();
    const from = (address: string) => ({ "x-forwarded-for": address });
    await user.post("/login/ada", { "user-agent": FIREFOX, ...from("192.0.2.7") });
    await state(user, CHROME, from("192.0.2.250"));
    expect(anomalies()).toEqual([]);
    await state(user, FIREFOX, from("198.51.100.1"));
    await state(user, FIREFOX, from("2001:db8:7:1::1"));
    await state(user, FIREFOX, from("2001:db8:7:2::2"));
    expect(anomalies().map(({ changed, from, to }) => ({ changed, from, to }))).toEqual([
      {
        changed: ["network"],
        from: { network: "192.0.2.0/24" },
        to: { network: "198.51.100.0/24" },
      },
      {
        changed: ["network"],
        from: { network: "192.0.2.0/24" },
        to: { network: "2001:db8:7::/48" },
      },
    ]);
    const [listed] = await sessions.ofUser("ada").list();
    expect(listed!.client).toEqual({ browser: "Firefox", system: "Windows", network: "192.0.2.0/24" });
  });

  it("beside rememberIp both are kept", async () => {
    const { browser, sessions } = await start(
      { answer: "observe", watch: ["browser", "network"] },
      { rememberIp: true },
    );
    await browser().post("/login/ada", { "user-agent": FIREFOX });
    const [listed] = await sessions.ofUser("ada").list();
    expect(listed!.client).toMatchObject({ network: "127.0.0.0/24" });
    expect(listed!.client.ip).toContain("127.0.0.1");
  });
});

describe("what it costs", () => {
  it("a reader whose client is the same makes one load, with it and without", async () => {
    for (const clientChange of [false, "end"] as const) {
      const store = memoryStore();
      let calls = 0;
      const counted = Object.fromEntries(
        Object.entries(store).map(([name, value]) => [
          name,
          typeof value === "function"
            ? (...args: unknown[]) => {
                calls++;
                return (value as (...args: unknown[]) => unknown).apply(store, args);
              }
            : value,
        ]),
      ) as unknown as typeof store;
      const shop = await openShop(counted, { clientChange });
      const user = shop.browser();
      await user.post("/login/ada", { "user-agent": FIREFOX });
      calls = 0;
      await user.get("/session", { "user-agent": FIREFOX });
      expect(calls).toBe(1);
      await shop.close();
    }
  });
});

describe("the option", () => {
  it.each([
    ["clientChange", "watch"],
    ["clientChange", true],
    ["clientChange.answer", {}],
    ["clientChange.answer", { answer: "panic" }],
    ["clientChange.watch", { answer: "end", watch: [] }],
    ["clientChange.watch", { answer: "end", watch: ["address"] }],
    ["clientChange.ipv4Prefix", { answer: "end", ipv4Prefix: 33 }],
    ["clientChange.ipv6Prefix", { answer: "end", ipv6Prefix: "48" }],
    ["clientChange.ip", { answer: "end", ip: true }],
  ])("is refused, by the name of what is wrong: %s (%j)", (name, clientChange) => {
    expect(() =>
      createSessions({ secrets: [SECRET], store: memoryStore(), clientChange: clientChange as "end" }),
    ).toThrow(`${name}`);
  });

  it("is refused for sessions in cookies: what was noticed would be in the cookie of who is suspected", () => {
    expect(() =>
      createSessions({ secrets: [SECRET], store: cookieStore(), clientChange: "observe" } as any),
    ).toThrow("clientChange: means nothing");
  });
});

it.each([
  ["192.0.2.77", 24, 48, "192.0.2.0/24"],
  ["192.0.2.77", 32, 48, "192.0.2.77/32"],
  ["192.0.130.77", 17, 48, "192.0.128.0/17"],
  ["10.9.8.7", 8, 48, "10.0.0.0/8"],
  ["::ffff:192.0.2.77", 24, 48, "192.0.2.0/24"],
  ["2001:db8:7:1::1", 24, 48, "2001:db8:7::/48"],
  ["2001:DB8:7::", 24, 48, "2001:db8:7::/48"],
  ["fe80::1%eth0", 24, 64, "fe80:0:0:0::/64"],
  ["::1", 24, 128, "0:0:0:0:0:0:0:1/128"],
  ["2001:db8:ffff::1", 24, 36, "2001:db8:f000::/36"],
  ["unix:/run/x.sock", 24, 48, undefined],
  ["", 24, 48, undefined],
])("the network of %s by %i and %i bits is %s", (address, ipv4, ipv6, network) => {
  expect(networkIn(address, ipv4, ipv6)).toBe(network);
});
