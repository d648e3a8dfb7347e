import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Duration, milliseconds } from "./duration.js";
import { ConfigurationError } from "./errors.js";

function refusal(duration: unknown, least?: number): ConfigurationError {
  try {
    milliseconds("idleTimeout", duration as Duration, least);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as ConfigurationError;
  }
  throw new Error(`${String(duration)} was taken for a duration`);
}

describe("milliseconds", () => {
  it.each<[Duration, number]>([
    ["1ms", 1],
    ["500ms", 500],
    ["1s", 1000],
    ["30m", 1_800_000],
    ["12h", 43_200_000],
    ["30d", 2_592_000_000],
    ["2w", 1_209_600_000],
    ["1.5h", 5_400_000],
    ["0.25s", 250],
    [1, 1],
    [1_800_000, 1_800_000],
  ])("reads %s as %i", (duration, expected) => {
    expect(milliseconds("idleTimeout", duration)).toBe(expected);
  });

  it("gives whole milliseconds for every fraction of a unit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9999 }), fc.constantFrom("s", "m", "h"), (thousandths, unit) => {
        const text = `${(thousandths / 1000).toFixed(3)}${unit}` as Duration;
        expect(Number.isInteger(milliseconds("grace", text, 0))).toBe(true);
      }),
    );
  });

  it.each([
    "",
    "30",
    "m",
    "30 m",
    " 30m",
    "30m ",
    "30m\n",
    "-30m",
    "+30m",
    "1e3s",
    "0x10s",
    ".5h",
    "1.h",
    "1.5.5h",
    "30M",
    "30min",
    "1h30m",
    "٣m",
    `${"9".repeat(400)}d`,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    0,
    1.5,
    null,
    undefined,
    true,
    {},
    [],
    ["30m"],
    new Date(),
    10n,
    Symbol("30m"),
    () => 1000,
  ])("refuses %o", (duration) => {
    expect(refusal(duration).option).toBe("idleTimeout");
  });

  it("refuses a value that JSON can't show", () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(refusal(cycle).option).toBe("idleTimeout");
  });

  it("says what it got, and which option it is for", () => {
    expect(refusal("soon").message).toMatch(/^idleTimeout: .*"30m".*got "soon"$/);
    expect(refusal(Number.NaN).message).toMatch(/got NaN$/);
    expect(refusal(10n).message).toMatch(/got 10n$/);
  });

  it("holds to the least that the option allows, and names it", () => {
    expect(milliseconds("idleTimeout", 1000, 1000)).toBe(1000);
    expect(refusal(999, 1000).message).toContain("at least 1000 ms");
    expect(refusal("0.4ms").message).toContain("at least 1 ms");
    expect(milliseconds("grace", 0, 0)).toBe(0);
    expect(milliseconds("grace", "0s", 0)).toBe(0);
  });

  it("refuses more than a hundred years, which would be a mistake in the unit", () => {
    expect(milliseconds("absoluteTimeout", "36500d")).toBe(36_500 * 86_400_000);
    expect(refusal("36501d").option).toBe("idleTimeout");
  });

  it("holds to the most that the option allows, and names it", () => {
    expect(milliseconds("storeTimeout", "14d", 1, 14 * 86_400_000)).toBe(14 * 86_400_000);
    expect(() => milliseconds("storeTimeout", "15d", 1, 14 * 86_400_000)).toThrow("at most 14 days");
  });

  it("never throws anything but a ConfigurationError", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }), (value) => {
        try {
          milliseconds("idleTimeout", value as Duration);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigurationError);
        }
      }),
    );
  });
});
