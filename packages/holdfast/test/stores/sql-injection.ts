import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { SECRET } from "../support/shop.js";
import { call, newId, recordOf, type SqlBackend } from "../support/sql.js";

const HOSTILE = [
  "' OR '1'='1",
  "'; DROP TABLE holdfast_sessions; --",
  '" OR ""="',
  "\\' OR 1=1 -- ",
  "\\",
  "`; DELETE FROM holdfast_sessions; -- ",
  "%",
  "_",
  "$1",
  "?",
  ":id",
  "$" + "{1}",
  "{$ne: null}",
  "a.b",
  "\u02bc OR 1=1",
  "\u00bf' OR 1=1 -- ",
  "😀' OR 1=1 -- ",
  "__proto__",
  "constructor",
  "x' UNION SELECT version, payload, 1, 1, user_id FROM holdfast_sessions -- ",
];

/** No field is taken for SQL. */
export function testInjection(title: string, backend: SqlBackend): void {
  describe(`${title}: no injection`, () => {
    let store: Store;
    const [victim, user] = [newId(), `user-${newId()}`];
    beforeAll(async () => {
      store = backend.open();
      await store.create(victim, recordOf(user), call());
    });
    afterAll(() => store.close());

    it.each([...HOSTILE, "\0", "a\0' OR 1=1 -- "])("by id, user id or payload %j", async (text) => {
      // PostgreSQL has no NUL in text and says so; what matters is that nothing else is read or changed.
      const nul = text.includes("\0");
      const settled = async (work: unknown) => (nul ? Promise.resolve(work).catch(() => undefined) : work);
      const mine = `${newId()}${text}`;
      expect(await settled(store.load(text, call()))).toBeUndefined();
      const record = recordOf(nul ? null : text, { payload: nul ? "nul" : text });
      if (await settled(store.create(mine, record, call()))) {
        expect(await store.load(mine, call())).toEqual(record);
        expect(await store.replace(mine, 1, { ...record, version: 2 }, call())).toEqual({ status: "done" });
        await store.touch(mine, record.idleDeadline + 1, call());
        if (!nul) expect((await store.listByUser(text, call())).map(({ id }) => id)).toEqual([mine]);
        if (!nul) expect(await store.deleteByUser(text, text, call())).toEqual([mine]);
        await store.delete(mine, call());
      }
      await settled(store.touch(text, Date.now() + 2_000_000, call()));
      await settled(store.delete(text, call()));
      await settled(store.deleteByUser(text, undefined, call()));
      expect(await store.listByUser(user, call())).toMatchObject([
        { id: victim, record: { payload: "mine", version: 1 } },
      ]);
    });

    it("by keys and values of the data", async () => {
      const sessions = createSessions<any>({
        secrets: [SECRET],
        store: { ...store, close() {} },
        sweepInterval: false,
      });
      const data = JSON.parse(
        JSON.stringify({
          ...Object.fromEntries(HOSTILE.map((key) => [key, { [key]: key }])),
          "\0": "\0",
          "\ud800": "\ud800",
        }),
      );
      data.nested = JSON.parse('{"__proto__":{"polluted":true},"$set":{"a.b":1}}');
      const exchange = await sessions.open(requestWith(undefined));
      for (const [key, value] of Object.entries(data)) {
        if (key !== "__proto__") exchange.session.data[key] = value;
      }
      const cookie = await finishedCookie(exchange);
      const read = (await sessions.open(requestWith(cookie))).session.data;
      expect(JSON.stringify(read.nested)).toBe(JSON.stringify(data.nested));
      for (const key of Object.keys(data)) if (key !== "__proto__") expect(read[key]).toEqual(data[key]);
      expect(({} as any).polluted).toBeUndefined();
    });
  });
}
