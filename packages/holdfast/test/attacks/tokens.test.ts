import { randomInt } from "node:crypto";
import { describe, expect, it } from "vitest";
import { newToken } from "../../src/token/token.js";

const COUNT = 1_000_000;
const BYTES = 32;
/** A sound generator comes so far from the mean less than once in a million runs of this test. */
const SIGMAS = 6;

/**
 * What is not random about a million tokens, in words. In the manner of NIST SP 800-22: ones at each bit (monobit), values
 * of each byte (chi-square), likeness of a token and the one before (serial), changes from bit to bit (runs); and no two
 * the same.
 */
function weaknessesOf(make: () => string): string[] {
  const ones = new Uint32Array(BYTES * 8);
  const values = Array.from({ length: BYTES }, () => new Uint32Array(256));
  const seen = new Set<string>();
  let before = Buffer.alloc(BYTES);
  let [different, changes] = [0, 0];
  for (let n = 0; n < COUNT; n++) {
    const token = make();
    seen.add(token);
    const bytes = Buffer.from(token, "base64url");
    for (let at = 0; at < BYTES; at++) {
      const byte = bytes[at]!;
      values[at]![byte]!++;
      different += BITS[byte ^ before[at]!]!;
      // Between the bits of a byte, and from it to the next.
      const next = at + 1 < BYTES ? bytes[at + 1]! >> 7 : byte & 1;
      changes += BITS[(byte ^ ((byte << 1) | next)) & 0xff]!;
      for (let bit = 0; bit < 8; bit++) ones[at * 8 + bit]! += (byte >> bit) & 1;
    }
    before = bytes;
  }

  const found: string[] = [];
  const far = (count: number, trials: number) =>
    Math.abs(count - trials / 2) > (SIGMAS * Math.sqrt(trials)) / 2;
  if (seen.size < COUNT) found.push("repeats");
  if (ones.some((count) => far(count, COUNT))) found.push("monobit");
  if (values.some((counts) => chiSquareOf(counts) > 255 + SIGMAS * Math.sqrt(2 * 255) * 1.5))
    found.push("bytes");
  if (far(different, COUNT * BYTES * 8)) found.push("serial");
  if (far(changes, COUNT * (BYTES * 8 - 1))) found.push("runs");
  return found;
}

/** The number of ones in each byte. */
const BITS = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

function chiSquareOf(counts: Uint32Array): number {
  const expected = COUNT / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

describe("a million tokens", () => {
  it("are 256 random bits each: no figure of theirs is far from chance, and no two are the same", () => {
    expect(weaknessesOf(newToken)).toEqual([]);
  });

  it("and would be told from what is not random", () => {
    let count = 0;
    const bytes = Buffer.alloc(BYTES);
    const counted = () => {
      bytes.writeUInt32BE(count++, 28);
      return bytes.toString("base64url");
    };
    expect(weaknessesOf(counted)).toEqual(["monobit", "bytes", "serial", "runs"]);

    // One bit in 256 leans by one in a hundred; all else is sound.
    const leaning = () => {
      const random = Buffer.from(newToken(), "base64url");
      if (randomInt(100) === 0) random[17]! |= 1;
      return random.toString("base64url");
    };
    expect(weaknessesOf(leaning)).toContain("monobit");
  });
});
