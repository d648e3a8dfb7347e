import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { type Db, MongoClient } from "mongodb";
import {
  exclusively,
  findProgram,
  freePort,
  noteService,
  startProcess,
  temporaryFolder,
} from "./provision.js";

/**
 * A server that speaks MongoDB's protocol: MONGODB_URL, else a `mongod` on PATH, else FerretDB v1.24.1 built with Go, else
 * mongo-java-server from Maven Central. A server in whose hands compare-and-swap isn't atomic is passed over.
 */
export interface MongodbService {
  /** Program and version, for messages. */
  readonly what: string;
  /** With a database of this run's own. */
  readonly url: string;
  readonly database: string;
  /** Whether it can tell how it runs a query. */
  readonly explains: boolean;
  /** Whether it removes by a TTL index, and does so every second. */
  readonly expires: boolean;
  /** Where it listens, and how to stop, freeze and start it; undefined for a server that isn't this run's own. */
  readonly control: MongodbControl | undefined;
  close(): Promise<void>;
}

export interface MongodbControl {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
  start(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): void;
}

const run = promisify(execFile);
const CACHE = join(homedir(), ".cache", "holdfast");
const JAVA_SERVER = "1.47.0";

interface Candidate {
  readonly name: string;
  /** The command line for a port and a folder; undefined, with the reason noted, where it is not to be had. */
  command(port: number, folder: string): Promise<[string, string[]] | undefined>;
  /** What a server does once it listens. */
  prepare?(db: Db, address: string): Promise<unknown>;
  readonly signal: NodeJS.Signals;
  readonly query?: string;
}

/** Undefined where no server is to be had: then the reasons are noted for the closing summary. */
export async function provideMongodb(): Promise<MongodbService | undefined> {
  const database = `holdfast_test_${randomBytes(6).toString("hex")}`;
  const { MONGODB_URL } = process.env;
  if (MONGODB_URL !== undefined) {
    const service = await describeService("MONGODB_URL", withDatabase(MONGODB_URL, database), database);
    noteService("mongodb", service.what);
    return service;
  }
  const reasons: string[] = [];
  for (const candidate of [MONGOD, JAVA]) {
    try {
      const service = await startCandidate(candidate, database);
      const note = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
      noteService("mongodb", `${service.what}${note}`);
      return service;
    } catch (error) {
      reasons.push(`${candidate.name}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  noteService("mongodb", `SKIPPED, no server is to be had (${reasons.join("; ")})`);
  return undefined;
}

const MONGOD: Candidate = {
  name: "mongod",
  signal: "SIGKILL",
  query: "?replicaSet=rs0",
  async command(port, folder) {
    const path = findProgram("mongod");
    if (path === undefined) return undefined;
    const options = [
      "--dbpath",
      folder,
      "--port",
      String(port),
      "--bind_ip",
      "127.0.0.1",
      "--replSet",
      "rs0",
    ];
    return [path, [...options, "--setParameter", "ttlMonitorSleepSecs=1"]];
  },
  async prepare(db, host) {
    const members = [{ _id: 0, host }];
    await db.command({ replSetInitiate: { _id: "rs0", members } }).catch((error) => {
      if (error.codeName !== "AlreadyInitialized") throw error;
    });
    const { isWritablePrimary } = await db.command({ hello: 1 });
    if (!isWritablePrimary) throw new Error("it is not primary yet");
  },
};

/** It says that it is 4.4, the oldest that the drivers talk to; every command that the store uses is there. */
const JAVA_MAIN = `
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.util.List;

public class Main {
  public static void main(String[] arguments) throws Exception {
    MongoVersion version = new MongoVersion() {
      public List<Integer> getVersionArray() { return List.of(4, 4, 0); }
      public int getWireVersion() { return 9; }
    };
    MongoServer server = new MongoServer(new H2Backend(arguments[1]).version(version));
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
  }
}
`;

const JAVA_PROJECT = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>holdfast</groupId><artifactId>mongodb-for-tests</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server-h2-backend</artifactId><version>${JAVA_SERVER}</version>
  </dependency></dependencies>
</project>
`;

const JAVA: Candidate = {
  name: `mongo-java-server ${JAVA_SERVER} (H2 backend, not MongoDB itself)`,
  signal: "SIGTERM",
  async command(port, folder) {
    const java = findProgram("java");
    if (java === undefined) return undefined;
    const home = join(CACHE, `mongo-java-server-${JAVA_SERVER}`);
    await exclusively("mongo-java-server", async () => {
      if (existsSync(join(home, "Main.class"))) return;
      const [javac, maven] = [findProgram("javac"), findProgram("mvn")];
      if (!javac || !maven) throw new Error("it needs javac and mvn");
      mkdirSync(home, { recursive: true });
      writeFileSync(join(home, "pom.xml"), JAVA_PROJECT);
      writeFileSync(join(home, "Main.java"), JAVA_MAIN);
      const copy = ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"];
      await run(maven, copy, { cwd: home, timeout: 10 * 60_000 });
      await run(javac, ["-cp", "lib/*", "Main.java"], { cwd: home });
    });
    return [java, ["-cp", `${home}:${home}/lib/*`, "Main", String(port), join(folder, "mongodb.mv")]];
  },
};

async function startCandidate(candidate: Candidate, database: string): Promise<MongodbService> {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const command = await candidate.command(port, temporaryFolder());
  if (command === undefined) throw new Error("it is not installed");

  const ready = async () => {
    const probe = new MongoClient(
      `mongodb://${address}/?directConnection=true&serverSelectionTimeoutMS=1000`,
    );
    try {
      await probe.db("admin").command({ ping: 1 });
      await candidate.prepare?.(probe.db("admin"), address);
    } finally {
      await probe.close();
    }
  };
  const start = () => startProcess(command[0], command[1], ready);
  let running = await start();
  const control: MongodbControl = {
    host: "127.0.0.1",
    port,
    stop: () => running.stop(candidate.signal),
    start: async () => {
      running = await start();
    },
    async freeze() {
      running.process.kill("SIGSTOP");
      await untilStopped(running.process.pid!);
    },
    thaw: () => running.process.kill("SIGCONT"),
  };
  try {
    const url = `mongodb://${address}/${database}${candidate.query ?? ""}`;
    return await describeService(candidate.name, url, database, control);
  } catch (error) {
    await running.stop("SIGKILL");
    throw error;
  }
}

async function describeService(
  name: string,
  url: string,
  database: string,
  control?: MongodbControl,
): Promise<MongodbService> {
  const client = new MongoClient(url);
  try {
    const db = client.db();
    await assertSwapsAtomically(db);
    const probe = db.collection("probe");
    const explains = await probe.find().explain().then(yes, no);
    const hasTtl = await probe.createIndex({ at: 1 }, { expireAfterSeconds: 0 }).then(yes, no);
    const expires = name === MONGOD.name;
    const lacks = [];
    if (!hasTtl) lacks.push("TTL indexes");
    else if (!expires) lacks.push("removal by the TTL index");
    if (!explains) lacks.push("query plans (explain)");
    if (control === undefined) lacks.push("stopping it, as it isn't ours");
    const { version } = await db.command({ buildInfo: 1 });
    // The others' names have their versions, and they say here which MongoDB they resemble.
    const what = name === MONGOD.name || control === undefined ? `${name} ${version}` : name;
    return {
      what: lacks.length === 0 ? what : `${what}, without: ${lacks.join(", ")}`,
      url,
      database,
      explains,
      expires,
      control,
      async close() {
        if (control === undefined) await db.dropDatabase();
        await client.close();
        await control?.stop();
      },
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** A URL with another database, and the one that it had, or "admin", as the one of its user. */
function withDatabase(url: string, database: string): string {
  const [, start, before, query = "?"] = /^([^/]+\/\/[^/?]+)\/?([^?]*)(\?.*)?$/.exec(url) ?? [];
  if (start === undefined) throw new Error("MONGODB_URL is not a connection string");
  const authSource =
    start.includes("@") && !/[?&]authSource=/i.test(query) ? `&authSource=${before || "admin"}` : "";
  return `${start}/${database}${query}${authSource}`;
}

/** What every store of this package builds on, so a server without it can show nothing. */
async function assertSwapsAtomically(db: Db): Promise<void> {
  const probe = db.collection<any>("probe");
  await probe.insertOne({ _id: "swapped", version: 0 });
  for (let version = 0; version < 20; version++) {
    const swap = (writer: number) =>
      probe.replaceOne({ _id: "swapped", version }, { version: version + 1, writer });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, writer) => swap(writer)));
    const winners = answers.filter(({ matchedCount }) => matchedCount > 0).length;
    if (winners !== 1) throw new Error(`of 20 that compared and swapped at once, ${winners} won`);
  }
}

const yes = () => true;
const no = () => false;

/** A signal takes its time on a busy machine. Resolves once every thread of the process stands still, where that can be seen. */
async function untilStopped(pid: number): Promise<void> {
  const threads = `/proc/${pid}/task`;
  if (!existsSync(threads)) return;
  const isStopped = (thread: string) =>
    / [Tt] /.test(readFileSync(`${threads}/${thread}/stat`, "utf8").replace(/\(.*\)/, ""));
  while (!readdirSync(threads).every(isStopped)) await delay(5);
}
