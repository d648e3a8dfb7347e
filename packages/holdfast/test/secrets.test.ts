import { writeFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { createSessions } from "../src/engine/create-sessions.js";
import { cookieStore } from "../src/stores/cookie.js";
import { memoryStore } from "../src/stores/memory.js";
import { secretsFrom } from "../src/token/refreshed-secrets.js";
import { secretsFromFile } from "../src/token/secret-file.js";
import { scheduledSecrets } from "../src/token/secret-source.js";
import { Browser, listen } from "./support/browser.js";
import { finish, finishedCookie, requestWith } from "./support/exchange.js";
import { KEY, OLDER_KEY } from "./support/sealing.js";
import { Clock, openShop, shopOn, type TestShop } from "./support/shop.js";
import { temporaryFile } from "./support/stores.js";

/** Secrets that change under sessions that live, over real HTTP. */

const HOUR = 3_600_000;

let shop: TestShop | undefined;
afterEach(async () => {
  await shop?.close();
  shop = undefined;
});

/** A shop on a file of secrets, and what writes to the file and has it read at once. */
async function shopOnFile() {
  const path = temporaryFile("secrets");
  writeFileSync(path, OLDER_KEY);
  const source = secretsFromFile(path);
  shop = await openShop(memoryStore(), { secrets: source });
  const give = async (...secrets: string[]) => {
    writeFileSync(path, secrets.join("\n"));
    await source.refresh();
  };
  return { shop, give };
}

const session = ({ body }: { body: string }) => JSON.parse(body);

describe("a new secret in the file", () => {
  it("signs from then on; sessions go on, and their cookies are signed anew when they come", async () => {
    const { shop, give } = await shopOnFile();
    const user = shop.browser();
    await user.post("/set/cart/full");
    await user.post("/login/ada");
    const before = user.cookieHeader;

    await give(KEY, OLDER_KEY);
    expect(shop.events.at(-1)).toMatchObject({ name: "secrets-changed", option: "secrets", count: 2 });
    expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: { cart: "full" } });
    expect(user.cookieHeader).not.toBe(before);
    const after = user.cookieHeader;
    await user.get("/session");
    expect(user.cookieHeader).toBe(after);

    await give(KEY);
    expect(session(await user.get("/session")).userId).toBe("ada");
    const copy = shop.browser();
    const [name, value] = before.split("=");
    copy.cookies.set(name!, value!);
    expect(session(await copy.get("/session")).isNew).toBe(true);
    expect(shop.events.at(-1)).toMatchObject({ name: "rejected-cookie", reason: "forged" });
  });

  it("that is no good is an event, and nobody notices", async () => {
    const { shop, give } = await shopOnFile();
    const user = shop.browser();
    await user.post("/login/ada");
    await give("# nothing");
    expect(shop.events.at(-1)).toMatchObject({ name: "secrets-refused", option: "secrets" });
    expect(session(await user.get("/session")).userId).toBe("ada");
    await give(OLDER_KEY);
    expect(session(await user.get("/session")).userId).toBe("ada");
  });
});

it("sessions that live in their cookie are sealed anew with the new secret, by a keyring that was there before", async () => {
  let secrets = [OLDER_KEY];
  const source = await secretsFrom(() => secrets);
  const sessions = createSessions<any>({ secrets: source, store: cookieStore() });
  const { url, close } = await listen(shopOn(sessions).app);
  const user = new Browser(url);
  await user.post("/set/cart/full");
  await user.post("/login/ada");
  const before = user.twin();
  secrets = [KEY, OLDER_KEY];
  await source.refresh();
  expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: { cart: "full" } });
  secrets = [KEY];
  await source.refresh();
  expect(session(await user.get("/session"))).toMatchObject({ userId: "ada", data: { cart: "full" } });
  expect(session(await before.get("/session")).isNew).toBe(true);
  await close();
  await sessions.close();
});

it("bearer tokens follow", async () => {
  let secrets = [OLDER_KEY];
  const source = await secretsFrom(() => secrets);
  const sessions = createSessions<any>({ secrets: source, store: memoryStore(), transport: "bearer" });
  const first = await sessions.open(requestWith(undefined));
  first.session.data.n = 1;
  const [token] = (await finish(first))["session-token"]!;
  const come = (value: string) => sessions.open(requestWith(undefined, { authorization: `Bearer ${value}` }));
  secrets = [KEY, OLDER_KEY];
  await source.refresh();
  const second = await come(token!);
  expect(second.session.data.n).toBe(1);
  const [next] = (await finish(second))["session-token"]!;
  secrets = [KEY];
  await source.refresh();
  expect((await come(next!)).session.data.n).toBe(1);
  expect((await come(token!)).session.isNew).toBe(true);
  await sessions.close();
});

/** One secret that signs until an hour after `start`, and one from then on. */
const turningAfter = (start: number) =>
  scheduledSecrets([
    { secret: OLDER_KEY, from: new Date(start - HOUR) },
    { secret: KEY, from: new Date(start + HOUR) },
  ]);

it("on a schedule, a session lives to its very end through a turn of secrets, and no longer than its deadline", async () => {
  const clock = new Clock();
  const start = clock.time;
  const sessions = createSessions<any>({
    secrets: turningAfter(start),
    store: memoryStore(),
    clock: clock.read,
    idleTimeout: "12h",
    absoluteTimeout: "12h",
    renewAfter: false,
    sweepInterval: false,
  });
  const changes: number[] = [];
  sessions.on("secrets-changed", ({ count }) => changes.push(count));
  clock.time = start + HOUR - 1;
  const exchange = await sessions.open(requestWith(undefined));
  exchange.session.data.n = 1;
  const cookie = (await finishedCookie(exchange))!;

  clock.time = start + 13 * HOUR - 2;
  const late = await sessions.open(requestWith(cookie));
  expect(late.session.data.n).toBe(1);
  expect(changes).toEqual([2]);
  clock.time = start + 14 * HOUR;
  expect((await sessions.open(requestWith(cookie))).session.reason).toBe("forged");
  expect(changes).toEqual([2, 1]);
  await sessions.close();
});

it("on a schedule, a session that is to be remembered keeps its secret for its own longer time", async () => {
  const clock = new Clock();
  const start = clock.time;
  const sessions = createSessions<any>({
    secrets: turningAfter(start),
    store: memoryStore(),
    clock: clock.read,
    remember: { idleTimeout: "20d", absoluteTimeout: "20d" },
    renewAfter: false,
    sweepInterval: false,
  });
  const exchange = await sessions.open(requestWith(undefined));
  await exchange.session.login("ada", { remember: true });
  const cookie = (await finishedCookie(exchange))!;
  clock.time = start + 19 * 24 * HOUR;
  expect((await sessions.open(requestWith(cookie))).session.userId).toBe("ada");
  await sessions.close();
});

it("encrypted with the secrets, what a schedule has dropped for signing is opened to its end", async () => {
  const clock = new Clock();
  const start = clock.time;
  const store = memoryStore();
  const open = () =>
    createSessions<any>({
      secrets: turningAfter(start),
      store: { ...store, close() {} },
      encrypt: true,
      clock: clock.read,
      sweepInterval: false,
    });
  const before = open();
  await before.ofUser("ada").revokeAll();
  const exchange = await before.open(requestWith(undefined));
  await exchange.session.login("ada");
  await finish(exchange);
  await before.close();
  clock.time = start + 100 * HOUR;
  const after = open();
  expect(await after.reencrypt()).toMatchObject({ unreadable: 0, complete: true });
  await after.close();
});
