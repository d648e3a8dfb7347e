import { ConfigurationError } from "../errors.js";
import type { Store } from "./contract.js";

/** A store that may need its tables made first. */
export interface OpenedStore extends Store {
  /** Makes what the store needs in its database, unless it is there. Undefined where it needs nothing. */
  migrate?(): Promise<void>;
}

/** What a URL can't say of where the sessions are. One that the store of the URL doesn't have is an error. */
export interface OpenStoreOptions {
  /** SQLite, PostgreSQL, MySQL and MariaDB: the table. MongoDB: the collection. Default: "holdfast_sessions". */
  table?: string | undefined;
  /** PostgreSQL: the schema. Default: "public". */
  schema?: string | undefined;
  /** Redis: what every key begins with. Default: "holdfast:". */
  prefix?: string | undefined;
  /**
   * Whether to make what is not there: the file and table of SQLite, the indexes of MongoDB. False is for programs that look
   * at sessions, for which a name typed wrong is an error and not a new, empty store. Default: true.
   */
  create?: boolean | undefined;
}

interface Scheme {
  readonly takes: readonly string[];
  /** The module is loaded only when it is asked for, so that no other driver has to be installed. */
  open(location: string, options: any): Promise<OpenedStore>;
}

const FILE: Scheme = {
  takes: ["table"],
  async open(path, { create, ...options }) {
    const { assertStored, sqliteStore } = await import("./sqlite.js");
    if (!create) assertStored(path, options.table);
    return sqliteStore({ path, ...options });
  },
};
const REDIS: Scheme = {
  takes: ["prefix"],
  open: async (url, { create: _, ...options }) =>
    (await import("./redis.js")).redisStore({ url, ...options }),
};
const POSTGRES: Scheme = {
  takes: ["table", "schema"],
  open: async (connectionString, { create: _, ...options }) =>
    (await import("./postgres.js")).postgresStore({ connectionString, ...options }),
};
const MYSQL: Scheme = {
  takes: ["table"],
  open: async (uri, { create: _, ...options }) =>
    (await import("./mysql.js")).mysqlStore({ uri: uri.replace(/^mariadb:/, "mysql:"), ...options }),
};
const MONGODB: Scheme = {
  takes: ["table"],
  open: async (url, { table: collection, create: autoIndex }) =>
    (await import("./mongodb.js")).mongodbStore({ url, autoIndex, ...(collection && { collection }) }),
};

const BY_SCHEME: Record<string, Scheme> = {
  "redis:": REDIS,
  "rediss:": REDIS,
  "postgres:": POSTGRES,
  "postgresql:": POSTGRES,
  "mysql:": MYSQL,
  "mariadb:": MYSQL,
  "mongodb:": MONGODB,
  "mongodb+srv:": MONGODB,
};

/**
 * Opens a store by one setting: `redis://`, `rediss://`, `postgres://`, `mysql://`, `mariadb://`, `mongodb://` or
 * `mongodb+srv://`, or else the path of a SQLite file. For an application that is configured by its environment; one that has
 * a client or a pool of its own gives it to the store's function.
 *
 * @throws ConfigurationError where the scheme is unknown, the driver is not installed, or the store has no such option. It
 *   doesn't quote the URL, which may hold a password.
 */
export async function openStore(
  location: string,
  { create = true, ...options }: OpenStoreOptions = {},
): Promise<OpenedStore> {
  if (typeof location !== "string" || location === "") {
    throw new ConfigurationError("openStore", "expected a URL, or the path of a SQLite file");
  }
  const [, before] = /^([^/]*:)\/\//.exec(location) ?? [];
  const name = before?.toLowerCase();
  const scheme = name === undefined ? FILE : Object.hasOwn(BY_SCHEME, name) ? BY_SCHEME[name] : undefined;
  if (scheme === undefined) {
    const known = Object.keys(BY_SCHEME).map((name) => `${name}//`);
    throw new ConfigurationError(
      "openStore",
      `there is no store for ${name}// (there are ${known.join(", ")}, and the path of a SQLite file)`,
    );
  }
  const set = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [option] of set) {
    if (scheme.takes.includes(option)) continue;
    const where = name === undefined ? "a SQLite file" : `${name}//`;
    throw new ConfigurationError(option, `${where} has no such option; it has ${scheme.takes.join(", ")}`);
  }
  const url = name === undefined ? location : name + location.slice(name.length);
  return scheme.open(url, { create, ...Object.fromEntries(set) });
}
