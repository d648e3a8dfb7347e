import { afterEach, describe, expect, it, vi } from "vitest";
import { requestWith } from "../../../test/support/exchange.js";
import { Clock, SECRET } from "../../../test/support/shop.js";
import { memoryStore } from "../../stores/memory.js";
import { createSessions, type SessionsOptions } from "../create-sessions.js";
import type { Engine } from "../engine.js";
import { proxyTrust } from "../request.js";
import { clientAddressOf, clientKeyOf } from "./client-address.js";
import { GuessLimit, type GuessLimitOptions, MAX_CLIENTS } from "./guess-limit.js";

afterEach(() => {
  vi.restoreAllMocks();
});

function start(
  guessLimit: boolean | GuessLimitOptions = { max: 3 },
  options: Partial<SessionsOptions<any>> = {},
) {
  const clock = new Clock();
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    clock: clock.read,
    sweepInterval: false,
    guessLimit,
    ...options,
  });
  const events: unknown[] = [];
  sessions.on("guess-limit", (event) => events.push(event));
  let last = 0;
  /** The status of a request with a token that doesn't verify; another one each time. */
  const guess = async (remoteAddress?: string, value = `guess${++last}`, headers = {}): Promise<number> => {
    try {
      const request = {
        ...requestWith(`__Host-sid=${value}`, headers),
        ...(remoteAddress && { remoteAddress }),
      };
      const { session } = await sessions.open(request);
      expect(session.isNew).toBe(true);
      return 200;
    } catch (error) {
      expect(error).toMatchObject({ name: "TooManyGuessesError", code: "ERR_HOLDFAST_TOO_MANY_GUESSES" });
      return (error as { status: number }).status;
    }
  };
  const guesses = async (count: number, remoteAddress?: string) => {
    const statuses: number[] = [];
    for (let n = 0; n < count; n++) statuses.push(await guess(remoteAddress));
    return statuses;
  };
  return { sessions, clock, events, guess, guesses };
}

describe("the limit of guesses", () => {
  it("refuses those beyond the most until the window ends, says when, and tells it once", async () => {
    const { sessions, clock, events, guess, guesses } = start({ max: 3, per: "1m" });
    const since = clock.time;
    expect(await guesses(3)).toEqual([200, 200, 200]);
    clock.advance(10_500);
    expect(await guesses(3)).toEqual([429, 429, 429]);
    expect(() => sessions.open(requestWith("__Host-sid=another"))).toThrow(
      expect.objectContaining({ retryAfter: 50, headers: { "Retry-After": "50" } }),
    );
    expect(events).toEqual([
      { at: new Date(clock.time), client: "192.0.2.1", guesses: 3, until: new Date(since + 60_000) },
    ]);
    clock.advance(49_499);
    expect(await guess()).toBe(429);
    clock.advance(1);
    expect(await guesses(4)).toEqual([200, 200, 200, 429]);
    expect(events).toHaveLength(2);
  });

  it("counts 20 in a minute where it is true", async () => {
    const { guesses } = start(true);
    expect(await guesses(21)).toEqual([...Array(20).fill(200), 429]);
  });

  it("counts a browser's one old cookie once, however often it comes, and goes on without a session", async () => {
    const { guess } = start({ max: 2 });
    for (let n = 0; n < 50; n++) expect(await guess(undefined, "old")).toBe(200);
    expect([await guess(), await guess()]).toEqual([200, 429]);
    expect(await guess(undefined, "old")).toBe(200);
  });

  it("counts malformed and forged tokens, and neither those that have ended nor requests without any", async () => {
    const { sessions, clock, guess } = start({ max: 1 });
    const open = (cookie: string | undefined) => sessions.open(requestWith(cookie));
    const made: string[] = [];
    for (let n = 0; n < 3; n++) {
      const exchange = await open(undefined);
      exchange.session.data.n = n;
      await exchange.commit();
      exchange.writeHeaders({
        get: () => undefined,
        set() {},
        append: (_name, line) => made.push(line.split(";", 1)[0]!),
      });
    }
    clock.advance(3_600_000);
    for (const cookie of [...made, undefined, undefined])
      expect((await open(cookie)).session.isNew).toBe(true);
    expect([
      await guess(undefined, "x"),
      await guess(undefined, `${"A".repeat(43)}.${"A".repeat(43)}`),
    ]).toEqual([200, 429]);
    // Limited as its address is, whoever has no token that doesn't verify is let through.
    for (const cookie of [...made, undefined]) expect((await open(cookie)).session.isNew).toBe(true);
  });

  it("lets a living session pass from an address that guesses, also beside a token that doesn't verify", async () => {
    const { sessions, guesses, events } = start({ max: 1 });
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.a = 1;
    await exchange.commit();
    let cookie = "";
    exchange.writeHeaders({
      get: () => undefined,
      set() {},
      append: (_name, line) => (cookie = line.split(";", 1)[0]!),
    });
    await guesses(5);
    expect((await sessions.open(requestWith(cookie))).session.data).toEqual({ a: 1 });
    expect((await sessions.open(requestWith(`__Host-sid=planted; ${cookie}`))).session.data).toEqual({
      a: 1,
    });
    expect(events).toHaveLength(1);
  });

  it("counts guesses that hide beside a good token, and those of one request each", async () => {
    const { sessions, events } = start({ max: 2 });
    expect(() => sessions.open(requestWith("__Host-sid=a; __Host-sid=b; __Host-sid=c"))).toThrow(
      "too many session tokens",
    );
    expect(events).toHaveLength(1);
  });

  it("is each client's own", async () => {
    const { guesses } = start({ max: 1 });
    expect(await guesses(2, "192.0.2.1")).toEqual([200, 429]);
    expect(await guesses(2, "192.0.2.2")).toEqual([200, 429]);
    expect(await guesses(1, "::ffff:192.0.2.2")).toEqual([429]);
    expect(await guesses(2, "2001:db8:1:2::1")).toEqual([200, 429]);
    expect(await guesses(1, "2001:db8:1:2:ffff:ffff:ffff:ffff")).toEqual([429]);
    expect(await guesses(1, "2001:db8:1:3::1")).toEqual([200]);
  });

  it("can't be escaped, nor turned against others, by a header, where no proxy is trusted", async () => {
    const { guess, events } = start({ max: 1 });
    const forwarded = (n: number) => ({
      "x-forwarded-for": `198.51.100.${n}`,
      forwarded: `for=198.51.100.${n}`,
    });
    expect([
      await guess("192.0.2.1", "a", forwarded(1)),
      await guess("192.0.2.1", "b", forwarded(2)),
    ]).toEqual([200, 429]);
    expect(await guess("198.51.100.1", "c")).toBe(200);
    expect(events).toEqual([expect.objectContaining({ client: "192.0.2.1" })]);
  });

  it("takes the client that the trusted proxy names, whatever the client wrote before", async () => {
    const { guess } = start({ max: 1 }, { trustProxy: ["10.0.0.0/8"] });
    const by = (chain: string, value: string) => guess("10.0.0.1", value, { "x-forwarded-for": chain });
    expect([await by("1.1.1.1, 192.0.2.9", "a"), await by("2.2.2.2, 192.0.2.9", "b")]).toEqual([200, 429]);
    expect(await by("3.3.3.3, 192.0.2.9, 10.0.0.2", "c")).toBe(429);
    expect(await by("192.0.2.9, 192.0.2.10", "d")).toBe(200);
  });

  it("says so where the function that names clients gives no name: a promise would be another client each time", async () => {
    const { sessions } = start({ max: 1, client: (async () => "device") as never });
    const opened = async () => sessions.open(requestWith("__Host-sid=guess"));
    await expect(opened()).rejects.toMatchObject({
      code: "ERR_HOLDFAST_CONFIG",
      message: "guessLimit.client: the function gave an object, not text or undefined",
    });
  });

  it("takes a name that the option gives, and limits nobody without one", async () => {
    const { guess } = start({ max: 1, client: (request) => request.header("x-device") });
    expect([
      await guess("192.0.2.1", "a", { "x-device": "1" }),
      await guess("192.0.2.2", "b", { "x-device": "1" }),
    ]).toEqual([200, 429]);
    expect([
      await guess("192.0.2.1", "c"),
      await guess("192.0.2.1", "d"),
      await guess("192.0.2.1", "e"),
    ]).toEqual([200, 200, 200]);
  });

  it("limits nobody, and says so once, where the platform tells no address", async () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { sessions } = start({ max: 1 });
    for (let n = 0; n < 5; n++)
      await sessions.open({ ...requestWith(`__Host-sid=${n}`), remoteAddress: undefined });
    expect(warning).toHaveBeenCalledTimes(1);
    expect(warning).toHaveBeenCalledWith(expect.stringContaining("remoteAddress"), {
      type: "HoldfastWarning",
      code: "HOLDFAST_GUESS_LIMIT",
    });
  });

  it("keeps a bounded number of clients in mind under a flood from a hundred thousand addresses", () => {
    const limit = new GuessLimit({ max: 2, per: "1h" });
    const clock = new Clock();
    const emitted: unknown[] = [];
    const engine = {
      clock: clock.read,
      trustsProxy: () => false,
      events: { emit: (...event: unknown[]) => emitted.push(event) },
    } as unknown as Engine;
    const from = (n: number) => ({
      ...requestWith(undefined),
      remoteAddress: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`,
    });
    for (let n = 0; n < 100_000; n++) {
      for (let guess = 0; guess < 3; guess++) limit.count(engine, from(n), `${guess}`);
      expect(limit.size).toBeLessThanOrEqual(MAX_CLIENTS);
    }
    expect(limit.size).toBe(MAX_CLIENTS);
    expect(emitted).toHaveLength(100_000);
    // Whoever guesses last is not forgotten for those before.
    expect(limit.count(engine, from(99_999), "another")).toBeDefined();
    expect(limit.count(engine, from(0), "another")).toBeUndefined();
  });

  it.each<[unknown, string]>([
    ["yes", "guessLimit: expected true, false or an object"],
    [{ maximum: 1 }, "guessLimit.maximum: is not an option"],
    [{ max: 0 }, "guessLimit.max"],
    [{ max: 1001 }, "guessLimit.max"],
    [{ max: "5" }, "guessLimit.max"],
    [{ per: "soon" }, "guessLimit.per"],
    [{ per: 10 }, "guessLimit.per"],
    [{ client: "x" }, "guessLimit.client"],
  ])("refuses the option %j at the start", (guessLimit, message) => {
    expect(() => start(guessLimit as GuessLimitOptions)).toThrow(message);
  });
});

describe("the address of a client", () => {
  const address = (
    chain: string | undefined,
    trust: Parameters<typeof proxyTrust>[0],
    remoteAddress = "10.0.0.1",
  ) =>
    clientAddressOf(
      { ...requestWith(undefined, chain === undefined ? {} : { "x-forwarded-for": chain }), remoteAddress },
      proxyTrust(trust),
    );

  it.each<[string | undefined, Parameters<typeof proxyTrust>[0], string]>([
    [undefined, ["10.0.0.0/8"], "10.0.0.1"],
    ["192.0.2.1", false, "10.0.0.1"],
    ["192.0.2.1", ["172.16.0.0/12"], "10.0.0.1"],
    ["6.6.6.6, 192.0.2.1", ["10.0.0.0/8"], "192.0.2.1"],
    ["6.6.6.6, 192.0.2.1, 10.2.2.2", ["10.0.0.0/8"], "192.0.2.1"],
    ["6.6.6.6, 192.0.2.1", true, "192.0.2.1"],
    ["10.5.5.5, 10.6.6.6", ["10.0.0.0/8"], "10.6.6.6"],
    ["192.0.2.1:4711", ["10.0.0.0/8"], "192.0.2.1"],
    ["[2001:db8::1]:4711", ["10.0.0.0/8"], "2001:db8::1"],
    ["2001:db8::1", ["10.0.0.0/8"], "2001:db8::1"],
    ["192.0.2.1, unknown", ["10.0.0.0/8"], "10.0.0.1"],
    ["192.0.2.1, _hidden, 10.2.2.2", ["10.0.0.0/8"], "10.2.2.2"],
    ["", ["10.0.0.0/8"], "10.0.0.1"],
    [", ,", ["10.0.0.0/8"], "10.0.0.1"],
    ["x".repeat(10_000), ["10.0.0.0/8"], "10.0.0.1"],
  ])("of X-Forwarded-For: %s, where %j is trusted, is %s", (chain, trust, expected) => {
    expect(address(chain, trust)).toBe(expected);
  });

  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::6", "2001:db8:1:2::/64"],
    ["2001:db8::6", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["1:2:3::", "1:2:3:0::/64"],
    ["::", "0:0:0:0::/64"],
  ])("%s counts as %s", (given, key) => {
    expect(clientKeyOf(given)).toBe(key);
  });
});
