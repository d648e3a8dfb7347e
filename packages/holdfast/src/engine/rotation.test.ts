import { expect, it } from "vitest";
import { finish, finishedCookie, requestWith } from "../../test/support/exchange.js";
import { Clock, SECRET } from "../../test/support/shop.js";
import { InvalidArgumentError } from "../errors.js";
import { memoryStore } from "../stores/memory.js";
import { createSessions } from "./create-sessions.js";

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
