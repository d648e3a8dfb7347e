/**
 * Several processes on one store: `npm run bench:cluster`. `node:cluster` with one worker and with two, on SQLite and on Redis:
 * throughput, and whether every increment that was acknowledged is kept, and a logout in one worker seen by the other.
 */
import { deepStrictEqual, strictEqual } from "node:assert";
import cluster from "node:cluster";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readOptions } from "./command-line.js";
import { startDatabaseServers } from "./database-servers.js";
import { nextMessage, startLoadGenerator } from "./http/processes.js";
import { SCENARIOS } from "./http/scenarios.js";
import { writeArtifact } from "./report/artifacts.js";
import { markdownTable } from "./report/markdown.js";
import { columns } from "./report/terminal.js";
import { median } from "./statistics.js";

const STORES = ["sqlite", "redis"];
const options = readOptions("npm run bench:cluster --", {
  stores: { value: STORES, choices: STORES, help: "which stores" },
  workers: { value: [1, 2], help: "how many workers" },
  seconds: { value: 2, help: "seconds a round" },
  rounds: { value: 3, help: "rounds" },
  connections: { value: 32, help: "browsers at the same time" },
});
/** Of one session's browsers, so that many of its writes overlap, within a worker and between two. */
const BROWSERS_A_SESSION = 4;

cluster.setupPrimary({ exec: fileURLToPath(new URL("cluster/worker.js", import.meta.url)) });
const folder = mkdtempSync(join(tmpdir(), "holdfast-cluster-"));
const databases = await startDatabaseServers(options.stores.filter((name) => name !== "sqlite"));
const generator = startLoadGenerator();
const results = [];
try {
  for (const name of options.stores) {
    const location = name === "sqlite" ? join(folder, "sessions.db") : databases.servers[name]?.url;
    if (location === undefined) continue;
    for (const count of options.workers) results.push(await measureWorkers(name, location, count));
  }
} finally {
  await generator.stop();
  await databases.stop();
  rmSync(folder, { recursive: true, force: true });
}
report();

async function measureWorkers(store, location, count) {
  const workers = await startWorkers(location, count);
  const { port } = workers;
  try {
    const { connections, seconds, rounds } = options;
    const group = `${store} ${count}`;
    await generator.browsers({ group, count: connections });
    await generator.once({ group, port, method: "POST", path: "/start", answer: '{"started":true' });
    const throughput = async (name) => {
      const load = { ...SCENARIOS.find((scenario) => scenario.name === name), group, port, connections };
      await generator.load({ ...load, seconds: seconds / 2 });
      const rates = [];
      for (let round = 0; round < rounds; round++) {
        const { requests, seconds: elapsed } = await generator.load({ ...load, seconds });
        rates.push(requests / elapsed);
      }
      return Math.round(median(rates));
    };
    const figures = { read: await throughput("read"), write: await throughput("write") };
    await assertLogout(workers);
    return { store, workers: count, ...figures, ...(await increment(workers, group)) };
  } finally {
    await workers.stop();
  }
}

/** Several browsers share each session: none of their acknowledged increments may be lost. */
async function increment({ port, each }, name) {
  const before = await Promise.all(each.map(({ written }) => written()));
  const groups = [];
  for (let n = 0; n < options.connections / BROWSERS_A_SESSION; n++) {
    const group = `${name} session ${n}`;
    const cookie = await startSession(port);
    await generator.browsers({ group, count: BROWSERS_A_SESSION, cookie });
    groups.push({ group, cookie });
  }
  const load = { ...SCENARIOS.find(({ name }) => name === "write"), port, connections: BROWSERS_A_SESSION };
  const runs = await Promise.all(
    groups.map(({ group }) => generator.load({ ...load, group, seconds: options.seconds })),
  );
  let acknowledged = 0;
  for (const [index, { group }] of groups.entries()) {
    const answers = await generator.once({ group, port, method: "GET", path: "/check" });
    const counts = new Set(answers.map(({ body }) => JSON.parse(body).count));
    deepStrictEqual([...counts], [runs[index].requests], `${name}: increments were lost`);
    acknowledged += runs[index].requests;
  }
  const after = await Promise.all(each.map(({ written }) => written()));
  const shares = after.map((written, index) => written - before[index]);
  strictEqual(
    shares.reduce((sum, share) => sum + share),
    acknowledged,
  );
  return { acknowledged, shares };
}

/** What one worker has ended, no worker takes any more. */
async function assertLogout({ port, each }) {
  for (const { own } of each) {
    const cookie = await startSession(port);
    await ask(own, "POST", "/logout", cookie);
    for (const { own: other } of each) strictEqual((await ask(other, "GET", "/read", cookie)).name, "nobody");
  }
}

async function startSession(port) {
  const response = await fetch(`http://127.0.0.1:${port}/start`, { method: "POST" });
  return response.headers.getSetCookie()[0].split(";", 1)[0];
}

async function ask(port, method, path, cookie) {
  return (await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { cookie } })).json();
}

async function startWorkers(location, count) {
  const each = [];
  for (let n = 0; n < count; n++) {
    const env = {
      STORE: location,
      PORT: each[0]?.shared ?? 0,
      NODE_ENV: "production",
      NODE_NO_WARNINGS: "1",
    };
    const worker = cluster.fork(env);
    const ports = await nextMessage(worker, "a worker");
    const written = async () => {
      const answer = nextMessage(worker, "a worker");
      worker.send("written");
      return (await answer).written;
    };
    each.push({ worker, ...ports, written });
  }
  const stop = () =>
    Promise.all(
      each.map(({ worker }) => {
        const ended = new Promise((resolve) => worker.once("exit", resolve));
        worker.kill();
        return ended;
      }),
    );
  return { port: each[0].shared, each, stop };
}

function report() {
  const head = ["", "read, req/s", "write, req/s", "increments kept", "by each worker"];
  const rows = results.map(({ store, workers, read, write, acknowledged, shares }) => [
    `${store}, ${workers} ${workers === 1 ? "worker" : "workers"}`,
    String(read),
    String(write),
    `${acknowledged} of ${acknowledged}`,
    shares.join(" + "),
  ]);
  console.log(`\n${columns([head, ...rows])}\n\nA logout in each worker was seen by every other.`);
  const files = [
    writeArtifact(
      "cluster.json",
      JSON.stringify({ node: process.version, settings: options, results }, null, 2),
    ),
    writeArtifact("cluster.md", `${markdownTable(head, rows)}\n`),
  ];
  console.log(`Node ${process.version}. The figures: ${files.join(", ")}`);
}
