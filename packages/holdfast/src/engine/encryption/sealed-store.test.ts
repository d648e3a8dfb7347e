import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FOREIGN_KEY, KEY, OLDER_KEY, sealingWith } from "../../../test/support/sealing.js";
import { temporaryFile } from "../../../test/support/stores.js";
import {
  BrokenSealError,
  NotSealedError,
  StoreCorruptError,
  StoreError,
  UnknownKeyError,
} from "../../errors.js";
import type { Store, StoreRecord } from "../../stores/contract.js";
import { memoryStore } from "../../stores/memory.js";
import { sqliteStore } from "../../stores/sqlite.js";
import { testStore } from "../../testing/store.js";
import { opened, SealedStore, sealed } from "./sealed-store.js";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

const sealing = sealingWith();
const runner = { describe, it };

testStore("memoryStore, sealed", () => new SealedStore(memoryStore(), sealingWith()), runner, {
  rewrites: false,
});
const path = temporaryFile("sealed.db");
testStore("sqliteStore, sealed", () => new SealedStore(sqliteStore({ path }), sealingWith()), runner, {
  rewrites: false,
});
testStore(
  "sqliteStore, sealed by some and plain by others",
  () => new SealedStore(sqliteStore({ path }), sealingWith([KEY], { seal: Math.random() < 0.5 })),
  runner,
  { rewrites: false, runs: 10 },
);

const call = { now: 0, signal: new AbortController().signal };
const newRecord = (changes: Partial<StoreRecord> = {}): StoreRecord => ({
  version: 1,
  payload: '{"format":1}\n{"secret":"the application\'s"}',
  idleDeadline: 1000,
  absoluteDeadline: 5000,
  userId: "ada",
  ...changes,
});

/** What opening a record ends in. */
function failure(record: StoreRecord, id = "id", by = sealing): unknown {
  try {
    opened(by, "test", "load", id, record);
  } catch (error) {
    return error;
  }
}

describe("a sealed record", () => {
  it("shows its version, deadlines and user, and nothing of its payload", async () => {
    const record = newRecord();
    const kept = sealed(sealing, "id", record);
    expect({ ...kept, payload: "" }).toEqual({ ...record, payload: "" });
    expect(kept.payload).toMatch(/^sealed:[A-Za-z0-9_-]+$/);
    expect(Buffer.from(kept.payload.slice(7), "base64url").includes("application")).toBe(false);
    expect(opened(sealing, "test", "load", "id", kept)).toEqual({ record, outdated: false });
  });

  it.each<[string, Partial<StoreRecord>, string?]>([
    ["under another session's id", {}, "another"],
    ["with another user", { userId: "admin" }],
    ["with no user", { userId: null }],
    ["with a later absolute deadline", { absoluteDeadline: 6000 }],
    ["with an earlier absolute deadline", { absoluteDeadline: 4999 }],
    ["with another version", { version: 2 }],
  ])("opens not %s", (_name, changes, id) => {
    const kept = { ...sealed(sealing, "id", newRecord()), ...changes };
    expect(failure(kept, id)).toBeInstanceOf(BrokenSealError);
    expect(failure(kept, id)).toMatchObject({ code: "ERR_HOLDFAST_BROKEN_SEAL", status: 503 });
  });

  it("opens after a touch, the one thing that changes without the payload", () => {
    const kept = { ...sealed(sealing, "id", newRecord()), idleDeadline: 4000 };
    expect(opened(sealing, "test", "load", "id", kept).record.idleDeadline).toBe(4000);
  });

  it("no two ids and users make the same context", () => {
    const kept = sealed(sealing, "a", newRecord({ userId: "2,6000,b" }));
    const other = { ...kept, version: 2, absoluteDeadline: 6000, userId: "b" };
    expect(failure(other, "a,1,5000")).toBeInstanceOf(BrokenSealError);
    const text = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(text, text, text, text, (id, userId, otherId, otherUser) => {
        fc.pre(id !== otherId || userId !== otherUser);
        const record = sealed(sealing, id, newRecord({ userId }));
        expect(failure({ ...record, userId: otherUser }, otherId)).toBeInstanceOf(BrokenSealError);
      }),
    );
  });

  it("by a key that is not given says which option is short of it, and what to do", () => {
    const kept = sealed(sealingWith([FOREIGN_KEY]), "id", newRecord());
    const error = failure(kept);
    expect(error).toBeInstanceOf(UnknownKeyError);
    expect(error).toBeInstanceOf(StoreCorruptError);
    expect(error).toMatchObject({ code: "ERR_HOLDFAST_UNKNOWN_KEY", status: 503 });
    expect((error as Error).message).toContain("not among `encrypt.keys`. Put that key back");
  });

  it("by an older key opens and is outdated; the first one seals", () => {
    const before = sealed(sealingWith([OLDER_KEY]), "id", newRecord());
    const rotated = sealingWith([KEY, OLDER_KEY]);
    expect(opened(rotated, "test", "load", "id", before)).toEqual({ record: newRecord(), outdated: true });
    const after = sealed(rotated, "id", newRecord());
    expect(opened(sealingWith([KEY]), "test", "load", "id", after).outdated).toBe(false);
  });

  it("plain is read, and is outdated; where it is refused, it is an error", () => {
    expect(opened(sealing, "test", "load", "id", newRecord())).toEqual({
      record: newRecord(),
      outdated: true,
    });
    const error = failure(newRecord(), "id", sealingWith([KEY], { plain: "refuse" }));
    expect(error).toBeInstanceOf(NotSealedError);
    expect(error).toMatchObject({ code: "ERR_HOLDFAST_NOT_SEALED", status: 503 });
  });

  it("on the way back is opened, and written plain", () => {
    const back = sealingWith([KEY], { seal: false });
    const kept = sealed(sealing, "id", newRecord());
    expect(opened(back, "test", "load", "id", kept)).toEqual({ record: newRecord(), outdated: true });
    expect(sealed(back, "id", newRecord())).toEqual(newRecord());
    expect(opened(back, "test", "load", "id", newRecord()).outdated).toBe(false);
  });
});

describe("whatever stands in the store, opening gives the typed error and nothing else", () => {
  const kept = sealed(sealing, "id", newRecord({ payload: "p".repeat(300) }));
  const envelope = Buffer.from(kept.payload.slice(7), "base64url");

  function expectRefused(payload: string): void {
    const error = failure({ ...kept, payload }, "id", sealingWith([KEY], { plain: "refuse" }));
    expect(error).toBeInstanceOf(StoreCorruptError);
    expect((error as Error).message).not.toContain("pppp");
  }

  it("every bit flipped, every length cut off", () => {
    for (let bit = 0; bit < envelope.length * 8; bit++) {
      const bytes = Buffer.from(envelope);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expectRefused(`sealed:${bytes.toString("base64url")}`);
    }
    for (let length = 0; length < kept.payload.length; length++) expectRefused(kept.payload.slice(0, length));
  });

  it("ten thousand of any kind, and memory stays flat", () => {
    const strict = sealingWith([KEY], { plain: "refuse" });
    const unit = fc.nat(0xffff).map((code) => String.fromCharCode(code));
    const junk = fc.oneof(
      fc.string({ unit, maxLength: 200 }),
      fc.string({ unit, maxLength: 200 }).map((text) => `sealed:${text}`),
      fc.uint8Array({ maxLength: 400 }).map((bytes) => `sealed:${Buffer.from(bytes).toString("base64url")}`),
      fc
        .tuple(fc.nat(envelope.length), fc.nat(envelope.length), fc.uint8Array({ maxLength: 40 }))
        .map(([from, to, bytes]) =>
          Buffer.concat([envelope.subarray(0, from), bytes, envelope.subarray(to)]).toString("base64url"),
        )
        .filter((text) => text !== kept.payload.slice(7))
        .map((text) => `sealed:${text}`),
    );
    const samples = fc.sample(junk, 10_000);
    const round = () => {
      for (const payload of samples)
        expect(failure({ ...kept, payload }, "id", strict)).toBeInstanceOf(StoreCorruptError);
    };
    round();
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    round();
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(16 * 1024 * 1024);
  }, 60_000);
});

describe("the store behind", () => {
  it("never gets a plain payload, by whatever call", async () => {
    const seen: string[] = [];
    const inner = memoryStore();
    const watched: Store = {
      ...inner,
      create: (id, record, context) => {
        seen.push(record.payload);
        return inner.create(id, record, context);
      },
      replace: (id, version, record, context) => {
        seen.push(record.payload);
        return inner.replace(id, version, record, context);
      },
    };
    const store = new SealedStore(watched, sealing);
    await store.create("id", newRecord(), call);
    await store.replace("id", 1, newRecord({ version: 2 }), call);
    expect(seen).toHaveLength(2);
    for (const payload of seen) expect(payload).toMatch(/^sealed:/);
  });

  it("that keeps records in memory has each opened once, and one that a touch has moved not again", async () => {
    let openings = 0;
    const { sealer } = sealing;
    const counting = {
      ...sealing,
      sealer: {
        ...sealer,
        open(text: string, context: string) {
          openings++;
          return sealer.open(text, context);
        },
      },
    };
    const inner = memoryStore();
    await inner.create("id", sealed(sealing, "id", newRecord()), call);
    const store = new SealedStore(inner, counting);
    const first = await store.load("id", call);
    expect(first).toEqual(newRecord());
    expect(await store.load("id", call)).toBe(first);
    await store.touch("id", 2000, call);
    expect(await store.load("id", call)).toEqual(newRecord({ idleDeadline: 2000 }));
    expect(openings).toBe(1);
    await inner.replace("id", 1, sealed(sealing, "id", newRecord({ version: 2, payload: "next" })), call);
    expect((await store.load("id", call))?.payload).toBe("next");
    expect(openings).toBe(2);
  });

  it("may copy the record that was opened into another, and that is opened for what it is", async () => {
    const inner = memoryStore();
    await inner.create("id", sealed(sealing, "id", newRecord()), call);
    const store = new SealedStore(inner, sealing);
    await store.load("id", call);
    const copy = { ...(await inner.load("id", call))! };
    for (const [id, changes] of [
      ["other", {}],
      ["id", { userId: "admin" }],
      ["id", { absoluteDeadline: 9000 }],
      ["id", { version: 2 }],
      ["id", { payload: "sealed:AQ" }],
    ] as const) {
      inner.delete(id, call);
      await inner.create(id, { ...copy, ...changes }, call);
      expect(() => store.load(id, call)).toThrow(StoreError);
    }
  });

  it("may answer with what is no record: the engine says so", async () => {
    for (const junk of [null, 7, "text", {}, { payload: 7 }, []]) {
      const inner = { ...memoryStore(), load: () => junk, listByUser: () => junk } as unknown as Store;
      const store = new SealedStore(inner, sealing);
      expect(await store.load("id", call)).toBe(junk);
      expect(() => store.listByUser("ada", call)).not.toThrow(TypeError);
    }
  });
});

describe("scan", () => {
  it("goes past what it can't open, and gives nothing of it", async () => {
    const store = memoryStore();
    const record = (payload: string): StoreRecord => {
      return { version: 1, payload, idleDeadline: 9, absoluteDeadline: 9, userId: null };
    };
    await new SealedStore(store, sealing).create("mine", record("{}\nmine"), call);
    const foreign = sealed(sealingWith([FOREIGN_KEY]), "foreign", record("{}\nforeign"));
    await store.create("foreign", foreign, call);
    await store.create("planted", record("{}\nplanted"), call);
    const strict = new SealedStore(store, sealingWith([KEY], { plain: "refuse" }));
    const { sessions } = await strict.scan!(undefined, 10, call);
    const payloads = sessions.map(({ id, record: { payload } }) => [id, payload]);
    expect(payloads.sort()).toEqual([
      ["foreign", ""],
      ["mine", "{}\nmine"],
      ["planted", ""],
    ]);
  });
});
