import { ConfigurationError } from "../errors.js";
import type { Store } from "./contract.js";

/** A store that may need its tables made first. */
export interface OpenedStore extends Store {
  /** Makes what the store needs in its database, unless it is there. Undefined where it needs nothing. */
  migrate?(): Promise<void>;
}

/** By scheme: the module is loaded only when it is asked for, so that no other driver has to be installed. */
const BY_SCHEME: Record<string, (url: string) => Promise<OpenedStore>> = {
  "redis:": async (url) => (await import("./redis.js")).redisStore({ url }),
  "rediss:": async (url) => (await import("./redis.js")).redisStore({ url }),
  "postgres:": async (url) => (await import("./postgres.js")).postgresStore({ connectionString: url }),
  "postgresql:": async (url) => (await import("./postgres.js")).postgresStore({ connectionString: url }),
  "mysql:": async (url) => (await import("./mysql.js")).mysqlStore({ uri: url }),
  "mariadb:": async (url) =>
    (await import("./mysql.js")).mysqlStore({ uri: url.replace(/^mariadb:/, "mysql:") }),
  "mongodb:": async (url) => (await import("./mongodb.js")).mongodbStore({ url }),
  "mongodb+srv:": async (url) => (await import("./mongodb.js")).mongodbStore({ url }),
};

/**
 * Opens a store by one setting: `redis://`, `rediss://`, `postgres://`, `mysql://`, `mariadb://`, `mongodb://` or
 * `mongodb+srv://`, or else the path of a SQLite file. For an application that is configured by its environment; one that has
 * a client or a pool of its own gives it to the store's function.
 *
 * @throws ConfigurationError where the scheme is unknown or the driver is not installed. It doesn't quote the URL, which
 *   may hold a password.
 */
export async function openStore(location: string): Promise<OpenedStore> {
  if (typeof location !== "string" || location === "") {
    throw new ConfigurationError("openStore", "expected a URL, or the path of a SQLite file");
  }
  const [, before] = /^([^/]*:)\/\//.exec(location) ?? [];
  if (before === undefined) return (await import("./sqlite.js")).sqliteStore({ path: location });
  const scheme = before.toLowerCase();
  const open = Object.hasOwn(BY_SCHEME, scheme) ? BY_SCHEME[scheme] : undefined;
  if (open === undefined) {
    const known = Object.keys(BY_SCHEME).map((name) => `${name}//`);
    throw new ConfigurationError(
      "openStore",
      `there is no store for ${scheme}// (there are ${known.join(", ")}, and the path of a SQLite file)`,
    );
  }
  return open(scheme + location.slice(scheme.length));
}
