/** What Holdfast must cost at most, at 32 connections (DESIGN part 8, issue 8). */
const CONNECTIONS = 32;

const TARGETS = [
  ["Express, memory, read", "express/holdfast-memory", "read", 1 / 5, "1/5 of express-session's"],
  ["Koa, memory, read", "koa/holdfast-memory", "read", 1 / 3, "1/3 of koa-session's (cookie mode)"],
  ["Fastify, memory, read", "fastify/holdfast-memory", "read", 1 / 3, "1/3 of @fastify/session's"],
  ["Express, memory, write", "express/holdfast-memory", "write", 1 / 4, "1/4 of express-session's"],
  ["Koa, memory, write", "koa/holdfast-memory", "write", 1 / 3, "1/3 of koa-session's (cookie mode)"],
  ["Fastify, memory, write", "fastify/holdfast-memory", "write", 1 / 3, "1/3 of @fastify/session's"],
  ["Express, Redis, read", "express/holdfast-redis", "read", 1 / 2, "1/2 of connect-redis's"],
  ["Express, Redis, write", "express/holdfast-redis", "write", 1 / 2, "1/2 of connect-redis's"],
  ["Express, SQLite, read", "express/holdfast-sqlite", "read", 1, "express-session's with its MemoryStore"],
];

/** Anonymous readers keep this share of the bare framework's throughput. */
const ANONYMOUS = 0.97;
const FRAMEWORK_NAMES = {
  express: "Express",
  koa: "Koa",
  fastify: "Fastify",
  hono: "Hono",
  node: "node:http",
};

/**
 * Each target beside what was measured: by the time that a request takes longer than on the bare framework, which is what the
 * targets mean, and by the server's processor time.
 * @returns {Array<{ subject: string, limit: string, measured: string, verdict: string, byCpu: string, cpuVerdict: string, met: boolean }>}
 */
export function compareWithTargets(figures) {
  const find = (variant, scenario) =>
    figures.find(
      (figure) =>
        figure.variant === variant && figure.scenario === scenario && figure.connections === CONNECTIONS,
    );
  const rows = [];
  for (const [subject, variant, scenario, share, limit] of TARGETS) {
    const figure = find(variant, scenario);
    if (figure?.ratio === undefined) continue;
    const peer = find(figure.peer, scenario);
    // Where the peer seems to add nothing, the machine was too busy to tell.
    const isMet = (ratio, { median }) => median > 0 && ratio <= share;
    const verdictOn = (ratio, summary) => {
      if (summary.median <= 0) return "not to be told: too much else was running";
      return ratio <= share ? "met" : `missed by ${((ratio / share - 1) * 100).toFixed(0)} %`;
    };
    rows.push({
      subject,
      limit: `at most ${limit}`,
      measured: `${figure.ratio.toFixed(2)} (${us(figure.addedTime)} of ${us(peer.addedTime)})`,
      verdict: verdictOn(figure.ratio, peer.addedTime),
      byCpu: `${figure.cpuRatio.toFixed(2)} (${us(figure.addedCpu)} of ${us(peer.addedCpu)})`,
      cpuVerdict: verdictOn(figure.cpuRatio, peer.addedCpu),
      met: isMet(figure.ratio, peer.addedTime),
    });
  }
  for (const [framework, name] of Object.entries(FRAMEWORK_NAMES)) {
    const figure = find(`${framework}/holdfast-memory`, "anonymous");
    if (figure?.ofBare === undefined) continue;
    const verdictOn = (share) =>
      share >= ANONYMOUS ? "met" : `missed by ${((ANONYMOUS - share) * 100).toFixed(1)} points`;
    const measured = ({ median, least, most }) =>
      `${percent(median)} (${percent(least)} to ${percent(most)})`;
    rows.push({
      subject: `${name}, anonymous reader`,
      limit: `at least ${percent(ANONYMOUS)} of bare ${name}'s requests`,
      measured: measured(figure.ofBare),
      verdict: verdictOn(figure.ofBare.median),
      byCpu: measured(figure.cpuOfBare),
      cpuVerdict: verdictOn(figure.cpuOfBare.median),
      met: figure.ofBare.median >= ANONYMOUS,
    });
  }
  return rows;
}

/** For tables. */
export const TARGET_HEAD = ["", "added time", "measured", "", "by processor time", ""];
export const targetCells = ({ subject, limit, measured, verdict, byCpu, cpuVerdict }) => [
  subject,
  limit,
  measured,
  verdict,
  byCpu,
  cpuVerdict,
];

const us = ({ median }) => `${median.toFixed(1)} µs`;
const percent = (share) => `${(share * 100).toFixed(1)} %`;
