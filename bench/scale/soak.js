import { assertSessions, startSessions } from "../http/agreement.js";
import { startServer } from "../http/processes.js";
import { SCENARIOS } from "../http/scenarios.js";

const SLICES = 24;
const SESSIONS = 256;
/** What a browser does, and how often: mostly it reads. New visitors come all the time. */
const MIX = ["read", "read", "read", "write", "login", "anonymous", "start"];

/**
 * An hour's worth of requests at full speed, and the server's memory after each slice of them: the heap once everything is
 * collected that can be, and what the process takes.
 * @returns {Promise<Array<{ requests: number, heap: number, rss: number }>>}
 */
export async function soak(name, requests, generator, env) {
  const server = await startServer(name, env, ["--expose-gc"]);
  try {
    const group = await startSessions(generator, server, "small", SESSIONS);
    const samples = [];
    let total = 0;
    let step = 0;
    while (total < requests) {
      const upTo = ((samples.length + 1) * requests) / SLICES;
      while (total < upTo) total += await someRequests(generator, server, group, MIX[step++ % MIX.length]);
      samples.push({ requests: total, ...(await server.memory()) });
    }
    await assertSessions(generator, server, "small");
    return samples;
  } finally {
    await server.stop();
  }
}

async function someRequests(generator, server, group, step) {
  const load = { port: server.port, connections: 32, seconds: 0.25 };
  if (step === "start") {
    const visitors = `${group} visitors`;
    await generator.browsers({ group: visitors, count: 500 });
    await generator.once({
      group: visitors,
      port: server.port,
      method: "POST",
      path: "/start?user={user}&size=small",
    });
    return 500;
  }
  const scenario = SCENARIOS.find(({ name }) => name === step);
  const nobody = `${group} nobody`;
  if (step === "anonymous") await generator.browsers({ group: nobody, count: 32 });
  const { requests } = await generator.load({
    ...load,
    ...scenario,
    group: step === "anonymous" ? nobody : group,
  });
  return requests;
}

/**
 * By how many bytes a request makes memory grow, over the second half (least squares): in the first, code is compiled and
 * pools fill.
 */
export function growth(samples, key) {
  const half = samples.slice(samples.length >> 1);
  const mean = (pick) => half.reduce((sum, sample) => sum + pick(sample), 0) / half.length;
  const [x, y] = [mean(({ requests }) => requests), mean((sample) => sample[key])];
  const over = half.reduce((sum, sample) => sum + (sample.requests - x) * (sample[key] - y), 0);
  const under = half.reduce((sum, sample) => sum + (sample.requests - x) ** 2, 0);
  return over / under;
}
