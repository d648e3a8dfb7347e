import { describe, expect, it } from "vitest";
import { createSessions } from "../src/engine/create-sessions.js";
import type { Store } from "../src/stores/contract.js";
import { memoryStore } from "../src/stores/memory.js";
import { finish, finishedCookie, requestWith } from "./support/exchange.js";
import { Clock, SECRET } from "./support/shop.js";

/** A store that hangs, throws, rejects or returns rubbish, in each of its methods: always a typed error, never a hang. */

const METHODS = ["load", "create", "replace", "touch", "listByUser"] as const;
type Method = (typeof METHODS)[number];

const good = {
  version: 1,
  payload: '{"format":1,"createdAt":1,"seenAt":1,"tokenAt":1}\n{}',
  idleDeadline: Date.UTC(2031, 0, 1),
  absoluteDeadline: Date.UTC(2031, 0, 1),
  userId: null,
};

const FAULTS: Array<[string, () => unknown, string]> = [
  [
    "throws",
    () => {
      throw new Error("broken");
    },
    "ERR_HOLDFAST_STORE",
  ],
  ["rejects", () => Promise.reject(new Error("broken")), "ERR_HOLDFAST_STORE"],
  ["rejects with no error", () => Promise.reject(undefined), "ERR_HOLDFAST_STORE"],
  ["hangs", () => new Promise(() => {}), "ERR_HOLDFAST_STORE_TIMEOUT"],
  ["answers with a number", () => 42, "ERR_HOLDFAST_STORE_CORRUPT"],
  ["answers with null", () => null, "ERR_HOLDFAST_STORE_CORRUPT"],
  ["answers with text, later", async () => "rubbish", "ERR_HOLDFAST_STORE_CORRUPT"],
];

const RUBBISH_RECORDS: Array<[string, object]> = [
  ["no version", { ...good, version: undefined }],
  ["a version of 0", { ...good, version: 0 }],
  ["a payload that is bytes", { ...good, payload: Buffer.from(good.payload) }],
  ["an empty payload", { ...good, payload: "" }],
  ["a payload that is cut off", { ...good, payload: good.payload.slice(0, 30) }],
  ["a payload of another format", { ...good, payload: '{"format":99}\n{}' }],
  ["a payload without times", { ...good, payload: '{"format":1}\n{}' }],
  ["a tombstone without a successor", { ...good, payload: '{"format":1,"ended":"renewed","at":1}' }],
  ["a deadline that is NaN", { ...good, idleDeadline: Number.NaN }],
  ["a deadline that is text", { ...good, absoluteDeadline: "2031-01-01" }],
  ["a user id that is a number", { ...good, userId: 7 }],
];

function setUp() {
  const store: Store = memoryStore();
  const clock = new Clock();
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store,
    clock: clock.read,
    storeTimeout: 30,
    sweepInterval: false,
  });
  const errors: any[] = [];
  sessions.on("store-error", ({ error }) => errors.push(error));
  return { store, clock, sessions, errors };
}

async function storedCookie({ sessions }: ReturnType<typeof setUp>): Promise<string> {
  const exchange = await sessions.open(requestWith(undefined));
  await exchange.session.login("ada");
  exchange.session.data.a = 1;
  return (await finishedCookie(exchange))!;
}

/** What makes the engine call each method. */
const USES: Record<Method, (set: ReturnType<typeof setUp>, cookie: string) => Promise<unknown>> = {
  load: async ({ sessions }, cookie) => sessions.open(requestWith(cookie)),
  async create({ sessions }) {
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.a = 1;
    await exchange.commit();
  },
  async replace({ sessions }, cookie) {
    const exchange = await sessions.open(requestWith(cookie));
    exchange.session.data.a = 2;
    await exchange.commit();
  },
  async touch({ sessions, clock }, cookie) {
    clock.advance(5 * 60_000);
    await (await sessions.open(requestWith(cookie))).commit();
  },
  listByUser: ({ sessions }) => sessions.ofUser("ada").revokeAll(),
};

describe.each(METHODS)("a store whose %s", (method) => {
  it.each(FAULTS)("%s", async (_fault, fault, code) => {
    const set = setUp();
    const cookie = await storedCookie(set);
    const original = set.store[method];
    (set.store as any)[method] = fault;
    const error = await USES[method](set, cookie).then(
      () => expect.fail("no error"),
      (failure) => failure,
    );
    expect(error).toMatchObject({ code, status: 503, store: "memory", operation: method });
    expect(set.errors).toEqual([error]);

    // Once it works again, so does the session: the failure changed nothing.
    (set.store as any)[method] = original;
    const exchange = await set.sessions.open(requestWith(cookie));
    expect(exchange.session).toMatchObject({ userId: "ada", data: { a: 1 } });
  });
});

describe("a store that returns a rubbish record", () => {
  it.each(RUBBISH_RECORDS)("with %s", async (_what, record) => {
    const set = setUp();
    const cookie = await storedCookie(set);
    set.store.load = () => record as any;
    const opening = Promise.resolve().then(() => set.sessions.open(requestWith(cookie)));
    await expect(opening).rejects.toMatchObject({ code: "ERR_HOLDFAST_STORE_CORRUPT", status: 503 });
  });

  it.each(["not json", "[]", "null", '"text"'])(
    "with data that is %s: when it is looked at",
    async (data) => {
      const set = setUp();
      const cookie = await storedCookie(set);
      set.store.load = () => ({ ...good, payload: `${good.payload.split("\n")[0]}\n${data}` });
      const { session } = await set.sessions.open(requestWith(cookie));
      expect(() => session.data).toThrow(expect.objectContaining({ code: "ERR_HOLDFAST_STORE_CORRUPT" }));
    },
  );

  it("as the newer one of a conflict", async () => {
    const set = setUp();
    const cookie = await storedCookie(set);
    const exchange = await set.sessions.open(requestWith(cookie));
    exchange.session.data.a = 2;
    set.store.replace = () => ({ status: "conflict", record: { ...good, payload: "?" } });
    await expect(exchange.commit()).rejects.toMatchObject({ code: "ERR_HOLDFAST_STORE_CORRUPT" });
  });

  it("whose renewals lead in a circle", async () => {
    const set = setUp();
    const cookie = await storedCookie(set);
    set.store.load = () => ({
      ...good,
      payload:
        '{"format":1,"ended":"renewed","at":1,"successor":"againagainagainagainagainagainagainagainaga"}',
    });
    expect((await set.sessions.open(requestWith(cookie))).session.isNew).toBe(true);
  });
});

it("a store that never lets a write win gives a ConflictError, and the next request works", async () => {
  const set = setUp();
  const cookie = await storedCookie(set);
  const { replace } = set.store;
  set.store.replace = async (id, _version, _record, call) => ({
    status: "conflict",
    record: (await set.store.load(id, call))!,
  });
  const exchange = await set.sessions.open(requestWith(cookie));
  await expect(exchange.session.update((data) => data.a++)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_CONFLICT",
    status: 503,
  });
  set.store.replace = replace;
  expect(await (await set.sessions.open(requestWith(cookie))).session.update((data) => ++data.a)).toBe(2);
});

it("requests of one session don't wait for each other's hanging store beyond the deadline", async () => {
  const set = setUp();
  const cookie = await storedCookie(set);
  set.store.replace = () => new Promise(() => {});
  const writes = Array.from({ length: 20 }, async () => {
    const exchange = await set.sessions.open(requestWith(cookie));
    exchange.session.data.a = Math.random();
    await exchange.commit();
  });
  const outcomes = await Promise.allSettled(writes);
  expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
});

it("a logout that the store refuses clears no cookie", async () => {
  const set = setUp();
  const cookie = await storedCookie(set);
  set.store.replace = () => Promise.reject(new Error("down"));
  const exchange = await set.sessions.open(requestWith(cookie));
  await expect(exchange.session.logout()).rejects.toMatchObject({ status: 503 });
  expect((await finish(exchange))["set-cookie"]).toBeUndefined();
});
