import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NotSerializableError } from "../errors.js";
import { isPlainObject, jsonCodec } from "./codec.js";

/** Any unit of UTF-16, lone surrogates too. (fast-check's own "binary" takes a second to start.) */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));

class Point {
  x = 1;
}

function refusal(data: unknown): NotSerializableError {
  try {
    jsonCodec.encode(data);
  } catch (error) {
    expect(error).toBeInstanceOf(NotSerializableError);
    return error as NotSerializableError;
  }
  throw new Error("the data was encoded");
}

describe("jsonCodec", () => {
  it("gives back what it was given", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: CODE_UNIT }), fc.jsonValue({ stringUnit: CODE_UNIT })),
        (data) => {
          expect(jsonCodec.decode(jsonCodec.encode(data))).toEqual(withoutMinusZero(data));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("gives the same text for what it gave back", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (data) => {
        const text = jsonCodec.encode(data);
        expect(jsonCodec.encode(jsonCodec.decode(text))).toBe(text);
      }),
    );
  });

  it("either encodes any value so that it comes back as it was, or refuses it by path", () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
      withBoxedValues: true,
      withNullPrototype: false,
    });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), anything, { noNullPrototype: true }), (data) => {
        let text: string;
        try {
          text = jsonCodec.encode(data);
        } catch (error) {
          expect(error).toBeInstanceOf(NotSerializableError);
          expect((error as NotSerializableError).path).toMatch(/^data/);
          return;
        }
        // toEqual takes a property that is undefined for an absent one, as the codec does.
        expect(jsonCodec.decode(text)).toEqual(withoutMinusZero(data));
      }),
      { numRuns: 500 },
    );
  });

  it("writes text that every store can keep: well-formed, without NUL or a line feed", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: CODE_UNIT }), fc.string({ unit: CODE_UNIT })), (data) => {
        const text = jsonCodec.encode({ ...data, lone: "\ud800", nul: "\0", lines: "\n\u2028" });
        expect(text.isWellFormed()).toBe(true);
        expect(text).not.toMatch(/[\0\n]/);
      }),
    );
  });

  it("brings lone surrogates, NUL and line separators back", () => {
    const data = { text: "\ud800\udc00\ud800 \udfff \0 \u2028 \ufeff" };
    expect(jsonCodec.decode(jsonCodec.encode(data))).toEqual(data);
  });

  it("takes minus zero for zero", () => {
    expect(jsonCodec.decode(jsonCodec.encode({ n: -0 }))).toEqual({ n: 0 });
  });

  it("leaves out a property that is undefined", () => {
    expect(jsonCodec.encode({ a: undefined, b: { c: undefined, d: 1 } })).toBe('{"b":{"d":1}}');
  });

  it("takes objects without a prototype", () => {
    const bare = Object.assign(Object.create(null), { a: { b: 1 } });
    expect(jsonCodec.encode(bare)).toBe('{"a":{"b":1}}');
  });

  it.each<[string, unknown, string]>([
    ["a Date", { at: new Date() }, "data.at"],
    ["a Map", { cart: new Map() }, "data.cart"],
    ["a Set", { tags: new Set() }, "data.tags"],
    ["a class's instance", { point: new Point() }, "data.point"],
    ["an Error", { error: new Error("x") }, "data.error"],
    ["a RegExp", { pattern: /x/ }, "data.pattern"],
    ["a Promise", { later: Promise.resolve() }, "data.later"],
    ["bytes", { bytes: new Uint8Array(2) }, "data.bytes"],
    ["a Buffer", { bytes: Buffer.from("x") }, "data.bytes"],
    ["a boxed number", { n: Object(1) }, "data.n"],
    ["a boxed string", { s: Object("x") }, "data.s"],
    ["a BigInt", { n: 10n }, "data.n"],
    ["a boxed BigInt", { n: Object(10n) }, "data.n"],
    ["NaN", { n: Number.NaN }, "data.n"],
    ["Infinity", { n: Number.POSITIVE_INFINITY }, "data.n"],
    ["minus Infinity", { n: Number.NEGATIVE_INFINITY }, "data.n"],
    ["a function", { f: () => 1 }, "data.f"],
    ["a class", { f: Point }, "data.f"],
    ["a symbol", { s: Symbol("x") }, "data.s"],
    ["a member with a symbol for its key", { [Symbol("x")]: 1 }, "data[Symbol(x)]"],
    ["undefined in a list", { list: [1, undefined] }, "data.list[1]"],
    // biome-ignore lint/suspicious/noSparseArray: it is what the test is about
    ["a hole in a list", { list: [1, , 3] }, "data.list[1]"],
    ["a list that is longer than its items", { list: Object.assign([1], { length: 3 }) }, "data.list[1]"],
    ["a list with a member by name", { list: Object.assign([1], { total: 5 }) }, "data.list.total"],
    ["a regular expression's match", { match: /x/.exec("x") }, "data.match.index"],
    ["a list with a toJSON", { list: Object.assign([1], { toJSON: () => 2 }) }, "data.list.toJSON"],
    [
      "a list with a hidden toJSON",
      { list: Object.defineProperty([1], "toJSON", { value: () => 2, enumerable: false }) },
      "data.list.toJSON",
    ],
    ["a list with a symbol", { list: Object.assign([1], { [Symbol("x")]: 1 }) }, "data.list[Symbol(x)]"],
    ["a list of a class of its own", { list: new (class Cart extends Array {})() }, "data.list"],
    ["a member that is hidden", Object.defineProperty({}, "x", { value: 1, enumerable: false }), "data.x"],
    ["a toJSON", { money: { toJSON: () => 1 } }, "data.money.toJSON"],
    ["a toJSON of the data itself", { toJSON: () => 1 }, "data.toJSON"],
    ["something deep", { a: [{ b: [[{ c: new Date() }]] }] }, "data.a[0].b[0][0].c"],
    ["a key that is no name", { "first item": { "0": { "": new Date() } } }, 'data["first item"]["0"][""]'],
    ["a key with quotes", { 'a"]': new Date() }, 'data["a\\"]"]'],
    ["no data", undefined, "data"],
    ["a Date for data", new Date(), "data"],
    ["a function for data", () => 1, "data"],
  ])("refuses %s, by its path", (_name, data, path) => {
    const error = refusal(data);
    expect(error.path).toBe(path);
    expect(error.message.startsWith(`${path} is `)).toBe(true);
  });

  it("says what it refuses", () => {
    expect(refusal({ p: new Point() }).message).toContain("data.p is an instance of Point");
    expect(refusal({ p: new Map() }).message).toContain("an instance of Map");
    expect(refusal({ p: 10n }).message).toContain("a bigint");
    expect(refusal({ p: Number.NaN }).message).toContain("is NaN");
    expect(refusal({ p: Object.create({}) }).message).toContain("an instance of Object");
    expect(refusal({ p: Object.create(Object.create(null)) }).message).toContain("an instance of a class");
    expect(refusal({ a: { p: () => 1 } })).toMatchObject({
      code: "ERR_HOLDFAST_NOT_SERIALIZABLE",
      status: 500,
    });
  });

  it("doesn't tell the value", () => {
    expect(refusal({ s: Object("hunter2") }).message).not.toContain("hunter2");
    expect(refusal({ s: Symbol("hunter2") }).message).not.toContain("hunter2");
    expect(refusal({ s: 12345678901234567890n }).message).not.toContain("1234567");
  });

  it("refuses a cycle where it closes", () => {
    const data: Record<string, unknown> = { a: { list: [{}] } };
    (data.a as { list: unknown[] }).list.push(data.a);
    expect(refusal(data).path).toBe("data.a.list[1]");
    const self: Record<string, unknown> = {};
    self.self = self;
    expect(refusal(self).path).toBe("data.self");
  });

  it("takes an object that is there twice, for that is no cycle", () => {
    const shared = { n: 1 };
    const data = { a: shared, b: [shared, shared], c: { d: shared } };
    expect(jsonCodec.decode(jsonCodec.encode(data))).toEqual(data);
  });

  it("keeps keys named like a prototype's as data, and pollutes nothing", () => {
    const text = '{"__proto__":{"role":"admin"},"constructor":{"prototype":{"role":"admin"}},"toString":1}';
    const data = jsonCodec.decode(text) as Record<string, unknown>;
    expect(Object.keys(data)).toEqual(["__proto__", "constructor", "toString"]);
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
    expect(data.role).toBeUndefined();
    expect(({} as { role?: unknown }).role).toBeUndefined();
    expect(jsonCodec.encode(data)).toBe(text);
  });

  it("refuses what is not plain under a key named __proto__, too", () => {
    const data = JSON.parse('{"__proto__":{"at":1}}') as Record<string, Record<string, unknown>>;
    Object.getOwnPropertyDescriptor(data, "__proto__")!.value.at = new Date();
    expect(refusal(data).path).toBe("data.__proto__.at");
  });

  it("doesn't change the data", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (data) => {
        const before = structuredClone(data);
        jsonCodec.encode(data);
        expect(data).toEqual(before);
      }),
    );
  });

  it("throws at text that is no JSON", () => {
    for (const text of ["", "{", "undefined", "{'a':1}"]) expect(() => jsonCodec.decode(text)).toThrow();
  });

  /** JSON has one zero. */
  function withoutMinusZero(value: unknown): unknown {
    if (value === 0) return 0;
    if (Array.isArray(value)) return value.map(withoutMinusZero);
    if (!isPlainObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withoutMinusZero(member)]));
  }
});

describe("isPlainObject", () => {
  it.each([
    [{}],
    [{ a: 1 }],
    [Object.create(null)],
    [JSON.parse('{"__proto__":null}')],
    [{ constructor: 1 }],
  ])("is true of %o", (value) => {
    expect(isPlainObject(value)).toBe(true);
  });

  it.each([
    [null],
    [undefined],
    [1],
    ["x"],
    [[]],
    [new Date()],
    [new Point()],
    [new Map()],
    [() => 1],
    [Object.create({})],
  ])("is false of %o", (value) => {
    expect(isPlainObject(value)).toBe(false);
  });
});

it("data that is nested too deeply is refused like any other that JSON can't carry", () => {
  const data: Record<string, unknown> = {};
  let innermost = data;
  for (let depth = 0; depth < 100_000; depth++) {
    const inner = {};
    innermost.inner = inner;
    innermost = inner;
  }
  expect(() => jsonCodec.encode(data)).toThrow(NotSerializableError);
});
