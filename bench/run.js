/**
 * Measures what sessions add to a request, side by side: `npm run bench`, or a part of it, as in
 * `npm run bench -- --frameworks express --variants holdfast-memory,express-session --scenarios read --connections 32`.
 *
 * Each variant is a server in a process of its own, and the load comes from another. The figure is the added time per request
 * over the bare framework, 1/rps - 1/rps of bare, and its ratio to a peer's. Beside it stands the same of the server's processor
 * time, which says less about waiting but minds a busy machine less.
 */
import { cpus, totalmem } from "node:os";
import { readOptions } from "./command-line.js";
import { startDatabaseServers } from "./database-servers.js";
import { measureCeiling } from "./http/ceiling.js";
import { measureFramework } from "./http/measure.js";
import { startLoadGenerator } from "./http/processes.js";
import { figuresOf } from "./http/results.js";
import { SCENARIOS } from "./http/scenarios.js";
import { compareWithTargets } from "./http/targets.js";
import { FRAMEWORKS, VARIANTS } from "./http/variants.js";
import { writeArtifact } from "./report/artifacts.js";
import { chartPage } from "./report/chart.js";
import { markdownReport } from "./report/markdown.js";
import { scenarioTable, targetTable } from "./report/terminal.js";

const shortNames = [...new Set(VARIANTS.map(({ name }) => name.split("/")[1]))].filter(
  (name) => name !== "bare",
);
const options = readOptions("npm run bench --", {
  frameworks: { value: FRAMEWORKS, choices: FRAMEWORKS, help: "which frameworks" },
  variants: { value: shortNames, choices: shortNames, help: "which variants, beside the bare framework" },
  scenarios: {
    value: SCENARIOS.map(({ name }) => name),
    choices: SCENARIOS.map(({ name }) => name),
    help: "which scenarios",
  },
  connections: { value: [32, 512], help: "browsers at the same time" },
  sessions: { value: 512, help: "stored sessions, which the browsers take in turn" },
  seconds: { value: 1, help: "seconds a round" },
  rounds: { value: 5, help: "rounds at the first number of connections; at the others three fifths as many" },
  warmup: {
    value: 1,
    help: "seconds of warm-up for each variant and scenario; at the other numbers of connections a third",
  },
  name: { value: "bench", help: "what the files in artifacts/ are called" },
});
const settings = {
  ...options,
  scenarios: SCENARIOS.filter(({ name }) => options.scenarios.includes(name)),
  sessions: Math.max(options.sessions, ...options.connections),
};

const wanted = VARIANTS.filter(
  ({ name, framework, isBare }) =>
    options.frameworks.includes(framework) && (isBare || options.variants.includes(name.split("/")[1])),
);
const databases = await startDatabaseServers(new Set(wanted.flatMap(({ needs }) => needs ?? [])));
const variants = wanted.filter(({ name, needs }) => {
  const isThere = needs === undefined || databases.servers[needs] !== undefined;
  if (!isThere) console.log(`${name}: SKIPPED, without ${needs}`);
  return isThere;
});

const startedAt = Date.now();
const generator = startLoadGenerator();
const figures = [];
let ceiling;
try {
  ceiling = await measureCeiling(generator);
  console.log(`The load generator alone makes ${Math.round(ceiling)} requests a second at most.`);
  for (const framework of options.frameworks) {
    const its = variants.filter((variant) => variant.framework === framework);
    if (its.length < 2) continue;
    await measureFramework(its, settings, generator, databases.env, (measured) => {
      const rows = figuresOf(measured);
      figures.push(...rows);
      console.log(scenarioTable(measured.scenario, framework, rows));
    });
  }
} finally {
  await generator.stop();
  await databases.stop();
}

const report = {
  date: new Date(startedAt).toISOString(),
  node: process.version,
  machine: `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform}`,
  settings: options,
  minutes: (Date.now() - startedAt) / 60_000,
  ceiling,
  targets: compareWithTargets(figures),
  figures,
};
console.log(targetTable(report.targets));
const files = [
  writeArtifact(`${options.name}.json`, JSON.stringify(report, null, 2)),
  writeArtifact(`${options.name}.md`, markdownReport(report)),
  writeArtifact(`${options.name}.html`, chartPage(report)),
];
console.log(
  `\n${report.minutes.toFixed(1)} minutes on Node ${process.version}. Figures, tables, chart: ${files.join(", ")}`,
);
