/**
 * Does a session cost more where there are many? `npm run bench:scale` fills SQLite, Redis and PostgreSQL with sessions, and
 * measures a read, a write, the list of a user's sessions and a sweep at each size, through the library's own interface. Then it
 * soaks a server in an hour's worth of requests and watches its memory.
 */
import { strictEqual } from "node:assert";
import { createSessions } from "holdfast";
import { readOptions } from "./command-line.js";
import { startDatabaseServers } from "./database-servers.js";
import { startLoadGenerator } from "./http/processes.js";
import { writeArtifact } from "./report/artifacts.js";
import { markdownTable } from "./report/markdown.js";
import { columns } from "./report/terminal.js";
import { requestOf, SECRET, sampleRecord, userOf } from "./scale/population.js";
import { openPostgres } from "./scale/postgres.js";
import { openRedis } from "./scale/redis.js";
import { growth, soak } from "./scale/soak.js";
import { openSqlite } from "./scale/sqlite.js";

const OPEN = { sqlite: openSqlite, redis: openRedis, postgres: openPostgres };
const options = readOptions("npm run bench:scale --", {
  stores: { value: Object.keys(OPEN), choices: Object.keys(OPEN), help: "which stores" },
  sizes: { value: [10_000, 1_000_000], help: "how many sessions, as in 10k,1m,10m" },
  users: { value: 1_000_000, help: "over how many users" },
  operations: { value: 3000, help: "how many of each are measured" },
  soak: { value: 180_000, help: "requests of the soak (180,000 are 50 a second for an hour); 1 for none" },
  name: { value: "scale", help: "what the files in artifacts/ are called" },
});
const HOUR = 3_600_000;
/** Where the numbers of the sessions begin that are made to be swept. */
const EXPIRED_FROM = 1e9;
const EXPIRED = 5000;

const databases = await startDatabaseServers(options.stores.filter((name) => name !== "sqlite"));
const stores = options.stores.filter((name) => name === "sqlite" || databases.servers[name] !== undefined);
const sizes = [...options.sizes].sort((a, b) => a - b);
const results = [];
const soaks = [];
try {
  for (const name of stores) await measureStore(name);
  if (options.soak > 1) await soakServers();
} finally {
  await databases.stop();
}
report();

async function measureStore(name) {
  const backend = await OPEN[name](databases.servers[name]);
  // No touch and no renewal while this runs: they would be measured as reads.
  const sessions = createSessions({
    secrets: [SECRET],
    store: backend.store,
    idleTimeout: 10 * HOUR,
    touchInterval: 9 * HOUR,
    renewAfter: false,
    sweepInterval: false,
    storeTimeout: "60s",
  });
  try {
    const sample = await sampleRecord(sessions, backend.store);
    const { users } = options;
    const filling = { ...sample, sampleId: sample.id, users, idleDeadline: Date.now() + 10 * HOUR };
    const bytesBefore = await backend.bytes();
    let filled = 0;
    for (const size of sizes) {
      const lack = backend.lacks?.(size - filled);
      if (lack !== undefined) {
        console.log(`${name}, ${shownCount(size)} sessions: SKIPPED, ${lack}`);
        break;
      }
      const began = performance.now();
      await backend.fill({ ...filling, from: filled, to: size });
      filled = size;
      const fillSeconds = (performance.now() - began) / 1000;
      const bytes = ((await backend.bytes()) - bytesBefore) / size;
      strictEqual(await backend.count(), size + 1, `${name} holds another number of sessions`);
      const figures = await measureSize(name, backend, sessions, filling, size);
      results.push({ store: name, size, fillSeconds, bytes, ...figures });
      console.log(`${name}, ${shownCount(size)} sessions: filled in ${fillSeconds.toFixed(0)} s, measured`);
    }
  } finally {
    await sessions.close();
    await backend.close();
  }
}

async function measureSize(name, backend, sessions, filling, size) {
  const { users, operations } = options;
  const someNumber = () => Math.floor(Math.random() * size);
  const read = async (n) => {
    const exchange = await sessions.open(requestOf(n));
    strictEqual(exchange.session.data.user.id, userOf(n, users));
    await exchange.commit();
  };
  const write = async (n) => {
    const exchange = await sessions.open(requestOf(n));
    exchange.session.data.count++;
    await exchange.commit();
  };
  const perUser = new Set();
  const list = async (n) => {
    const found = await sessions.ofUser(userOf(n, users)).list();
    strictEqual(found.length, sessionsOf(n % users, size, users), "a user has another number of sessions");
    perUser.add(found.length);
  };
  const measure = async (operation, count) => {
    for (let n = 0; n < count / 3; n++) await operation(someNumber());
    const times = [];
    for (let n = 0; n < count; n++) {
      const number = someNumber();
      const began = performance.now();
      await operation(number);
      times.push((performance.now() - began) * 1000);
    }
    times.sort((a, b) => a - b);
    return { p50: times[count >> 1], p99: times[Math.floor(count * 0.99)] };
  };
  const figures = {
    read: await measure(read, operations),
    write: await measure(write, operations),
    list: await measure(list, operations),
    sessionsPerUser: Math.max(...perUser),
  };
  // What was written is there, and nothing else changed.
  strictEqual((await sessions.open(requestOf(size - 1))).session.userId, userOf(size - 1, users));
  if (name === "redis") return figures; // It removes what has expired by itself.

  const expired = { from: EXPIRED_FROM, to: EXPIRED_FROM + EXPIRED, idleDeadline: Date.now() - 1000 };
  const sweeps = [];
  for (let round = 0; round < 3; round++) {
    await backend.fill({ ...filling, ...expired });
    const began = performance.now();
    strictEqual(await sessions.sweep(), EXPIRED, "the sweep removed another number of sessions");
    sweeps.push(((performance.now() - began) * 1000) / EXPIRED);
  }
  strictEqual(await backend.count(), size + 1, "the sweep removed a living session");
  return { ...figures, sweep: sweeps.sort((a, b) => a - b)[1] };
}

function sessionsOf(user, size, users) {
  return Math.floor(size / users) + (user < size % users ? 1 : 0);
}

async function soakServers() {
  const generator = startLoadGenerator();
  try {
    for (const name of stores) {
      const samples = await soak(`express/holdfast-${name}`, options.soak, generator, databases.env);
      soaks.push({
        store: name,
        samples,
        heapGrowth: growth(samples, "heap"),
        rssGrowth: growth(samples, "rss"),
      });
      console.log(`${name}: soaked in ${shownCount(samples.at(-1).requests)} requests`);
    }
  } finally {
    await generator.stop();
  }
}

function report() {
  const time = (microseconds) => (microseconds === undefined ? "by itself" : `${microseconds.toFixed(0)} µs`);
  const both = ({ p50, p99 }) => `${p50.toFixed(0)} / ${p99.toFixed(0)} µs`;
  const head = ["", "bytes a session", "read p50 / p99", "write", "list by user", "of", "sweep, each"];
  const rows = results.map(({ store, size, bytes, read, write, list, sessionsPerUser, sweep }) => [
    `${store}, ${shownCount(size)}`,
    String(Math.round(bytes)),
    both(read),
    both(write),
    both(list),
    String(sessionsPerUser),
    time(sweep),
  ]);
  const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
  const soakHead = [
    "soak",
    "requests",
    "heap: half-way",
    "at the end",
    "a request",
    "rss: half-way",
    "at the end",
  ];
  const soakRows = soaks.map(({ store, samples, heapGrowth }) => {
    const [half, end] = [samples[samples.length >> 1], samples.at(-1)];
    return [
      `express, ${store}`,
      shownCount(end.requests),
      megabytes(half.heap),
      megabytes(end.heap),
      `${heapGrowth.toFixed(1)} B`,
      megabytes(half.rss),
      megabytes(end.rss),
    ];
  });
  if (rows.length > 0) console.log(`\n${columns([head, ...rows])}`);
  if (soakRows.length > 0) console.log(`\n${columns([soakHead, ...soakRows])}`);
  const { name, ...settings } = options;
  const json = { date: new Date().toISOString(), node: process.version, settings, results, soaks };
  const files = [
    writeArtifact(`${name}.json`, JSON.stringify(json, null, 2)),
    rows.length > 0 && writeArtifact(`${name}.md`, `${markdownTable(head, rows)}\n`),
    soakRows.length > 0 && writeArtifact(`${name}-soak.md`, `${markdownTable(soakHead, soakRows)}\n`),
  ];
  console.log(`\nNode ${process.version}. The figures: ${files.filter(Boolean).join(", ")}`);
}

function shownCount(count) {
  if (count >= 1e6) return `${Number((count / 1e6).toFixed(2))} million`;
  return count.toLocaleString("en");
}
