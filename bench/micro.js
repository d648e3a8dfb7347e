/**
 * Measures the parts of a request: `npm run bench:micro`. Time by mitata; the bytes that one repetition allocates by the heap's
 * own counters, in a process where nothing is collected meanwhile.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { measure } from "mitata";
import { bytesAllocatedBy, METER_FLAGS } from "../packages/holdfast/test/cost/allocation-meter.mjs";
import { readOptions } from "./command-line.js";
import { PARTS } from "./micro/parts.js";
import { writeArtifact } from "./report/artifacts.js";
import { markdownTable } from "./report/markdown.js";
import { columns } from "./report/terminal.js";

const { filter } = readOptions("npm run bench:micro --", {
  filter: { value: "", help: "only parts with this in their name" },
});

// The meter needs a collector that can be called and that stays away otherwise.
if (globalThis.gc === undefined) {
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
    execArgv: METER_FLAGS,
    env: { ...process.env, NODE_ENV: "production", NODE_NO_WARNINGS: "1" },
  });
  child.once("exit", (code) => process.exit(code ?? 1));
} else {
  await measureParts();
}

async function measureParts() {
  const results = [];
  for (const part of PARTS.filter(({ name }) => name.includes(filter))) {
    const time = await timeOf(part);
    const bytes = await bytesAllocatedBy(await part.once(), { prepare: part.prepare });
    results.push({ part: part.name, ...time, bytes });
    process.stderr.write(".");
  }
  const head = ["", "average", "median", "99th percentile", "allocated"];
  const rows = results.map(({ part, average, median, p99, bytes }) => [
    part,
    shownTime(average),
    shownTime(median),
    shownTime(p99),
    `${bytes.toLocaleString("en")} B`,
  ]);
  console.log(`\n${columns([head, ...rows])}`);
  const report = { date: new Date().toISOString(), node: process.version, results };
  const files = [
    writeArtifact("micro.json", JSON.stringify(report, null, 2)),
    writeArtifact("micro.md", `${markdownTable(head, rows)}\n`),
  ];
  console.log(`\nNode ${process.version}. The figures: ${files.join(", ")}`);
}

async function timeOf(part) {
  const work = await part.once();
  const { prepare } = part;
  const answer = work(prepare?.());
  const isAsync = typeof answer?.then === "function";
  await answer;
  let timed = isAsync ? async () => work() : work;
  if (prepare !== undefined) {
    const bench = isAsync ? async (argument) => work(argument) : (argument) => work(argument);
    timed = function* () {
      yield { 0: prepare, bench };
    };
  }
  const { avg, p50, p99 } = await measure(timed);
  return { average: avg, median: p50, p99 };
}

function shownTime(nanoseconds) {
  return nanoseconds < 1000 ? `${nanoseconds.toFixed(0)} ns` : `${(nanoseconds / 1000).toFixed(2)} µs`;
}
