import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { StoredData } from "../express-session/store.js";
import type { OldConnectStore } from "./express-session.js";
import { checkNames } from "./options.js";

/** A collection of the driver "mongodb", as far as it is used. */
interface MongoCollection {
  findOne(filter: object): Promise<any>;
  deleteOne(filter: object): Promise<unknown>;
  countDocuments(): Promise<number>;
}

interface MongoDatabase {
  collection(name: string): MongoCollection;
}

type MongoInstance = MongoDatabase | { connection: { db?: MongoDatabase | undefined } };

/** A client of node-redis or ioredis, as far as it is used. */
interface RedisClient {
  get(key: string): Promise<string | null>;
  del(key: string): Promise<unknown>;
}

/** Where the package express-sessions has left its records: its own options, with a connection of today's drivers. */
export type ExpressSessionsOptions =
  | {
      storage: "mongodb";
      /** Mongoose, once it is connected, or a `Db` of the driver "mongodb". */
      instance: MongoInstance;
      /** As it is in the database. Mongoose puts a collection's name into lower case and the plural. Default: "sessions". */
      collection?: string;
    }
  | {
      storage: "redis";
      /** A connected client of node-redis or ioredis. */
      instance: RedisClient;
      /** What its keys begin with, before a colon. Default: "sessions". */
      collection?: string;
    };

const OPTION = "expressSessionsStore";

/**
 * Reads the records of the package express-sessions (MongoDB documents or Redis keys), for
 * `migrateFrom({ expressSession: { store } })`. That package needs drivers of many years ago; this needs none of them.
 * @throws ConfigurationError that names the option.
 */
export function expressSessionsStore(options: ExpressSessionsOptions): OldConnectStore {
  checkNames(OPTION, options, ["storage", "instance", "collection"]);
  const { storage, instance, collection = "sessions" } = options;
  if (typeof collection !== "string" || collection === "")
    throw new ConfigurationError(`${OPTION}.collection`, `expected a name, got ${shown(collection)}`);
  if (storage === "mongodb") {
    const { collection: named, connection } = (instance ?? {}) as {
      collection?: unknown;
      connection?: unknown;
    };
    if (typeof named !== "function" && typeof connection !== "object")
      throw new ConfigurationError(
        `${OPTION}.instance`,
        'expected mongoose, or a Db of the driver "mongodb"',
      );
    return mongoRecords(() => databaseOf(instance as MongoInstance).collection(collection));
  }
  if (storage === "redis") {
    const client = instance as RedisClient | undefined;
    if (typeof client?.get !== "function" || typeof client.del !== "function")
      throw new ConfigurationError(`${OPTION}.instance`, "expected a client of node-redis or ioredis");
    return redisRecords(client, collection);
  }
  throw new ConfigurationError(`${OPTION}.storage`, `expected "mongodb" or "redis", got ${shown(storage)}`);
}

/** Asked for with each call, for Mongoose may connect later. */
function databaseOf(instance: MongoInstance): MongoDatabase {
  const database = "connection" in instance ? instance.connection.db : instance;
  if (database === undefined) throw new Error("mongoose is not connected");
  return database;
}

function mongoRecords(collection: () => MongoCollection): OldConnectStore {
  return {
    get(sid, callback) {
      answer(async (): Promise<StoredData | null> => {
        const document = await collection().findOne({ sid });
        if (!document?.data) return null;
        const { expires } = document;
        if (expires instanceof Date && expires.valueOf() <= Date.now()) return null;
        return typeof document.data === "string" ? JSON.parse(document.data) : document.data;
      }, callback);
    },
    destroy: (sid, callback) =>
      answer(
        async () => collection().deleteOne({ sid }),
        (error) => callback?.(error),
      ),
    length: (callback) => answer(async () => collection().countDocuments(), callback),
  };
}

function redisRecords(client: RedisClient, prefix: string): OldConnectStore {
  return {
    get(sid, callback) {
      answer(async (): Promise<StoredData | null> => {
        const text = await client.get(`${prefix}:${sid}`);
        return text ? JSON.parse(text) : null;
      }, callback);
    },
    destroy: (sid, callback) =>
      answer(
        async () => client.del(`${prefix}:${sid}`),
        (error) => callback?.(error),
      ),
  };
}

function answer<T>(work: () => Promise<T>, callback: (error: any, value?: T) => void): void {
  work().then(
    (value) => callback(null, value),
    (error) => callback(error),
  );
}
