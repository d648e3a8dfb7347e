import { SCENARIOS } from "../http/scenarios.js";
import { TARGET_HEAD, targetCells } from "../http/targets.js";
import { FRAMEWORKS } from "../http/variants.js";
import { figureCells } from "./terminal.js";

/** The figures as docs/performance.md shows them. */
export function markdownReport(report) {
  const { date, node, machine, settings, ceiling, targets, figures } = report;
  const parts = [
    `Measured on ${date.slice(0, 10)} with Node ${node} on ${machine}: median of ${settings.rounds} rounds of ` +
      `${settings.seconds} s, ${settings.sessions} sessions. The load generator makes ${Math.round(ceiling)} requests a second at most.`,
  ];
  if (targets.length > 0) {
    parts.push("### Targets", markdownTable(TARGET_HEAD, targets.map(targetCells)));
  }
  for (const framework of FRAMEWORKS) {
    for (const { name, title } of SCENARIOS) {
      const its = figures.filter(
        ({ variant, scenario }) => scenario === name && variant.startsWith(`${framework}/`),
      );
      for (const connections of new Set(its.map((figure) => figure.connections))) {
        const rows = its.filter((figure) => figure.connections === connections).map(figureCells);
        parts.push(
          `#### ${framework}, ${title}, ${connections} connections`,
          markdownTable(
            [
              "",
              "req/s",
              "least..most",
              "added time",
              "of peer's",
              "added cpu",
              "of peer's",
              "p50",
              "p99",
              "server busy",
              "load busy",
            ],
            rows,
          ),
        );
      }
    }
  }
  return `${parts.join("\n\n")}\n`;
}

/** The first column flush left, the others right. */
export function markdownTable(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}
