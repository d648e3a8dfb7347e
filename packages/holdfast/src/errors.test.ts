import { describe, expect, it } from "vitest";
import * as errors from "./errors.js";

const EACH: [errors.HoldfastError, code: string, status: number][] = [
  [new errors.ConfigurationError("store", "is missing"), "ERR_HOLDFAST_CONFIG", 500],
  [new errors.InvalidArgumentError("no"), "ERR_HOLDFAST_INVALID_ARGUMENT", 500],
  [new errors.StoreError("redis", "load", "failed"), "ERR_HOLDFAST_STORE", 503],
  [new errors.StoreTimeoutError("redis", "load", 5000), "ERR_HOLDFAST_STORE_TIMEOUT", 503],
  [new errors.StoreCorruptError("redis", "load", "it is not an object"), "ERR_HOLDFAST_STORE_CORRUPT", 503],
  [new errors.ConflictError(40), "ERR_HOLDFAST_CONFLICT", 503],
  [new errors.SessionGoneError(), "ERR_HOLDFAST_SESSION_GONE", 401],
  [new errors.NotSerializableError("data.at", "a Date"), "ERR_HOLDFAST_NOT_SERIALIZABLE", 500],
  [new errors.PayloadTooLargeError(9, 8, [{ key: "cart", bytes: 7 }]), "ERR_HOLDFAST_PAYLOAD_TOO_LARGE", 500],
  [new errors.HeadersSentError("login"), "ERR_HOLDFAST_HEADERS_SENT", 500],
  [new errors.SessionNotOpenError(), "ERR_HOLDFAST_SESSION_NOT_OPEN", 500],
  [new errors.CrossOriginError(), "ERR_HOLDFAST_CROSS_ORIGIN", 403],
  [new errors.UserMismatchError(), "ERR_HOLDFAST_USER_MISMATCH", 409],
  [new errors.ReauthenticationRequiredError("login"), "ERR_HOLDFAST_REAUTHENTICATION_REQUIRED", 401],
  [new errors.TooManySessionsError(3), "ERR_HOLDFAST_TOO_MANY_SESSIONS", 409],
  [new errors.UnsupportedError("no"), "ERR_HOLDFAST_UNSUPPORTED", 500],
  [new errors.UnknownKeyError("redis", "load", "encrypt"), "ERR_HOLDFAST_UNKNOWN_KEY", 503],
  [new errors.BrokenSealError("redis", "load"), "ERR_HOLDFAST_BROKEN_SEAL", 503],
  [new errors.NotSealedError("redis", "load"), "ERR_HOLDFAST_NOT_SEALED", 503],
  [new errors.CsrfError("cross-site", "POST"), "ERR_HOLDFAST_CSRF", 403],
  [new errors.TooManyGuessesError(9), "ERR_HOLDFAST_TOO_MANY_GUESSES", 429],
];

describe("an error", () => {
  it.each(EACH.map(([error, code, status]) => [error.constructor.name, error, code, status] as const))(
    "%s has its name, its code and its status, which applications switch on",
    (name, error, code, status) => {
      expect(error).toBeInstanceOf(errors.HoldfastError);
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ name, code, status });
      expect(String(error)).toBe(`${name}: ${error.message}`);
    },
  );

  it("is in this list, whichever it is", () => {
    const listed = EACH.map(([error]) => error.constructor.name);
    expect([...listed, "HoldfastError", "RefusedError"].sort()).toEqual(Object.keys(errors).sort());
  });

  it("has a code of its own", () => {
    expect(new Set(EACH.map(([error]) => error.code)).size).toBe(EACH.length);
  });

  it("keeps its cause, and has none where there was none", () => {
    const cause = new Error("ECONNREFUSED");
    expect(new errors.StoreError("redis", "load", "failed", cause).cause).toBe(cause);
    expect(new errors.StoreError("redis", "load", "failed")).not.toHaveProperty("cause");
  });

  it("lets every timeout and every corrupt record be caught as a StoreError", () => {
    const ofStores = /^(?:Store|UnknownKey|BrokenSeal|NotSealed)/;
    for (const [error] of EACH)
      expect(error instanceof errors.StoreError).toBe(ofStores.test(error.constructor.name));
  });
});
