/** What Holdfast must cost at most, at 32 connections (DESIGN part 8, issue 8). */
const CONNECTIONS = 32;

const atMost = (share, variant, scenario, peer = undefined) => ({ variant, scenario, share, peer });

const TARGETS = [
  atMost(1 / 5, "express/holdfast-memory", "read"),
  atMost(1 / 3, "koa/holdfast-memory", "read"),
  atMost(1 / 3, "fastify/holdfast-memory", "read"),
  atMost(1 / 4, "express/holdfast-memory", "write"),
  atMost(1 / 3, "koa/holdfast-memory", "write"),
  atMost(1 / 3, "fastify/holdfast-memory", "write"),
  atMost(1 / 2, "express/holdfast-redis", "read"),
  atMost(1 / 2, "express/holdfast-redis", "write"),
  atMost(1, "express/holdfast-sqlite", "read"),
];

/** Anonymous readers keep this share of the bare framework's throughput. */
const ANONYMOUS = { share: 0.97, variants: ["express", "koa", "fastify", "hono", "node"] };

/**
 * Each target beside what was measured, by time and by the server's processor time.
 * @returns {Array<{ target: string, measured: string, byCpu: string, verdict: string, met: boolean }>} for those that were measured.
 */
export function compareWithTargets(figures) {
  const find = (variant, scenario) =>
    figures.find(
      (figure) =>
        figure.variant === variant && figure.scenario === scenario && figure.connections === CONNECTIONS,
    );
  const rows = [];
  for (const { variant, scenario, share } of TARGETS) {
    const figure = find(variant, scenario);
    if (figure?.ratio === undefined) continue;
    const peer = find(figure.peer, scenario);
    rows.push({
      target: `${variant}, ${scenario}: at most ${share.toFixed(2)} of what ${figure.peer.split("/")[1]} adds`,
      measured: `${figure.ratio.toFixed(2)} (+${us(figure.addedTime)} / +${us(peer.addedTime)})`,
      byCpu: `${figure.cpuRatio.toFixed(2)} (+${us(figure.addedCpu)} / +${us(peer.addedCpu)})`,
      met: figure.ratio <= share,
      verdict: figure.ratio <= share ? "met" : `missed by ${percent(figure.ratio / share - 1)}`,
    });
  }
  for (const framework of ANONYMOUS.variants) {
    const figure = find(`${framework}/holdfast-memory`, "anonymous");
    if (figure?.ofBare === undefined) continue;
    const share = figure.ofBare.median;
    rows.push({
      target: `${framework}/holdfast-memory, anonymous: at least ${percent(ANONYMOUS.share)} of bare ${framework}'s throughput`,
      measured: `${percent(share)} (${percent(figure.ofBare.least)} to ${percent(figure.ofBare.most)})`,
      byCpu: `${percent(figure.cpuOfBare.median)} (${percent(figure.cpuOfBare.least)} to ${percent(figure.cpuOfBare.most)})`,
      met: share >= ANONYMOUS.share,
      verdict:
        share >= ANONYMOUS.share ? "met" : `missed by ${((ANONYMOUS.share - share) * 100).toFixed(1)} points`,
    });
  }
  return rows;
}

const us = ({ median }) => `${median.toFixed(1)} µs`;
const percent = (share) => `${(share * 100).toFixed(1)} %`;
