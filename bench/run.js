/**
 * Measures what sessions add to a request: `npm run bench`, or with seconds a round `npm run bench -- 5`.
 *
 * Each variant is a server process of its own; this process makes the load. Variants take turns in every round, so that
 * whatever else the machine does meets them all. The figure is the added time per request over bare Express,
 * 1/rps - 1/rps of bare, and its ratio to express-session's. Beside it stands the same of the server's processor time,
 * which says less about waiting but doesn't mind a busy machine.
 */
import { fork } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import autocannon from "autocannon";

const SECONDS = Number(process.argv[2] ?? 3);
const ROUNDS = 3;
const CONNECTIONS = 32;
const VARIANTS = ["bare", "express-session", "holdfast-memory", "holdfast-sqlite"];
const SCENARIOS = [
  { name: "anonymous reader", method: "GET", path: "/read", session: false, expect: "nobody" },
  {
    name: "read of an existing session",
    method: "GET",
    path: "/read",
    session: true,
    expect: "Ada Lovelace",
  },
  { name: "write of one key", method: "POST", path: "/write", session: true, expect: "Ada Lovelace" },
];

async function start(variant) {
  const path = fileURLToPath(new URL("server.js", import.meta.url));
  const child = fork(path, [variant], {
    env: { ...process.env, NODE_ENV: "production", NODE_NO_WARNINGS: "1" },
  });
  const port = await new Promise((resolve, reject) => {
    child.once("message", (message) => resolve(message.port));
    child.once("exit", (code) => reject(new Error(`${variant} ended with ${code}`)));
  });
  const url = `http://127.0.0.1:${port}`;
  const started = await fetch(`${url}/start`, { method: "POST" });
  const cookie = started.headers.getSetCookie()[0]?.split(";", 1)[0];
  return { variant, child, url, cookie };
}

async function cpuTime(child) {
  const answer = new Promise((resolve) => child.once("message", resolve));
  child.send("cpu");
  return (await answer).cpu;
}

async function measure({ url, cookie, variant, child }, { method, path, session, expect }, seconds) {
  const headers = session && cookie ? { cookie } : {};
  const probe = await fetch(url + path, { method, headers });
  const { name } = await probe.json();
  // The bare application has no sessions, so it always knows the name.
  if (variant !== "bare" && name !== expect)
    throw new Error(`${variant} answered ${name} in place of ${expect}`);
  const cpuBefore = await cpuTime(child);
  const result = await autocannon({
    url: url + path,
    method,
    headers,
    connections: CONNECTIONS,
    duration: seconds,
  });
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${variant}: ${result.non2xx} errors`);
  const cpu = ((await cpuTime(child)) - cpuBefore) / result.requests.total;
  return { rps: result.requests.total / result.duration, cpu, p99: result.latency.p99 };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const servers = [];
for (const variant of VARIANTS) servers.push(await start(variant));
const report = [];
try {
  for (const scenario of SCENARIOS) {
    const rounds = new Map(VARIANTS.map((variant) => [variant, []]));
    for (const server of servers) await measure(server, scenario, 1);
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of servers) rounds.get(server.variant).push(await measure(server, scenario, SECONDS));
    }
    const rps = (variant) => median(rounds.get(variant).map((result) => result.rps));
    const cpu = (variant) => median(rounds.get(variant).map((result) => result.cpu));
    const added = (variant) => (1 / rps(variant) - 1 / rps("bare")) * 1e6;
    const addedCpu = (variant) => cpu(variant) - cpu("bare");
    console.log(
      `\n${scenario.name} (${CONNECTIONS} connections, median of ${ROUNDS} rounds of ${SECONDS} s)`,
    );
    for (const variant of VARIANTS) {
      const all = rounds.get(variant).map((result) => result.rps);
      const row = {
        scenario: scenario.name,
        variant,
        rps: Math.round(rps(variant)),
        spread: `${Math.round(Math.min(...all))}..${Math.round(Math.max(...all))}`,
        addedMicroseconds: Number(added(variant).toFixed(1)),
        ratio: Number((added(variant) / added("express-session")).toFixed(2)),
        addedCpuMicroseconds: Number(addedCpu(variant).toFixed(1)),
        cpuRatio: Number((addedCpu(variant) / addedCpu("express-session")).toFixed(2)),
        p99: median(rounds.get(variant).map((result) => result.p99)),
      };
      report.push(row);
      const cost =
        variant === "bare" ? "" : `+${row.addedMicroseconds} us, cpu +${row.addedCpuMicroseconds} us`;
      const ratio = variant.startsWith("holdfast")
        ? `${row.ratio} of express-session's, cpu ${row.cpuRatio}`
        : "";
      console.log(
        `  ${variant.padEnd(16)} ${String(row.rps).padStart(7)} req/s  ${row.spread.padStart(14)}  p99 ${String(row.p99).padStart(3)} ms  ${cost.padStart(26)}  ${ratio}`,
      );
    }
  }
} finally {
  for (const { child } of servers) child.kill();
}
const folder = fileURLToPath(new URL("../artifacts", import.meta.url));
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/bench.json`, JSON.stringify(report, null, 2));
console.log(`\nNode ${process.version}; the figures are in artifacts/bench.json`);
