import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { StoredData } from "../express-session/store.js";
import type { OldConnectStore } from "./express-session.js";

/** A collection of the driver "mongodb", as far as it is used. */
interface MongoCollection {
  findOne(filter: object): Promise<any>;
  deleteOne(filter: object): Promise<unknown>;
  countDocuments(): Promise<number>;
}

/** A client of node-redis or ioredis, as far as it is used. */
interface RedisClient {
  get(key: string): Promise<string | null>;
  del(key: string): Promise<unknown>;
}

/** Where the package express-sessions has left its records: by its own names, with a connection of today's drivers. */
export type ExpressSessionsOptions =
  | {
      storage: "mongodb";
      /** A `Db` of the driver "mongodb", or `mongoose.connection.db`. */
      db: { collection(name: string): MongoCollection };
      /** Default: "sessions". Mongoose puts the names of collections into lower case and the plural. */
      collection?: string;
    }
  | {
      storage: "redis";
      /** A connected client of node-redis or ioredis. */
      client: RedisClient;
      /** What its keys begin with, before a colon. Default: "sessions". */
      collection?: string;
    };

/**
 * Reads the records of the package express-sessions (MongoDB documents or Redis keys), for
 * `migrateFrom({ expressSession: { store } })`. That package needs drivers of many years ago; this needs none of it.
 */
export function expressSessionsStore(options: ExpressSessionsOptions): OldConnectStore {
  const { storage, collection = "sessions" } = options;
  if (storage === "mongodb") return mongoRecords(options.db.collection(collection));
  if (storage === "redis") return redisRecords(options.client, collection);
  throw new ConfigurationError(
    "expressSessionsStore.storage",
    `expected "mongodb" or "redis", got ${shown(storage)}`,
  );
}

function mongoRecords(collection: MongoCollection): OldConnectStore {
  return {
    get(sid, callback) {
      answer(
        collection.findOne({ sid }).then((document): StoredData | null => {
          if (!document?.data) return null;
          const { expires } = document;
          if (expires instanceof Date && expires.valueOf() <= Date.now()) return null;
          return typeof document.data === "string" ? JSON.parse(document.data) : document.data;
        }),
        callback,
      );
    },
    destroy: (sid, callback) => answer(collection.deleteOne({ sid }), (error) => callback?.(error)),
    length: (callback) => answer(collection.countDocuments(), callback),
  };
}

function redisRecords(client: RedisClient, prefix: string): OldConnectStore {
  return {
    get(sid, callback) {
      const read = client.get(`${prefix}:${sid}`);
      answer(
        read.then((text): StoredData | null => (text ? JSON.parse(text) : null)),
        callback,
      );
    },
    destroy: (sid, callback) => answer(client.del(`${prefix}:${sid}`), (error) => callback?.(error)),
  };
}

function answer<T>(promise: Promise<T>, callback: (error: any, value?: T) => void): void {
  promise.then(
    (value) => callback(null, value),
    (error) => callback(error),
  );
}
