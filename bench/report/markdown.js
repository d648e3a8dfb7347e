import { SCENARIOS } from "../http/scenarios.js";
import { TARGET_HEAD, targetCells } from "../http/targets.js";
import { FRAMEWORKS } from "../http/variants.js";
import { signed } from "./terminal.js";

/** The figures as docs/performance.md shows them: the targets, and for each framework what every variant adds, and its throughput. */
export function markdownReport({ date, node, machine, settings, ceiling, targets, figures }) {
  const parts = [
    `${date.slice(0, 10)}, Node ${node}, ${machine}: the median of ${settings.rounds} rounds of ${settings.seconds} s each, ` +
      `${settings.sessions} stored sessions. The load generator makes ${thousands(ceiling)} requests a second at most, and was never ` +
      `busier than ${Math.round(Math.max(...figures.map(({ generatorBusy }) => generatorBusy)) * 100)} % of a core.`,
  ];
  if (targets.length > 0) parts.push(markdownTable(TARGET_HEAD, targets.map(targetCells)));
  for (const framework of FRAMEWORKS) {
    const its = figures.filter(({ variant }) => variant.startsWith(`${framework}/`));
    for (const connections of new Set(its.map((figure) => figure.connections))) {
      const rows = its.filter((figure) => figure.connections === connections);
      const what = `**${framework}, ${connections} connections**`;
      parts.push(
        `${what}: added time for each request, and added processor time of the server.`,
        matrix(
          rows.filter(({ variant }) => !variant.endsWith("/bare")),
          ({ addedTime, addedCpu }) => `${signed(addedTime.median)}, ${signed(addedCpu.median)}`,
        ),
        `${what}: requests a second, and p50 / p99 in milliseconds.`,
        matrix(
          rows,
          ({ rps, p50, p99 }) => `${thousands(rps.median)}, ${p50.toFixed(1)} / ${p99.toFixed(1)}`,
        ),
      );
    }
  }
  return `${parts.join("\n\n")}\n`;
}

/** A row a variant and a column a scenario. */
function matrix(figures, cellOf) {
  const scenarios = SCENARIOS.filter(({ name }) => figures.some(({ scenario }) => scenario === name));
  const rows = [...new Set(figures.map(({ variant }) => variant))].map((variant) => [
    variant.split("/")[1],
    ...scenarios.map(({ name }) => {
      const figure = figures.find((figure) => figure.variant === variant && figure.scenario === name);
      return figure?.addedTime === undefined ? "" : cellOf(figure);
    }),
  ]);
  return markdownTable(["", ...scenarios.map(({ title }) => title)], rows);
}

/** The first column flush left, the others right. */
export function markdownTable(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

const thousands = (number) => Math.round(number).toLocaleString("en");
