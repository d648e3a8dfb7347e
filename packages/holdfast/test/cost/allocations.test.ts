import { beforeAll, describe, expect, it } from "vitest";
import { METER_FLAGS } from "./allocation-meter.mjs";
import { measuredBy } from "./in-process-of-its-own.js";

/**
 * The bytes that a request allocates in the engine, in a process where nothing is collected meanwhile. They hardly differ from run
 * to run (5 %), and by a tenth or two between versions of Node. The limits are half as much again as was measured last: a
 * doubling fails. Whoever makes a request cheaper lowers its limit.
 */
const LIMITS = {
  anonymous: 2_200,
  forged: 4_000,
  read: 4_900,
  write: 9_700,
  read20k: 195_000,
  write20k: 332_000,
};

describe("bytes allocated by", () => {
  let bytes: Record<keyof typeof LIMITS, number>;
  beforeAll(async () => {
    bytes = await measuredBy("allocations.mjs", ...METER_FLAGS);
  });

  it.each(Object.entries(LIMITS))("%s: at most %i", (kind, limit) => {
    const measured = bytes[kind as keyof typeof LIMITS];
    expect(measured).toBeGreaterThan(0);
    expect(measured).toBeLessThanOrEqual(limit);
  });
});
