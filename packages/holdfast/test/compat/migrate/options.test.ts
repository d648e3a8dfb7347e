import { describe, expect, it } from "vitest";
import { expressSessionsStore, migrateFrom } from "../../../src/compat/migrate/index.js";
import { createSessions } from "../../../src/engine/create-sessions.js";
import { cookieStore } from "../../../src/stores/cookie.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { SECRET } from "../../support/shop.js";

const store = { get() {}, destroy() {} };
const good = { secret: "secret", store };

/** The option that the error names. */
function refused(make: () => unknown): string {
  try {
    make();
  } catch (error: any) {
    expect(error.code).toBe("ERR_HOLDFAST_CONFIG");
    return error.option;
  }
  return "nothing";
}

describe("at the start, an option that is wrong is named", () => {
  it.each([
    [undefined, "migrateFrom"],
    ["express-session", "migrateFrom"],
    [{}, "migrateFrom"],
    [{ keepOld: true }, "migrateFrom"],
    [{ expressSession: good, keepold: true }, "migrateFrom.keepold"],
    [{ expressSession: good, keepOld: "yes" }, "migrateFrom.keepOld"],
    [{ expressSessions: good }, "migrateFrom.expressSessions"],
    [{ expressSession: null }, "migrateFrom.expressSession"],
    [{ expressSession: { ...good, secrets: ["a"] } }, "migrateFrom.expressSession.secrets"],
    [{ expressSession: { store } }, "migrateFrom.expressSession.secret"],
    [{ expressSession: { ...good, secret: "" } }, "migrateFrom.expressSession.secret"],
    [{ expressSession: { ...good, secret: [] } }, "migrateFrom.expressSession.secret"],
    [{ expressSession: { ...good, secret: ["a", undefined] } }, "migrateFrom.expressSession.secret"],
    [{ expressSession: { secret: "a" } }, "migrateFrom.expressSession.store"],
    [{ expressSession: { ...good, store: { get() {} } } }, "migrateFrom.expressSession.store"],
    [{ expressSession: { ...good, name: "" } }, "migrateFrom.expressSession.name"],
    [{ expressSession: { ...good, name: "a;b" } }, "migrateFrom.expressSession.name"],
    [{ expressSession: { ...good, userId: "id" } }, "migrateFrom.expressSession.userId"],
    [{ expressSession: { ...good, data: {} } }, "migrateFrom.expressSession.data"],
    [{ expressSession: { ...good, cookie: "/" } }, "migrateFrom.expressSession.cookie"],
    [{ expressSession: { ...good, cookie: { maxAge: 1 } } }, "migrateFrom.expressSession.cookie.maxAge"],
    [
      { expressSession: { ...good, cookie: { path: "/\r\nX: 1" } } },
      "migrateFrom.expressSession.cookie.path",
    ],
    [{ expressSession: { ...good, cookie: { domain: "a; b" } } }, "migrateFrom.expressSession.cookie.domain"],
    [{ koaSession: {} }, "migrateFrom.koaSession.keys"],
    [{ koaSession: { keys: [] } }, "migrateFrom.koaSession.keys"],
    [{ koaSession: { keys: [""] } }, "migrateFrom.koaSession.keys"],
    [{ koaSession: { keys: "key" } }, "migrateFrom.koaSession.keys"],
    [{ koaSession: { keys: ["a"], name: "b" } }, "migrateFrom.koaSession.name"],
    [{ koaSession: { keys: ["a"], key: "" } }, "migrateFrom.koaSession.key"],
    [{ koaSession: { keys: ["a"], store: {} } }, "migrateFrom.koaSession.store"],
    [{ koaSession: { keys: ["a"], decode: 1 } }, "migrateFrom.koaSession.decode"],
    [{ koaSession: { keys: ["a"], userId: 1 } }, "migrateFrom.koaSession.userId"],
  ])("%j: %s", (options, option) => {
    expect(refused(() => migrateFrom(options as any))).toBe(option);
  });

  it.each([
    [undefined, "expressSessionsStore"],
    [{ storage: "redis" }, "expressSessionsStore.instance"],
    [{ storage: "files", instance: {} }, "expressSessionsStore.storage"],
    [{ storage: "mongodb", host: "localhost" }, "expressSessionsStore.host"],
    [{ storage: "mongodb", instance: 1, collection: "" }, "expressSessionsStore.collection"],
    [{ storage: "mongodb", instance: 1 }, "expressSessionsStore.instance"],
    [{ storage: "mongodb" }, "expressSessionsStore.instance"],
  ])("of expressSessionsStore %j: %s", (options, option) => {
    expect(refused(() => expressSessionsStore(options as any))).toBe(option);
  });

  it("a secret in the wrong place isn't shown", () => {
    expect(() => migrateFrom({ expressSession: "my secret" as any })).toThrow(
      /^migrateFrom.expressSession: expected an object$/,
    );
  });

  it("of createSessions: what is no migration, and one for sessions that live in cookies", () => {
    const migration = migrateFrom({ expressSession: good as any });
    const secrets = [SECRET];
    expect(refused(() => createSessions({ secrets, store: memoryStore(), migration: good as any }))).toBe(
      "migration",
    );
    expect(refused(() => createSessions({ secrets, store: cookieStore(), migration } as any))).toBe(
      "migration",
    );
    expect(refused(() => createSessions({ secrets, store: memoryStore(), migration }))).toBe("nothing");
  });
});
