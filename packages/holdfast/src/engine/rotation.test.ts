import { describe, expect, it } from "vitest";
import { finish, finishedCookie, requestWith } from "../../test/support/exchange.js";
import { Clock, SECRET } from "../../test/support/shop.js";
import { InvalidArgumentError, TooManySessionsError } from "../errors.js";
import { memoryStore } from "../stores/memory.js";
import { createSessions } from "./create-sessions.js";
import type { Session } from "./session.js";

function open() {
  const clock = new Clock();
  const store = memoryStore();
  const sessions = createSessions<any>({ secrets: [SECRET], store, clock: clock.read, sweepInterval: false });
  return { clock, sessions };
}

it("a login with an end of its own ends then, whatever its user does", async () => {
  const { clock, sessions } = open();
  const exchange = await sessions.open(requestWith(undefined));
  await exchange.session.login("ann", { expiresAt: new Date(clock.time + 40 * 60_000) });
  const cookie = (await finishedCookie(exchange))!;
  clock.advance(25 * 60_000);
  const later = await sessions.open(requestWith(cookie));
  expect(later.session.userId).toBe("ann");
  expect(later.session.expiresAt).toEqual(new Date(clock.time + 15 * 60_000));
  await finish(later);
  clock.advance(15 * 60_000);
  expect((await sessions.open(requestWith(cookie))).session.userId).toBeUndefined();
});

it("a login's own end doesn't make the session longer", async () => {
  const { clock, sessions } = open();
  const { session } = await sessions.open(requestWith(undefined));
  await session.login("ann", { expiresAt: new Date(clock.time + 99 * 3_600_000) });
  expect(session.expiresAt).toEqual(new Date(clock.time + 30 * 60_000));
});

it.each<[string, (now: number) => unknown]>([
  ["now", (now) => new Date(now)],
  ["past", (now) => new Date(now - 1)],
  ["no time", () => new Date(Number.NaN)],
  ["a number", (now) => now + 1000],
  ["text", () => "2031-01-01"],
  ["null", () => null],
])("a login refuses an end that is %s, and nobody is logged in", async (_, end) => {
  const { clock, sessions } = open();
  const { session } = await sessions.open(requestWith(undefined));
  const login = session.login("ann", { expiresAt: end(clock.time) as Date });
  await expect(login).rejects.toBeInstanceOf(InvalidArgumentError);
  expect([session.userId, session.isNew]).toEqual([undefined, true]);
});

it("the identity and the end of a login stay through rotation and renewal, and go with the next login", async () => {
  const { clock, sessions } = open();
  const identity = { issuer: "https://login.example", subject: "a", sid: "1" };
  const exchange = await sessions.open(requestWith(undefined));
  const expiresAt = new Date(clock.time + 2 * 3_600_000);
  await exchange.session.login("ann", { identity, expiresAt });
  await exchange.session.rotate();
  expect(exchange.session.identity).toEqual(identity);
  let cookie = (await finishedCookie(exchange))!;
  for (let passed = 0; passed < 110; passed += 10) {
    clock.advance(10 * 60_000);
    const request = await sessions.open(requestWith(cookie));
    expect(request.session.identity).toEqual(identity);
    cookie = (await finishedCookie(request)) ?? cookie;
  }
  const last = await sessions.open(requestWith(cookie));
  expect(last.session.expiresAt).toEqual(expiresAt);
  await last.session.login("ann");
  expect(last.session.identity).toBeUndefined();
});

describe("a request that must not start a session", () => {
  const CROSS_SITE = { "sec-fetch-site": "cross-site" };
  const post = (cookie: string | undefined, headers = {}) => ({
    ...requestWith(cookie, headers),
    method: "POST",
  });
  const steps: Array<[string, (session: Session<any>) => Promise<void>]> = [
    ["a logout", (session) => session.logout()],
    ["destroy", (session) => session.destroy()],
    ["reload", (session) => session.reload()],
  ];

  it.each(steps)("starts none after %s either: of another site", async (_name, step) => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    const form = await sessions.open(post(undefined, CROSS_SITE));
    await step(form.session);
    form.session.flash("notice", "Good bye");
    form.session.data.planted = true;
    expect(await finish(form)).not.toHaveProperty("set-cookie");
    await sessions.close();
  });

  it.each(steps)(
    "starts none after %s either: with a token that was replaced a moment ago",
    async (_name, step) => {
      const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
      const first = await sessions.open(post(undefined));
      first.session.data.cart = ["mug"];
      const cookie = await finishedCookie(first);
      const login = await sessions.open(post(cookie));
      await login.session.login("ada");
      const current = await finishedCookie(login);
      const late = await sessions.open(post(cookie));
      await step(late.session);
      late.session.flash("notice", "Good bye");
      expect(await finish(late)).not.toHaveProperty("set-cookie");
      expect((await sessions.open(requestWith(current))).session.userId).toBe("ada");
      await sessions.close();
    },
  );

  it("clears nothing at the browser: the newer cookie would go with it", async () => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    const form = await sessions.open(post(undefined, CROSS_SITE));
    await form.session.logout({ clearSiteData: true });
    expect(await finish(form)).not.toHaveProperty("clear-site-data");
    const usual = await sessions.open(post(undefined));
    await usual.session.logout({ clearSiteData: true });
    expect(await finish(usual)).toHaveProperty("clear-site-data");
    await sessions.close();
  });

  it("starts none after a login that was refused", async () => {
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: memoryStore(),
      sweepInterval: false,
      maxSessionsPerUser: 1,
      atSessionLimit: "refuse",
    });
    await (await sessions.open(post(undefined))).session.login("mallory");
    const form = await sessions.open(post(undefined, CROSS_SITE));
    await expect(form.session.login("mallory")).rejects.toThrow(TooManySessionsError);
    form.session.flash("error", "Too many sessions");
    expect(await finish(form)).not.toHaveProperty("set-cookie");
    await sessions.close();
  });

  it("may log in, after a logout as well", async () => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });
    const form = await sessions.open(post(undefined, CROSS_SITE));
    await form.session.logout();
    await form.session.login("ada");
    form.session.data.seen = true;
    const cookie = await finishedCookie(form);
    const { session } = await sessions.open(requestWith(cookie));
    expect(session).toMatchObject({ userId: "ada", data: { seen: true } });
    await sessions.close();
  });
});
