import { BUCKET, BUCKETS, type Bucket, quantile } from "./history.js";
import { type Html, html } from "./html.js";

/** A line, or bars, over the last hour. A value that is not known is a gap. */
interface Series {
  readonly label: string;
  readonly values: ReadonlyArray<number | undefined>;
}

interface Chart {
  readonly id: string;
  readonly title: string;
  readonly kind: "line" | "bars";
  readonly series: readonly Series[];
  /** A value as text, with its unit. */
  readonly show: (value: number) => string;
  /** What is under the title: the figures in words, for everybody. */
  readonly summary: string;
}

const WIDTH = 480;
const HEIGHT = 96;

/** The four charts of the last hour, as figures with inline SVG. */
export function charts(buckets: readonly Bucket[], isCountCut: boolean): Html {
  const active = buckets.map((bucket) => bucket.active);
  const count = (value: number) => value.toLocaleString("en");
  const logins = buckets.map((bucket) => bucket.logins);
  const rejects = buckets.map((bucket) => bucket.rejects);
  const atMost = (share: number) => buckets.map(({ latencies }) => quantile(latencies, share));
  const [median, slow] = [atMost(0.5), atMost(0.95)];
  const failures = sum(buckets.map((bucket) => bucket.failures));
  const now = active.at(-1);
  const all: Chart[] = [
    {
      id: "active",
      title: "Active sessions",
      kind: "line",
      series: [{ label: "Active sessions", values: active }],
      show: count,
      summary:
        now === undefined
          ? "Being counted."
          : `${isCountCut ? "More than " : ""}${count(now)} now, ${count(most(active))} at the most.`,
    },
    {
      id: "logins",
      title: "Logins",
      kind: "bars",
      series: [{ label: "Logins", values: logins }],
      show: count,
      summary: `${count(sum(logins))} in the last hour.`,
    },
    {
      id: "rejects",
      title: "Rejects",
      kind: "bars",
      series: [{ label: "Rejects", values: rejects }],
      show: count,
      summary: `${count(sum(rejects))} refused cookies, requests and logins in the last hour.`,
    },
    {
      id: "latency",
      title: "Store latency",
      kind: "line",
      series: [
        { label: "95 of 100 calls within", values: slow },
        { label: "Half of the calls within", values: median },
      ],
      show: milliseconds,
      summary:
        quantile(merged(buckets), 0.5) === undefined
          ? "No call in the last hour."
          : `Half of the calls within ${milliseconds(quantile(merged(buckets), 0.5)!)}, 95 of 100 within ` +
            `${milliseconds(quantile(merged(buckets), 0.95)!)}${failures > 0 ? `; ${count(failures)} failed` : ""}.`,
    },
  ];
  return html`${all.map(figure)}`;
}

function figure({ id, title, kind, series, show, summary }: Chart): Html {
  const top = Math.max(1e-9, ...series.map(({ values }) => most(values)));
  return html`<figure class="chart" aria-labelledby="chart-${id}">
    <figcaption><h3 id="chart-${id}">${title}</h3><p>${summary}</p></figcaption>
    <div class="plot">
      <span class="scale" aria-hidden="true">${top > 1e-6 && show(top)}</span>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">
        ${series.map(({ values }, index) => (kind === "line" ? line(values, top, index) : bars(values, top)))}
      </svg>
      <span class="times" aria-hidden="true"><span>1 hour ago</span><span>now</span></span>
    </div>
    ${
      series.length > 1 &&
      html`<ul class="legend">${series.map(({ label }, index) => html`<li class="series-${index}">${label}</li>`)}</ul>`
    }
    ${table(title, series, show)}
  </figure>`;
}

/** The same in figures, in steps of ten minutes, for who can't see the picture. */
function table(title: string, series: readonly Series[], show: (value: number) => string): Html {
  const step = (10 * 60_000) / BUCKET;
  const rows = Array.from({ length: BUCKETS / step }, (_, row) => [row * step, (row + 1) * step] as const);
  return html`<details id="figures-${title.toLowerCase().replace(" ", "-")}"><summary>Figures<span class="visually-hidden"> of ${title}</span></summary>
    <table><thead><tr><th scope="col">Minutes ago</th>${series.map(({ label }) => html`<th scope="col">${label} (at the most)</th>`)}</tr></thead>
    <tbody>${rows.map(
      ([from, to]) =>
        html`<tr><th scope="row">${((BUCKETS - from) * BUCKET) / 60_000} to ${((BUCKETS - to) * BUCKET) / 60_000}</th>${series.map(
          ({ values }) => {
            const part = values.slice(from, to);
            return html`<td>${part.some((value) => value !== undefined) ? show(most(part)) : "–"}</td>`;
          },
        )}</tr>`,
    )}</tbody></table></details>`;
}

const x = (index: number) => round((index / (BUCKETS - 1)) * WIDTH);
const y = (value: number, top: number) => round(HEIGHT - 2 - (value / top) * (HEIGHT - 6));

function line(values: Series["values"], top: number, series: number): Html[] {
  const runs: string[][] = [[]];
  for (const [index, value] of values.entries()) {
    if (value === undefined) runs.push([]);
    else runs.at(-1)!.push(`${x(index)},${y(value, top)}`);
  }
  return runs
    .filter((points) => points.length > 0)
    .map((points) => {
      // A single point would be no line.
      if (points.length === 1) points.unshift(points[0]!.replace(/^[\d.]+/, (at) => String(Number(at) - 4)));
      return html`<polyline class="series-${series}" points="${points.join(" ")}"/>`;
    });
}

function bars(values: Series["values"], top: number): Html[] {
  const width = round(WIDTH / BUCKETS - 1);
  return values.flatMap((value, index) => {
    if (value === undefined || value === 0) return [];
    const height = round((value / top) * (HEIGHT - 6));
    return [
      html`<rect class="series-0" x="${round((index * WIDTH) / BUCKETS)}" y="${round(HEIGHT - height)}" width="${width}" height="${height}"/>`,
    ];
  });
}

function merged(buckets: readonly Bucket[]): number[] {
  return buckets.reduce<number[]>(
    (all, { latencies }) => latencies.map((count, index) => count + (all[index] ?? 0)),
    [],
  );
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const most = (values: Series["values"]) => Math.max(0, ...values.filter((value) => value !== undefined));
const round = (value: number) => Math.round(value * 10) / 10;
const milliseconds = (value: number) => `${value < 10 ? Number(value.toFixed(2)) : Math.round(value)} ms`;
