import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
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

  it("matches its copies, and nothing that the codec writes in another way", () => {
    fc.assert(
      fc.property(data, data, (one, other) => {
        const snapshot = new Snapshot(codec, codec.encode(one));
        expect(snapshot.matches(snapshot.copy()!)).toBe(true);
        if (snapshot.matches(other)) expect(codec.encode(other)).toBe(snapshot.text);
      }),
    );
  });

  it("that is made of data gives the copies that one of its text gives", () => {
    const odd = {
      zero: -0,
      list: [-0, { gone: undefined, kept: null }],
      gone: undefined,
      bare: Object.create(null),
    };
    const both = fc.oneof(data, fc.constant(odd as PlainObject));
    fc.assert(
      fc.property(both, (value) => {
        const made = Snapshot.of(codec, value);
        const read = new Snapshot(codec, codec.encode(value));
        expect(made.text).toBe(read.text);
        expect(isDeepStrictEqual(made.copy(), read.copy())).toBe(true);
        expect(Object.keys(made.copy()!)).toEqual(Object.keys(read.copy()!));
        expect(made.matches(read.copy()!)).toBe(true);
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

describe("a snapshot with JSON matches no data in which something has come that JSON can't carry", () => {
  const text = JSON.stringify({ user: { name: "Ada" }, cart: [{ sku: "tea" }] });

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
  ])("%s", (_what, change) => {
    const snapshot = new Snapshot(jsonCodec, text);
    const data = snapshot.copy()!;
    change(data);
    expect(snapshot.matches(data)).toBe(false);
    expect(() => jsonCodec.encode(data)).toThrow();
  });
});
