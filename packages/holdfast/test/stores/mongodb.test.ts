import { randomBytes } from "node:crypto";
import { type Collection, MongoClient } from "mongodb";
import mongoose from "mongoose";
import { afterAll, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import { ConfigurationError, InvalidArgumentError } from "../../src/errors.js";
import type { StoreRecord } from "../../src/stores/contract.js";
import { type MongoCollection, type MongodbStoreOptions, mongodbStore } from "../../src/stores/mongodb.js";
import { testStore } from "../../src/testing/store.js";
import { provideMongodb } from "../services/mongodb.js";
import { freePort } from "../services/provision.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { SECRET } from "../support/shop.js";

const service = await provideMongodb();
const url = service?.url ?? "mongodb://none.invalid/none";
const client = new MongoClient(url, { monitorCommands: true });
const db = client.db();
// Whatever the client was set up with must not matter.
const odd = new MongoClient(url, { promoteLongs: false, promoteValues: false, ignoreUndefined: true });

afterAll(async () => {
  await mongoose.disconnect();
  await client.close();
  await odd.close();
  await service?.close();
});

const runner = { describe: describe.skipIf(service === undefined), it };

describe.skipIf(service === undefined)(`on ${service?.what}`, () => {
  testStore("mongodbStore({ url })", () => mongodbStore({ url }), runner);
  testStore("mongodbStore({ db })", () => mongodbStore({ db: odd.db(), collection: "of_db" }), runner, {
    runs: 10,
  });
  const collection = db.collection("of_collection");
  testStore("mongodbStore({ collection })", () => mongodbStore({ collection }), runner, { runs: 10 });
  const ofMongoose = async () => {
    if (mongoose.connection.readyState === 0) await mongoose.connect(url);
    return mongodbStore({ storage: "mongodb", instance: mongoose, collection: "of_mongoose" });
  };
  testStore("mongodbStore({ instance: mongoose })", ofMongoose, runner, { runs: 10 });
  const { control, database } = service ?? {};
  testStore(
    "mongodbStore({ host })",
    () => mongodbStore({ host: control!.host, port: control!.port, db: database!, collection: "of_host" }),
    { describe: describe.skipIf(control === undefined), it },
    { runs: 10 },
  );

  describe("where the sessions are", () => {
    const kept = async (options: MongodbStoreOptions, name: string) => {
      const store = mongodbStore(options);
      const id = newId();
      await store.create(id, newRecord(), call());
      expect(await db.collection<any>(name).countDocuments({ _id: id })).toBe(1);
      await store.close();
    };

    it("is the collection that was named, by default holdfast_sessions", async () => {
      await kept({ url }, "holdfast_sessions");
      await kept({ url, collection: "named" }, "named");
      await kept({ db, collection: "named" }, "named");
      await kept({ db }, "holdfast_sessions");
      await kept({ collection: db.collection("named") }, "named");
    });

    it("is mongoose's own database, for mongoose and for one of its connections, also before it has connected", async () => {
      const connection = mongoose.createConnection(url);
      await kept({ instance: connection, collection: "named" }, "named");
      await kept({ instance: connection, db: database!, collection: "named" }, "named");
      expect(connection.readyState).toBe(1);
      await connection.close();
    });

    it("is said clearly where mongoose was never connected", async () => {
      const store = mongodbStore({ instance: new mongoose.Mongoose() });
      await expect((async () => store.load(newId(), call()))()).rejects.toThrow("call mongoose.connect(url)");
    });
  });

  describe("closing", () => {
    it("leaves open what the application opened, and ends what the store opened", async () => {
      const lent = mongodbStore({ db });
      await lent.load(newId(), call());
      await lent.close();
      expect(await db.command({ ping: 1 })).toMatchObject({ ok: 1 });
      await expect((async () => lent.load(newId(), call()))()).rejects.toThrow("closed");

      const own = mongodbStore({ url });
      await own.load(newId(), call());
      await own.close();
      await expect((async () => own.load(newId(), call()))()).rejects.toThrow("closed");
      await expect(own.createIndexes()).rejects.toThrow("closed");
    });
  });

  describe("indexes", () => {
    it("are made before the first call, by many at once, and again without harm", async () => {
      const stores = Array.from({ length: 8 }, () => mongodbStore({ url, collection: "indexed" }));
      await Promise.all(stores.map((store) => store.createIndexes()));
      await Promise.all(stores.map((store) => store.create(newId(), newRecord(), call())));
      await Promise.all(stores.map((store) => store.close()));
      const indexes = await db.collection("indexed").indexes();
      expect(indexes.map(({ key }) => Object.keys(key)[0]).toSorted()).toEqual([
        "_id",
        "idleDeadline",
        "userId",
      ]);
    });

    it("are left to the operator where autoIndex is off", async () => {
      const store = mongodbStore({ url, collection: "by_hand", autoIndex: false });
      await store.create(newId(), newRecord(), call());
      expect(await db.collection("by_hand").indexes()).toHaveLength(1);
      await store.createIndexes();
      expect(await db.collection("by_hand").indexes()).toHaveLength(3);
      await store.close();
    });

    it("that somebody made with other options are kept", async () => {
      await db.collection("tuned").createIndex({ idleDeadline: 1 });
      const store = mongodbStore({ url, collection: "tuned" });
      await store.create(newId(), newRecord(), call());
      await store.close();
    });

    it.runIf(service?.expires)(
      "let the server remove what ended over an hour ago, and nothing else",
      async () => {
        const store = mongodbStore({ url, collection: "removed" });
        const [ended, endedLately] = [newId(), newId()];
        const now = Date.now();
        await store.create(endedLately, newRecord({ idleDeadline: now - 3_000_000 }), call());
        await store.create(ended, newRecord({ idleDeadline: now - 3_700_000 }), call());
        while ((await store.load(ended, call())) !== undefined)
          await new Promise((resolve) => setTimeout(resolve, 100));
        expect(await store.load(endedLately, call())).toBeDefined();
        await store.close();
      },
    );
  });

  describe("what reaches the server", () => {
    const commandsOf = async (
      work: (store: ReturnType<typeof mongodbStore>) => Promise<unknown>,
      w?: number,
    ) => {
      const store = mongodbStore({ db, collection: "watched", ...(w && { w }) });
      await store.load(newId(), call());
      const commands: any[] = [];
      const listen = ({ command }: any) => commands.push(command);
      client.on("commandStarted", listen);
      await work(store);
      client.off("commandStarted", listen);
      return commands;
    };

    it("is one command for a load, a create, a replace that wins, a touch, a delete and a list", async () => {
      const id = newId();
      const commands = await commandsOf(async (store) => {
        await store.create(id, newRecord(), call());
        await store.load(id, call());
        await store.replace(id, 1, newRecord({ version: 2 }), call());
        await store.touch(id, Date.now() + 3_000_000, call());
        await store.listByUser("ada", call());
        await store.delete(id, call());
      });
      expect(commands.map((command) => Object.keys(command)[0])).toEqual([
        "insert",
        "find",
        "update",
        "update",
        "find",
        "delete",
      ]);
      expect(commands[4].filter).toEqual({ userId: "ada" });
    });

    it("asks for a majority in writes, and for what a majority has in reads", async () => {
      const work = async (store: ReturnType<typeof mongodbStore>) => {
        await store.create(newId(), newRecord(), call());
        await store.load(newId(), call());
      };
      const [insert, find] = await commandsOf(work);
      expect(insert.writeConcern).toEqual({ w: "majority" });
      expect(find.readConcern).toEqual({ level: "majority" });
      const [looseInsert, looseFind] = await commandsOf(work, 1);
      expect(looseInsert.writeConcern).toEqual({ w: 1 });
      expect(looseFind.readConcern).toEqual({ level: "local" });
    });
  });

  describe("ending all sessions of a user", () => {
    const setUp = async (name: string) => {
      const inner = db.collection(`race_${name}`) as Collection<any>;
      const other = mongodbStore({ collection: inner });
      const [userId, id, renewed] = [newUser(), newId(), newId()];
      await other.create(id, newRecord({ userId }), call());
      /** As the engine does it: the new record first, then the old one buried without its user. */
      const renewal = async () => {
        await other.create(renewed, newRecord({ userId }), call());
        const buried = await other.replace(id, 1, newRecord({ version: 2, payload: "{}" }), call());
        return buried.status;
      };
      /** A collection whose first look for the user's sessions is followed, or answered emptily, by a renewal. */
      const racing = (answer: (found: any[]) => Promise<any[]>): MongoCollection => {
        let looks = 0;
        return new Proxy(inner as any, {
          get(target, property) {
            if (property !== "find") return Reflect.get(target, property)?.bind(target);
            return (...args: any[]) => {
              const cursor = target.find(...args);
              const found = async () => (looks++ === 0 ? answer(await cursor.toArray()) : cursor.toArray());
              return { toArray: found };
            };
          },
        });
      };
      return { other, userId, id, renewed, renewal, racing };
    };

    it("takes along a session that is renewed after it was found", async () => {
      const { other, userId, id, renewed, renewal, racing } = await setUp("after");
      const collection = racing(async (found) => {
        expect(await renewal()).toBe("done");
        return found;
      });
      // The old record had no user any more, so it was not removed, and its id is not among those that were.
      expect(await mongodbStore({ collection }).deleteByUser(userId, undefined, call())).toEqual([renewed]);
      expect(await other.listByUser(userId, call())).toEqual([]);
      expect(await other.load(id, call())).toMatchObject({ userId: null });
    });

    it("takes along a session that a look missed while it was renewed", async () => {
      const { other, userId, renewed, renewal, racing } = await setUp("missed");
      const collection = racing(async () => {
        await renewal();
        return [];
      });
      expect(await mongodbStore({ collection }).deleteByUser(userId, undefined, call())).toEqual([renewed]);
      expect(await other.listByUser(userId, call())).toEqual([]);
    });

    it("leaves a renewal that comes after it nothing to bury", async () => {
      const { other, userId, id, renewal } = await setUp("before");
      expect(await other.deleteByUser(userId, undefined, call())).toEqual([id]);
      // The engine removes its new record again when it gets this answer.
      expect(await renewal()).toBe("gone");
    });
  });

  describe("injection", () => {
    const HOSTILE = [
      "$where",
      "$ne",
      "a.b.$[]",
      '{"$gt":""}',
      "'; db.dropDatabase(); //",
      '"quoted" \\ `backticks`',
      "nul\0in the middle",
      "😀👩‍👩‍👧 four bytes",
      "__proto__",
      "constructor",
      "ünïcödé\u202e",
    ];

    it("text of any kind is a value, as an id and as a user", async () => {
      const store = mongodbStore({ db, collection: "hostile" });
      for (const [n, value] of HOSTILE.entries()) {
        const record = newRecord({ userId: value, payload: value });
        expect(await store.create(value, record, call())).toBe(true);
        expect(await store.load(value, call())).toEqual(record);
        expect((await store.listByUser(value, call())).map(({ id }) => id)).toEqual([value]);
        expect(await store.replace(value, 1, { ...record, version: 2 }, call())).toEqual({ status: "done" });
        expect(await store.touch(value, record.idleDeadline + 1, call())).toBe(true);
        expect(await db.collection("hostile").countDocuments()).toBe(n + 1);
      }
      for (const value of HOSTILE)
        expect(await store.deleteByUser(value, undefined, call())).toEqual([value]);
    });

    it("an object in the place of text or a number is refused, and nothing is found or changed", async () => {
      const store = mongodbStore({ db, collection: "refused" });
      const id = newId();
      const record = newRecord({ userId: "ada" });
      await store.create(id, record, call());
      const values: any[] = [
        { $ne: null },
        { $gt: "" },
        { $regex: ".*" },
        [id],
        /.*/,
        new String(id),
        null,
        undefined,
      ];
      for (const value of values) {
        const calls = [
          store.load(value, call()),
          store.create(value, record, call()),
          store.replace(value, 1, record, call()),
          store.replace(id, value, record, call()),
          store.touch(value, record.idleDeadline + 1, call()),
          store.touch(id, value, call()),
          store.delete(value, call()),
          store.listByUser(value, call()),
          store.deleteByUser(value, undefined, call()),
          store.sweep({ ...call(), now: value }),
          store.create(newId(), { ...record, payload: value }, call()),
          store.create(newId(), { ...record, version: value }, call()),
          store.create(newId(), { ...record, idleDeadline: value }, call()),
          store.create(newId(), { ...record, absoluteDeadline: value }, call()),
        ];
        if (value !== null) calls.push(store.create(newId(), { ...record, userId: value }, call()));
        if (value !== undefined) calls.push(store.deleteByUser("ada", value, call()));
        for (const settled of await Promise.allSettled(calls)) {
          expect(settled).toMatchObject({ status: "rejected", reason: expect.any(InvalidArgumentError) });
        }
      }
      expect(await store.load(id, call())).toEqual(record);
      expect(await db.collection("refused").countDocuments()).toBe(1);
    });

    it("data keys of any kind come back as they were", async () => {
      const sessions = createSessions<any>({
        secrets: [SECRET],
        store: mongodbStore({ db, collection: "hostile_keys" }),
        sweepInterval: false,
      });
      const exchange = await sessions.open(requestWith(undefined));
      const text = JSON.stringify(
        Object.fromEntries(HOSTILE.filter((key) => key !== "__proto__").map((key) => [key, key])),
      );
      exchange.session.data = JSON.parse(text);
      exchange.session.data.nested = JSON.parse(text);
      const cookie = await finishedCookie(exchange);
      const { session } = await sessions.open(requestWith(cookie));
      expect(session.data).toEqual({ ...JSON.parse(text), nested: JSON.parse(text) });
      await session.update((data: any) => {
        data["a.b"] = { $set: { version: 99 }, $inc: 1 };
      });
      const again = (await sessions.open(requestWith(cookie))).session;
      expect(again.data["a.b"]).toEqual({ $set: { version: 99 }, $inc: 1 });
      expect(({} as any).polluted).toBeUndefined();
    });
  });
});

describe("options", () => {
  it.each<[string, any]>([
    ["nothing", {}],
    ["nothing at all", undefined],
    ["only a name of a database", { db: "shop" }],
    ["two places", { url: "mongodb://localhost/", db: { collection() {} } }],
    ["another storage", { storage: "redis", host: "localhost" }],
    ["a URL of something else", { url: "redis://localhost" }],
    ["a URL that is no text", { url: {} }],
    ["a URL that can't be read", { url: "mongodb://ada:pass word@/%" }],
    ["an unknown option in the URL", { url: "mongodb://localhost/?colour=red" }],
    ["a host that is more", { host: "ada:secret@localhost" }],
    ["a port out of range", { host: "localhost", port: 70_000 }],
    ["a port that is text", { host: "localhost", port: "27017" }],
    ["a collection's name with $", { host: "localhost", collection: "a$b" }],
    ["a collection's name with NUL", { host: "localhost", collection: "a\0b" }],
    ["a system collection", { host: "localhost", collection: "system.users" }],
    ["a collection that is none", { collection: {} }],
    ["a collection that is a number", { host: "localhost", collection: 5 }],
    ["a database that is none", { db: {} }],
    ["a database's name with a dot", { host: "localhost", db: "a.b" }],
    ["an instance that is none", { instance: {} }],
    ["an instance that is null", { instance: null }],
    ["a write that nobody acknowledges", { host: "localhost", w: 0 }],
  ])("that are wrong are refused at once: %s", (_, options) => {
    let error: any;
    try {
      mongodbStore(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).not.toMatch(/pass word|secret/);
    expect(error.cause).toBeUndefined();
  });

  it("may be those of express-sessions, and the one without effect is warned about", async () => {
    const warning = nextWarning("HOLDFAST_MONGODB_EXPIRE");
    const options = { host: "localhost", port: 27_017, db: "test", collection: "sessions", expire: 86_400 };
    mongodbStore({ storage: "mongodb", instance: mongoose, ...options });
    expect((await warning).message).toContain("idleTimeout");
  });
});

it("a server that isn't there is told at start, without the password, and each call fails", async () => {
  const warning = nextWarning("HOLDFAST_MONGODB");
  const nowhere = `mongodb://ada:sesame@127.0.0.1:${await freePort()}/?serverSelectionTimeoutMS=300`;
  const store = mongodbStore({ url: nowhere });
  expect((await warning).message).toContain("ECONNREFUSED");
  expect((await warning).message).not.toContain("sesame");
  await expect((async () => store.load(newId(), call()))()).rejects.toThrow("ECONNREFUSED");
  await expect(store.createIndexes()).rejects.toThrow("ECONNREFUSED");
  await store.close();
});

function nextWarning(code: string): Promise<Error> {
  return new Promise((resolve) => {
    process.on("warning", function listen(warning: Error & { code?: string }) {
      if (warning.code !== code) return;
      process.off("warning", listen);
      resolve(warning);
    });
  });
}

const newId = () => randomBytes(32).toString("base64url");
const newUser = () => `user-${randomBytes(9).toString("hex")}`;
const call = () => ({ now: Date.now(), signal: new AbortController().signal });

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
