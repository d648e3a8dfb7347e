import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Store, StoreCall, StoredSession, StoreRecord } from "../stores/contract.js";
import { checkInterleavings } from "./interleavings.js";

/** What the suite needs of a test runner; vitest's, Jest's, Mocha's and `node:test`'s functions fit. */
export interface TestRunner {
  describe(name: string, define: () => void): unknown;
  it(name: string, run: () => Promise<void>): unknown;
}

export interface StoreTestOptions {
  /** Whether `sweep` removes expired records. False for a store whose server does it by itself. Default: true. */
  sweeps?: boolean;
  /** Whether the store has `scan`. Default: true. */
  scans?: boolean;
  /** Whether the store has `rewrite`. Default: true. */
  rewrites?: boolean;
  /** How many random interleavings of requests to run. Default: 60. */
  runs?: number;
}

/**
 * The store contract as tests: defines a `describe` block with a test for each thing that a store promises, a model-based
 * one with random interleavings of requests among them. Ids and users are random, so the store need not be empty.
 * Needs `fast-check`.
 *
 * ```ts
 * import { describe, it } from "vitest";
 * import { testStore } from "holdfast/testing/store";
 * testStore("my store", () => myStore(), { describe, it });
 * ```
 *
 * @param open opens a store on the same data each time; the suite closes it.
 */
export function testStore(
  name: string,
  open: () => Store | Promise<Store>,
  { describe, it }: TestRunner,
  options: StoreTestOptions = {},
): void {
  const { sweeps = true, scans = true, rewrites = true, runs = 60 } = options;

  const test = (title: string, run: (store: Store) => Promise<void>) =>
    it(title, async () => {
      const store = await open();
      try {
        await run(store);
      } finally {
        await store.close();
      }
    });

  describe(`${name} keeps the store contract`, () => {
    test("load: nothing for an id that was never stored", async (store) => {
      assert.equal(await store.load(newId(), call()), undefined);
    });

    test("create: what was stored is loaded, to the last character", async (store) => {
      for (const record of [
        newRecord(),
        newRecord({ userId: newUser(), version: 1 }),
        newRecord({ payload: "x" }),
      ]) {
        const id = newId();
        assert.equal(await store.create(id, record, call()), true);
        assert.deepEqual({ ...(await store.load(id, call())) }, record);
      }
    });

    test("create: a second opening of the store sees it", async (store) => {
      const id = newId();
      const record = newRecord();
      await store.create(id, record, call());
      const again = await open();
      // A store in memory keeps its records to itself.
      const loaded = await again.load(id, call());
      if (loaded !== undefined) assert.deepEqual({ ...loaded }, record);
      await again.close();
    });

    test("create: an id that is taken is left as it is", async (store) => {
      const id = newId();
      const first = newRecord();
      await store.create(id, first, call());
      assert.equal(await store.create(id, newRecord({ payload: "second" }), call()), false);
      assert.deepEqual({ ...(await store.load(id, call())) }, first);
    });

    test("create: of twenty at once, one succeeds", async (store) => {
      const id = newId();
      const records = Array.from({ length: 20 }, (_, n) => newRecord({ payload: `n${n}` }));
      const answers = await Promise.all(records.map((record) => store.create(id, record, call())));
      assert.equal(answers.filter(Boolean).length, 1);
      assert.deepEqual({ ...(await store.load(id, call())) }, records[answers.indexOf(true)]);
    });

    test("ids that differ in case only are different", async (store) => {
      const id = `aA${newId().slice(2)}`;
      const other = `Aa${id.slice(2)}`;
      await store.create(id, newRecord({ payload: "one" }), call());
      assert.equal(await store.create(other, newRecord({ payload: "two" }), call()), true);
      assert.equal((await store.load(id, call()))?.payload, "one");
    });

    test("replace: stores the record where the version is as expected", async (store) => {
      const id = newId();
      await store.create(id, newRecord(), call());
      const next = newRecord({ version: 2, payload: "next", userId: newUser() });
      assert.deepEqual(await store.replace(id, 1, next, call()), { status: "done" });
      assert.deepEqual({ ...(await store.load(id, call())) }, next);
    });

    test("replace: takes the deadlines of the record, earlier ones too", async (store) => {
      const id = newId();
      const record = newRecord();
      await store.create(id, record, call());
      const sooner = newRecord({
        version: 2,
        idleDeadline: Date.now() + 60_000,
        absoluteDeadline: Date.now() + 90_000,
      });
      await store.replace(id, 1, sooner, call());
      assert.deepEqual({ ...(await store.load(id, call())) }, sooner);
    });

    test("replace: answers with the newer record, and changes nothing, where the version is another", async (store) => {
      const id = newId();
      const stored = newRecord({ version: 7, payload: "newer", userId: newUser() });
      await store.create(id, stored, call());
      for (const expected of [6, 8]) {
        const answer = await store.replace(id, expected, newRecord({ version: expected + 1 }), call());
        assert.equal(answer.status, "conflict");
        assert.deepEqual({ ...(answer.status === "conflict" && answer.record) }, stored);
      }
      assert.deepEqual({ ...(await store.load(id, call())) }, stored);
    });

    test("replace: never creates", async (store) => {
      const id = newId();
      assert.deepEqual(await store.replace(id, 1, newRecord({ version: 2 }), call()), { status: "gone" });
      await store.create(id, newRecord(), call());
      await store.delete(id, call());
      assert.deepEqual(await store.replace(id, 1, newRecord({ version: 2 }), call()), { status: "gone" });
      assert.equal(await store.load(id, call()), undefined);
    });

    test("replace: of twenty at once, one succeeds and the others get its record", async (store) => {
      const id = newId();
      await store.create(id, newRecord(), call());
      const records = Array.from({ length: 20 }, (_, n) => newRecord({ version: 2, payload: `n${n}` }));
      const answers = await Promise.all(records.map((record) => store.replace(id, 1, record, call())));
      const winners = records.filter((_, n) => answers[n]?.status === "done");
      assert.equal(winners.length, 1);
      for (const answer of answers) {
        if (answer.status === "done") continue;
        assert.equal(answer.status, "conflict");
        assert.deepEqual({ ...(answer.status === "conflict" && answer.record) }, winners[0]);
      }
    });

    test("replace: ten writers of twenty increments each lose none", async (store) => {
      const id = newId();
      await store.create(id, newRecord({ payload: "0" }), call());
      const writer = async () => {
        for (let done = 0; done < 20; ) {
          const current = (await store.load(id, call()))!;
          const next = {
            ...current,
            version: current.version + 1,
            payload: String(Number(current.payload) + 1),
          };
          const answer = await store.replace(id, current.version, next, call());
          if (answer.status === "done") done++;
        }
      };
      await Promise.all(Array.from({ length: 10 }, writer));
      const final = await store.load(id, call());
      assert.equal(final?.payload, "200");
      assert.equal(final?.version, 201);
    });

    test("touch: moves the idle deadline and nothing else", async (store) => {
      const id = newId();
      const record = newRecord({ userId: newUser() });
      await store.create(id, record, call());
      const idleDeadline = record.idleDeadline + 60_000;
      assert.equal(await store.touch(id, idleDeadline, call()), true);
      assert.deepEqual({ ...(await store.load(id, call())) }, { ...record, idleDeadline });
      assert.deepEqual(await store.replace(id, 1, newRecord({ version: 2 }), call()), { status: "done" });
    });

    test("touch: never back, never past the absolute deadline", async (store) => {
      const id = newId();
      const record = newRecord();
      await store.create(id, record, call());
      assert.equal(await store.touch(id, record.idleDeadline, call()), false);
      assert.equal(await store.touch(id, record.idleDeadline - 1, call()), false);
      assert.equal(await store.touch(id, record.absoluteDeadline + 1, call()), false);
      assert.deepEqual({ ...(await store.load(id, call())) }, record);
      assert.equal(await store.touch(id, record.absoluteDeadline, call()), true);
    });

    test("touch: never creates", async (store) => {
      const id = newId();
      assert.equal(await store.touch(id, Date.now() + 60_000, call()), false);
      await store.create(id, newRecord(), call());
      await store.delete(id, call());
      assert.equal(await store.touch(id, Date.now() + 60_000, call()), false);
      assert.equal(await store.load(id, call()), undefined);
    });

    test("touch: at the same time as replace and delete, it neither undoes the one nor the other", async (store) => {
      for (let round = 0; round < 10; round++) {
        const [kept, gone] = [newId(), newId()];
        const record = newRecord();
        await store.create(kept, record, call());
        await store.create(gone, record, call());
        await Promise.all([
          store.touch(kept, record.idleDeadline + 1000, call()),
          store.replace(kept, 1, newRecord({ version: 2, payload: "written" }), call()),
          store.touch(gone, record.idleDeadline + 1000, call()),
          store.delete(gone, call()),
          store.touch(gone, record.idleDeadline + 2000, call()),
        ]);
        assert.equal((await store.load(kept, call()))?.payload, "written");
        assert.equal(await store.load(gone, call()), undefined);
      }
    });

    test("delete: removes, from the user's list too, and twice is no error", async (store) => {
      const id = newId();
      const userId = newUser();
      await store.create(id, newRecord({ userId }), call());
      await store.delete(id, call());
      await store.delete(id, call());
      assert.equal(await store.load(id, call()), undefined);
      assert.deepEqual(await store.listByUser(userId, call()), []);
    });

    if (sweeps) {
      test("sweep: removes what has passed its idle deadline, however much, and nothing else", async (store) => {
        const now = Date.now();
        const expired = newRecord({ idleDeadline: now - 1, absoluteDeadline: now - 1, userId: newUser() });
        const ids = Array.from({ length: 450 }, newId);
        for (const id of ids) await store.create(id, expired, call());
        const [living, atDeadline] = [newId(), newId()];
        await store.create(living, newRecord({ idleDeadline: now + 60_000 }), call());
        await store.create(atDeadline, newRecord({ idleDeadline: now }), call());

        assert.ok((await store.sweep({ ...call(), now })) >= 451);
        assert.equal(await store.load(ids[0]!, call()), undefined);
        assert.equal(await store.load(ids.at(-1)!, call()), undefined);
        assert.equal(await store.load(atDeadline, call()), undefined);
        assert.notEqual(await store.load(living, call()), undefined);
        assert.deepEqual(await store.listByUser(expired.userId!, call()), []);
      });
    } else {
      test("sweep: may be called", async (store) => {
        assert.equal(typeof (await store.sweep(call())), "number");
      });
    }

    test("listByUser: that user's records with their ids, and nobody else's", async (store) => {
      const [userId, other] = [newUser(), newUser()];
      const expected = new Map<string, StoreRecord>();
      for (let n = 0; n < 5; n++) {
        const [id, record] = [newId(), newRecord({ userId, payload: `n${n}` })];
        await store.create(id, record, call());
        expected.set(id, record);
      }
      await store.create(newId(), newRecord({ userId: other }), call());
      await store.create(newId(), newRecord(), call());
      assert.deepEqual(asMap(await store.listByUser(userId, call())), expected);
      assert.deepEqual(await store.listByUser(newUser(), call()), []);
    });

    test("listByUser: follows a record from user to user", async (store) => {
      const id = newId();
      const [first, second] = [newUser(), newUser()];
      await store.create(id, newRecord(), call());
      await store.replace(id, 1, newRecord({ version: 2, userId: first }), call());
      assert.deepEqual(ids(await store.listByUser(first, call())), [id]);
      await store.replace(id, 2, newRecord({ version: 3, userId: second }), call());
      assert.deepEqual(ids(await store.listByUser(first, call())), []);
      assert.deepEqual(ids(await store.listByUser(second, call())), [id]);
      await store.replace(id, 3, newRecord({ version: 4 }), call());
      assert.deepEqual(ids(await store.listByUser(second, call())), []);
    });

    test("listByUser: a replace that loses leaves the list alone", async (store) => {
      const id = newId();
      const [owner, loser] = [newUser(), newUser()];
      await store.create(id, newRecord({ version: 5, userId: owner }), call());
      await store.replace(id, 4, newRecord({ version: 5, userId: loser }), call());
      assert.deepEqual(ids(await store.listByUser(loser, call())), []);
      assert.deepEqual(ids(await store.listByUser(owner, call())), [id]);
    });

    test("listByUser: of many that log in at once, none is missing", async (store) => {
      const userId = newUser();
      const made = Array.from({ length: 25 }, newId);
      await Promise.all(made.map((id) => store.create(id, newRecord({ userId }), call())));
      assert.deepEqual(ids(await store.listByUser(userId, call())), made.toSorted());
    });

    test("user ids are compared exactly", async (store) => {
      const base = newUser();
      const users = [
        base,
        base.toUpperCase(),
        `${base} `,
        ` ${base}`,
        `${base}%`,
        `${base}_`,
        `${base}*`,
        `${base}é`,
      ];
      users.push(
        `${base}e\u0301`,
        `${base}'"\`;--`,
        `${base}\\`,
        `${base}$.{}[]:`,
        `${base}😀`,
        `${base}__proto__`,
      );
      users.push(`${base}${"😀".repeat(100)}`);
      const owned = new Map(users.map((userId) => [userId, newId()]));
      for (const [userId, id] of owned) await store.create(id, newRecord({ userId }), call());
      for (const [userId, id] of owned) {
        const listed = await store.listByUser(userId, call());
        assert.deepEqual(ids(listed), [id], `the sessions of ${JSON.stringify(userId)}`);
        assert.equal(listed[0]!.record.userId, userId);
      }
      assert.deepEqual(await store.deleteByUser(base, undefined, call()), [owned.get(base)]);
      for (const [userId, id] of owned) {
        if (userId !== base)
          assert.notEqual(await store.load(id, call()), undefined, `${JSON.stringify(userId)} is left`);
      }
    });

    test("deleteByUser: all of that user's but one, and the ids removed", async (store) => {
      const [userId, other] = [newUser(), newUser()];
      const made = Array.from({ length: 6 }, newId);
      for (const id of made) await store.create(id, newRecord({ userId }), call());
      const theirs = newId();
      await store.create(theirs, newRecord({ userId: other }), call());
      const [kept, ...removed] = made as [string, ...string[]];

      assert.deepEqual([...(await store.deleteByUser(userId, kept, call()))].toSorted(), removed.toSorted());
      assert.deepEqual(ids(await store.listByUser(userId, call())), [kept]);
      for (const id of removed) assert.equal(await store.load(id, call()), undefined);
      assert.notEqual(await store.load(theirs, call()), undefined);
      assert.deepEqual(await store.deleteByUser(userId, undefined, call()), [kept]);
      assert.deepEqual(await store.deleteByUser(userId, undefined, call()), []);
    });

    test("deleteByUser: what it removed stays away from a writer in flight", async (store) => {
      const [id, userId] = [newId(), newUser()];
      await store.create(id, newRecord({ userId }), call());
      await Promise.all([
        store.deleteByUser(userId, undefined, call()),
        store.replace(id, 1, newRecord({ version: 2, userId }), call()),
        store.touch(id, Date.now() + 3_000_000, call()),
      ]);
      // The replace may have come first, but nothing may be left behind.
      assert.equal(await store.load(id, call()), undefined);
      assert.deepEqual(await store.listByUser(userId, call()), []);
    });

    if (scans) {
      test("scan: every record, as it was stored, in pages of about the limit", async (store) => {
        const stored = new Map<string, StoreRecord>();
        for (let n = 0; n < 60; n++) {
          const [id, record] = [
            newId(),
            newRecord({ payload: `n${n}`, userId: n % 2 === 0 ? newUser() : null }),
          ];
          await store.create(id, record, call());
          stored.set(id, record);
        }
        const seen = new Map<string, StoreRecord>();
        for await (const page of pagesOf(store)) {
          // Redis gives a few more than it is asked for.
          assert.ok(page.length <= 5 * PAGE, `${page.length} records in a page of ${PAGE}`);
          for (const { id, record } of page) if (stored.has(id)) seen.set(id, { ...record });
        }
        assert.deepEqual(seen, new Map([...seen.keys()].map((id) => [id, stored.get(id)!])));
        assert.equal(seen.size, stored.size);
      });

      test("scan: what is there from the first page to the last is not missed for what others write", async (store) => {
        const staying = Array.from({ length: 80 }, newId);
        for (const id of staying) await store.create(id, newRecord(), call());
        let leaving: string[] = [];
        let version = 1;
        const seen = new Set<string>();
        for await (const page of pagesOf(store)) {
          for (const { id } of page) seen.add(id);
          const coming = Array.from({ length: 4 }, newId);
          const written = staying.slice(-20);
          await Promise.all([
            ...coming.map((id) => store.create(id, newRecord(), call())),
            ...leaving.map((id) => store.delete(id, call())),
            ...written.map((id) => store.replace(id, version, newRecord({ version: version + 1 }), call())),
            store.touch(staying[0]!, Date.now() + 3_000_000, call()),
            store.load(staying[1]!, call()),
          ]);
          version++;
          leaving = coming;
        }
        assert.deepEqual(
          staying.filter((id) => !seen.has(id)),
          [],
        );
      });

      test("scan: a cursor that the store never gave does no harm", async (store) => {
        const id = newId();
        await store.create(id, newRecord(), call());
        for (const cursor of BAD_CURSORS) {
          const page = await Promise.resolve()
            .then(() => store.scan!(cursor, PAGE, call()))
            .catch((error) => assert.ok(error instanceof Error));
          for (const entry of page?.sessions ?? []) assert.equal(typeof entry.record.payload, "string");
        }
        assert.notEqual(await store.load(id, call()), undefined);
      });
    }

    if (rewrites) {
      test("rewrite: another payload as the next version, and nothing else", async (store) => {
        for (const payload of PAYLOADS) {
          const [id, record] = [newId(), newRecord({ version: 3, userId: newUser() })];
          await store.create(id, record, call());
          assert.equal(await store.rewrite!(id, 3, payload, call()), true);
          assert.deepEqual({ ...(await store.load(id, call())) }, { ...record, version: 4, payload });
          assert.deepEqual(ids(await store.listByUser(record.userId!, call())), [id]);
        }
      });

      test("rewrite: not where another version is stored, or none", async (store) => {
        const [id, record] = [newId(), newRecord({ version: 7 })];
        assert.equal(await store.rewrite!(id, 1, "rewritten", call()), false);
        assert.equal(await store.load(id, call()), undefined);
        await store.create(id, record, call());
        for (const expected of [6, 8])
          assert.equal(await store.rewrite!(id, expected, "rewritten", call()), false);
        assert.deepEqual({ ...(await store.load(id, call())) }, record);
      });

      test("rewrite: undoes no touch that comes between reading and rewriting, and no touch undoes it", async (store) => {
        const [id, record] = [newId(), newRecord({ userId: newUser() })];
        await store.create(id, record, call());
        const idleDeadline = record.idleDeadline + 60_000;
        await store.touch(id, idleDeadline, call());
        assert.equal(await store.rewrite!(id, 1, "rewritten", call()), true);
        const rewritten = { ...record, version: 2, payload: "rewritten" };
        assert.deepEqual({ ...(await store.load(id, call())) }, { ...rewritten, idleDeadline });
        assert.equal(await store.touch(id, idleDeadline + 1000, call()), true);
        assert.deepEqual(
          { ...(await store.load(id, call())) },
          { ...rewritten, idleDeadline: idleDeadline + 1000 },
        );
      });

      test("rewrite: of twenty at once, and replaces among them, one succeeds", async (store) => {
        const id = newId();
        await store.create(id, newRecord(), call());
        const won = await Promise.all(
          Array.from({ length: 20 }, async (_, n) => {
            if (n % 2 === 0) return store.rewrite!(id, 1, `n${n}`, call());
            const answer = await store.replace(id, 1, newRecord({ version: 2, payload: `n${n}` }), call());
            return answer.status === "done";
          }),
        );
        assert.equal(won.filter(Boolean).length, 1);
        const stored = await store.load(id, call());
        assert.deepEqual([stored?.version, stored?.payload], [2, `n${won.indexOf(true)}`]);
      });
    }

    test("payloads come back as they were", async (store) => {
      for (const payload of PAYLOADS) {
        const id = newId();
        await store.create(id, newRecord({ payload }), call());
        assert.equal((await store.load(id, call()))?.payload, payload);
        await store.replace(id, 1, newRecord({ version: 2, payload: `${payload} ` }), call());
        assert.equal((await store.load(id, call()))?.payload, `${payload} `);
      }
    });

    test("numbers come back as they were", async (store) => {
      const id = newId();
      const far = Date.UTC(2100, 0, 1) + 123;
      const record = newRecord({ version: 2 ** 40, idleDeadline: far, absoluteDeadline: far + 1 });
      await store.create(id, record, call());
      assert.deepEqual({ ...(await store.load(id, call())) }, record);
      assert.deepEqual(await store.replace(id, 2 ** 40, { ...record, version: 2 ** 40 + 1 }, call()), {
        status: "done",
      });
    });

    test("a call that nobody waits for any more still settles", async (store) => {
      const aborted = { now: Date.now(), signal: AbortSignal.abort() };
      const settled = await Promise.allSettled([
        Promise.resolve().then(() => store.load(newId(), aborted)),
        Promise.resolve().then(() => store.create(newId(), newRecord(), aborted)),
      ]);
      assert.equal(settled.length, 2);
      assert.equal(await store.load(newId(), call()), undefined);
    });

    test("close: twice is no error", async (store) => {
      await store.load(newId(), call());
      await store.close();
      await store.close();
    });

    test("requests that interleave at random end as the model says", (store) =>
      checkInterleavings(store, runs));
  });
}

/** Records asked for in a page of `scan`. */
const PAGE = 10;

async function* pagesOf(store: Store): AsyncGenerator<readonly StoredSession[], void> {
  let cursor: string | undefined;
  do {
    const page = await store.scan!(cursor, PAGE, call());
    yield page.sessions;
    cursor = page.next;
  } while (cursor !== undefined);
}

const BAD_CURSORS = [
  "",
  "0",
  "-1",
  "99999999999999999999",
  "x".repeat(100_000),
  "' OR 1=1; --",
  '{"$gt":""}',
  "\0",
  "\ud800",
  "\r\nFLUSHALL\r\n",
  "a 0 b c d",
  "😀",
];

const PAYLOADS = [
  "",
  " leading and trailing ",
  '{"quotes":"\\"\'`","backslash":"\\\\"}',
  "line\nfeed\r\nand tab\t",
  '{"nul":"\\u0000","lone":"\\ud800"}',
  "'; DROP TABLE holdfast_sessions; --",
  '{"$set":{"a.b":1},"$where":"1","__proto__":{"polluted":true},"constructor":null}',
  "ünïcödé — 漢字 — 😀👩‍👩‍👧 — \u202e",
  "%s %d ? :id $1 @p {0} {{y}}",
  "x".repeat(64 * 1024),
  "😀".repeat(16 * 1024),
];

function call(): StoreCall {
  return { now: Date.now(), signal: new AbortController().signal };
}

function newId(): string {
  return randomBytes(32).toString("base64url");
}

function newUser(): string {
  return `user-${randomBytes(9).toString("hex")}`;
}

function newRecord(changes: Partial<StoreRecord> = {}): StoreRecord {
  const now = Date.now();
  return {
    version: 1,
    payload: '{"format":1}',
    idleDeadline: now + 1_800_000,
    absoluteDeadline: now + 43_200_000,
    userId: null,
    ...changes,
  };
}

function ids(sessions: ReadonlyArray<{ id: string }>): string[] {
  return sessions.map(({ id }) => id).toSorted();
}

function asMap(sessions: ReadonlyArray<{ id: string; record: StoreRecord }>): Map<string, StoreRecord> {
  return new Map(sessions.map(({ id, record }) => [id, { ...record }]));
}
