import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NotSerializableError } from "../errors.js";
import { type Codec, jsonCodec } from "./codec.js";
import { Snapshot } from "./snapshot.js";

type PlainObject = Record<string, unknown>;

const key = fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "toString", "0", "length"));
const { data } = fc.letrec<{ data: PlainObject; value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("data"),
  ),
  data: fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<PlainObject>,
}));

const reversing: Codec = {
  encode: (value) => [...JSON.stringify(value)].reverse().join(""),
  decode: (text) => JSON.parse([...text].reverse().join("")),
};

describe.each([
  ["JSON", jsonCodec],
  ["another codec", reversing],
])("a snapshot with %s", (_name, codec) => {
  it("gives copies that are what the codec decodes, each its own", () => {
    fc.assert(
      fc.property(data, (value) => {
        const snapshot = new Snapshot(codec, codec.encode(value));
        const copy = snapshot.copy()!;
        expect(codec.encode(copy)).toBe(snapshot.text);
        expect(copy).toEqual(codec.decode(snapshot.text));
        const changed = snapshot.copy()!;
        for (const name of Object.keys(changed)) Reflect.deleteProperty(changed, name);
        changed.other = { deep: [1] };
        expect(codec.encode(snapshot.copy())).toBe(snapshot.text);
        expect(codec.encode(copy)).toBe(snapshot.text);
      }),
    );
  });

  it("has no next one of its copies, and of all that the codec writes in another way", () => {
    fc.assert(
      fc.property(data, data, (one, other) => {
        const snapshot = new Snapshot(codec, codec.encode(one));
        expect(snapshot.next(snapshot.copy()!)).toBeUndefined();
        expect((snapshot.next(other) ?? snapshot).text).toBe(codec.encode(other));
        const both = { ...snapshot.copy()!, ...other };
        expect((snapshot.next(both) ?? snapshot).text).toBe(codec.encode(both));
      }),
    );
  });

  it("that is made of changed data gives the copies that one of its text gives", () => {
    const odd = {
      zero: -0,
      list: [-0, { gone: undefined, kept: null }],
      gone: undefined,
      bare: Object.create(null),
    };
    const both = fc.oneof(data, fc.constant(odd as PlainObject));
    fc.assert(
      fc.property(both, (value) => {
        const read = new Snapshot(codec, codec.encode(value));
        const made = new Snapshot(codec, codec.encode({ first: 1 })).next(value)!;
        expect(made.text).toBe(read.text);
        expect(isDeepStrictEqual(made.copy(), read.copy())).toBe(true);
        expect(Object.keys(made.copy()!)).toEqual(Object.keys(read.copy()!));
        expect(made.next(read.copy()!)).toBeUndefined();
        // What the application changes later is no part of it.
        value.later = 1;
        expect(isDeepStrictEqual(made.copy(), read.copy())).toBe(true);
        Reflect.deleteProperty(value, "later");
      }),
    );
  });

  it("has no copy of what is no plain object", () => {
    for (const value of [null, 1, "text", [1]]) {
      expect(new Snapshot(codec, codec.encode(value)).copy()).toBeUndefined();
    }
  });
});

describe("a snapshot with JSON has no next one of data in which something has come that JSON can't carry", () => {
  const text = JSON.stringify({ user: { name: "Ada" }, cart: [{ sku: "tea" }], count: 1 });
  const failureOf = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      return error;
    }
  };
  const deep = (levels: number) => {
    let value: unknown = 1;
    for (let level = 0; level < levels; level++) value = [value];
    return value;
  };

  it.each<[string, (data: any) => unknown]>([
    ["a function", (data) => (data.user.greet = () => {})],
    ["a Date in place of text", (data) => (data.user.name = new Date(0))],
    ["a symbol for a key", (data) => (data.user[Symbol("secret")] = 1)],
    ["a hidden member", (data) => Object.defineProperty(data.user, "id", { value: 1 })],
    ["a member that was hidden", (data) => Object.defineProperty(data.user, "name", { enumerable: false })],
    ["a named member of a list", (data) => (data.cart.total = 1)],
    ["a hole in a list", (data) => delete data.cart[0]],
    ["an instance of a class", (data) => Object.setPrototypeOf(data.user, Map.prototype)],
    ["a list of another class", (data) => Object.setPrototypeOf(data.cart, class extends Array {}.prototype)],
    ["a cycle", (data) => (data.user.self = data)],
    ["a cycle from the top", (data) => (data.self = data)],
    ["a function at the top", (data) => (data.greet = () => {})],
    ["a function in a new place", (data) => (data.more = { deep: [{ greet() {} }] })],
    ["a Date in place of an object", (data) => (data.user = new Date(0))],
    ["toJSON at the top", (data) => (data.toJSON = () => "")],
    ["a symbol for a key at the top", (data) => (data[Symbol("secret")] = 1)],
    ["a hidden member at the top", (data) => Object.defineProperty(data, "id", { value: 1 })],
    [
      "a member that was hidden at the top",
      (data) => Object.defineProperty(data, "cart", { enumerable: false }),
    ],
    ["NaN", (data) => (data.count = Number.NaN)],
    ["what was nested too deeply", (data) => (data.deep = deep(100_000))],
  ])("%s", (_what, change) => {
    const snapshot = new Snapshot(jsonCodec, text);
    const data = snapshot.copy()!;
    change(data);
    const failure = failureOf(() => jsonCodec.encode(data));
    expect(failure).toBeInstanceOf(NotSerializableError);
    expect(failureOf(() => snapshot.next(data))).toEqual(failure);
  });
});
