import { describe, expect, it } from "vitest";
import { median } from "../statistics.js";
import { figuresOf } from "./results.js";
import { compareWithTargets } from "./targets.js";

const round = (rps, cpu) => ({ rps, cpu, p50: 1, p99: 2, memory: 1, serverBusy: 1, generatorBusy: 0.5 });

describe("figures", () => {
  it("have the middle of an odd number, and of an even one the mean of both", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  const results = new Map([
    ["express/bare", [round(20_000, 50), round(10_000, 60)]],
    ["express/holdfast-memory", [round(16_000, 60), round(8888.888_889, 72)]],
    ["express/express-session", [round(10_000, 100), round(6666.666_667, 110)]],
  ]);
  const figures = figuresOf({ scenario: { name: "read" }, connections: 32, results });

  it("compare each round with the bare framework in the same round", () => {
    const [bare, holdfast, peer] = figures;
    expect(bare.addedTime.median).toBe(0);
    // 62.5 - 50 and 112.5 - 100 microseconds: the second round was slow for everybody.
    expect(holdfast.addedTime.least).toBeCloseTo(12.5);
    expect(holdfast.addedTime.most).toBeCloseTo(12.5);
    expect(peer.addedTime.median).toBeCloseTo(50);
    expect(holdfast.addedCpu.median).toBeCloseTo(11);
    expect(holdfast.ratio).toBeCloseTo(0.25);
    expect(holdfast.cpuRatio).toBeCloseTo(0.22);
    expect(holdfast.peer).toBe("express/express-session");
  });

  it("say of a target whether it is met, and by how much it is missed", () => {
    const [target, ...others] = compareWithTargets(figures);
    expect(others).toEqual([]);
    expect(target).toMatchObject({
      subject: "Express, memory, read",
      measured: "0.25 (12.5 µs of 50.0 µs)",
      met: false,
      verdict: "missed by 25 %",
      cpuVerdict: "missed by 10 %",
    });
  });
});
