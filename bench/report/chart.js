import { SCENARIOS } from "../http/scenarios.js";
import { TARGET_HEAD, targetCells } from "../http/targets.js";
import { FRAMEWORKS } from "../http/variants.js";
import { signed } from "./terminal.js";

const COLOURS = { holdfast: "#0b6e4f", other: "#8a94a6" };
const BAR = { height: 18, gap: 6, left: 150, width: 290, right: 170 };

/** A page that needs nothing else: for each framework and scenario a bar a variant, as long as the time that it adds. */
export function chartPage({ date, node, machine, settings, targets, figures }) {
  const sections = FRAMEWORKS.map((framework) => {
    const its = figures.filter(({ variant }) => variant.startsWith(`${framework}/`));
    const panels = [];
    for (const connections of new Set(its.map((figure) => figure.connections))) {
      for (const { name, title } of SCENARIOS) {
        const rows = its.filter((figure) => figure.scenario === name && figure.connections === connections);
        if (rows.length > 1) panels.push(panel(`${title}, ${connections} connections`, rows));
      }
    }
    return panels.length === 0 ? "" : `<h2>${framework}</h2><div class="panels">${panels.join("")}</div>`;
  });
  const verdicts = targets.map(
    (row) =>
      `<tr class="${row.met ? "met" : "missed"}">${targetCells(row)
        .map((cell) => `<td>${escaped(cell)}</td>`)
        .join("")}</tr>`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What sessions add to a request</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1640px; padding: 0 1rem; color: #1c2430; background: #fff; }
  h1 { margin-bottom: 0; } h2 { margin: 2rem 0 .5rem; } p { color: #4a5568; margin-top: .25rem; }
  .panels { display: flex; flex-wrap: wrap; gap: 1rem; }
  figure { margin: 0; padding: .75rem; border: 1px solid #d8dee8; border-radius: 8px; }
  figcaption { font-weight: 600; margin-bottom: .25rem; }
  svg { display: block; max-width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: #1c2430; }
  .targets { overflow-x: auto; } table { border-collapse: collapse; } td, th { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #e5e9f0; }
  .met td:nth-child(4) { color: ${COLOURS.holdfast}; font-weight: 600; } .missed td:nth-child(4) { color: #b3261e; font-weight: 600; }
</style>
<h1>What sessions add to a request</h1>
<p>Microseconds for each request over the bare framework (1/rps − 1/rps of bare); the thin line reaches from the least to the most of
${settings.rounds} rounds. ${escaped(machine)}, Node ${node}, ${date.slice(0, 10)}. Green is Holdfast.</p>
${verdicts.length === 0 ? "" : `<h2>Targets</h2><div class="targets"><table><tr>${TARGET_HEAD.map((cell) => `<th>${cell}</th>`).join("")}</tr>${verdicts.join("")}</table></div>`}
${sections.join("\n")}
</html>
`;
}

function panel(title, figures) {
  const bars = figures.filter(({ variant }) => !variant.endsWith("/bare"));
  const longest = Math.max(...bars.map(({ addedTime }) => addedTime.most), 1);
  const scale = (microseconds) => (Math.max(microseconds, 0) / longest) * BAR.width;
  const rows = bars.map((figure, index) => {
    const { variant, addedTime, addedCpu, rps } = figure;
    const y = index * (BAR.height + BAR.gap) + BAR.gap;
    const name = variant.split("/")[1];
    const colour = name.startsWith("holdfast") ? COLOURS.holdfast : COLOURS.other;
    const middle = y + BAR.height / 2;
    const label = `${signed(addedTime.median)}, ${Math.round(rps.median).toLocaleString("en")} req/s`;
    const labelAt = BAR.left + Math.max(scale(addedTime.most), scale(addedTime.median)) + 8;
    return `<text x="${BAR.left - 8}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>
<rect x="${BAR.left}" y="${y}" width="${Math.max(scale(addedTime.median), 1).toFixed(1)}" height="${BAR.height}" rx="3" fill="${colour}"><title>${escaped(name)}: ${label}, cpu ${signed(addedCpu.median)}</title></rect>
<line x1="${(BAR.left + scale(addedTime.least)).toFixed(1)}" x2="${(BAR.left + scale(addedTime.most)).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="#1c2430" stroke-width="1.5"/>
<text x="${labelAt.toFixed(1)}" y="${middle + 4}">${label}</text>`;
  });
  const width = BAR.left + BAR.width + BAR.right;
  const height = bars.length * (BAR.height + BAR.gap) + BAR.gap;
  return `<figure><figcaption>${escaped(title)}</figcaption><svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">${rows.join("\n")}</svg></figure>`;
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
