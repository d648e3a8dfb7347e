import { describe, expect, it } from "vitest";
import { StoreCorruptError, StoreError, StoreTimeoutError } from "../errors.js";
import type { Store, StoreCall, StoreRecord } from "../stores/contract.js";
import { EventBus, type SessionEvents } from "./events.js";
import { StoreClient } from "./store-client.js";

const RECORD: StoreRecord = {
  version: 1,
  payload: "payload of hunter2",
  idleDeadline: 1000,
  absoluteDeadline: 2000,
  userId: null,
};
const NOW = 500;
/** Longer than any of these tests may take. */
const PATIENT = 60_000;

/** How each operation of the client is called. */
const OPERATIONS = {
  load: (client: StoreClient) => client.load("id"),
  create: (client: StoreClient) => client.create("id", RECORD),
  replace: (client: StoreClient) => client.replace("id", 1, RECORD),
  touch: (client: StoreClient) => client.touch("id", 900),
  delete: (client: StoreClient) => client.delete("id"),
  sweep: (client: StoreClient) => client.sweep(),
  listByUser: (client: StoreClient) => client.listByUser("anna"),
  deleteByUser: (client: StoreClient) => client.deleteByUser("anna", "except"),
} as const;
type Operation = keyof typeof OPERATIONS;
const NAMES = Object.keys(OPERATIONS) as Operation[];

/** A good answer to each operation. */
const ANSWERS: Record<Operation, unknown> = {
  load: RECORD,
  create: true,
  replace: { status: "done" },
  touch: false,
  delete: undefined,
  sweep: 3,
  listByUser: [{ id: "id", record: RECORD }],
  deleteByUser: ["id"],
};

/** A store whose every method does what `behave` does. */
function storeThat(behave: (operation: Operation, args: unknown[]) => unknown): Store {
  const methods = NAMES.map((name) => [name, (...args: unknown[]) => behave(name, args)]);
  return { name: "fake", close: () => {}, ...Object.fromEntries(methods) } as Store;
}

function clientOf(store: Store, timeout = PATIENT) {
  const events = new EventBus();
  const failures: SessionEvents["store-error"][] = [];
  events.on("store-error", (event) => failures.push(event));
  return { client: new StoreClient(store, timeout, () => NOW, events), failures };
}

function clientThatGets(answer: unknown) {
  return clientOf(storeThat(() => answer));
}

/** The error of an operation, whether it is thrown at once or later. */
async function errorOf(action: () => unknown): Promise<StoreError> {
  try {
    await action();
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError);
    return error as StoreError;
  }
  throw new Error("nothing was thrown");
}

describe("a store that answers", () => {
  it.each(NAMES)("%s: at once, gives no promise", (name) => {
    const { client } = clientThatGets(ANSWERS[name]);
    expect(OPERATIONS[name](client)).toBe(ANSWERS[name]);
  });

  it.each(NAMES)("%s: later, gives the same", async (name) => {
    const { client, failures } = clientThatGets(Promise.resolve(ANSWERS[name]));
    const answer = OPERATIONS[name](client);
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toBe(ANSWERS[name]);
    expect(failures).toEqual([]);
  });

  it("may answer with a promise of another library", async () => {
    // biome-ignore lint/suspicious/noThenProperty: it is what the test is about
    const { client } = clientThatGets({ then: (done: (value: unknown) => void) => done(true) });
    expect(await client.create("id", RECORD)).toBe(true);
  });

  it("may know no record, and lose to another", async () => {
    expect(clientThatGets(undefined).client.load("id")).toBeUndefined();
    expect(clientThatGets({ status: "gone" }).client.replace("id", 1, RECORD)).toEqual({ status: "gone" });
    const conflict = { status: "conflict", record: { ...RECORD, version: 2 } };
    expect(clientThatGets(conflict).client.replace("id", 1, RECORD)).toBe(conflict);
    expect(clientThatGets([]).client.listByUser("anna")).toEqual([]);
    expect(clientThatGets([]).client.deleteByUser("anna", undefined)).toEqual([]);
  });

  it("is called as a method, with the arguments, and the engine's time", () => {
    const calls: unknown[][] = [];
    const store = storeThat((name, args) => {
      calls.push([name, ...args.slice(0, -1), (args.at(-1) as StoreCall).now]);
      return ANSWERS[name];
    });
    const { client } = clientOf(store);
    for (const name of NAMES) OPERATIONS[name](client);
    expect(calls).toEqual([
      ["load", "id", NOW],
      ["create", "id", RECORD, NOW],
      ["replace", "id", 1, RECORD, NOW],
      ["touch", "id", 900, NOW],
      ["delete", "id", NOW],
      ["sweep", NOW],
      ["listByUser", "anna", NOW],
      ["deleteByUser", "anna", "except", NOW],
    ]);
  });
});

describe("a store that fails", () => {
  const cause = new Error("connect ECONNREFUSED redis://:hunter2@db:6379");

  it.each(NAMES)("%s: at once, gives a StoreError", async (name) => {
    const { client } = clientOf(
      storeThat(() => {
        throw cause;
      }),
    );
    expect(() => OPERATIONS[name](client)).toThrow(StoreError);
    const error = await errorOf(() => OPERATIONS[name](client));
    expect(error).toMatchObject({
      code: "ERR_HOLDFAST_STORE",
      status: 503,
      store: "fake",
      operation: name,
      cause,
    });
  });

  it.each(NAMES)("%s: later, gives a StoreError", async (name) => {
    const { client } = clientOf(storeThat(() => Promise.reject(cause)));
    const error = await errorOf(() => OPERATIONS[name](client));
    expect(error).toMatchObject({
      code: "ERR_HOLDFAST_STORE",
      status: 503,
      store: "fake",
      operation: name,
      cause,
    });
  });

  it("has its own words in the cause only, for a driver's message may hold a password", async () => {
    const error = await errorOf(() => clientOf(storeThat(() => Promise.reject(cause))).client.load("id"));
    expect(error.message).toBe('The session store "fake" failed (operation: load).');
  });

  it.each([undefined, null, "text", 0, Object.create(null)])("may even throw %o", async (thrown) => {
    const error = await errorOf(() => clientOf(storeThat(() => Promise.reject(thrown))).client.load("id"));
    expect(error).toMatchObject({ code: "ERR_HOLDFAST_STORE", status: 503 });
  });

  it("may throw a StoreError of its own, which stays as it is", async () => {
    const own = new StoreError("fake", "load", "is read-only");
    expect(await errorOf(() => clientOf(storeThat(() => Promise.reject(own))).client.load("id"))).toBe(own);
  });

  it("raises an event, with the time, the operation and the error", async () => {
    const { client, failures } = clientOf(storeThat(() => Promise.reject(cause)));
    const error = await errorOf(() => client.touch("id", 900));
    expect(failures).toEqual([{ at: new Date(NOW), operation: "touch", error }]);
  });
});

describe("a store that hangs", () => {
  const hanging = NAMES.filter((name) => name !== "sweep");

  it.each(hanging)("%s: gives a StoreTimeoutError, and the call's signal aborts", async (name) => {
    let call: StoreCall | undefined;
    const store = storeThat((_name, args) => {
      call = args.at(-1) as StoreCall;
      expect(call.signal.aborted).toBe(false);
      return new Promise(() => {});
    });
    const { client, failures } = clientOf(store, 20);
    const error = await errorOf(() => OPERATIONS[name](client));
    expect(error).toBeInstanceOf(StoreTimeoutError);
    expect(error).toMatchObject({
      code: "ERR_HOLDFAST_STORE_TIMEOUT",
      status: 503,
      store: "fake",
      operation: name,
    });
    expect(error.message).toContain("20 ms");
    expect(failures).toHaveLength(1);
    expect(call!.signal.aborted).toBe(true);
  });

  it("finds the signal aborted even when it first looks at it afterwards", async () => {
    let call: StoreCall | undefined;
    const store = storeThat((_name, args) => {
      call = args.at(-1) as StoreCall;
      return new Promise(() => {});
    });
    await errorOf(() => clientOf(store, 20).client.load("id"));
    expect(call!.signal.aborted).toBe(true);
    expect(call!.signal).toBe(call!.signal);
  });

  it("times out all the same when it answers the abort with an error of its own", async () => {
    const store = storeThat((_name, args) => {
      const { signal } = args.at(-1) as StoreCall;
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("aborted")));
      });
    });
    const { client, failures } = clientOf(store, 20);
    expect(await errorOf(() => client.load("id"))).toBeInstanceOf(StoreTimeoutError);
    expect(failures).toHaveLength(1);
  });

  it("ends no process when it fails after the deadline", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    let fail!: (error: Error) => void;
    const store = storeThat(() => new Promise((_, reject) => (fail = reject)));
    const { client, failures } = clientOf(store, 20);
    await errorOf(() => client.load("id"));
    fail(new Error("too late"));
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
    expect(failures).toHaveLength(1);
  });

  it("aborts nothing when it answers in time", async () => {
    let signal: AbortSignal | undefined;
    const store = storeThat((_name, args) => {
      signal = (args.at(-1) as StoreCall).signal;
      return Promise.resolve(undefined);
    });
    await clientOf(store, 20).client.load("id");
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(signal!.aborted).toBe(false);
  });

  it("may take its time to sweep, which nobody waits for", async () => {
    const store = storeThat(() => new Promise((resolve) => setTimeout(() => resolve(7), 60)));
    expect(await clientOf(store, 20).client.sweep()).toBe(7);
  });
});

describe("a store that answers rubbish", () => {
  const BAD_RECORDS: unknown[] = [
    null,
    "text",
    7,
    true,
    [],
    {},
    new Map(),
    { ...RECORD, version: 0 },
    { ...RECORD, version: "1" },
    { ...RECORD, payload: null },
    { ...RECORD, payload: Buffer.from("hunter2") },
    { ...RECORD, idleDeadline: "1000" },
    { ...RECORD, absoluteDeadline: Number.NaN },
    { ...RECORD, userId: undefined },
    { ...RECORD, userId: 7 },
  ];
  const RUBBISH: Record<Operation, unknown[]> = {
    load: BAD_RECORDS,
    create: [undefined, null, 0, 1, "true", {}, [true]],
    replace: [
      undefined,
      null,
      true,
      "done",
      {},
      { status: "DONE" },
      { status: "ok" },
      { status: undefined },
      ...[undefined, ...BAD_RECORDS].map((record) => ({ status: "conflict", record })),
    ],
    touch: [undefined, null, 0, 1, "false", {}],
    delete: [],
    sweep: [undefined, null, "3", -1, 1.5, Number.NaN, 3n, {}],
    listByUser: [
      undefined,
      null,
      {},
      "id",
      new Set(),
      [null],
      ["id"],
      [RECORD],
      [{ id: 7, record: RECORD }],
      [{ record: RECORD }],
      [{ id: "id" }],
      ...BAD_RECORDS.map((record) => [
        { id: "a", record: RECORD },
        { id: "b", record },
      ]),
    ],
    deleteByUser: [undefined, null, 1, "id", {}, new Set(["id"]), [1], [null], ["id", { id: "id" }]],
  };

  it.each(NAMES.flatMap((name) => RUBBISH[name].map((answer) => [name, answer] as const)))(
    "%s: %o is a StoreCorruptError, at once or later",
    async (name, answer) => {
      for (const given of [answer, Promise.resolve(answer)]) {
        const { client, failures } = clientThatGets(given);
        const error = await errorOf(() => OPERATIONS[name](client));
        expect(error).toBeInstanceOf(StoreCorruptError);
        expect(error).toMatchObject({
          code: "ERR_HOLDFAST_STORE_CORRUPT",
          status: 503,
          store: "fake",
          operation: name,
        });
        expect(error.message).not.toContain("hunter2");
        expect(error.cause).toBeUndefined();
        expect(failures).toEqual([{ at: new Date(NOW), operation: name, error }]);
      }
    },
  );

  it("throws at once where the answer came at once", () => {
    expect(() => clientThatGets(null).client.load("id")).toThrow(StoreCorruptError);
  });

  it("can be reported by the engine, too: an error and an event", () => {
    const { client, failures } = clientThatGets(undefined);
    const error = client.corrupt("load", "its first line is not JSON");
    expect(error).toBeInstanceOf(StoreCorruptError);
    expect(error.message).toContain("its first line is not JSON");
    expect(failures).toEqual([{ at: new Date(NOW), operation: "load", error }]);
  });
});
