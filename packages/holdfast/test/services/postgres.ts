import { execFile } from "node:child_process";
import { chmodSync, chownSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import {
  findProgram,
  freePort,
  installDebianPackages,
  noteService,
  type Running,
  startProcess,
  temporaryFolder,
} from "./provision.js";
import { retried, userIds } from "./sql-server.js";

/** A PostgreSQL server for tests. */
export interface TestPostgres {
  readonly url: string;
  /** Stops and starts it on the same data and port; undefined where the server is not ours (POSTGRES_URL, DATABASE_URL). */
  readonly control: ServerControl | undefined;
  close(): Promise<void>;
}

export interface ServerControl {
  stop(how: "fast" | "kill"): Promise<void>;
  start(): Promise<void>;
}

const BINARIES = [18, 17, 16, 15, 14, 13, 12].map((version) => `/usr/lib/postgresql/${version}/bin`);

/** The server of the environment's URL, else one of our own; undefined, and noted, where there is none to be had. */
export async function startPostgres(): Promise<TestPostgres | undefined> {
  const given = process.env.POSTGRES_URL ?? process.env.DATABASE_URL;
  if (given !== undefined && /^postgres/.test(given)) {
    noteService("postgres", `${await versionOf(given)} (from the environment)`);
    return { url: given, control: undefined, async close() {} };
  }
  const find = (name: string) => findProgram(name, BINARIES);
  if (find("initdb") === undefined) await installDebianPackages("postgresql");
  const [initdb, postgres] = [find("initdb"), find("postgres")];
  if (initdb === undefined || postgres === undefined) {
    noteService("postgres", "SKIPPED: no POSTGRES_URL, no program on PATH, and it can't be installed here");
    return undefined;
  }

  const folder = temporaryFolder();
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  // It refuses to run as root.
  const user = await userIds("postgres");
  chmodSync(folder, 0o700);
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const initialise = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"];
  await promisify(execFile)(initdb, initialise, { ...user, cwd: folder });

  let running: Running;
  const args = ["-D", data, "-p", String(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"];
  // After a kill, the old processes may be there a moment longer than their parent.
  const start = async () => {
    running = await retried(() =>
      startProcess(postgres, args, () => versionOf(url), { ...user, cwd: folder }),
    );
  };
  await start();
  noteService("postgres", await versionOf(url));
  return {
    url,
    control: { start, stop: (how) => running.stop(how === "kill" ? "SIGKILL" : "SIGINT") },
    async close() {
      await untilAlone(url).catch(() => {});
      await running.stop("SIGINT");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * A pool's `end` doesn't wait for its connections to be gone, and one that hears of the server's end meanwhile is an error that
 * nobody listens for.
 */
async function untilAlone(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  client.on("error", () => {});
  await client.connect();
  const others =
    "SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
  for (let waited = 0; waited < 2000 && (await client.query(others)).rowCount !== 0; waited += 50)
    await delay(50);
  await client.end();
}

async function versionOf(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString });
  client.on("error", () => {});
  await client.connect();
  try {
    const { rows } = await client.query("SHOW server_version");
    return `PostgreSQL ${rows[0].server_version}`;
  } finally {
    await client.end();
  }
}
