import { createRequire } from "node:module";
import { ConfigurationError, InvalidArgumentError } from "../errors.js";
import { warn } from "../warn.js";
import type { Store, StoreCall, StoredSession, StoreInspection, StoreRecord } from "./contract.js";

/** What the store needs of a collection; the driver's `Collection` has it. */
export interface MongoCollection {
  findOne(filter: any, options?: any): Promise<any>;
  find(filter: any, options?: any): { toArray(): Promise<any[]> };
  insertOne(document: any, options?: any): Promise<unknown>;
  replaceOne(filter: any, document: any, options?: any): Promise<unknown>;
  updateOne(filter: any, update: any, options?: any): Promise<{ matchedCount: number }>;
  deleteOne(filter: any, options?: any): Promise<{ deletedCount: number }>;
  deleteMany(filter: any, options?: any): Promise<{ deletedCount: number }>;
  createIndex(key: any, options?: any): Promise<unknown>;
}

/** What the store needs of a database; the driver's `Db` has it. */
export interface MongoDatabase {
  collection(name: string): MongoCollection;
}

/** What the store needs of a mongoose connection (mongoose 8 or later). */
export interface MongooseConnection {
  readonly name: string;
  asPromise(): Promise<unknown>;
  getClient(): any;
}

/** Where the sessions are: one of `collection`, `db`, `instance`, `url` or `host` says it. */
export interface MongodbStoreOptions {
  /** A `Collection` of the driver, or the collection's name. Default: "holdfast_sessions". */
  collection?: MongoCollection | string;
  /** A `Db` of the driver; or, with `instance`, `url` or `host`, the database's name. */
  db?: MongoDatabase | string;
  /** mongoose or one of its connections. `close()` leaves it open. */
  instance?: MongooseConnection | { readonly connection: MongooseConnection };
  /** `mongodb://…` or `mongodb+srv://…`. The store connects itself, at once. Without `db`, the URL's database or "test". */
  url?: string;
  /** A host that asks for no password, in place of `url`; ignored beside `instance`. */
  host?: string;
  /** Default: 27017. */
  port?: number;
  /** How many members of the replica set have a write before it is acknowledged. Default: "majority", which a failover keeps. */
  w?: "majority" | number;
  /** Make the indexes, unless they are there, before the first call. Default: true. */
  autoIndex?: boolean;
  /** As `express-sessions` has it: "mongodb" is all that it may be. */
  storage?: "mongodb";
  /** As `express-sessions` has it: without effect here. Set `idleTimeout` and `absoluteTimeout` of `createSessions`. */
  expire?: unknown;
}

export interface MongodbStore extends Store {
  /**
   * Makes the indexes, unless they are there, however long it takes. Safe to call again and from several processes at once.
   * At start-up it is also the way to find out whether the database can be reached.
   */
  createIndexes(): Promise<void>;
}

const SWEEP_BATCH = 500;
/** Milliseconds for what no request waits for. */
const BACKGROUND_PATIENCE = 60_000;
/** Milliseconds; below the engine's `storeTimeout`, so that a request's error says what is wrong with the connection. */
const SERVER_SELECTION_TIMEOUT = 4000;
/** Seconds. The server removes by its own clock: so late that it may go wrong by an hour. `sweep` removes by the engine's. */
const TTL_DELAY = 3600;

/** Answers come as plain text, numbers and dates, however a client that is handed over was set up. */
const BSON = { promoteValues: true, promoteLongs: true, useBigInt64: false, raw: false };

/**
 * Sessions in MongoDB, with the `mongodb` driver 6 or 7. Writes wait for a majority of the replica set, and reads go to the
 * primary and see them.
 *
 * @throws ConfigurationError where an option is wrong or the driver is not there.
 */
export function mongodbStore(options: MongodbStoreOptions): MongodbStore {
  const { connect, disconnect, ownsConnection, inspection } = sourceOf(options);
  const { autoIndex = true, w = "majority" } = options;
  if (w !== "majority" && !(Number.isSafeInteger(w) && w >= 1)) {
    throw new ConfigurationError("mongodbStore.w", 'expected "majority" or a number of members, 1 or more');
  }

  const write = { ...BSON, writeConcern: { w } };
  // What a majority has is what was acknowledged. With fewer to acknowledge, the primary's own state is.
  const committed = {
    ...BSON,
    readPreference: "primary",
    readConcern: { level: w === "majority" ? w : "local" },
  };
  /** Sees writes that are not acknowledged yet, too. */
  const latest = { ...BSON, readPreference: "primary", readConcern: { level: "local" } };

  let opened: MongoCollection | undefined;
  let opening: Promise<MongoCollection> | undefined;
  let closed = false;

  /** Connects once; after a failure, the next call tries again. */
  function open(): Promise<MongoCollection> {
    opening ??= (async () => {
      try {
        const collection = await connect();
        if (autoIndex) await makeIndexes(collection, { signal: AbortSignal.timeout(BACKGROUND_PATIENCE) });
        opened = collection;
        return collection;
      } finally {
        opening = undefined;
      }
    })();
    return opening;
  }

  async function sessions({ signal }: StoreCall): Promise<MongoCollection> {
    if (closed) throw new Error("the store is closed");
    if (opened !== undefined) return opened;
    const collection = await open();
    // The engine gave up while this connected, so nothing may be written for it any more.
    signal.throwIfAborted();
    return collection;
  }

  if (ownsConnection) {
    open().catch((error) => {
      if (closed) return;
      warn("HOLDFAST_MONGODB", `MongoDB can't be used yet, and each request tries again: ${error.message}`);
    });
  }

  return {
    name: "mongodb",

    async load(id, call) {
      const collection = await sessions(call);
      return toRecord(await collection.findOne({ _id: text(id) }, { ...committed, signal: call.signal }));
    },

    async create(id, record, call) {
      const collection = await sessions(call);
      try {
        await collection.insertOne({ _id: text(id), ...toFields(record) }, { ...write, signal: call.signal });
        return true;
      } catch (error) {
        if ((error as { code?: unknown }).code === DUPLICATE_KEY) return false;
        throw error;
      }
    },

    async replace(id, expectedVersion, record, call) {
      const collection = await sessions(call);
      const { signal } = call;
      const filter = { _id: text(id), version: number(expectedVersion) };
      const answer: any = await collection.replaceOne(filter, toFields(record), { ...write, signal });
      if (answer.matchedCount > 0) return { status: "done" };
      // What won may not have its majority yet. It may also go or change once more: either way this is what it is by now.
      const current = toRecord(await collection.findOne({ _id: text(id) }, { ...latest, signal }));
      return current === undefined ? { status: "gone" } : { status: "conflict", record: current };
    },

    async touch(id, idleDeadline, call) {
      const collection = await sessions(call);
      const deadline = date(idleDeadline);
      const { matchedCount } = await collection.updateOne(
        { _id: text(id), idleDeadline: { $lt: deadline }, absoluteDeadline: { $gte: deadline } },
        { $set: { idleDeadline: deadline } },
        { ...write, signal: call.signal },
      );
      return matchedCount > 0;
    },

    async delete(id, call) {
      const collection = await sessions(call);
      await collection.deleteOne({ _id: text(id) }, { ...write, signal: call.signal });
    },

    async sweep(call) {
      const collection = await sessions(call);
      const expired = { idleDeadline: { $lte: date(call.now) } };
      let removed = 0;
      for (let batch = SWEEP_BATCH; batch === SWEEP_BATCH && !closed; ) {
        // A sweep has no deadline of its own, but a server that hangs must not stop all later ones.
        const signal = AbortSignal.any([call.signal, AbortSignal.timeout(BACKGROUND_PATIENCE)]);
        const found = collection.find(expired, {
          ...latest,
          projection: { _id: 1 },
          limit: SWEEP_BATCH,
          signal,
        });
        const ids = (await found.toArray()).map(({ _id }) => _id);
        batch = ids.length;
        if (batch === 0) break;
        // The deadline once more: one of them may have been touched since.
        removed += (await collection.deleteMany({ _id: { $in: ids }, ...expired }, { ...write, signal }))
          .deletedCount;
      }
      return removed;
    },

    async listByUser(userId, call) {
      const collection = await sessions(call);
      const found = collection.find({ userId: text(userId) }, { ...committed, signal: call.signal });
      return (await found.toArray()).map(toSession);
    },

    async deleteByUser(userId, except, call) {
      const collection = await sessions(call);
      const { signal } = call;
      const user = { userId: text(userId) };
      const others = except === undefined ? user : { ...user, _id: { $ne: text(except) } };
      const removed: string[] = [];
      // A renewal stores the session's new record first and then takes the user off the old one. So it always has a record
      // to find, but one look, which is no snapshot, can miss it while it moves. Two in a row can't: it moves once an hour.
      for (let misses = 0; misses < 2; ) {
        const found = await collection.find(others, { ...latest, projection: { _id: 1 }, signal }).toArray();
        misses = found.length === 0 ? misses + 1 : 0;
        // One by one, because the ids are to be those that are removed here; all at once, because they are few.
        await Promise.all(
          found.map(async ({ _id }) => {
            const { deletedCount } = await collection.deleteOne({ ...user, _id }, { ...write, signal });
            if (deletedCount > 0) removed.push(_id);
          }),
        );
      }
      return removed;
    },

    async scan(cursor, limit, call) {
      const collection = await sessions(call);
      const { signal } = call;
      const options = { ...committed, sort: { _id: 1 }, limit: number(limit), signal };
      const found = (await collection.find({ _id: { $gt: text(cursor ?? "") } }, options).toArray()).map(
        toSession,
      );
      return { sessions: found, next: found.length < limit ? undefined : found.at(-1)!.id };
    },

    async rewrite(id, expectedVersion, payload, call) {
      const collection = await sessions(call);
      const { matchedCount } = await collection.updateOne(
        { _id: text(id), version: number(expectedVersion) },
        { $set: { version: number(expectedVersion) + 1, payload: text(payload) } },
        { ...write, signal: call.signal },
      );
      return matchedCount > 0;
    },

    async inspect(call) {
      await sessions(call);
      return inspection === undefined ? {} : inspection();
    },

    async createIndexes() {
      if (closed) throw new Error("the store is closed");
      await makeIndexes(await connect(), {});
    },

    async close() {
      if (closed) return;
      closed = true;
      await disconnect();
    },
  };
}

/** The driver's error code 11000 (mongodb.com/docs/manual/reference/error-codes). */
const DUPLICATE_KEY = 11_000;
/** The same key with other options: somebody's own choice, as of another delay. */
const INDEX_OPTIONS_CONFLICT = 85;
const NOT_IMPLEMENTED = 238;

async function makeIndexes(collection: MongoCollection, options: { signal?: AbortSignal }): Promise<void> {
  await makeIndex(collection, { userId: 1 }, { ...options, sparse: true });
  try {
    await makeIndex(collection, { idleDeadline: 1 }, { ...options, expireAfterSeconds: TTL_DELAY });
  } catch (error) {
    // FerretDB has no TTL; `sweep` does without, but not without the index.
    if ((error as { code?: unknown }).code !== NOT_IMPLEMENTED) throw error;
    await makeIndex(collection, { idleDeadline: 1 }, options);
  }
}

async function makeIndex(collection: MongoCollection, key: object, options: object): Promise<void> {
  try {
    await collection.createIndex(key, options);
  } catch (error) {
    if ((error as { code?: unknown }).code !== INDEX_OPTIONS_CONFLICT) throw error;
  }
}

/** A record as a document's fields. The deadlines are dates, for the TTL index; without a user there is no such field, for the sparse one. */
function toFields({ version, payload, idleDeadline, absoluteDeadline, userId }: StoreRecord): object {
  const fields = {
    version: number(version),
    payload: text(payload),
    idleDeadline: date(idleDeadline),
    absoluteDeadline: date(absoluteDeadline),
  };
  return userId === null ? fields : { ...fields, userId: text(userId) };
}

function toRecord(document: any): StoreRecord | undefined {
  if (document === null) return undefined;
  return {
    version: document.version,
    payload: document.payload,
    idleDeadline: Number(document.idleDeadline),
    absoluteDeadline: Number(document.absoluteDeadline),
    userId: document.userId ?? null,
  };
}

function toSession(document: any): StoredSession {
  return { id: document._id, record: toRecord(document)! };
}

/*
 * Every value of a query goes through one of these, so that none is an object that MongoDB would read as operators
 * (`{ $ne: null }`), whatever the types were told.
 */

function text(value: string): string {
  if (typeof value === "string") return value;
  throw new InvalidArgumentError(
    `The MongoDB store takes text here, and got a value of type ${typeof value}.`,
  );
}

function number(value: number): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError(
    `The MongoDB store takes a number here, and got a value of type ${typeof value}.`,
  );
}

function date(milliseconds: number): Date {
  return new Date(number(milliseconds));
}

interface Source {
  connect(): Promise<MongoCollection>;
  disconnect(): Promise<void>;
  readonly ownsConnection: boolean;
  /** What can be told of the server, where the connection is the store's own. */
  readonly inspection?: () => Promise<StoreInspection>;
}

/** Where the options say that the sessions are. */
function sourceOf(options: MongodbStoreOptions): Source {
  const { collection = "holdfast_sessions", db, instance, url, host, port, storage, expire } = options ?? {};
  if (storage !== undefined && storage !== "mongodb") {
    throw new ConfigurationError(
      "mongodbStore.storage",
      'expected "mongodb"; each other database has its own store',
    );
  }
  if (expire !== undefined) {
    warn(
      "HOLDFAST_MONGODB_EXPIRE",
      "mongodbStore() has no use for `expire`: set idleTimeout and absoluteTimeout of createSessions()",
    );
  }
  const handedOver = [isObject(collection), isObject(db), instance !== undefined, url !== undefined];
  const places = handedOver.filter(Boolean).length;
  if (places > 1 || (places === 0 && host === undefined)) {
    throw new ConfigurationError(
      "mongodbStore",
      'expected one of a `collection`, a `db`, an `instance` of mongoose, a `url` and a `host`, as in mongodbStore({ url: "mongodb://localhost/shop" })',
    );
  }

  if (isObject(collection)) {
    if (typeof collection.findOne !== "function") {
      throw new ConfigurationError(
        "mongodbStore.collection",
        "expected a Collection of the mongodb driver, or a name",
      );
    }
    return lent(async () => collection);
  }
  // mongodb.com/docs/manual/reference/limits#naming-restrictions
  if (typeof collection !== "string" || !/^(?!system\.)[^$\0]{1,200}$/.test(collection)) {
    throw new ConfigurationError(
      "mongodbStore.collection",
      `${JSON.stringify(collection)} is not a collection's name`,
    );
  }
  if (isObject(db)) {
    if (typeof db.collection !== "function") {
      throw new ConfigurationError("mongodbStore.db", "expected a Db of the mongodb driver, or a name");
    }
    return lent(async () => db.collection(collection));
  }
  if (db !== undefined && !(typeof db === "string" && /^[^/\\. "$*<>:|?\0]{1,63}$/.test(db))) {
    throw new ConfigurationError("mongodbStore.db", `${JSON.stringify(db)} is not a database's name`);
  }
  if (instance !== undefined) {
    const connection = connectionOf(instance);
    return lent(async () => {
      await connection.asPromise();
      const client = connection.getClient();
      if (!client) throw new Error("mongoose is not connected: call mongoose.connect(url)");
      return client.db(db ?? connection.name).collection(collection);
    });
  }

  const client = openClient(url ?? urlOf(host!, port));
  return {
    ownsConnection: true,
    async connect() {
      await client.connect();
      return client.db(db).collection(collection);
    },
    disconnect: () => client.close(),
    inspection: () => inspectServer(client, db),
  };
}

async function inspectServer(client: any, db: string | undefined): Promise<StoreInspection> {
  const database = client.db(db);
  // A stand-in for MongoDB need not know every question.
  const answer = (command: object) => database.command(command).catch(() => ({}));
  const [{ version }, { localTime }] = await Promise.all([answer({ buildInfo: 1 }), answer({ hello: 1 })]);
  const hosts: Array<{ host?: string }> = client.options?.hosts ?? [];
  const isHere = hosts.every(({ host }) => host === undefined || /^(localhost|127\.|::1)/.test(host));
  return {
    server: version && `MongoDB ${version}`,
    place: isHere && !client.options?.srvHost ? "this machine" : "another machine",
    encrypted: client.options?.tls === true,
    clock: localTime instanceof Date ? localTime.getTime() : undefined,
  };
}

/** A connection that is the application's: the store leaves it open. */
function lent(connect: () => Promise<MongoCollection>): Source {
  return { connect, ownsConnection: false, async disconnect() {} };
}

function isObject<T>(value: T): value is Exclude<T, string | undefined> {
  return typeof value === "object" && value !== null;
}

function connectionOf(instance: NonNullable<MongodbStoreOptions["instance"]>): MongooseConnection {
  const connection =
    (instance as { connection?: MongooseConnection } | null)?.connection ?? (instance as MongooseConnection);
  if (typeof connection?.asPromise === "function" && typeof connection.getClient === "function")
    return connection;
  throw new ConfigurationError(
    "mongodbStore.instance",
    "expected mongoose, or a connection of mongoose 8 or later",
  );
}

function urlOf(host: string, port = 27_017): string {
  if (typeof host !== "string" || !/^[\w.:-]+$/.test(host)) {
    throw new ConfigurationError(
      "mongodbStore.host",
      "expected a host's name or address; use `url` for anything more",
    );
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new ConfigurationError("mongodbStore.port", "expected a number from 1 to 65535");
  }
  return `mongodb://${host.includes(":") ? `[${host}]` : host}:${port}/`;
}

function openClient(url: string): any {
  if (typeof url !== "string" || !/^mongodb(\+srv)?:\/\//.test(url)) {
    throw new ConfigurationError(
      "mongodbStore.url",
      "expected text that begins with mongodb:// or mongodb+srv://",
    );
  }
  const { MongoClient } = loadDriver();
  const own = /[?&]serverSelectionTimeoutMS=/i.test(url);
  try {
    return new MongoClient(url, {
      appName: "holdfast",
      ...(!own && { serverSelectionTimeoutMS: SERVER_SELECTION_TIMEOUT }),
    });
  } catch (error) {
    // The driver's messages for some URLs quote them, password and all.
    const { message } = error as Error;
    const what = message.includes("://") ? "it can't be read as a connection string" : message;
    throw new ConfigurationError("mongodbStore.url", what);
  }
}

function loadDriver(): any {
  try {
    return createRequire(import.meta.url)("mongodb");
  } catch (error) {
    if ((error as { code?: string }).code !== "MODULE_NOT_FOUND") throw error;
    throw new ConfigurationError("mongodbStore", "no MongoDB driver was found. Run: npm install mongodb");
  }
}
