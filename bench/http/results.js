import { median, summary } from "../statistics.js";
import { VARIANTS } from "./variants.js";

/**
 * The figures of one scenario. What a variant adds is computed round by round, against the bare framework in the same round,
 * so that a machine that gets slower for a while makes no difference.
 */
export function figuresOf({ scenario, connections, results }) {
  const names = [...results.keys()];
  const bare = results.get(names.find((name) => name.endsWith("/bare")));
  const addedTime = (rounds) => rounds.map(({ rps }, round) => 1e6 / rps - 1e6 / bare[round].rps);
  const addedCpu = (rounds) => rounds.map(({ cpu }, round) => cpu - bare[round].cpu);
  const figures = names.map((name) => {
    const rounds = results.get(name);
    const of = (key) => median(rounds.map((round) => round[key]));
    return {
      scenario: scenario.name,
      connections,
      variant: name,
      rps: summary(rounds.map(({ rps }) => rps)),
      p50: of("p50"),
      p99: of("p99"),
      cpu: of("cpu"),
      memory: of("memory"),
      serverBusy: of("serverBusy"),
      generatorBusy: of("generatorBusy"),
      ...(bare !== undefined && {
        ofBare: summary(rounds.map(({ rps }, round) => rps / bare[round].rps)),
        cpuOfBare: summary(rounds.map(({ cpu }, round) => bare[round].cpu / cpu)),
        addedTime: summary(addedTime(rounds)),
        addedCpu: summary(addedCpu(rounds)),
      }),
    };
  });
  for (const figure of figures) {
    const { peer } = VARIANTS.find(({ name }) => name === figure.variant);
    const other = figures.find(({ variant }) => variant === peer);
    if (other?.addedTime === undefined) continue;
    figure.peer = peer;
    figure.ratio = figure.addedTime.median / other.addedTime.median;
    figure.cpuRatio = figure.addedCpu.median / other.addedCpu.median;
  }
  return figures;
}
