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
  const added = (summary) => (summary === undefined || isBare ? "" : `+${summary.median.toFixed(1)} µs`);
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

export function targetTable(targets) {
  if (targets.length === 0) return "";
  const rows = targets.map(({ target, measured, byCpu, verdict }) => [target, measured, byCpu, verdict]);
  return `\nTargets\n${columns([["", "measured, by time", "by processor time", "verdict"], ...rows])}`;
}
