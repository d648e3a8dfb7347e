import { ConfigurationError } from "./errors.js";
import { shown } from "./shown.js";

/** A length of time: a number of milliseconds, or a number with its unit, as in "500ms", "30m", "12h", "30d". */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d" | "w"}`;

const UNITS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const HUNDRED_YEARS = 100 * 365 * 86_400_000;

/** For what becomes a timer, in milliseconds: those of 24.9 days and more fire at once, and sweeps vary by a quarter. */
export const LONGEST_TIMER = 14 * 86_400_000;

/**
 * Milliseconds of a duration.
 * @throws ConfigurationError that names the option, when it is not a duration of `least` to `most` milliseconds.
 */
export function milliseconds(option: string, duration: Duration, least = 1, most = HUNDRED_YEARS): number {
  const match = typeof duration === "string" ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(duration) : undefined;
  const value = match ? Math.round(Number(match[1]) * UNITS[match[2]!]!) : duration;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw new ConfigurationError(
      option,
      `expected a duration of at least ${least} ms and at most ${most / UNITS.d!} days, as whole milliseconds or as text like "30m" or "12h" ` +
        `(units: ms, s, m, h, d, w), got ${shown(duration)}`,
    );
  }
  return value;
}
