import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Contents,
  decodePayload,
  encodeSession,
  encodeTombstone,
  recordFault,
  type SessionMeta,
  type Tombstone,
} from "./record.js";

/** Any unit of UTF-16, lone surrogates too. (fast-check's own "binary" takes a second to start.) */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));

const META: SessionMeta = { createdAt: 1000, seenAt: 2000, tokenAt: 1500 };

function refusal(payload: string): string {
  let contents: Contents;
  try {
    contents = decodePayload(payload);
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).name).toBe("Error"); // not a SyntaxError or a TypeError of the engine's
    expect((error as Error).cause).toBeUndefined();
    return (error as Error).message;
  }
  throw new Error(`the payload was read: ${Object.keys(contents).join()}`);
}

describe("a session's payload", () => {
  it("gives back its meta and the data's text, letter for letter", () => {
    const meta = fc.record(
      {
        createdAt: fc.nat(),
        seenAt: fc.nat(),
        tokenAt: fc.nat(),
        authenticatedAt: fc.nat(),
        client: fc.record(
          { browser: fc.string(), system: fc.string(), ip: fc.string() },
          { requiredKeys: [] },
        ),
        flash: fc.array(fc.tuple(fc.string({ unit: CODE_UNIT }), fc.string())),
        renewedFrom: fc.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      },
      { requiredKeys: ["createdAt", "seenAt", "tokenAt"], noNullPrototype: true },
    );
    fc.assert(
      fc.property(meta, fc.string({ unit: CODE_UNIT }), (meta, text) => {
        const contents = decodePayload(encodeSession(meta, text));
        if (!("meta" in contents)) throw new Error("read as a tombstone");
        expect(contents.text).toBe(text);
        expect(contents.meta).toEqual({ format: 1, ...JSON.parse(JSON.stringify(meta)) });
      }),
    );
  });

  it("is one line of JSON, a line feed, and the text", () => {
    expect(encodeSession(META, '{"a":\n1}')).toBe(
      '{"format":1,"createdAt":1000,"seenAt":2000,"tokenAt":1500}\n{"a":\n1}',
    );
  });

  it("doesn't take a line feed in its meta for the end of the line", () => {
    const contents = decodePayload(encodeSession({ ...META, flash: [["no\ntice", "two\nlines"]] }, "text"));
    expect(contents).toMatchObject({ text: "text", meta: { flash: [["no\ntice", "two\nlines"]] } });
  });

  it("may have an empty text", () => {
    expect(decodePayload(encodeSession(META, ""))).toMatchObject({ text: "" });
  });

  it("leaves out what is undefined", () => {
    const payload = encodeSession(
      { ...META, flash: undefined, client: undefined, renewedFrom: undefined },
      "",
    );
    expect(payload).toBe(encodeSession(META, ""));
  });
});

describe("a tombstone", () => {
  it.each<Tombstone>([
    { ended: "logout", at: 5 },
    { ended: "destroyed", at: 5 },
    { ended: "revoked", at: 5 },
    { ended: "rotated", at: 5, userId: "anna" },
    { ended: "renewed", at: 5, successor: "s".repeat(43) },
  ])("comes back as it was: %j", (tombstone) => {
    expect(decodePayload(encodeTombstone(tombstone))).toEqual({ tombstone: { format: 1, ...tombstone } });
  });

  it("is never read as a session, nor a session as a tombstone", () => {
    expect(decodePayload(encodeTombstone({ ended: "logout", at: 5 }))).not.toHaveProperty("meta");
    expect(decodePayload(encodeSession(META, ""))).not.toHaveProperty("tombstone");
  });
});

describe("a payload that can't be read", () => {
  const head = (members: object) => JSON.stringify({ format: 1, ...META, ...members });

  it.each<[string, string, string]>([
    ["empty", "", "its first line is not JSON"],
    ["a line feed", "\n", "its first line is not JSON"],
    ["text", "hello", "its first line is not JSON"],
    ["cut off", encodeSession(META, "").slice(0, 20), "its first line is not JSON"],
    ["a list", "[]\n{}", "its first line is not an object"],
    ["null", "null\n{}", "its first line is not an object"],
    ["a number", "1\n{}", "its first line is not an object"],
    ["an object of somebody else's", '{"cookie":{},"user":1}', "its format is not 1"],
    ["of a newer format", '{"format":2}\n{}', "its format is not 1 (written by a newer Holdfast?)"],
    ["of a format in quotes", '{"format":"1"}\n{}', "its format is not 1"],
    ["with an inherited format", '{"__proto__":{"format":1}}\n{}', "its format is not 1"],
    ["a session without times", '{"format":1}\n{}', "its times are missing"],
    ["a session with a time in quotes", `${head({ seenAt: "2000" })}\n{}`, "its times are missing"],
    ["a session with a time of null", `${head({ createdAt: null })}\n{}`, "its times are missing"],
    ["a session without tokenAt", `${head({ tokenAt: undefined })}\n{}`, "its times are missing"],
    ["a session with an endless time", `${head({}).replace("1000", "1e999")}\n{}`, "its times are missing"],
    ["flash that is no list", `${head({ flash: {} })}\n{}`, "its flash messages are malformed"],
    ["flash that is a text", `${head({ flash: "ab" })}\n{}`, "its flash messages are malformed"],
    ["flash that holds no pairs", `${head({ flash: ["a"] })}\n{}`, "its flash messages are malformed"],
    [
      "flash with a key that is no text",
      `${head({ flash: [[1, 2]] })}\n{}`,
      "its flash messages are malformed",
    ],
    [
      "renewed from something that is no id",
      `${head({ renewedFrom: 7 })}\n{}`,
      "its predecessor is malformed",
    ],
    ["a session without the line feed", head({}), "its tombstone is incomplete"],
    ["a tombstone without a reason", '{"format":1,"at":5}', "its tombstone is incomplete"],
    ["a tombstone without a time", '{"format":1,"ended":"logout"}', "its tombstone is incomplete"],
    [
      "a tombstone with a time in quotes",
      '{"format":1,"ended":"logout","at":"5"}',
      "its tombstone is incomplete",
    ],
    [
      "a renewal without a successor",
      '{"format":1,"ended":"renewed","at":5}',
      "its tombstone names no successor",
    ],
    [
      "a successor that is no text",
      '{"format":1,"ended":"renewed","at":5,"successor":7}',
      "its tombstone names no successor",
    ],
    [
      "a logout with a successor that is no text",
      '{"format":1,"ended":"logout","at":5,"successor":{}}',
      "its tombstone names no successor",
    ],
    [
      "a successor that is no session id",
      '{"format":1,"ended":"renewed","at":5,"successor":"another:key"}',
      "its tombstone names no successor",
    ],
    [
      "a time of login that is no time",
      '{"format":1,"createdAt":1,"seenAt":1,"tokenAt":1,"authenticatedAt":"now"}\n{}',
      "its time of login is malformed",
    ],
    [
      "a client that is text",
      '{"format":1,"createdAt":1,"seenAt":1,"tokenAt":1,"client":"Firefox"}\n{}',
      "its client is malformed",
    ],
  ])("%s", (_name, payload, message) => {
    expect(refusal(payload)).toContain(message);
  });

  it("tells none of itself in the error, whatever it is", () => {
    const secret = "hunter2-hunter2";
    const json = fc.jsonValue().map((value) => JSON.stringify(value));
    const line = fc.oneof(fc.string({ unit: CODE_UNIT }), json, fc.constantFrom(head({}), '{"format":1}'));
    const payload = fc.oneof(
      line,
      fc.tuple(line, line).map((lines) => lines.join("\n")),
      fc.tuple(line, fc.nat(200)).map(([text, end]) => text.slice(0, end)),
    );
    fc.assert(
      fc.property(payload, fc.nat(), (start, at) => {
        const cut = at % (start.length + 1);
        for (const text of [start, start.slice(0, cut) + secret + start.slice(cut)]) {
          try {
            decodePayload(text);
          } catch (error) {
            expect((error as Error).name).toBe("Error");
            expect(MESSAGES).toContain((error as Error).message);
            expect(String((error as Error).stack)).not.toContain(secret);
            expect((error as Error).cause).toBeUndefined();
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  const MESSAGES = [
    "its first line is not JSON",
    "its first line is not an object",
    "its format is not 1 (written by a newer Holdfast?)",
    "its times are missing",
    "its flash messages are malformed",
    "its predecessor is malformed",
    "its tombstone is incomplete",
    "its tombstone names no successor",
  ];
});

describe("recordFault", () => {
  const RECORD = { version: 1, payload: "", idleDeadline: 1, absoluteDeadline: 2, userId: null };

  it.each<[string, object]>([
    ["the least", RECORD],
    ["with a user", { ...RECORD, userId: "anna" }],
    ["of a late version", { ...RECORD, version: Number.MAX_SAFE_INTEGER }],
    ["with more than is needed", { ...RECORD, id: "x" }],
    ["without a prototype", Object.assign(Object.create(null), RECORD)],
  ])("finds none in a record: %s", (_name, record) => {
    expect(recordFault(record)).toBeUndefined();
  });

  it.each<[unknown, string]>([
    [undefined, "object"],
    [null, "object"],
    ["text", "object"],
    [1, "object"],
    [true, "object"],
    [() => RECORD, "object"],
    [[], "version"],
    [[RECORD], "version"],
    [{}, "version"],
    [new Map(Object.entries(RECORD)), "version"],
    [{ ...RECORD, version: undefined }, "version"],
    [{ ...RECORD, version: "1" }, "version"],
    [{ ...RECORD, version: 0 }, "version"],
    [{ ...RECORD, version: -1 }, "version"],
    [{ ...RECORD, version: 1.5 }, "version"],
    [{ ...RECORD, version: 1n }, "version"],
    [{ ...RECORD, version: Number.NaN }, "version"],
    [{ ...RECORD, version: 2 ** 53 }, "version"],
    [{ ...RECORD, payload: undefined }, "payload"],
    [{ ...RECORD, payload: null }, "payload"],
    [{ ...RECORD, payload: {} }, "payload"],
    [{ ...RECORD, payload: Buffer.from("x") }, "payload"],
    [{ ...RECORD, idleDeadline: "1" }, "deadline"],
    [{ ...RECORD, idleDeadline: new Date() }, "deadline"],
    [{ ...RECORD, idleDeadline: Number.POSITIVE_INFINITY }, "deadline"],
    [{ ...RECORD, absoluteDeadline: undefined }, "deadline"],
    [{ ...RECORD, absoluteDeadline: Number.NaN }, "deadline"],
    [{ ...RECORD, absoluteDeadline: 2n }, "deadline"],
    [{ ...RECORD, userId: undefined }, "user id"],
    [{ ...RECORD, userId: 7 }, "user id"],
    [{ ...RECORD, userId: {} }, "user id"],
  ])("finds what is wrong with %o", (value, what) => {
    expect(recordFault(value)).toContain(what);
  });

  it("never throws, and tells nothing of the value", () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
    });
    fc.assert(
      fc.property(anything, anything, anything, (version, payload, userId) => {
        for (const value of [
          version,
          { ...RECORD, version, payload: "hunter2", userId },
          { ...RECORD, payload },
        ])
          expect(recordFault(value) ?? "").not.toContain("hunter2");
      }),
    );
  });
});
