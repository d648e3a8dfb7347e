import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { Barrier } from "../support/barrier.js";
import { finish, finishedCookie, requestWith } from "../support/exchange.js";
import { Clock, SECRET } from "../support/shop.js";
import { call, newId, recordOf, type SqlBackend, type SqlConnection, untilBlocked } from "../support/sql.js";

/** Interleavings inside the server, forced by a rival that holds a lock while the store's statement waits for it. */
export function testInterleavings(title: string, backend: SqlBackend, open: () => Store): void {
  describe(`${title}: interleavings inside the server`, () => {
    let store: Store;
    let rival: SqlConnection;
    beforeAll(async () => {
      store = open();
      rival = await backend.connect();
    });
    afterAll(async () => {
      await store.close();
      await rival.end();
    });

    /** Runs `work` while the rival has done `sql` in a transaction that is not committed, and ends that once it waits. */
    async function whileHeld<T>(
      sql: string | string[],
      end: "COMMIT" | "ROLLBACK",
      work: () => T,
      between?: () => Promise<unknown>,
    ) {
      await rival.query("BEGIN");
      for (const statement of [sql].flat()) await rival.query(statement);
      const waiting = work();
      const watch = await backend.connect();
      await untilBlocked(watch, backend);
      await watch.end();
      await between?.();
      await rival.query(end);
      return waiting;
    }

    it("replace that waited for a rival gets the rival's record, not the one from before", async () => {
      const id = newId();
      await store.create(id, recordOf(null), call());
      const answer = await whileHeld(
        `UPDATE holdfast_sessions SET version = 2, payload = 'rival' WHERE id = '${id}'`,
        "COMMIT",
        () => store.replace(id, 1, recordOf(null, { version: 2 }), call()),
      );
      expect(answer).toMatchObject({ status: "conflict", record: { version: 2, payload: "rival" } });
    });

    it("replace that waited for a deletion finds the record gone", async () => {
      const id = newId();
      await store.create(id, recordOf(null), call());
      const answer = await whileHeld(`DELETE FROM holdfast_sessions WHERE id = '${id}'`, "COMMIT", () =>
        store.replace(id, 1, recordOf(null, { version: 2 }), call()),
      );
      expect(answer).toEqual({ status: "gone" });
      expect(await store.load(id, call())).toBeUndefined();
    });

    it("replace that waited for a rival that gave up, or only touched, is done", async () => {
      for (const end of ["ROLLBACK", "COMMIT"] as const) {
        const id = newId();
        const record = recordOf(null);
        await store.create(id, record, call());
        const change = end === "COMMIT" ? `idle_deadline = ${record.idleDeadline + 1}` : "version = 2";
        const answer = await whileHeld(`UPDATE holdfast_sessions SET ${change} WHERE id = '${id}'`, end, () =>
          store.replace(id, 1, recordOf(null, { version: 2, payload: "done" }), call()),
        );
        expect(answer).toEqual({ status: "done" });
        expect(await store.load(id, call())).toMatchObject({ version: 2, payload: "done" });
      }
    });

    it("create that waited for the same id answers by what came of it", async () => {
      for (const end of ["ROLLBACK", "COMMIT"] as const) {
        const id = newId();
        const answer = await whileHeld(
          `INSERT INTO holdfast_sessions VALUES ('${id}', 1, 'rival', 1, 1, NULL)`,
          end,
          () => store.create(id, recordOf(null), call()),
        );
        expect(answer).toBe(end === "ROLLBACK");
        expect((await store.load(id, call()))?.payload).toBe(end === "ROLLBACK" ? "mine" : "rival");
      }
    });

    it("touch that waited for a deletion or an ending doesn't move what is there", async () => {
      const id = newId();
      const record = recordOf("ada");
      await store.create(id, record, call());
      const moved = await whileHeld(
        `UPDATE holdfast_sessions SET version = 2, idle_deadline = 5, absolute_deadline = 5 WHERE id = '${id}'`,
        "COMMIT",
        () => store.touch(id, record.idleDeadline + 1000, call()),
      );
      expect(moved).toBe(false);
      expect(await store.load(id, call())).toMatchObject({ version: 2, idleDeadline: 5 });
    });

    it("the sweep goes round what others hold, and takes what it finds expired only", async () => {
      const [held, free] = [newId(), newId()];
      const past = { idleDeadline: 1000, absoluteDeadline: 9_000_000_000_000 };
      for (const id of [held, free]) await store.create(id, recordOf(null, past), call());
      await rival.query("BEGIN");
      await rival.query(`UPDATE holdfast_sessions SET idle_deadline = 8000000000000 WHERE id = '${held}'`);
      await store.sweep(call(2000));
      expect(await store.load(free, call())).toBeUndefined();
      await rival.query("COMMIT");
      await store.sweep(call(2000));
      expect(await store.load(held, call())).toMatchObject({ idleDeadline: 8_000_000_000_000 });
    });

    it("deleteByUser ends a session that is renewed while the statement waits for another one", async () => {
      const user = `user-${newId()}`;
      // The statement comes to `first` before `renewed`, by the order of ids and by that of rows.
      const [first, renewed, successor] = [`0${newId()}`, `1${newId()}`, `2${newId()}`];
      await store.create(first, recordOf(user), call());
      await store.create(renewed, recordOf(user), call());
      const removed = await whileHeld(
        `UPDATE holdfast_sessions SET payload = 'held' WHERE id = '${first}'`,
        "COMMIT",
        () => store.deleteByUser(user, undefined, call()),
        async () => {
          // The steps of a renewal, as in engine/rotation.ts.
          await store.create(successor, recordOf(user), call());
          const tombstone = recordOf(null, { version: 2, payload: "tombstone" });
          expect(await store.replace(renewed, 1, tombstone, call())).toEqual({ status: "done" });
        },
      );
      expect([...removed].toSorted()).toEqual([first, successor]);
      expect(await store.load(successor, call())).toBeUndefined();
      expect(await store.listByUser(user, call())).toEqual([]);
    });

    it("deleteByUser ends a session whose renewal it met half done", async () => {
      const user = `user-${newId()}`;
      const [old, successor] = [newId(), newId()];
      await store.create(old, recordOf(user), call());
      await store.create(successor, recordOf(user), call());
      const removed = await whileHeld(
        `UPDATE holdfast_sessions SET version = 2, payload = 'tombstone', user_id = NULL WHERE id = '${old}'`,
        "COMMIT",
        () => store.deleteByUser(user, undefined, call()),
      );
      expect(removed).toEqual([successor]);
      expect(await store.load(old, call())).toMatchObject({ payload: "tombstone" });
    });

    it("deleteByUser of one user by several at once removes each session once", async () => {
      for (let round = 0; round < 10; round++) {
        const user = `user-${newId()}`;
        const ids = Array.from({ length: 12 }, newId);
        await Promise.all(ids.map((id) => store.create(id, recordOf(user), call())));
        const answers = await Promise.all(
          Array.from({ length: 4 }, () => store.deleteByUser(user, undefined, call())),
        );
        expect(await store.listByUser(user, call())).toEqual([]);
        for (const id of ids) expect(answers.flat()).toContain(id);
      }
    });

    it("what the server undoes to end a deadlock runs again", async () => {
      const user = `user-${newId()}`;
      const [first, second] = [`0${newId()}`, `1${newId()}`];
      await store.create(first, recordOf(user), call());
      await store.create(second, recordOf(user), call());
      // MySQL undoes the one that has changed less; PostgreSQL the one that looks first.
      if (backend.patience !== undefined) await rival.query(backend.patience);
      const filler = Array.from({ length: 50 }, () => `('${newId()}', 1, '', 1, 1, NULL)`);
      const removed = await whileHeld(
        [
          `INSERT INTO holdfast_sessions VALUES ${filler.join(", ")}`,
          `UPDATE holdfast_sessions SET payload = 'held' WHERE id = '${second}'`,
        ],
        "COMMIT",
        () => store.deleteByUser(user, undefined, call()),
        () => rival.query(`UPDATE holdfast_sessions SET payload = 'held' WHERE id = '${first}'`),
      );
      expect([...removed].toSorted()).toEqual([first, second]);
    });

    // Under serializable, PostgreSQL refuses so much of this that the store gives up in the end, as it should.
    const storm = title.includes("serializable") ? () => {} : it;
    storm(
      "a storm of renewals, logins and deleteByUser leaves nothing behind and fails nowhere",
      async () => {
        const user = `user-${newId()}`;
        const renewing = async () => {
          for (let id = newId(), n = 0; n < 30; n++) {
            const next = newId();
            await store.create(id, recordOf(user), call());
            await store.create(next, recordOf(user), call());
            const answer = await store.replace(id, 1, recordOf(null, { version: 2 }), call());
            if (answer.status !== "done") await store.delete(next, call());
            id = newId();
          }
        };
        let going = true;
        const revoking = async () => {
          while (going) await store.deleteByUser(user, undefined, call());
        };
        const revokers = [revoking(), revoking()];
        await Promise.all(Array.from({ length: 6 }, renewing));
        going = false;
        await Promise.all(revokers);
        await store.deleteByUser(user, undefined, call());
        expect(await store.listByUser(user, call())).toEqual([]);
      },
    );

    it.each(["before the new record", "between the two records", "after the old record"])(
      "revokeAll %s of a renewal logs the user out everywhere",
      async (moment) => {
        const clock = new Clock();
        const user = `user-${newId()}`;
        const settings = {
          secrets: [SECRET],
          clock: clock.read,
          sweepInterval: false as const,
          idleTimeout: "2h" as const,
        };
        const others = createSessions({ ...settings, store: { ...store, close() {} } });
        const login = await others.open(requestWith(undefined));
        await login.session.login(user);
        const cookie = await finishedCookie(login);
        clock.advance(61 * 60_000);

        const reached = new Barrier();
        const go = new Barrier();
        const pause = async (name: string) => {
          if (name !== moment) return;
          reached.open();
          await go.wait();
        };
        const paused: Store = {
          ...store,
          close() {},
          async create(...args) {
            await pause("before the new record");
            return store.create(...args);
          },
          async replace(...args) {
            await pause("between the two records");
            const answer = await store.replace(...args);
            await pause("after the old record");
            return answer;
          },
        };
        const renewing = createSessions({ ...settings, store: paused });
        const exchange = await renewing.open(requestWith(cookie));
        const finished = finish(exchange);
        await reached.wait();
        await others.ofUser(user).revokeAll();
        go.open();
        const lines = await finished;
        expect(await others.ofUser(user).list()).toEqual([]);
        for (const each of [cookie, lines["set-cookie"]?.[0]?.split(";", 1)[0]]) {
          expect((await others.open(requestWith(each))).session.isNew).toBe(true);
        }
      },
    );
  });
}
