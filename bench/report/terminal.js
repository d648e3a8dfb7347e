import { TARGET_HEAD, targetCells } from "../http/targets.js";

/** Text in columns: the first is flush left, the others right. */
export function columns(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join("\n");
}

const HEAD = [
  "",
  "req/s",
  "least..most",
  "added time",
  "ratio",
  "added cpu",
  "ratio",
  "p50",
  "p99",
  "server",
  "load",
];

export function scenarioTable(scenario, framework, figures) {
  const [{ connections }] = figures;
  const rows = figures.map(figureCells);
  return `\n${framework}, ${scenario.title}, ${connections} connections\n${columns([HEAD, ...rows])}`;
}

export function figureCells(figure) {
  const { variant, rps, addedTime, addedCpu, ratio, cpuRatio, p50, p99, serverBusy, generatorBusy } = figure;
  const isBare = variant.endsWith("/bare");
  const added = (summary) => (summary === undefined || isBare ? "" : signed(summary.median));
  return [
    variant.split("/")[1],
    String(Math.round(rps.median)),
    `${Math.round(rps.least)}..${Math.round(rps.most)}`,
    added(addedTime),
    ratio === undefined ? "" : ratio.toFixed(2),
    added(addedCpu),
    cpuRatio === undefined ? "" : cpuRatio.toFixed(2),
    `${p50.toFixed(1)} ms`,
    `${p99.toFixed(1)} ms`,
    `${Math.round(serverBusy * 100)} %`,
    `${Math.round(generatorBusy * 100)} %`,
  ];
}

/** A difference, as in "+3.2 µs". */
export function signed(microseconds) {
  return `${microseconds < 0 ? "−" : "+"}${Math.abs(microseconds).toFixed(1)} µs`;
}

export function targetTable(targets) {
  if (targets.length === 0) return "";
  return `\nTargets\n${columns([TARGET_HEAD, ...targets.map(targetCells)])}`;
}
