import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import {
  findProgram,
  freePort,
  installDebianPackages,
  noteService,
  type Running,
  startProcess,
  temporaryFolder,
} from "./provision.js";

/** Real Redis servers for tests: one, with a replica and three Sentinels, and a Cluster of three masters. */

const HOST = "127.0.0.1";
const PROGRAMS = ["redis-server", "valkey-server"];

/** The server's program, from PATH or else from Debian; undefined, with a note for the summary, where there is none. */
export async function redisProgram(): Promise<string | undefined> {
  const find = () => PROGRAMS.map((name) => findProgram(name)).find((path) => path !== undefined);
  let program = find();
  if (program === undefined) {
    await installDebianPackages("redis-server");
    program = find();
  }
  if (program === undefined) {
    noteService(
      "redis",
      "skipped: there is no redis-server or valkey-server on PATH, and apt can't install one",
    );
    return undefined;
  }
  const { stdout } = await promisify(execFile)(program, ["--version"]);
  noteService("redis", `${basename(program)} ${/v=(\S+)/.exec(stdout)?.[1] ?? stdout.trim()} (${program})`);
  return program;
}

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** Its process id. It changes with `start`. */
  readonly pid: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again after `stop`, on the same port and data. */
  start(): Promise<void>;
  /** Sends one command on a connection of its own; the whole reply as text. */
  command(...args: string[]): Promise<string>;
}

export async function startRedis(program: string, ...settings: string[]): Promise<RedisServer> {
  const port = await busPort();
  const folder = join(temporaryFolder(), "redis");
  mkdirSync(folder);
  const args = ["--port", String(port), "--bind", HOST, "--dir", folder, "--save", "", ...settings];
  return startServer(program, args, port);
}

/** A primary with one replica, watched by three Sentinels. */
export async function startSentinels(program: string, ...settings: string[]) {
  const primary = await startRedis(program, ...settings);
  const replica = await startRedis(program, ...settings, "--replicaof", HOST, String(primary.port));
  await until(async () => (await replica.command("INFO", "replication")).includes("master_link_status:up"));
  const name = "sessions";
  const watchers = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const port = await busPort();
      const file = join(temporaryFolder(), "sentinel.conf");
      writeFileSync(
        file,
        `port ${port}
bind ${HOST}
dir ${temporaryFolder()}
sentinel monitor ${name} ${HOST} ${primary.port} 2
sentinel down-after-milliseconds ${name} 1000
sentinel failover-timeout ${name} 3000
`,
      );
      return startServer(program, [file, "--sentinel"], port);
    }),
  );
  // A failover needs Sentinels that know each other and the replica.
  for (const watcher of watchers) {
    await until(async () => {
      const state = await watcher.command("INFO", "sentinel");
      return /slaves=1,sentinels=3/.test(state);
    });
  }
  return {
    name,
    primary,
    replica,
    sentinels: watchers.map(({ port }) => ({ host: HOST, port })),
    async stop() {
      await Promise.all([...watchers, primary, replica].map((server) => server.stop("SIGKILL")));
    },
  };
}

/** Three masters that share the slots. */
export async function startCluster(program: string) {
  const masters = await Promise.all(
    Array.from({ length: 3 }, () =>
      startRedis(program, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
    ),
  );
  const slots = Array.from({ length: 16_384 }, (_, slot) => String(slot));
  for (const [n, master] of masters.entries()) {
    await master.command("CLUSTER", "SET-CONFIG-EPOCH", String(n + 1));
    await master.command(
      "CLUSTER",
      "ADDSLOTS",
      ...slots.filter((_, slot) => Math.floor((slot * 3) / slots.length) === n),
    );
  }
  for (const master of masters.slice(1)) {
    await master.command("CLUSTER", "MEET", HOST, String(masters[0]!.port));
  }
  for (const master of masters) {
    await until(async () => (await master.command("CLUSTER", "INFO")).includes("cluster_state:ok"));
  }
  return {
    masters,
    nodes: masters.map(({ port }) => ({ host: HOST, port })),
    async stop() {
      await Promise.all(masters.map((server) => server.stop("SIGKILL")));
    },
  };
}

async function startServer(program: string, args: readonly string[], port: number): Promise<RedisServer> {
  const launch = () =>
    startProcess(program, args, async () => {
      const answer = await send(port, ["PING"]);
      if (!answer.startsWith("+PONG")) throw new Error(answer);
    });
  let running: Running = await launch();
  return {
    port,
    url: `redis://${HOST}:${port}`,
    get pid() {
      return running.process.pid!;
    },
    stop: (signal) => running.stop(signal),
    async start() {
      running = await launch();
    },
    command: (...args) => send(port, args),
  };
}

/** A free port whose Cluster bus port, 10,000 above, is a valid one. */
async function busPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (port <= 55_535) return port;
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 50) {
    if (await condition()) return;
    await delay(50);
  }
  throw new Error(`the servers did not get ready: ${condition}`);
}

/** One command in the protocol of Redis (RESP 2), without a driver, on a connection that ends with the reply. */
function send(port: number, args: readonly string[]): Promise<string> {
  const words = args.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, HOST);
    let reply = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      reply += chunk;
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(reply));
    socket.end(`*${words.length}\r\n${words.join("")}`);
  });
}
