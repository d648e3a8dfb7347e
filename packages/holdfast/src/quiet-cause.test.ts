import { inspect } from "node:util";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { StoreError } from "./errors.js";

const PAYLOAD = "payload-that-nobody-may-see";

/** What each driver's errors carry, by their names. */
const ERRORS: Array<[string, unknown]> = [
  [
    "ioredis",
    Object.assign(new Error("READONLY"), { command: { name: "evalsha", args: ["sha", "1", PAYLOAD] } }),
  ],
  [
    "mysql2",
    Object.assign(new Error("lost"), { code: "X", sql: `INSERT '${PAYLOAD}'`, sqlMessage: PAYLOAD }),
  ],
  [
    "pg",
    Object.assign(new Error("null value"), { detail: `Failing row contains (${PAYLOAD}).`, where: PAYLOAD }),
  ],
  [
    "mongodb",
    Object.assign(new Error("invalid"), { errInfo: { consideredValue: PAYLOAD }, [Symbol("x")]: PAYLOAD }),
  ],
  [
    "an error around another",
    new Error("outer", { cause: Object.assign(new Error("in"), { sql: PAYLOAD }) }),
  ],
  ["several errors", new AggregateError([Object.assign(new Error("in"), { sql: PAYLOAD })], "all")],
  ["an object that is no error", { query: PAYLOAD }],
  ["a frozen error", Object.freeze(Object.assign(new Error("frozen"), { sql: PAYLOAD }))],
  [
    "errors without an end",
    Array.from({ length: 20 }).reduce<Error>(
      (cause) => Object.assign(new Error("in", { cause }), { sql: PAYLOAD }),
      new Error(),
    ),
  ],
];

describe("the cause of a StoreError", () => {
  it.each(ERRORS)("shows nobody what was stored, whoever prints it: %s", (_driver, cause) => {
    const error = new StoreError("redis", "replace", "failed", cause);
    const lines: string[] = [];
    pino({}, { write: (text: string) => void lines.push(text) }).error(error);
    const printed = [
      inspect(error, { depth: 30 }),
      JSON.stringify(error),
      JSON.stringify(error.cause),
      error.stack,
      ...lines,
    ];
    for (const text of printed) expect(text).not.toContain(PAYLOAD);
  });

  it("still says what went wrong", () => {
    const cause = Object.assign(new Error("connect ECONNREFUSED"), {
      code: "ECONNREFUSED",
      port: 6379,
      sql: PAYLOAD,
    });
    const error = new StoreError("redis", "load", "failed", cause);
    expect(error.cause).toBe(cause);
    expect(inspect(error)).toMatch(/ECONNREFUSED[\s\S]*6379/);
    // For who knows what they ask for.
    expect(cause.sql).toBe(PAYLOAD);
  });

  it("may be anything", () => {
    for (const cause of [null, "text", 7, Symbol("x")])
      expect(new StoreError("redis", "load", "failed", cause).cause).toBe(cause);
  });

  it("may lead to itself", () => {
    const cause = new Error("round");
    cause.cause = cause;
    expect(() => inspect(new StoreError("redis", "load", "failed", cause))).not.toThrow();
  });
});
