import { assertRotation, assertSessions, startSessions } from "./agreement.js";
import { startServer } from "./processes.js";

/** Cookies hold 4 KB. */
const holds = (variant, { session }) => session !== "large" || !variant.cookie;

/**
 * Measures the variants of one framework: all servers are up, and in every round each has its turn, so that whatever else
 * the machine does meets them all. Calls `done` with each scenario's rounds.
 */
export async function measureFramework(variants, settings, generator, env, done) {
  const { scenarios, connections, seconds, warmup, rounds, sessions } = settings;
  const servers = [];
  try {
    for (const variant of variants) servers.push({ variant, server: await startServer(variant.name, env) });
    const groups = new Map();
    for (const { variant, server } of servers) {
      for (const scenario of scenarios) {
        const { session } = scenario;
        const key = `${variant.name} ${session}`;
        if (groups.has(key) || !holds(variant, scenario)) continue;
        // Without sessions there is nothing to start: one browser's cookie says that somebody is there.
        groups.set(key, await startBrowsers(generator, variant, server, session, sessions));
      }
      if (scenarios.some(({ name }) => name === "login") && !variant.isBare && !variant.cookie)
        await assertRotation(server);
    }
    for (const [nth, count] of connections.entries()) {
      const share = nth === 0 ? { rounds, warmup } : { rounds: Math.ceil(rounds * 0.6), warmup: warmup / 3 };
      for (const scenario of scenarios) {
        const taking = servers.filter(({ variant }) => holds(variant, scenario));
        const results = new Map(taking.map(({ variant }) => [variant.name, []]));
        const measure = async ({ variant, server }, seconds) => {
          const group = groups.get(`${variant.name} ${scenario.session}`);
          return measureOnce(server, generator, { ...scenario, group, connections: count, seconds });
        };
        for (const each of taking) await measure(each, share.warmup);
        for (let round = 0; round < share.rounds; round++) {
          for (const each of taking) results.get(each.variant.name).push(await measure(each, seconds));
        }
        for (const { variant, server } of taking) {
          if (scenario.session !== "none" && !variant.isBare)
            await assertSessions(generator, server, scenario.session);
        }
        done({ scenario, connections: count, results });
      }
    }
  } finally {
    await Promise.all(servers.map(({ server }) => server.stop()));
  }
}

async function startBrowsers(generator, variant, server, session, count) {
  if (!variant.isBare) return startSessions(generator, server, session, count);
  const group = `${variant.name} ${session}`;
  await generator.browsers({ group, count, cookie: session === "none" ? undefined : "session=bare" });
  return group;
}

async function measureOnce(server, generator, load) {
  const before = await server.usage();
  const { requests, seconds, p50, p99, busy } = await generator.load({ ...load, port: server.port });
  const after = await server.usage();
  const cpu = after.cpu - before.cpu;
  return {
    rps: requests / seconds,
    p50,
    p99,
    /** Microseconds of the server's processor time for each request. */
    cpu: cpu / requests,
    memory: after.memory,
    serverBusy: cpu / 1e6 / seconds,
    generatorBusy: busy,
  };
}
