import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore } from "../../src/stores/url.js";
import { provideMongodb } from "../services/mongodb.js";
import { startMysql } from "../services/mysql.js";
import { startPostgres } from "../services/postgres.js";
import { redisProgram, startRedis } from "../services/redis.js";
import { call, newId, recordOf } from "../support/sql.js";
import { temporaryFile } from "../support/stores.js";
import { fill, hasTerminal, holdfast, onTerminal } from "./command-line.js";

/** Every command on every store by its URL, on real servers. */

interface Server {
  readonly url: string;
  close(): Promise<unknown>;
}

async function startRedisServer(): Promise<Server | undefined> {
  const program = await redisProgram();
  if (program === undefined) return undefined;
  const server = await startRedis(program);
  await server.command("CONFIG", "SET", "requirepass", "hunter2");
  const url = server.url.replace("redis://", "redis://:hunter2@");
  return { url, close: () => server.stop("SIGKILL") };
}

const SERVERS: ReadonlyArray<{
  name: string;
  start(): Promise<Server | undefined>;
  /** Whether it removes what has expired by itself. */
  expires: boolean;
  program: RegExp;
  /** What doctor has to say of a server as tests start it. */
  weak: readonly string[];
}> = [
  {
    name: "sqlite",
    start: async () => ({ url: temporaryFile("sessions.db"), close: async () => {} }),
    expires: false,
    program: /^SQLite \d/,
    weak: [],
  },
  {
    name: "redis",
    start: startRedisServer,
    expires: true,
    program: /^(Redis|Valkey) \d/,
    weak: ["store-not-durable"],
  },
  { name: "postgres", start: startPostgres, expires: false, program: /^PostgreSQL \d/, weak: [] },
  { name: "mysql", start: startMysql, expires: false, program: /^(MariaDB|MySQL) \d/, weak: [] },
  { name: "mongodb", start: provideMongodb, expires: false, program: /^MongoDB \d/, weak: [] },
];

describe.each(SERVERS)("on $name", ({ name, start, expires, program, weak }) => {
  let server: Server | undefined;
  let ids: string[];
  const run = (...args: string[]) => holdfast([...args, "--store", server!.url]);
  const lines = (text: string) => text.split("\n").filter(Boolean);

  beforeAll(async () => {
    server = await start();
    if (server === undefined) return;
    const store = await openStore(server.url);
    await store.migrate?.();
    ids = await fill(store, [
      ...Array.from({ length: 450 }, (_, n) => `user-${n % 90}`),
      undefined,
      undefined,
    ]);
    const past = Date.now() - 1000;
    const expired = { idleDeadline: past, absoluteDeadline: past };
    for (let n = 0; n < 30; n++) await store.create(newId(), recordOf(null, expired), call());
    await store.close();
  });
  afterAll(() => server?.close());

  it("lists, shows, counts, sweeps and ends sessions", async (context) => {
    if (server === undefined) context.skip(`${name}: no server`);
    const all = await run("ls", "--json");
    expect(all.stderr).toBe("");
    const listed = lines(all.stdout).map((line) => JSON.parse(line).id);
    expect([...new Set(listed)].sort()).toEqual([...ids].sort());
    expect(lines((await run("ls", "--json", "--user", "user-7")).stdout)).toHaveLength(5);
    expect(JSON.parse((await run("show", ids[0]!, "--json")).stdout)).toMatchObject({ userId: "user-0" });

    const stats = async () => JSON.parse((await run("stats", "--json")).stdout);
    expect(await stats()).toMatchObject({
      living: 452,
      withUser: 450,
      anonymous: 2,
      users: 90,
      expired: expires ? 0 : 30,
      store: expect.not.stringContaining("hunter2"),
    });
    expect(JSON.parse((await run("sweep", "--json")).stdout)).toEqual({ removed: expires ? 0 : 30 });
    expect(await stats()).toMatchObject({ living: 452, expired: 0 });

    const ended = async (...args: string[]) =>
      JSON.parse((await run("revoke", "--yes", "--json", ...args)).stdout);
    expect(await ended(ids[0]!)).toEqual({ revoked: 1 });
    expect(await ended("--user", "user-1", "--except", ids[1]!)).toEqual({ revoked: 4 });
    expect(await ended("--all")).toEqual({ revoked: 447 });
    expect((await run("ls")).stdout).toBe("");
  });

  it.skipIf(!hasTerminal)("shows on a terminal how far it is", async (context) => {
    if (server === undefined) context.skip(`${name}: no server`);
    const store = await openStore(server!.url);
    await fill(
      store,
      Array.from({ length: 20 }, () => "ada"),
    );
    await store.close();
    const { stdout, code } = await onTerminal(["revoke", "--all", "--store", server!.url], { answer: "y\r" });
    expect(code).toBe(0);
    expect(stdout).toContain("End all 20 sessions, of everybody,");
    expect(stdout).not.toContain("hunter2");
    expect(stdout.trimEnd()).toMatch(/ended 20 sessions$/);
  });

  // On the others where somebody wants to wait for it.
  const COUNT = 100_000;
  it.runIf(name === "sqlite" || process.env.HOLDFAST_CLI_VOLUME)(
    "goes through a hundred thousand in little memory",
    async (context) => {
      if (server === undefined) context.skip(`${name}: no server`);
      await run("sweep");
      const store = await openStore(server!.url);
      const now = Date.now();
      const head = JSON.stringify({ format: 1, createdAt: now, seenAt: now, tokenAt: now });
      const payload = `${head}\n${JSON.stringify({ cart: "x".repeat(300) })}`;
      const past = { idleDeadline: now - 1, absoluteDeadline: now - 1 };
      for (let n = 0; n < COUNT; n += 500) {
        const some = Array.from({ length: 500 }, (_, m) => {
          const changes = { payload, ...((n + m) % 4 === 0 && !expires && past) };
          return store.create(newId(), recordOf(`user-${(n + m) % 10_000}`, changes), call());
        });
        await Promise.all(some);
      }
      await store.close();
      // What kept the sessions that it reads would need more than this.
      const env = { NODE_OPTIONS: "--max-old-space-size=24" };
      const living = expires ? COUNT : (COUNT * 3) / 4;
      const command = (...args: string[]) => holdfast([...args, "--json", "--store", server!.url], env);
      const listed = await command("ls");
      expect([listed.code, listed.stderr]).toEqual([0, ""]);
      expect(lines(listed.stdout).length).toBeGreaterThanOrEqual(living);
      const stats = JSON.parse((await command("stats")).stdout);
      expect(stats.expired).toBe(COUNT - living);
      expect(stats.living).toBeGreaterThanOrEqual(living);
      expect(JSON.parse((await command("sweep")).stdout)).toEqual({ removed: COUNT - living });
    },
    300_000,
  );

  it("tells doctor of itself", async (context) => {
    if (server === undefined) context.skip(`${name}: no server`);
    const dist = fileURLToPath(new URL("../../dist", import.meta.url));
    const module = temporaryFile("sessions.mjs");
    writeFileSync(
      module,
      `import { createSessions, secretsFromEnv } from ${JSON.stringify(`${dist}/index.js`)};
       import { openStore } from ${JSON.stringify(`${dist}/stores/url.js`)};
       export const sessions = createSessions({ secrets: secretsFromEnv("SECRETS"), csrf: true, guessLimit: true,
         encrypt: true, store: await openStore(process.env.STORE) });`,
    );
    const env = { SECRETS: "kA0sUwQmRk9iYhqvT5u8c1Wn3bX7dE2fGzJ4lP6oSyM", STORE: server!.url };
    const { stdout } = await holdfast(["doctor", module, "--env", "production", "--json"], env);
    const report = JSON.parse(stdout);
    const found = report.findings.map(({ id }: { id: string }) => id);
    expect(found.filter((id: string) => id !== "node-unsupported")).toEqual(weak);
    expect(report.store.server).toMatch(program);
    expect(report.store.latencyMs).toBeGreaterThanOrEqual(0);
    if (["redis", "postgres", "mysql"].includes(name))
      expect(Number.isInteger(report.store.clockSkewMs)).toBe(true);
    expect(stdout).not.toContain("hunter2");
  });
});

describe("names that a URL can't hold", () => {
  it("of a table of SQLite", async () => {
    const path = temporaryFile("sessions.db");
    const store = await openStore(path, { table: "shop" });
    await fill(store, ["ada"]);
    await store.close();
    expect((await holdfast(["ls", "--store", path])).code).toBe(3);
    expect((await holdfast(["ls", "--store", path, "--table", "shop"])).stdout).toContain("ada");
  });
});
