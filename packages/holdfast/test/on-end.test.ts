import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { SessionEnd } from "../src/engine/on-end.js";
import type { Session } from "../src/engine/session.js";
import type { Sessions } from "../src/engine/sessions.js";
import type { Store } from "../src/stores/contract.js";
import { cookieStore } from "../src/stores/cookie.js";
import { memoryStore } from "../src/stores/memory.js";
import { sqliteStore } from "../src/stores/sqlite.js";
import { finishedCookie, requestWith } from "./support/exchange.js";
import { Clock, SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";
import { STORES, temporaryFile } from "./support/stores.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** What `onEnd` waits for between two questions to the store: timers only, the rest runs as ever. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function open(store: Store, clock = new Clock(), options: Partial<SessionsOptions<any>> = {}): Sessions<any> {
  return createSessions<any>({
    secrets: [SECRET],
    store,
    clock: clock.read,
    sweepInterval: false,
    ...options,
  });
}

interface Opens {
  open: Sessions<any>["open"];
}

async function visit(sessions: Opens, cookie: string): Promise<Session<any>> {
  return (await sessions.open(requestWith(cookie))).session;
}

/** Logs a user in; their cookie. */
async function login(sessions: Opens, userId = "ada"): Promise<string> {
  const exchange = await sessions.open(requestWith(undefined));
  await exchange.session.login(userId);
  return (await finishedCookie(exchange))!;
}

/** A request that does nothing; the cookie that the browser has after it. */
async function lookAround(sessions: Opens, cookie: string): Promise<string> {
  return (await finishedCookie(await sessions.open(requestWith(cookie)))) ?? cookie;
}

/** Waits for the end of a session as a socket does; what it has been told. */
async function wait(sessions: Opens, cookie: string, every: "10s" | "11h" = "10s"): Promise<SessionEnd[]> {
  const ends: SessionEnd[] = [];
  (await visit(sessions, cookie)).onEnd((end) => ends.push(end), { every });
  await settled();
  return ends;
}

/** Lets what has been asked of the store be answered. */
async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
  await new Promise((resolve) => setImmediate(resolve));
}

async function pass(clock: Clock, milliseconds: number, step = milliseconds): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += step) {
    clock.advance(step);
    await vi.advanceTimersByTimeAsync(step);
    await settled();
  }
}

describe.each(STORES)("on the $name store", ({ open: openStore }) => {
  interface Situation {
    sessions: Sessions<any>;
    session: Session<any>;
    cookie: string;
  }
  const endings: Array<[string, SessionEnd["reason"], (situation: Situation) => Promise<unknown>]> = [
    ["logout", "logout", ({ session }) => session.logout()],
    ["destroy", "logout", ({ session }) => session.destroy()],
    ["a login of the same user", "rotated", ({ session }) => session.login("ada")],
    ["rotate", "rotated", ({ session }) => session.rotate()],
    ["revoke", "revoked", ({ sessions, session }) => sessions.ofUser("ada").revoke(session.id)],
    ["revokeAll", "revoked", ({ sessions }) => sessions.ofUser("ada").revokeAll()],
    ["the limit of sessions", "revoked", ({ sessions }) => login(sessions)],
  ];

  it.each(endings)("%s is told once, before it returns, as %s", async (_name, reason, endIt) => {
    const sessions = open(openStore(), undefined, { maxSessionsPerUser: 1 });
    const cookie = await login(sessions);
    const session = await visit(sessions, cookie);
    const sessionId = session.id;
    const told: SessionEnd[] = [];
    session.onEnd((end) => told.push(end));
    await settled();
    expect(told).toEqual([]);

    let toldWhenDone: number | undefined;
    await endIt({ sessions, session: await visit(sessions, cookie), cookie }).then(() => {
      toldWhenDone = told.length;
    });
    expect(toldWhenDone).toBe(1);
    expect(told).toEqual([{ sessionId, reason }]);
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(told).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each(endings)(
    "%s in another process is told when the store is next asked",
    async (_name, reason, endIt) => {
      const store = openStore();
      const [here, there] = [open(store), open(store, undefined, { maxSessionsPerUser: 1 })];
      const cookie = await login(here);
      const told = await wait(here, cookie);
      await endIt({ sessions: there, session: await visit(there, cookie), cookie });
      await vi.advanceTimersByTimeAsync(9_999);
      expect(told).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      await settled();
      expect(told.map((end) => end.reason)).toEqual([reason]);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it("a login of an anonymous visitor ends what was anonymous", async () => {
    const sessions = open(openStore());
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.cart = ["tea"];
    const cookie = (await finishedCookie(exchange))!;
    const told = await wait(sessions, cookie);
    await (await visit(sessions, cookie)).login("ada");
    expect(told.map(({ reason }) => reason)).toEqual(["rotated"]);
  });

  it("other sessions of the user, and other users, are left alone", async () => {
    const sessions = open(openStore());
    const [mine, phone, other] = [
      await login(sessions),
      await login(sessions),
      await login(sessions, "grace"),
    ];
    const [onMine, onPhone, onOther] = [
      await wait(sessions, mine),
      await wait(sessions, phone),
      await wait(sessions, other),
    ];
    await sessions.ofUser("ada").revokeAll({ except: (await visit(sessions, mine)).id });
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect([onMine.length, onPhone.length, onOther.length]).toEqual([0, 1, 0]);
  });

  describe("expiry", () => {
    it("the idle deadline is told when it passes, though nobody comes and `every` is longer", async () => {
      const clock = new Clock();
      const sessions = open(openStore(), clock);
      const told = await wait(sessions, await login(sessions), "11h");
      await pass(clock, 30 * MINUTE - 1);
      expect(told).toEqual([]);
      await pass(clock, 2);
      expect(told.map(({ reason }) => reason)).toEqual(["expired"]);
    });

    it("activity in other requests puts it off", async () => {
      const clock = new Clock();
      const sessions = open(openStore(), clock);
      const cookie = await login(sessions);
      const told = await wait(sessions, cookie);
      await pass(clock, 20 * MINUTE);
      await lookAround(sessions, cookie);
      await pass(clock, 29 * MINUTE, MINUTE);
      expect(told).toEqual([]);
      await pass(clock, 2 * MINUTE);
      expect(told.map(({ reason }) => reason)).toEqual(["expired"]);
    });

    it("a waiting listener is no activity", async () => {
      const clock = new Clock();
      const sessions = open(openStore(), clock);
      const cookie = await login(sessions);
      const told = await wait(sessions, cookie);
      await pass(clock, 31 * MINUTE, MINUTE);
      expect(told).toHaveLength(1);
      expect((await visit(sessions, cookie)).userId).toBeUndefined();
    });

    it("the absolute deadline holds whatever the user does", async () => {
      const clock = new Clock();
      const sessions = open(openStore(), clock, { renewAfter: false });
      const cookie = await login(sessions);
      const told = await wait(sessions, cookie);
      for (let passed = 0; passed < 12 * HOUR; passed += 20 * MINUTE) {
        expect(told).toEqual([]);
        await pass(clock, 20 * MINUTE);
        await lookAround(sessions, cookie);
      }
      expect(told.map(({ reason }) => reason)).toEqual(["expired"]);
    });

    it("a request that finds it expired tells at once", async () => {
      const clock = new Clock();
      const sessions = open(openStore(), clock);
      const cookie = await login(sessions);
      const told = await wait(sessions, cookie);
      clock.advance(HOUR);
      await visit(sessions, cookie);
      expect(told.map(({ reason }) => reason)).toEqual(["expired"]);
    });

    it("a session that was swept is told as expired, for its deadline had passed", async () => {
      const clock = new Clock();
      const sessions = open(openStore(), clock);
      const told = await wait(sessions, await login(sessions));
      clock.advance(HOUR);
      await sessions.sweep();
      await vi.advanceTimersByTimeAsync(10_000);
      await settled();
      expect(told.map(({ reason }) => reason)).toEqual(["expired"]);
    });
  });

  describe("renewals", () => {
    const options = { idleTimeout: "12h", renewAfter: "1h", absoluteTimeout: "2d" } as const;

    it("are followed and not told", async () => {
      const clock = new Clock();
      const sessions = open(openStore(), clock, options);
      const old = await login(sessions);
      const told = await wait(sessions, old);
      clock.advance(HOUR);
      const renewed = await lookAround(sessions, old);
      expect(renewed).not.toBe(old);
      await vi.advanceTimersByTimeAsync(MINUTE);
      expect(told).toEqual([]);

      const session = await visit(sessions, renewed);
      const sessionId = session.id;
      await session.logout();
      expect(told).toEqual([{ sessionId, reason: "logout" }]);
    });

    it("of another process are followed too", async () => {
      const clock = new Clock();
      const store = openStore();
      const [here, there] = [open(store, clock, options), open(store, clock, options)];
      const old = await login(here);
      const told = await wait(here, old);
      clock.advance(HOUR);
      const renewed = await lookAround(there, old);
      await vi.advanceTimersByTimeAsync(10_000);
      await settled();
      expect(told).toEqual([]);
      await (await visit(here, renewed)).logout();
      expect(told.map(({ reason }) => reason)).toEqual(["logout"]);
    });

    it("and ended there, both before the store is asked: the end is told under the id that it had", async () => {
      const clock = new Clock();
      const store = openStore();
      const [here, there] = [open(store, clock, options), open(store, clock, options)];
      const old = await login(here);
      const told = await wait(here, old);
      clock.advance(HOUR);
      const session = await visit(there, await lookAround(there, old));
      const sessionId = session.id;
      await session.logout();
      await vi.advanceTimersByTimeAsync(10_000);
      await settled();
      expect(told).toEqual([{ sessionId, reason: "logout" }]);
    });

    it("one after the other in another process are followed, however seldom the store is to be asked", async () => {
      const clock = new Clock();
      const store = openStore();
      const [here, there] = [open(store, clock, options), open(store, clock, options)];
      let cookie = await login(here);
      const told = await wait(here, cookie, "11h");
      for (let hour = 0; hour < 12; hour++) {
        await pass(clock, HOUR, 10 * MINUTE);
        cookie = await lookAround(there, cookie);
        // Its grave goes with the next one.
        cookie = await lookAround(there, cookie);
      }
      expect(told).toEqual([]);
      await (await visit(there, cookie)).logout();
      await pass(clock, HOUR, 10 * MINUTE);
      expect(told).toHaveLength(1);
    });
  });

  it("what ended between the opening of the request and onEnd is told right after", async () => {
    const store = openStore();
    const [here, there] = [open(store), open(store)];
    const cookie = await login(here);
    const session = await visit(here, cookie);
    await (await visit(there, cookie)).logout();
    const told: SessionEnd[] = [];
    session.onEnd((end) => told.push(end));
    expect(told).toEqual([]);
    await settled();
    expect(told.map(({ reason }) => reason)).toEqual(["logout"]);
  });

  it("a session that isn't stored has no end", async () => {
    const sessions = open(openStore());
    const { session } = await sessions.open(requestWith(undefined));
    const listener = vi.fn();
    const stop = session.onEnd(listener);
    await vi.advanceTimersByTimeAsync(HOUR);
    stop();
    expect(listener).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("after stop nothing is told and the store isn't asked", async () => {
    const store = openStore();
    const load = vi.spyOn(store, "load");
    const sessions = open(store);
    const cookie = await login(sessions);
    const listener = vi.fn();
    const stop = (await visit(sessions, cookie)).onEnd(listener);
    await settled();
    stop();
    stop();
    load.mockClear();
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(load).not.toHaveBeenCalled();
    await (await visit(sessions, cookie)).logout();
    expect(listener).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});

it("two stores on one SQLite file: what the other process ends is told", async () => {
  const path = temporaryFile("sessions.db");
  const [here, there] = [open(sqliteStore({ path })), open(sqliteStore({ path }))];
  const cookie = await login(here);
  const told = await wait(here, cookie);
  await there.ofUser("ada").revokeAll();
  await vi.advanceTimersByTimeAsync(10_000);
  await settled();
  expect(told.map(({ reason }) => reason)).toEqual(["revoked"]);
  await Promise.all([here.close(), there.close()]);
});

describe("a store that fails", () => {
  it("tells nobody that a session has ended, and is asked again", async () => {
    const slow = new SlowStore();
    const [here, there] = [open(slow.store), open(slow.store)];
    const cookie = await login(here);
    const told = await wait(here, cookie);
    const errors = vi.fn();
    here.on("store-error", errors);
    slow.fail(["load"]);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(told).toEqual([]);
    expect(errors).toHaveBeenCalledTimes(6);

    slow.recover();
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(told).toEqual([]);
    await there.ofUser("ada").revokeAll();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told).toHaveLength(1);
  });

  it("from the first question on, doesn't either", async () => {
    const slow = new SlowStore();
    const sessions = open(slow.store);
    const session = await visit(sessions, await login(sessions));
    slow.fail(["load"]);
    const listener = vi.fn();
    session.onEnd(listener);
    await vi.advanceTimersByTimeAsync(MINUTE);
    slow.recover();
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(listener).not.toHaveBeenCalled();
    await sessions.ofUser("ada").revokeAll();
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it("or gives no answer, is asked again after the deadline of the call", async () => {
    const slow = new SlowStore();
    const [here, there] = [open(slow.store), open(slow.store)];
    const cookie = await login(here);
    const told = await wait(here, cookie);
    slow.hold(["load"]);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(told).toEqual([]);
    slow.release();
    await there.ofUser("ada").revokeAll();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(told).toHaveLength(1);
  });
});

describe("interleavings", () => {
  /** A store that reads at once, and gives what it has read when it is told to. */
  function lateStore() {
    const store = memoryStore();
    const load = store.load.bind(store);
    let late: Promise<void> | undefined;
    store.load = async (id, call) => {
      const record = await load(id, call);
      const waits = late;
      late = undefined;
      await waits;
      return record;
    };
    return {
      store,
      /** The next answer is late. The returned function gives it. */
      delay(): () => void {
        let release!: () => void;
        late = new Promise((resolve) => {
          release = resolve;
        });
        return release;
      },
    };
  }

  it("a renewal while the store is asked: the older answer doesn't lead back to the old id", async () => {
    const clock = new Clock();
    const { store, delay } = lateStore();
    const sessions = open(store, clock, { idleTimeout: "12h", absoluteTimeout: "1d" });
    const old = await login(sessions);
    clock.advance(HOUR);
    const renewing = await sessions.open(requestWith(old));
    const listening = await visit(sessions, old);

    const answer = delay();
    const told: SessionEnd[] = [];
    listening.onEnd((end) => told.push(end));
    const renewed = (await finishedCookie(renewing))!;
    answer();
    await settled();
    await (await visit(sessions, renewed)).logout();
    expect(told.map(({ reason }) => reason)).toEqual(["logout"]);
  });

  it("a logout while the store is asked: told once, though the older answer says that it lives", async () => {
    const { store, delay } = lateStore();
    const sessions = open(store);
    const cookie = await login(sessions);
    const [listening, leaving] = [await visit(sessions, cookie), await visit(sessions, cookie)];
    const answer = delay();
    const told: SessionEnd[] = [];
    listening.onEnd((end) => told.push(end));
    await leaving.logout();
    answer();
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(told).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a stop while the store is asked: nothing is told, though the answer says that it ended", async () => {
    const { store, delay } = lateStore();
    const [here, there] = [open(store), open(store)];
    const cookie = await login(here);
    const listening = await visit(here, cookie);
    await there.ofUser("ada").revokeAll();
    const answer = delay();
    const listener = vi.fn();
    const stop = listening.onEnd(listener);
    await settled();
    stop();
    answer();
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(listener).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a listener may stop another, which is then not told", async () => {
    const sessions = open(memoryStore());
    const cookie = await login(sessions);
    const session = await visit(sessions, cookie);
    const second = vi.fn();
    let stopSecond = () => {};
    session.onEnd(() => stopSecond());
    stopSecond = session.onEnd(second);
    await (await visit(sessions, cookie)).logout();
    expect(second).not.toHaveBeenCalled();
  });
});

describe("a listener that fails", () => {
  it.each([
    [
      "throws",
      () => {
        throw new Error("the socket is gone");
      },
    ],
    ["rejects", async () => Promise.reject(new Error("the socket is gone"))],
  ])("and %s is a warning, and the others are told", async (_how, listener) => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const sessions = open(memoryStore());
    const cookie = await login(sessions);
    const session = await visit(sessions, cookie);
    const other = vi.fn();
    session.onEnd(listener);
    session.onEnd(other);
    await (await visit(sessions, cookie)).logout();
    await settled();
    expect(other).toHaveBeenCalledTimes(1);
    expect(emitWarning.mock.calls).toEqual([
      [expect.stringContaining("the socket is gone"), expect.objectContaining({ code: "HOLDFAST_LISTENER" })],
    ]);
  });
});

describe("what is no listener or no interval", () => {
  it.each([undefined, null, "close"])("%s is refused", async (listener) => {
    const { session } = await open(memoryStore()).open(requestWith(undefined));
    expect(() => session.onEnd(listener as never)).toThrow(/takes a function/);
  });

  it.each([0, 99, "15d", "soon", Number.NaN])("every %s is refused", async (every) => {
    const { session } = await open(memoryStore()).open(requestWith(undefined));
    expect(() => session.onEnd(() => {}, { every: every as never })).toThrow(/every/);
  });
});

describe("sessions that live in their cookie", () => {
  const inCookies = (revocations?: Store, clock = new Clock()) =>
    createSessions<any>({
      secrets: [SECRET],
      store: cookieStore({ revocations: revocations ?? memoryStore() }),
      clock: clock.read,
      sweepInterval: false,
    });

  it("a logout is told at once", async () => {
    const sessions = inCookies();
    const cookie = await login(sessions);
    const told = await wait(sessions, cookie);
    await (await visit(sessions, cookie)).logout();
    expect(told.map(({ reason }) => reason)).toEqual(["logout"]);
  });

  it("without a list of the ended ones, too", async () => {
    const sessions = createSessions<any>({ secrets: [SECRET], store: cookieStore() });
    const cookie = await login(sessions);
    const told = await wait(sessions, cookie);
    await (await visit(sessions, cookie)).logout();
    expect(told.map(({ reason }) => reason)).toEqual(["logout"]);
  });

  it("revoke and revokeAll are told at once, to that user's sessions only", async () => {
    const sessions = inCookies();
    const [ada, phone, grace] = [
      await login(sessions),
      await login(sessions),
      await login(sessions, "grace"),
    ];
    const told = [await wait(sessions, ada), await wait(sessions, phone), await wait(sessions, grace)];
    await sessions.ofUser("ada").revoke((await visit(sessions, phone)).id);
    await settled();
    expect(told.map(({ length }) => length)).toEqual([0, 1, 0]);
    vi.useRealTimers(); // revokeAll waits for the clock, which stands still.
    await sessions.ofUser("ada").revokeAll();
    await new Promise((resolve) => setImmediate(resolve));
    expect(told.map((ends) => ends.map(({ reason }) => reason))).toEqual([["revoked"], ["revoked"], []]);
  });

  it("what another process revokes is told when the list is next asked", async () => {
    const list = memoryStore();
    const [here, there] = [inCookies(list), inCookies(list)];
    const cookie = await login(here);
    const told = await wait(here, cookie);
    await there.ofUser("ada").revoke((await visit(here, cookie)).id);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told.map(({ reason }) => reason)).toEqual(["revoked"]);
  });

  it("nobody closes the sockets of somebody else by revoking their session's id", async () => {
    const sessions = inCookies();
    const cookie = await login(sessions);
    const told = await wait(sessions, cookie);
    await sessions.ofUser("mallory").revoke((await visit(sessions, cookie)).id);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect((await visit(sessions, cookie)).userId).toBe("ada");
    expect(told).toEqual([]);
  });

  it("an old copy of the cookie that has expired says nothing about the newer one", async () => {
    const clock = new Clock();
    const sessions = inCookies(undefined, clock);
    const old = await login(sessions);
    clock.advance(20 * MINUTE);
    const newer = await lookAround(sessions, old);
    const told = await wait(sessions, newer);
    clock.advance(20 * MINUTE);
    await visit(sessions, old);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect((await visit(sessions, newer)).userId).toBe("ada");
    expect(told).toEqual([]);
  });

  it("in a socket they can only be read, but for a logout where there is a list", async () => {
    const plain = createSessions<any>({ secrets: [SECRET], store: cookieStore() });
    for (const [sessions, ends] of [
      [plain, false],
      [inCookies(), true],
    ] as const) {
      const exchange = await sessions.open(requestWith(await login(sessions)));
      const { session } = exchange.withoutResponse();
      const told: SessionEnd[] = [];
      session.onEnd((end) => told.push(end));
      const refused = { code: "ERR_HOLDFAST_HEADERS_SENT" };
      await expect(session.update(() => {})).rejects.toMatchObject(refused);
      if (ends) await session.logout();
      else await expect(session.logout()).rejects.toMatchObject(refused);
      expect(told).toHaveLength(ends ? 1 : 0);
      await vi.advanceTimersByTimeAsync(0);
    }
  });

  it("the deadline is that of the cookie that the request came with", async () => {
    const clock = new Clock();
    const sessions = inCookies(undefined, clock);
    const told = await wait(sessions, await login(sessions));
    await pass(clock, 31 * MINUTE);
    expect(told.map(({ reason }) => reason)).toEqual(["expired"]);
  });
});

describe("many", () => {
  it("of 5,000 sessions that are waited for, one ends and one is told, without a look at the others", async () => {
    vi.useRealTimers(); // Faked ones are found by looking at all of them.
    const store = memoryStore();
    const load = vi.spyOn(store, "load");
    const sessions = open(store);
    const listener = vi.fn();
    const cookies: string[] = [];
    const stops: Array<() => void> = [];
    for (let n = 0; n < 5000; n++) {
      const cookie = await login(sessions, `user ${n}`);
      cookies.push(cookie);
      stops.push((await visit(sessions, cookie)).onEnd(listener));
    }
    await new Promise((resolve) => setImmediate(resolve));
    load.mockClear();
    await (await visit(sessions, cookies[2500]!)).logout();
    expect(listener).toHaveBeenCalledTimes(1);
    expect(load.mock.calls.length).toBeLessThan(3);
    for (const stop of stops) stop();
  });

  it("the store is asked once for each in `every`", async () => {
    const store = memoryStore();
    const sessions = open(store);
    const listener = vi.fn();
    for (let n = 0; n < 100; n++) (await visit(sessions, await login(sessions, `user ${n}`))).onEnd(listener);
    await settled();
    const load = vi.spyOn(store, "load");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(load).toHaveBeenCalledTimes(100);
    await vi.advanceTimersByTimeAsync(50_000);
    expect(load).toHaveBeenCalledTimes(600);
    expect(listener).not.toHaveBeenCalled();
  });

  it("5,000 sockets of one session are all told by one logout", async () => {
    const sessions = open(memoryStore());
    const cookie = await login(sessions);
    const session = await visit(sessions, cookie);
    const listener = vi.fn();
    for (let n = 0; n < 5000; n++) session.onEnd(listener);
    await settled();
    await (await visit(sessions, cookie)).logout();
    expect(listener).toHaveBeenCalledTimes(5000);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("what is waited for", () => {
  it("leaves nothing behind in memory, whether it ended or was stopped", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const sessions = open(memoryStore());
    const listeners: WeakRef<object>[] = [];
    const listen = async (cookie: string) => {
      const listener = () => {};
      listeners.push(new WeakRef(listener));
      return (await visit(sessions, cookie)).onEnd(listener);
    };
    for (let n = 0; n < 100; n++) {
      const cookie = await login(sessions, `user ${n}`);
      (await listen(cookie))();
      await listen(cookie);
      await settled();
      await (await visit(sessions, cookie)).logout();
    }
    await settled();
    collect();
    expect(listeners.filter((listener) => listener.deref() !== undefined)).toEqual([]);
  });

  it("doesn't keep the process from its end", async () => {
    vi.useRealTimers();
    const worker = fileURLToPath(new URL("./workers/wait-for-end.mjs", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [worker], {
      env: { ...process.env, SECRET },
    });
    expect(stdout).toBe("waiting\n");
  });
});
