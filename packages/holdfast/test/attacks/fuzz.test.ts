import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import { StoreCorruptError } from "../../src/errors.js";
import type { Store, StoreRecord } from "../../src/stores/contract.js";
import { memoryStore } from "../../src/stores/memory.js";
import { createKeyring } from "../../src/token/keyring.js";
import { newToken, sessionIdOf } from "../../src/token/token.js";
import { finish, finishedCookie, requestWith } from "../support/exchange.js";
import { heapInUse } from "../support/memory.js";
import { SECRET } from "../support/shop.js";
import { call } from "../support/sql.js";

const RUNS = 20_000;
const MEGABYTE = 1024 * 1024;

/** Text with some of its characters changed, left out, doubled or put in. */
function mutantsOf(text: string): fc.Arbitrary<string> {
  const change = fc.record({
    at: fc.nat(text.length),
    kind: fc.constantFrom("replace", "remove", "insert", "cut", "double"),
    with: fc.oneof(
      fc.string({ unit: "binary", maxLength: 4 }),
      fc.constantFrom('"', "\\", "\n", "\0", "{", "-1"),
    ),
  });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    let mutant = text;
    for (const { at, kind, with: put } of changes) {
      const [head, tail] = [mutant.slice(0, at), mutant.slice(at)];
      if (kind === "replace") mutant = head + put + tail.slice(put.length);
      else if (kind === "remove") mutant = head + tail.slice(1);
      else if (kind === "insert") mutant = head + put + tail;
      else if (kind === "cut") mutant = head;
      else mutant = head + tail + tail;
    }
    return mutant;
  });
}

/** Runs a property often, in two halves: the second must not leave more in memory than the first did. */
async function staysFlat<T>(arbitrary: fc.Arbitrary<T>, check: (value: T) => unknown): Promise<void> {
  const half = () =>
    fc.assert(
      fc.asyncProperty(arbitrary, async (value) => void (await check(value))),
      { numRuns: RUNS / 2 },
    );
  await half();
  const before = heapInUse();
  await half();
  expect(heapInUse() - before).toBeLessThan(2 * MEGABYTE);
}

describe("fuzzing", () => {
  it(`${RUNS} mutants of a signed token: refused, and nothing thrown`, async () => {
    const keyring = createKeyring([SECRET], false);
    const genuine = keyring.sign(newToken());
    await staysFlat(mutantsOf(genuine), (mutant) => {
      const verified = keyring.verify(mutant);
      if (mutant !== genuine) expect(verified).toHaveProperty("refused");
    });
  });

  it(`${RUNS} mutants of a sealed envelope: not opened, and nothing thrown`, async () => {
    const sealer = createKeyring([SECRET], false).sealer("cookie");
    const genuine = sealer.seal("the text", "the context");
    await staysFlat(mutantsOf(genuine), (mutant) => {
      if (mutant !== genuine) expect(sealer.open(mutant, "the context")).toBeUndefined();
    });
  });

  it(`${RUNS} mutants of a record in the store: a session, nothing, or a StoreCorruptError`, async () => {
    const memory = memoryStore();
    let answer: unknown;
    const store: Store = { ...memory, load: () => answer as StoreRecord };
    const sessions = createSessions<any>({ secrets: [SECRET], store, sweepInterval: false });
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.cart = ["tea", { count: 2 }];
    exchange.session.flash("notice", "hello");
    const cookie = (await finishedCookie(exchange))!;
    const genuine = memory.load(exchange.session.id, call()) as StoreRecord;
    expect(genuine.payload).toContain("tea");

    const odd = fc.oneof(
      fc.constantFrom(null, undefined, -1, 0, Number.NaN, "", [], {}, true),
      fc.double(),
      fc.string(),
    );
    const field = fc.constantFrom(...(Object.keys(genuine) as (keyof StoreRecord)[]));
    const records = fc.oneof(
      { weight: 5, arbitrary: mutantsOf(genuine.payload).map((payload) => ({ ...genuine, payload })) },
      { weight: 2, arbitrary: fc.tuple(field, odd).map(([key, value]) => ({ ...genuine, [key]: value })) },
      { weight: 1, arbitrary: fc.anything() },
    );
    const ends = { session: 0, nothing: 0, corrupt: 0 };
    await staysFlat(records, async (record) => {
      answer = record;
      try {
        const opened = await sessions.open(requestWith(cookie));
        void opened.session.data;
        void opened.session.flash("notice");
        void opened.session.expiresAt;
        await finish(opened);
        ends[opened.session.isNew ? "nothing" : "session"]++;
      } catch (error) {
        expect(error).toBeInstanceOf(StoreCorruptError);
        expect((error as Error).message).not.toContain("tea");
        ends.corrupt++;
      }
    });
    await sessions.close();
    // Else it would have looked at one kind of mutants only.
    expect(Math.min(...Object.values(ends))).toBeGreaterThan(50);
  });

  it("an id is one of the cookie's token, never what somebody sends in its place", () => {
    const keyring = createKeyring([SECRET], false);
    const token = newToken();
    const verified = keyring.verify(keyring.sign(token));
    expect(verified).toMatchObject({ token, id: sessionIdOf(token) });
    expect(keyring.verify(keyring.sign(sessionIdOf(token)))).not.toMatchObject({ id: sessionIdOf(token) });
  });
});
