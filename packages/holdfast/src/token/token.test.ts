import { createHash } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { isSessionId, newToken, sessionIdOf, TOKEN_LENGTH } from "./token.js";

/** Any unit of UTF-16, lone surrogates too. (fast-check's own "binary" takes a second to start.) */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

describe("newToken", () => {
  const COUNT = 50_000;
  let tokens: string[];
  beforeAll(() => {
    tokens = Array.from({ length: COUNT }, newToken);
  });

  it("is 256 bits in 43 characters of base64url", () => {
    expect(TOKEN_LENGTH).toBe(43);
    expect(tokens.filter((token) => !/^[A-Za-z0-9_-]{43}$/.test(token))).toEqual([]);
    expect(tokens.filter((token) => Buffer.from(token, "base64url").length !== 32)).toEqual([]);
  });

  it("never comes twice", () => {
    expect(new Set(tokens).size).toBe(COUNT);
  });

  it("shares no beginning or end with other tokens, as a counter, a clock or a process id would", () => {
    // 2^48 possible halves of 8 characters: two of 50,000 meet once in 200,000 runs; three pairs never do.
    for (const part of [(token: string) => token.slice(0, 8), (token: string) => token.slice(-9, -1)]) {
      expect(new Set(tokens.map(part)).size).toBeGreaterThan(COUNT - 3);
    }
  });

  it("has as many ones as zeros in each of its 256 bits", () => {
    const ones = new Uint32Array(256);
    for (const token of tokens) {
      const bytes = Buffer.from(token, "base64url");
      for (let bit = 0; bit < 256; bit++) ones[bit]! += (bytes[bit >> 3]! >> (bit & 7)) & 1;
    }
    // The standard deviation is 112, so 1,100 off is ten of them.
    for (const count of ones) expect(Math.abs(count - COUNT / 2)).toBeLessThan(1100);
  });

  it("uses every character about equally often", () => {
    const counts = new Map<string, number>();
    // The last character carries only four bits.
    for (const token of tokens) for (const c of token.slice(0, -1)) counts.set(c, (counts.get(c) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual([...BASE64URL].sort());
    const expected = (COUNT * 42) / 64; // 32,812, with a standard deviation of 180
    for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(1800);
  });
});

describe("sessionIdOf", () => {
  it("is the SHA-256 of the token's text, as base64url", () => {
    expect(sessionIdOf("abc")).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"); // FIPS 180-2, B.1
    const token = newToken();
    expect(sessionIdOf(token)).toBe(createHash("sha256").update(token, "ascii").digest("base64url"));
  });

  it("is the same for the same token, another for every other, and never the token", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(sessionIdOf(a) === sessionIdOf(b)).toBe(a === b);
        expect(sessionIdOf(a)).not.toBe(a);
      }),
    );
  });

  it("has the shape of a session id", () => {
    fc.assert(
      fc.property(fc.string({ unit: CODE_UNIT }), (token) => {
        expect(isSessionId(sessionIdOf(token))).toBe(true);
      }),
    );
  });
});

describe("isSessionId", () => {
  const id = sessionIdOf("token");

  it.each([
    ["", "empty"],
    [id.slice(1), "too short"],
    [`${id}A`, "too long"],
    [`${id}\n`, "a line feed at its end"],
    [`${id.slice(1)}\n`, "a line feed in place of its last character"],
    [`\n${id}`, "a line feed before it"],
    [`${id.slice(1)}=`, "padding"],
    [`${id.slice(1)}+`, "base64, not base64url"],
    [`${id.slice(1)}/`, "a slash"],
    [`${id.slice(1)}.`, "a dot"],
    [`${id.slice(1)}\u0000`, "NUL"],
    [`${id.slice(1)}é`, "not ASCII"],
    [`${id.slice(1)}'`, "a quote"],
    [`${id.slice(2)}{}`, "braces"],
  ])("refuses %j: %s", (text) => {
    expect(isSessionId(text)).toBe(false);
  });

  it.each([undefined, null, 0, {}, [], [id], new String(id), Symbol("id"), { toString: () => id }])(
    "refuses what is not text: %o",
    (value) => {
      expect(isSessionId(value)).toBe(false);
    },
  );
});
