import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { provideMongodb } from "../../services/mongodb.js";
import { startPostgres } from "../../services/postgres.js";
import { noteService, temporaryFolder } from "../../services/provision.js";
import { redisProgram, startRedis } from "../../services/redis.js";

/** The store packages that applications have, as npm gives them, each on the server that it is for. */

const require = createRequire(import.meta.url);

export interface RealStore {
  readonly name: string;
  /** Undefined where what it needs is not to be had here. */
  readonly open: (() => Promise<OpenedStore>) | undefined;
}

export interface OpenedStore {
  /** Another instance on the same data; many of the packages are made for a given `session`. */
  create(session: any): any;
  close(): Promise<unknown>;
}

/** connect-sqlite3 builds its driver from source, which takes minutes: by wish, or where it is there already. */
async function sqlite3Folder(): Promise<string | undefined> {
  const folder = join(homedir(), ".cache", "holdfast", "connect-sqlite3");
  if (existsSync(join(folder, "node_modules", "connect-sqlite3"))) return folder;
  if (process.env.HOLDFAST_CONNECT_SQLITE3 !== "1") {
    noteService(
      "connect-sqlite3",
      "skipped: HOLDFAST_CONNECT_SQLITE3=1 installs it (it compiles SQLite for minutes)",
    );
    return undefined;
  }
  try {
    execFileSync("npm", ["install", "--prefix", folder, "connect-sqlite3@0.9"], { stdio: "pipe" });
    return folder;
  } catch (error) {
    noteService(
      "connect-sqlite3",
      `skipped: it can't be installed (${(error as Error).message.split("\n")[0]})`,
    );
    return undefined;
  }
}

function versionOf(name: string): string {
  // Not every package lets its manifest be imported.
  const path = require.resolve.paths(name)!.map((folder) => join(folder, name, "package.json"));
  return require(path.find(existsSync)!).version;
}

/** Starts what the stores need; `close` ends it. */
export async function provideRealStores(): Promise<{ stores: RealStore[]; close(): Promise<void> }> {
  const closing: Array<() => Promise<unknown> | undefined> = [];
  const program = await redisProgram();
  const redis = program === undefined ? undefined : await startRedis(program);
  const postgres = await startPostgres();
  const mongodb = await provideMongodb();
  const sqlite3 = await sqlite3Folder();
  closing.push(
    () => redis?.stop(),
    () => postgres?.close(),
    () => mongodb?.close(),
  );

  const stores: RealStore[] = [
    {
      name: "memorystore",
      open: async () => {
        let store: any;
        return {
          create(session) {
            const MemoryStore = require("memorystore")(session);
            // It keeps its sessions to itself: a second instance takes over those of the first.
            const created = new MemoryStore({ checkPeriod: 0 });
            if (store !== undefined) created.store = store.store;
            store ??= created;
            return created;
          },
          close: async () => {},
        };
      },
    },
    {
      name: "session-file-store",
      open: async () => {
        const path = temporaryFolder();
        return {
          create: (session) =>
            new (require("session-file-store")(session))({ path, reapInterval: -1, retries: 0, logFn() {} }),
          close: async () => {},
        };
      },
    },
    {
      name: "connect-redis",
      open:
        redis &&
        (async () => {
          const { RedisStore } = require("connect-redis");
          const client = createClient({ url: redis.url });
          await client.connect();
          return { create: () => new RedisStore({ client }), close: () => client.close() };
        }),
    },
    {
      name: "connect-pg-simple",
      open:
        postgres &&
        (async () => {
          const { Pool } = require("pg");
          const pool = new Pool({ connectionString: postgres.url });
          // A server that is stopped ends its connections.
          pool.on("error", () => {});
          const stores: any[] = [];
          return {
            create(session) {
              const PgStore = require("connect-pg-simple")(session);
              const store = new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false });
              stores.push(store);
              return store;
            },
            async close() {
              for (const store of stores) await store.close();
              await pool.end();
            },
          };
        }),
    },
    {
      name: "connect-mongo",
      open:
        mongodb &&
        (async () => {
          const { default: MongoStore } = await import("connect-mongo" as string);
          const stores: any[] = [];
          return {
            create() {
              const store = MongoStore.create({ mongoUrl: mongodb.url, autoRemove: "disabled" });
              stores.push(store);
              return store;
            },
            close: () => Promise.all(stores.map((store) => store.close())),
          };
        }),
    },
    {
      name: "connect-sqlite3",
      open:
        sqlite3 === undefined
          ? undefined
          : async () => {
              const connectSqlite3 = createRequire(join(sqlite3, "x.js"))("connect-sqlite3");
              const dir = temporaryFolder();
              const stores: any[] = [];
              return {
                create(session) {
                  const store = new (connectSqlite3(session))({ dir, db: "sessions.db" });
                  stores.push(store);
                  return store;
                },
                close: async () => {
                  for (const store of stores) store.db.close();
                },
              };
            },
    },
  ];
  for (const { name, open } of stores)
    if (open !== undefined && name !== "connect-sqlite3") noteService(name, versionOf(name));
  if (sqlite3 !== undefined) noteService("connect-sqlite3", `in ${sqlite3}`);
  return {
    stores,
    async close() {
      for (const close of closing) await close();
    },
  };
}
