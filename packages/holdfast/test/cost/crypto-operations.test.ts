import { beforeAll, describe, expect, it } from "vitest";
import { measuredBy } from "./in-process-of-its-own.js";

/** How often each kind of request calls into node:crypto: a hash costs a microsecond, an HMAC several. */
describe("calls into node:crypto", () => {
  let calls: Record<string, Record<string, number>>;
  beforeAll(async () => {
    calls = await measuredBy("crypto-operations.mjs");
  });

  it("an anonymous reader and a malformed cookie cost none", () => {
    expect(calls.anonymous).toEqual({});
    expect(calls.malformed).toEqual({});
  });

  it("a forged cookie costs one HMAC and one hash at most", () => {
    expect(calls.forged).toMatchObject({ createHmac: 1, timingSafeEqual: 1 });
    expect(total(calls.forged!)).toBeLessThanOrEqual(3);
  });

  it("the first request with a token costs one HMAC and two hashes at most", () => {
    expect(calls.firstRead).toMatchObject({ createHmac: 1, timingSafeEqual: 1 });
    expect(total(calls.firstRead!)).toBeLessThanOrEqual(4);
  });

  it("every later one costs one hash at most, whether it reads or writes", () => {
    for (const kind of ["read", "write"]) {
      expect(calls[kind]!.createHmac ?? 0).toBe(0);
      expect(total(calls[kind]!)).toBeLessThanOrEqual(1);
    }
  });

  it("a new session costs its token, its id and its signature", () => {
    expect(calls.firstWrite).toEqual({ randomBytes: 1, hash: 1, createHmac: 1 });
  });

  it("a login costs no more than the old token and a new one", () => {
    expect(calls.login!.createHmac).toBe(1);
    expect(total(calls.login!)).toBeLessThanOrEqual(5);
  });
});

function total(calls: Record<string, number>): number {
  return Object.values(calls).reduce((sum, count) => sum + count, 0);
}
