import { describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import { SessionGoneError } from "../../src/errors.js";
import type { Store, StoreCall, StoreRecord } from "../../src/stores/contract.js";
import { memoryStore } from "../../src/stores/memory.js";
import { type NearCacheOptions, nearCache } from "../../src/stores/near-cache.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { checkInterleavings } from "../../src/testing/interleavings.js";
import { testStore } from "../../src/testing/store.js";
import { Barrier } from "../support/barrier.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { Clock, SECRET } from "../support/shop.js";
import { newId, until } from "../support/sql.js";
import { temporaryFile } from "../support/stores.js";

/** The near cache itself, on stores in this process whose calls are counted and held back. The servers are in watch.test.ts. */

const path = temporaryFile("sessions.db");
testStore("nearCache(sqliteStore)", () => nearCache(sqliteStore({ path })), { describe, it });
testStore("nearCache(memoryStore)", () => nearCache(memoryStore()), { describe, it });

/** A store over a network: every answer is a promise, calls are noted, may be held back, and it tells of changes when asked to. */
function remote(inner: Store = memoryStore()) {
  const calls: string[] = [];
  const held = new Map<string, Barrier>();
  let failing: string | undefined;
  const listeners = new Set<(id: string | undefined) => void>();
  const store = {
    watch(listener: any) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as any;
  for (const [name, method] of Object.entries(inner)) {
    if (typeof method !== "function") store[name] = method;
    else
      store[name] = async (...args: unknown[]) => {
        calls.push(name);
        if (failing === name) throw new Error("the network is down");
        // What it answers is true now, and arrives when the barrier opens.
        const answer = await (method as any).apply(inner, args);
        await held.get(name)?.wait();
        return answer;
      };
  }
  return {
    store: store as Store,
    inner,
    calls,
    /** The answers of this method arrive when the barrier is opened. */
    hold(name: string) {
      const barrier = new Barrier();
      held.set(name, barrier);
      return barrier;
    },
    release: (name: string) => held.delete(name),
    fail(name: string | undefined) {
      failing = name;
    },
    tell(id: string | undefined) {
      for (const listener of listeners) listener(id);
    },
    get listening() {
      return listeners.size;
    },
  };
}

let now = 1_900_000_000_000;
const call = (mayBeCached = true): StoreCall => ({ now, signal: new AbortController().signal, mayBeCached });
const record = (version = 1, changes: Partial<StoreRecord> = {}): StoreRecord => ({
  version,
  payload: `v${version}`,
  idleDeadline: now + 1_800_000,
  absoluteDeadline: now + 43_200_000,
  userId: "ada",
  ...changes,
});

function setUp(options: NearCacheOptions = {}) {
  const server = remote();
  const near = nearCache(server.store, options);
  const read = async (id: string, mayBeCached = true) => (await near.load(id, call(mayBeCached)))?.payload;
  /** How often the server is asked for it while this is read once. */
  const asked = async (id: string, mayBeCached = true) => {
    const before = server.calls.length;
    await near.load(id, call(mayBeCached));
    return server.calls.length - before;
  };
  /** Another process writes, past this cache. */
  const elsewhere = (id: string, version: number) =>
    server.inner.replace(id, version - 1, record(version), call());
  return { ...server, server, near, read, asked, elsewhere };
}

describe("a session that was read lately", () => {
  it("is read without a call and without a promise, as the very same record", async () => {
    const { near, calls } = setUp();
    const id = newId();
    await near.create(id, record(), call());
    const first = await near.load(id, call());
    calls.length = 0;
    expect(near.load(id, call())).toBe(first);
    expect(calls).toEqual([]);
  });

  it("is asked for where the newest is needed, and an unknown id each time", async () => {
    const { asked, near } = setUp();
    const id = newId();
    await near.create(id, record(), call());
    expect(await asked(id)).toBe(0);
    expect(await asked(id, false)).toBe(1);
    const unknown = newId();
    expect([await asked(unknown), await asked(unknown)]).toEqual([1, 1]);
  });

  it("is asked for again at maxAge after it was asked for, by the engine's clock, and where the clock went back", async () => {
    const { asked, near, elsewhere, read } = setUp({ maxAge: 2000 });
    const id = newId();
    await near.create(id, record(), call());
    now += 1999;
    await elsewhere(id, 2);
    expect(await read(id)).toBe("v1");
    now += 1;
    expect(await read(id)).toBe("v2");
    now -= 5000;
    expect(await asked(id)).toBe(1);
    now += 5000;
  });

  it("counts its age from the question, however late the answer", async () => {
    const { asked, near, hold, release } = setUp({ maxAge: 2000 });
    const id = newId();
    await near.create(id, record(), call());
    now += 10_000;
    const barrier = hold("load");
    const loading = near.load(id, call());
    await barrier.arrived();
    now += 1999;
    barrier.open();
    await loading;
    release("load");
    expect(await asked(id)).toBe(0);
    now += 1;
    expect(await asked(id)).toBe(1);
  });

  it("is asked for where it seems to have expired, for another may have touched it", async () => {
    const { near, inner, read } = setUp({ maxAge: "1h" });
    const id = newId();
    await near.create(id, record(1, { idleDeadline: now + 1000 }), call());
    await inner.touch(id, now + 60_000, call());
    now += 1000;
    expect(await read(id)).toBe("v1");
  });

  it("is dropped when the store tells of it, and all are when anything may have changed", async () => {
    const { near, asked, tell } = setUp();
    const ids = [newId(), newId()];
    for (const id of ids) await near.create(id, record(), call());
    tell(ids[0]);
    expect([await asked(ids[0]!), await asked(ids[1]!)]).toEqual([1, 0]);
    tell(undefined);
    expect([await asked(ids[0]!), await asked(ids[1]!)]).toEqual([1, 1]);
  });

  it("tells others who listen, after it has dropped it, until they stop", async () => {
    const { near, tell } = setUp();
    const heard: unknown[] = [];
    const stop = near.watch!((id) => heard.push(id));
    tell("a");
    tell(undefined);
    stop();
    tell("b");
    expect(heard).toEqual(["a", undefined]);
    const { watch, ...silent } = memoryStore();
    expect(watch).toBeUndefined();
    expect(nearCache(silent).watch).toBeUndefined();
  });
});

describe("what this process writes is seen at once", () => {
  it("a replace, a conflict's newer record, a touch, a rewrite, a delete, and what goes with its user", async () => {
    const { near, read, asked, elsewhere } = setUp();
    const id = newId();
    await near.create(id, record(), call());
    await near.replace(id, 1, record(2), call());
    expect([await asked(id), await read(id)]).toEqual([0, "v2"]);
    await elsewhere(id, 3);
    expect(await near.replace(id, 2, record(3), call())).toMatchObject({ status: "conflict" });
    expect([await asked(id), await read(id)]).toEqual([0, "v3"]);
    const moved = now + 1_900_000;
    await near.touch(id, moved, call());
    expect(await near.load(id, call())).toMatchObject({ idleDeadline: moved, version: 3 });
    await near.rewrite!(id, 3, "rewritten", call());
    expect(await read(id)).toBe("rewritten");
    await near.delete(id, call());
    expect(await read(id)).toBeUndefined();
    const other = newId();
    await near.create(other, record(), call());
    await near.deleteByUser("ada", undefined, call());
    expect(await read(other)).toBeUndefined();
  });

  it("a touch makes nothing younger, and one that finds no session, or another one, drops it", async () => {
    const { near, read, elsewhere, inner } = setUp({ maxAge: 2000 });
    const id = newId();
    await near.create(id, record(), call());
    await elsewhere(id, 2);
    now += 1500;
    await near.touch(id, now + 1_900_000, call());
    expect(await read(id)).toBe("v1");
    now += 500;
    expect(await read(id)).toBe("v2");
    await inner.delete(id, call());
    expect(await near.touch(id, now + 1_950_000, call())).toBe(false);
    expect(await read(id)).toBeUndefined();
  });

  it.each(["create", "replace", "touch", "delete", "rewrite", "deleteByUser"] as const)(
    "a %s that failed may have been done: nothing is known",
    async (method) => {
      const { near, asked, fail } = setUp();
      const id = newId();
      await near.create(id, record(), call());
      fail(method);
      const writes: Record<typeof method, () => unknown> = {
        create: () => near.create(id, record(), call()),
        replace: () => near.replace(id, 1, record(2), call()),
        touch: () => near.touch(id, now + 1_900_000, call()),
        delete: () => near.delete(id, call()),
        rewrite: () => near.rewrite!(id, 1, "x", call()),
        deleteByUser: () => near.deleteByUser("ada", undefined, call()),
      };
      await expect(writes[method]()).rejects.toThrow("the network is down");
      fail(undefined);
      expect(await asked(id)).toBe(1);
    },
  );
});

describe("calls that overlap leave nothing old behind", () => {
  const begun = async () => {
    const setup = setUp();
    const id = newId();
    await setup.near.create(id, record(), call());
    setup.tell(undefined);
    return { ...setup, id };
  };

  it.each(["its id", "anything"])("word of %s that arrives while a load is under way", async (what) => {
    const { near, id, hold, release, elsewhere, tell, read } = await begun();
    const barrier = hold("load");
    const loading = near.load(id, call());
    await barrier.arrived();
    await elsewhere(id, 2);
    tell(what === "anything" ? undefined : id);
    barrier.open();
    expect(await loading).toMatchObject({ version: 1 });
    release("load");
    expect(await read(id)).toBe("v2");
  });

  it("word that arrives before the answer to this process's own, older write", async () => {
    const { near, id, hold, elsewhere, tell, read } = await begun();
    const barrier = hold("replace");
    const writing = near.replace(id, 1, record(2), call());
    await barrier.arrived();
    await elsewhere(id, 3);
    tell(id);
    barrier.open();
    expect(await writing).toEqual({ status: "done" });
    expect(await read(id)).toBe("v3");
  });

  it("a load that began before this process's own write, and ends after it", async () => {
    const { near, id, hold, release, read } = await begun();
    const barrier = hold("load");
    const loading = near.load(id, call());
    await barrier.arrived();
    await near.replace(id, 1, record(2), call());
    barrier.open();
    await loading;
    release("load");
    expect(await read(id)).toBe("v2");
  });

  it("two writes of this process whose answers change places", async () => {
    const { near, id, hold, release, read } = await begun();
    const barrier = hold("replace");
    const first = near.replace(id, 1, record(2), call());
    await barrier.arrived();
    release("replace");
    await near.replace(id, 2, record(3), call());
    barrier.open();
    await first;
    expect(await read(id)).toBe("v3");
  });

  it("a load that ends after a delete, by id and by user", async () => {
    for (const remove of ["delete", "deleteByUser"] as const) {
      const { near, id, hold, release, read } = await begun();
      const barrier = hold("load");
      const loading = near.load(id, call());
      await barrier.arrived();
      if (remove === "delete") await near.delete(id, call());
      else await near.deleteByUser("ada", undefined, call());
      barrier.open();
      await loading;
      release("load");
      expect(await read(id)).toBeUndefined();
    }
  });

  it("a load that read before another's write, and ends after a load that read it", async () => {
    const { near, id, hold, release, elsewhere, read } = await begun();
    const barrier = hold("load");
    const old = near.load(id, call());
    await barrier.arrived();
    release("load");
    await elsewhere(id, 2);
    await near.load(id, call());
    barrier.open();
    await old;
    expect(await read(id)).toBe("v2");
  });
});

/*
 * Caches that never hear of a change and keep it for an hour are as stale as can be: requests begin with sessions that have been
 * written, rotated and ended since. No update is lost all the same, and nothing that was ended comes back.
 */
it.each([
  ["memory", () => memoryStore()],
  ["sqlite", () => sqliteStore({ path: temporaryFile("sessions.db") })],
])("requests on caches that never hear of a change end as the model says (%s)", async (_name, open) => {
  const store = open();
  const deaf = () => nearCache({ ...store, close() {} }, { maxAge: "1h" });
  await checkInterleavings(store, 300, [deaf(), deaf()]);
  await store.close();
});

describe("what decides is asked of the store itself, however long a cache keeps what it knows", () => {
  /** Two processes on one store. The second has a cache that hears of nothing and has seen the session. */
  const apart = async () => {
    const store = memoryStore();
    const clock = new Clock();
    const on = (own: Store) =>
      createSessions<any>({ secrets: [SECRET], store: own, clock: clock.read, sweepInterval: false });
    const [here, there] = [on(store), on(nearCache(store, { maxAge: "1h" }))];
    const exchange = await here.open(requestWith(undefined));
    exchange.session.data.cart = ["tea"];
    await exchange.session.login("ada");
    const cookie = (await finishedCookie(exchange))!;
    const visit = (sessions: typeof here) => sessions.open(requestWith(cookie));
    await visit(there);
    return { here, there, clock, visit };
  };

  it("a request that reads may begin with what was, and whatever it does then is done to what is", async () => {
    const { here, there, visit } = await apart();
    await (await visit(here)).session.update((data) => data.cart.push("mug"));
    const late = await visit(there);
    expect(late.session.data.cart).toEqual(["tea"]);
    await late.session.reload();
    expect(late.session.data.cart).toEqual(["tea", "mug"]);
    const other = await visit(there);
    expect(await other.session.update((data) => data.cart.push("pen"))).toBe(3);
  });

  it.each(["update", "save", "rotate", "touch", "reload"] as const)(
    "%s of a session that has been ended elsewhere brings nothing back",
    async (step) => {
      const { here, there, visit } = await apart();
      const late = await visit(there);
      await (await visit(here)).session.logout();
      late.session.data.more = true;
      const steps = {
        update: () => late.session.update((data) => data.cart.push("mug")),
        save: () => late.session.save(),
        rotate: () => late.session.rotate(),
        touch: () => late.session.touch(),
        reload: () => late.session.reload(),
      };
      await steps[step]().catch((error: unknown) => expect(error).toBeInstanceOf(SessionGoneError));
      expect(await finishedCookie(late)).toBeUndefined();
      expect(await here.ofUser("ada").list()).toEqual([]);
      expect((await visit(here)).session.isNew).toBe(true);
      // And from here on this process knows, too.
      if (step !== "touch") expect((await visit(there)).session.isNew).toBe(true);
    },
  );

  it("a renewal that is due, a new secret and a touch that is due set no cookie for what has ended", async () => {
    const { here, there, clock, visit } = await apart();
    clock.advance(29 * 60_000);
    const late = await visit(there);
    await (await visit(here)).session.logout();
    expect(await finishedCookie(late)).toBeUndefined();
    expect((await visit(here)).session.isNew).toBe(true);
  });

  it("sealed sessions are kept sealed, opened once, and merged as ever", async () => {
    const store = memoryStore();
    const near = nearCache(store, { maxAge: "1h" });
    const on = (own: Store) =>
      createSessions<any>({ secrets: [SECRET], store: own, encrypt: true, sweepInterval: false });
    const [here, there] = [on(store), on(near)];
    const exchange = await here.open(requestWith(undefined));
    exchange.session.data.cart = ["tea"];
    const cookie = await finishedCookie(exchange);
    const visit = async (sessions: typeof here) => (await sessions.open(requestWith(cookie))).session;
    const { id } = await visit(there);
    const kept = await near.load(id, { ...call(), now: Date.now() });
    expect(kept!.payload).not.toContain("tea");
    await (await visit(here)).update((data) => data.cart.push("mug"));
    const late = await visit(there);
    expect(late.data.cart).toEqual(["tea"]);
    expect(await late.update((data) => data.cart.push("pen"))).toBe(3);
    expect((await visit(there)).data.cart).toEqual(["tea", "mug", "pen"]);
  });

  it("revoke finds the session that lives, and onEnd its end", async () => {
    const { here, there, visit } = await apart();
    const { session } = await visit(there);
    const ends: string[] = [];
    const stop = session.onEnd(({ reason }) => ends.push(reason), { every: "100ms" });
    await (await visit(here)).session.logout();
    await until(() => ends.length > 0);
    expect(ends).toEqual(["logout"]);
    stop();
    expect(await there.ofUser("ada").revoke(session.id)).toBe(false);
  });
});

describe("bounded", () => {
  it("by a number of sessions, the one unused for longest out first", async () => {
    const { near, asked } = setUp({ maxSessions: 3 });
    const ids = Array.from({ length: 4 }, newId);
    for (const id of ids.slice(0, 3)) await near.create(id, record(), call());
    await asked(ids[0]!);
    await near.create(ids[3]!, record(), call());
    const known = async (id: string) => (await asked(id)) === 0;
    expect(await known(ids[0]!)).toBe(true);
    expect(await known(ids[2]!)).toBe(true);
    expect(await known(ids[3]!)).toBe(true);
    expect(await known(ids[1]!)).toBe(false);
  });

  it("by bytes, also for one that is larger than all of it", async () => {
    const { near, asked } = setUp({ maxBytes: 10_000 });
    const ids = Array.from({ length: 100 }, newId);
    for (const id of ids) await near.create(id, record(1, { payload: "x".repeat(1000) }), call());
    let known = 0;
    for (const id of ids.toReversed()) if ((await asked(id)) === 0) known++;
    expect(known).toBe(4);
    const huge = newId();
    await near.create(huge, record(1, { payload: "x".repeat(10_000) }), call());
    expect(await asked(huge)).toBe(1);
  });

  it("nothing is kept after close, and nobody listens", async () => {
    const { near, server, calls } = setUp();
    const id = newId();
    await near.create(id, record(), call());
    expect(server.listening).toBe(1);
    await near.close();
    expect(server.listening).toBe(0);
    calls.length = 0;
    await near.load(id, call());
    expect(calls).toEqual(["load"]);
  });

  it.each([
    [undefined, {}, "nearCache:"],
    [{}, {}, "nearCache:"],
    [memoryStore(), { maxAge: 0 }, "nearCache.maxAge"],
    [memoryStore(), { maxAge: "2h" }, "nearCache.maxAge"],
    [memoryStore(), { maxAge: "soon" }, "nearCache.maxAge"],
    [memoryStore(), { maxSessions: 0 }, "nearCache.maxSessions"],
    [memoryStore(), { maxBytes: "1MB" }, "nearCache.maxBytes"],
  ])("refuses the options %#", (store: any, options: any, message) => {
    expect(() => nearCache(store, options)).toThrow(message);
  });
});
