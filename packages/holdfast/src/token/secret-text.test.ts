import { afterEach, describe, expect, it } from "vitest";
import { ConfigurationError } from "../errors.js";
import { secretsFromEnv, secretsInText } from "./secret-text.js";

describe("secrets in a text", () => {
  it("are one a line, without blanks around them, blank lines and comments", () => {
    const text =
      "\ufeff# of the shop\n\n  first-secret  \r\n\tsecond secret with blanks\n#third\n\nfourth=#\n";
    expect(secretsInText("a file", text)).toEqual(["first-secret", "second secret with blanks", "fourth=#"]);
    expect(secretsInText("a file", "one without a line feed")).toEqual(["one without a line feed"]);
    for (const empty of ["", "\n \n", "# nothing"]) expect(secretsInText("a file", empty)).toEqual([]);
  });

  it.each([
    ["2027-01-01 secret", "2027-01-01T00:00:00Z", "secret"],
    ["2027-01-01T12:30Z\tsecret", "2027-01-01T12:30:00Z", "secret"],
    ["2027-01-01T12:30:15.250Z   a secret", "2027-01-01T12:30:15.250Z", "a secret"],
    ["2027-01-01T01:00:00+01:00 secret", "2027-01-01T00:00:00Z", "secret"],
  ])("may have a date in front: %s", (line, from, secret) => {
    expect(secretsInText("a file", line)).toEqual([{ secret, from: new Date(from) }]);
  });

  it.each(["2027-01-01", "2027-01-01T12:30:00 secret", "2027-1-1 secret", "x2027-01-01 secret"])(
    "what is no such date is the secret itself, for its time would depend on the server: %s",
    (line) => {
      expect(secretsInText("a file", line)).toEqual([line]);
    },
  );

  it("a date that is none is an error that names the line, not the secret", () => {
    expect(() => secretsInText("the/file", "ok\n2027-13-45 hidden")).toThrow(ConfigurationError);
    expect(() => secretsInText("the/file", "ok\n2027-13-45 hidden")).toThrow(
      /^the\/file, line 2: 2027-13-45 is not/,
    );
    expect(() => secretsInText("the/file", "ok\n2027-13-45 hidden")).not.toThrow(/hidden/);
  });
});

describe("secrets from the environment", () => {
  afterEach(() => {
    for (const name of Object.keys(process.env)) if (name.startsWith("HF_TEST_")) delete process.env[name];
  });

  it("are separated by commas or line feeds, in the order of the variables; what is not set is left out", () => {
    process.env.HF_TEST_ONE = "first, second\nthird,,";
    process.env.HF_TEST_TWO = "2027-01-01 fourth";
    const source = secretsFromEnv("HF_TEST_ONE", "HF_TEST_NONE", "HF_TEST_TWO");
    expect(source.read()).toEqual([
      "first",
      "second",
      "third",
      { secret: "fourth", from: new Date("2027-01-01T00:00:00Z") },
    ]);
    expect(source.description).toBe("the environment (HF_TEST_ONE, HF_TEST_NONE, HF_TEST_TWO)");
    expect(secretsFromEnv("HF_TEST_NONE").read()).toEqual([]);
  });

  it("need a name", () => {
    for (const names of [[], [""], [undefined]])
      expect(() => secretsFromEnv(...(names as string[]))).toThrow(ConfigurationError);
  });
});
