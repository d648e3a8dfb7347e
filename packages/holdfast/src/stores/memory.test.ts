import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { testStore } from "../testing/store.js";
import type { ScanPage, StoreRecord } from "./contract.js";
import { memoryStore } from "./memory.js";

testStore("memoryStore", () => memoryStore(), { describe, it });

const call = { now: 0, signal: new AbortController().signal };
const record = (payload = ""): StoreRecord => ({
  version: 1,
  payload,
  idleDeadline: 1,
  absoluteDeadline: 1,
  userId: "ada",
});

describe("memoryStore is bounded", () => {
  it("by a number of sessions: the one unused for longest goes", async () => {
    const store = memoryStore({ maxSessions: 3 });
    for (const id of ["a", "b", "c"]) store.create(id, record(), call);
    store.load("a", call);
    store.create("d", record(), call);
    expect(await store.load("b", call)).toBeUndefined();
    for (const id of ["a", "c", "d"]) expect(await store.load(id, call)).toBeDefined();
    expect(await store.listByUser("ada", call)).toHaveLength(3);
  });

  it("by a number of sessions, in the order of their use, whatever happens to them", () => {
    const operation = fc.record({
      kind: fc.constantFrom("load", "create", "create", "replace", "replace", "touch", "delete"),
      id: fc.constantFrom("a", "b", "c", "d", "e"),
    });
    fc.assert(
      fc.property(fc.array(operation, { minLength: 50, maxLength: 100 }), (operations) => {
        const store = memoryStore({ maxSessions: 3 });
        let used: string[] = [];
        for (const { kind, id } of operations) {
          const isThere = used.includes(id);
          if (kind === "load") store.load(id, call);
          else if (kind === "create") store.create(id, record(), call);
          else if (kind === "replace") store.replace(id, 1, record("x"), call);
          else if (kind === "touch") store.touch(id, 1, call);
          else store.delete(id, call);

          const isUse = kind === "create" ? !isThere : isThere && (kind === "load" || kind === "replace");
          if (isUse || kind === "delete") used = used.filter((each) => each !== id);
          if (isUse) used = [...used, id].slice(-3);
          const page = store.scan!(undefined, 10, call) as ScanPage;
          expect(page.sessions.map((each) => each.id)).toEqual([...used].sort());
        }
      }),
    );
  });

  it("by bytes", async () => {
    const store = memoryStore({ maxBytes: 10_000 });
    for (let n = 0; n < 100; n++) store.create(`id${n}`, record("x".repeat(1000)), call);
    expect((await store.listByUser("ada", call)).length).toBe(4);
    expect(await store.load("id99", call)).toBeDefined();
  });

  it("with limits that make sense", () => {
    expect(() => memoryStore({ maxSessions: 0 })).toThrow("memoryStore.maxSessions");
    expect(() => memoryStore({ maxBytes: Number.NaN })).toThrow("memoryStore.maxBytes");
  });
});

it("memoryStore says in production that it is no store for production", () => {
  const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  memoryStore();
  expect(warning).not.toHaveBeenCalled();
  vi.stubEnv("NODE_ENV", "production");
  memoryStore();
  expect(warning).toHaveBeenCalledOnce();
  vi.unstubAllEnvs();
  warning.mockRestore();
});
