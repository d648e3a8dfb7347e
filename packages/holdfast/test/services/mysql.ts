import { execFile } from "node:child_process";
import { chmodSync, chownSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import mysql from "mysql2/promise";
import type { ServerControl } from "./postgres.js";
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

/** A MySQL or MariaDB server for tests. */
export interface TestMysql {
  readonly url: string;
  /** Stops and starts it on the same data and port; undefined where the server is not ours (MYSQL_URL). */
  readonly control: ServerControl | undefined;
  close(): Promise<void>;
}

const PLACES = ["/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin"];

/** The server of MYSQL_URL, else one of our own (MySQL or MariaDB); undefined, and noted, where there is none to be had. */
export async function startMysql(): Promise<TestMysql | undefined> {
  const given = process.env.MYSQL_URL;
  if (given !== undefined) {
    noteService("mysql", `${await versionOf(given)} (from MYSQL_URL)`);
    return { url: given, control: undefined, async close() {} };
  }
  const find = (...names: string[]) => names.map((name) => findProgram(name, PLACES)).find(Boolean);
  if (find("mysqld", "mariadbd") === undefined) await installDebianPackages("mariadb-server");
  const server = find("mysqld", "mariadbd");
  if (server === undefined) {
    noteService("mysql", "SKIPPED: no MYSQL_URL, no program on PATH, and it can't be installed here");
    return undefined;
  }

  const folder = temporaryFolder();
  const port = await freePort();
  const user = await userIds("mysql");
  chmodSync(folder, 0o700);
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  // MariaDB has a program of its own for this, MySQL an option.
  const initialise = find("mariadb-install-db");
  if (initialise !== undefined) {
    const args = [
      "--no-defaults",
      `--datadir=${data}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
    ];
    await promisify(execFile)(initialise, args, { ...user, cwd: folder });
  } else {
    const args = ["--no-defaults", `--datadir=${data}`, "--initialize-insecure"];
    await promisify(execFile)(server, args, { ...user, cwd: folder });
  }

  let running: Running;
  const root = `mysql://root@127.0.0.1:${port}/mysql`;
  const args = [
    "--no-defaults",
    `--datadir=${data}`,
    `--socket=${join(folder, "mysql.sock")}`,
    `--pid-file=${join(folder, "mysql.pid")}`,
    `--port=${port}`,
    "--bind-address=127.0.0.1",
  ];
  const start = async () => {
    running = await retried(() =>
      startProcess(server, args, () => versionOf(root), { ...user, cwd: folder }),
    );
  };
  await start();
  const connection = await mysql.createConnection(root);
  await connection.query("CREATE DATABASE IF NOT EXISTS holdfast");
  await connection.end();
  noteService("mysql", await versionOf(root));
  return {
    url: `mysql://root@127.0.0.1:${port}/holdfast`,
    control: { start, stop: (how) => running.stop(how === "kill" ? "SIGKILL" : "SIGTERM") },
    async close() {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function versionOf(uri: string): Promise<string> {
  const connection = await mysql.createConnection(uri);
  try {
    const [rows] = await connection.query<any[]>("SELECT VERSION() AS version");
    const { version } = rows[0];
    return /mariadb/i.test(version) ? version : `MySQL ${version}`;
  } finally {
    await connection.end();
  }
}
