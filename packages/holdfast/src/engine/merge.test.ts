import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonCodec } from "./codec.js";
import { type MergeStrategy, mergeData, replaceContents } from "./merge.js";

type PlainObject = Record<string, unknown>;
type Strategies = Record<string, MergeStrategy | undefined>;

/** Merges what can't be changed: frozen all through, so that a merge that writes to an argument throws. */
function merge(base: PlainObject, mine: PlainObject, theirs: PlainObject, strategies: Strategies = {}) {
  return mergeData(deepFreeze(base), deepFreeze(mine), deepFreeze(theirs), deepFreeze(strategies), jsonCodec);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}

const key = fc.constantFrom("a", "b", "c", "0", "__proto__", "constructor", "toString");
const { data } = fc.letrec<{ data: PlainObject; value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<unknown>(0, 1, 2, "", "x", true, null),
    fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 3 }),
    tie("data"),
  ),
  data: fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<PlainObject>,
}));

describe("mergeData, for any data", () => {
  it("takes theirs where this request changed nothing", () => {
    fc.assert(
      fc.property(data, data, (base, theirs) => {
        const merged = merge(base, structuredClone(base), theirs);
        expect(JSON.stringify(merged)).toBe(JSON.stringify(theirs));
      }),
    );
  });

  it("takes mine where the others changed nothing", () => {
    fc.assert(
      fc.property(data, data, (base, mine) => {
        expect(canonical(merge(base, mine, structuredClone(base)))).toBe(canonical(mine));
      }),
    );
  });

  it("takes either where both made the same change", () => {
    fc.assert(
      fc.property(data, data, (base, both) => {
        expect(canonical(merge(base, both, structuredClone(both)))).toBe(canonical(both));
      }),
    );
  });

  it("keeps every change to a top-level key that only one side made, deletions too", () => {
    fc.assert(
      fc.property(data, data, data, (base, mine, theirs) => {
        const merged = merge(base, mine, theirs);
        for (const name of new Set([...Object.keys(base), ...Object.keys(mine), ...Object.keys(theirs)])) {
          const [before, ours, other, result] = [base, mine, theirs, merged].map((object) =>
            text(object, name),
          );
          if (other === before) expect(result).toBe(ours);
          if (ours === before) expect(result).toBe(other);
        }
      }),
    );
  });

  it("keeps both sides' changes where they are at different places, however deep", () => {
    fc.assert(
      fc.property(data, data, data, (base, one, other) => {
        const start = { ...base, left: { in: { same: base } }, right: { in: { same: base } } };
        const mine = { ...start, left: { in: { same: one } } };
        const theirs = { ...start, right: { in: { same: other } } };
        const both = { ...base, left: { in: { same: one } }, right: { in: { same: other } } };
        expect(canonical(merge(start, mine, theirs))).toBe(canonical(both));
        expect(canonical(merge({ at: start }, { at: mine }, { at: theirs }))).toBe(canonical({ at: both }));
      }),
    );
  });

  it("changes none of its arguments, with every strategy", () => {
    const strategy = fc.constantFrom<MergeStrategy | undefined>(
      undefined,
      "append",
      "counter",
      (_base, mine) => mine,
    );
    fc.assert(
      fc.property(data, data, data, fc.dictionary(key, strategy), (base, mine, theirs, strategies) => {
        const before = JSON.stringify([base, mine, theirs]);
        merge(base, mine, theirs, strategies); // frozen: a write throws
        expect(JSON.stringify([base, mine, theirs])).toBe(before);
      }),
    );
  });

  it("gives what can be stored: no undefined, and only keys of either side", () => {
    fc.assert(
      fc.property(data, data, data, (base, mine, theirs) => {
        const merged = merge(base, mine, theirs);
        expect(Object.values(merged)).not.toContain(undefined);
        for (const name of Object.keys(merged))
          expect(Object.hasOwn(mine, name) || Object.hasOwn(theirs, name)).toBe(true);
      }),
    );
  });

  it("never touches a prototype", () => {
    fc.assert(
      fc.property(data, data, data, (base, mine, theirs) => {
        const merged = merge(base, mine, theirs);
        expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
        expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(PROTOTYPE_NAMES);
      }),
    );
  });

  const PROTOTYPE_NAMES = Object.getOwnPropertyNames(Object.prototype);

  function text(object: PlainObject | undefined, name: string): string | undefined {
    return object !== undefined && Object.hasOwn(object, name) ? canonical(object[name]) : undefined;
  }

  /** JSON with its keys in order: the order of keys is no difference to a merge. */
  function canonical(value: unknown): string {
    return JSON.stringify(value, (_key, member: unknown) =>
      typeof member === "object" && member !== null && !Array.isArray(member)
        ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
        : member,
    );
  }
});

describe("mergeData", () => {
  it.each<[string, PlainObject, PlainObject, PlainObject, PlainObject]>([
    ["two new keys", {}, { a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    ["two new keys in one object", { o: {} }, { o: { a: 1 } }, { o: { b: 2 } }, { o: { a: 1, b: 2 } }],
    ["an object that both make", {}, { o: { a: 1 } }, { o: { b: 2 } }, { o: { a: 1, b: 2 } }],
    [
      "an object in place of a number, by both",
      { o: 1 },
      { o: { a: 1 } },
      { o: { b: 2 } },
      { o: { a: 1, b: 2 } },
    ],
    ["two deletions", { a: 1, b: 2, c: 3 }, { b: 2, c: 3 }, { a: 1, c: 3 }, { c: 3 }],
    ["two nested deletions", { o: { a: 1, b: 2 } }, { o: { b: 2 } }, { o: { a: 1 } }, { o: {} }],
    ["a deletion that both made", { a: 1 }, {}, {}, {}],
    ["a deletion here, a change of it there: the later write", { a: 1 }, {}, { a: 2 }, {}],
    ["a change here, a deletion of it there: the later write", { a: 1 }, { a: 2 }, {}, { a: 2 }],
    ["an object deleted here, changed there", { o: { a: 1 } }, {}, { o: { a: 2 } }, {}],
    ["a value that both changed: the later write", { a: 1 }, { a: 2 }, { a: 3 }, { a: 2 }],
    ["a list that both changed: the later write", { a: [1] }, { a: [1, 2] }, { a: [1, 3] }, { a: [1, 2] }],
    ["an object here, a list there", { a: {} }, { a: { x: 1 } }, { a: [1] }, { a: { x: 1 } }],
    ["a list here, an object there", { a: [] }, { a: [1] }, { a: { x: 1 } }, { a: [1] }],
    ["null is a value", { a: 1 }, { a: null }, { a: 1, b: 2 }, { a: null, b: 2 }],
    ["null in place of an object", { o: { a: 1 } }, { o: null }, { o: { a: 2 } }, { o: null }],
    [
      "a nested clash beside nested changes",
      { o: { a: 1 } },
      { o: { a: 2, m: 1 } },
      { o: { a: 3, t: 1 } },
      { o: { a: 2, m: 1, t: 1 } },
    ],
  ])("merges %s", (_name, base, mine, theirs, merged) => {
    expect(merge(base, mine, theirs)).toStrictEqual(merged);
  });

  it("counts a property that is undefined as absent", () => {
    expect(merge({ a: 1, b: 1 }, { a: undefined, b: 1 }, { a: 1, b: 2 })).toStrictEqual({ b: 2 });
    expect(merge({ a: undefined }, {}, { a: undefined, b: 2 })).toStrictEqual({ b: 2 });
  });

  it("leaves the keys in the order in which they are stored, new ones last", () => {
    const merged = merge({ b: 1, a: 1 }, { a: 2, b: 1, m: 1 }, { b: 1, a: 1, t: 1 });
    expect(Object.keys(merged)).toEqual(["b", "a", "t", "m"]);
  });

  it("keeps a key that is named like a prototype's as data", () => {
    const parse = (json: string) => JSON.parse(json) as PlainObject;
    const base = parse('{"__proto__":{"role":"user"},"constructor":{"prototype":{}}}');
    const mine = parse('{"__proto__":{"role":"admin"},"constructor":{"prototype":{"a":1}}}');
    const theirs = parse('{"__proto__":{"role":"user","x":1},"constructor":{"prototype":{"b":2}}}');
    const merged = merge(base, mine, theirs);
    expect(JSON.stringify(merged)).toBe(
      '{"__proto__":{"role":"admin","x":1},"constructor":{"prototype":{"b":2,"a":1}}}',
    );
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect((merged as { role?: unknown }).role).toBeUndefined();
    expect(({} as { a?: unknown }).a).toBeUndefined();
  });

  it("has no strategy for a key because a prototype has a method of that name", () => {
    expect(merge({}, { toString: "mine" }, { toString: "theirs" })).toStrictEqual({ toString: "mine" });
  });
});

describe("the strategy append", () => {
  const append = (base: unknown, mine: unknown, theirs: unknown) => {
    const data = (list: unknown) => (list === undefined ? {} : { list });
    return merge(data(base), data(mine), data(theirs), { list: "append" }).list;
  };

  it.each<[string, unknown, unknown, unknown, unknown]>([
    ["both add", ["a"], ["a", "m"], ["a", "t"], ["a", "t", "m"]],
    ["both add the same: that is two", [], ["x"], ["x"], ["x", "x"]],
    ["both make the list", undefined, ["m"], ["t"], ["t", "m"]],
    ["both remove one", ["a", "b", "c"], ["b", "c"], ["a", "b"], ["b"]],
    ["both remove the same one", ["a", "b"], ["b"], ["b"], ["b"]],
    ["one adds, the other removes", ["a"], ["a", "m"], [], ["m"]],
    ["one removes, the other adds", ["a"], [], ["a", "t"], ["t"]],
    ["one clears, the other adds", ["a", "b"], [], ["a", "b", "t"], ["t"]],
    ["one replaces, the other adds", ["a"], ["m"], ["a", "t"], ["t", "m"]],
    ["one of two like ones is removed here", [1, 1], [1], [1, 1, 2], [1, 2]],
    ["one of two like ones is removed there", [1, 1], [1, 1, 2], [1], [1, 2]],
    ["another like one is added here, another thing there", ["a"], ["a", "a"], ["a", "t"], ["a", "t", "a"]],
    ["three like ones come to five", [7, 7, 7], [7, 7, 7, 7], [7, 7, 7, 7], [7, 7, 7, 7, 7]],
    [
      "objects are told apart by what they hold",
      [{ id: 1 }],
      [{ id: 1 }, { id: 2 }],
      [{ id: 3 }],
      [{ id: 3 }, { id: 2 }],
    ],
    [
      "a change of an item is a removal and an addition",
      [{ n: 1 }],
      [{ n: 2 }],
      [{ n: 1 }, { t: 1 }],
      [{ t: 1 }, { n: 2 }],
    ],
    ["a new order here is no change", ["a", "b"], ["b", "a"], ["a", "b", "t"], ["a", "b", "t"]],
    [
      "deleted here, added to there: what there was is gone, what was added stays",
      ["a"],
      undefined,
      ["a", "t"],
      ["t"],
    ],
    [
      "added to here, deleted there: what there was is gone, what was added stays",
      ["a"],
      ["a", "m"],
      undefined,
      ["m"],
    ],
    ["deleted here, something removed there", ["a", "b"], undefined, ["a"], undefined],
    ["something removed here, deleted there", ["a", "b"], ["a"], undefined, undefined],
    ["no list here: the later write", ["a"], "text", ["a", "t"], "text"],
    ["no list there: the later write", ["a"], ["a", "m"], "text", ["a", "m"]],
    ["no list there, deleted here: the later write", ["a"], undefined, "text", undefined],
    ["no list before", "text", ["m"], ["t"], ["t", "m"]],
  ])("%s", (_name, base, mine, theirs, merged) => {
    expect(append(base, mine, theirs)).toStrictEqual(merged);
  });

  const list = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 });

  it("keeps every addition of both", () => {
    fc.assert(
      fc.property(list, list, list, (base, ours, others) => {
        fc.pre(ours.length > 0 && others.length > 0);
        expect(append(base, [...base, ...ours], [...base, ...others])).toEqual([...base, ...others, ...ours]);
      }),
    );
  });

  it("counts each value right: what there was, and what each side added or took", () => {
    fc.assert(
      fc.property(list, list, list, (base, mine, theirs) => {
        const merged = append(base, mine, theirs) as number[];
        fc.pre(!sameList(base, mine) && !sameList(base, theirs));
        for (const value of [0, 1, 2, 3]) {
          const [before, ours, other, after] = [base, mine, theirs, merged].map(
            (values) => values.filter((entry) => entry === value).length,
          ) as [number, number, number, number];
          // Theirs less what was taken here (not below none), and what was added here.
          expect(after).toBe(Math.max(0, other - Math.max(0, before - ours)) + Math.max(0, ours - before));
        }
      }),
    );
  });

  function sameList(one: number[], other: number[]): boolean {
    return one.join() === other.join();
  }
});

describe("the strategy counter", () => {
  const counter = (base: unknown, mine: unknown, theirs: unknown) => {
    const data = (n: unknown) => (n === undefined ? {} : { n });
    return merge(data(base), data(mine), data(theirs), { n: "counter" }).n;
  };

  it.each<[string, unknown, unknown, unknown, unknown]>([
    ["both count up", 5, 6, 7, 8],
    ["both by the same", 5, 6, 6, 7],
    ["one up, one down", 5, 6, 4, 5],
    ["below zero", 1, 0, -1, -2],
    ["both start it", undefined, 1, 1, 2],
    ["one sets it to zero, one counts", 5, 0, 6, 1],
    ["deleted here, counted there: counting starts anew", 5, undefined, 6, 1],
    ["counted here, deleted there: counting starts anew", 5, 6, undefined, 1],
    ["no number here: the later write", 5, "x", 6, "x"],
    ["no number there: the later write", 5, 6, "x", 6],
    ["no number there, deleted here: the later write", 5, undefined, "x", undefined],
    ["no number before", "x", 2, 3, 5],
  ])("%s", (_name, base, mine, theirs, merged) => {
    expect(counter(base, mine, theirs)).toBe(merged);
  });

  it("sums any two counts, in either order", () => {
    const n = fc.integer({ min: -1e6, max: 1e6 });
    fc.assert(
      fc.property(n, n, n, (base, ours, others) => {
        expect(counter(base, base + ours, base + others)).toBe(base + ours + others);
        expect(counter(base, base + others, base + ours)).toBe(base + ours + others);
      }),
    );
  });
});

describe("a strategy that is a function", () => {
  it("is asked with the value before, mine and theirs, where both changed it", () => {
    const calls: unknown[][] = [];
    const merged = merge(
      { best: 1 },
      { best: 5 },
      { best: 3 },
      {
        best: (...values) => {
          calls.push(values);
          return Math.max(...(values as number[]));
        },
      },
    );
    expect(merged).toStrictEqual({ best: 5 });
    expect(calls).toEqual([[1, 5, 3]]);
  });

  it("is not asked where only one side changed it", () => {
    const never: MergeStrategy = () => {
      throw new Error("asked");
    };
    expect(merge({ a: 1 }, { a: 2 }, { a: 1 }, { a: never })).toStrictEqual({ a: 2 });
    expect(merge({ a: 1 }, { a: 1 }, { a: 2 }, { a: never })).toStrictEqual({ a: 2 });
  });

  it("gets undefined for what was absent, and deletes the key by giving undefined", () => {
    const strategy: MergeStrategy = (base, mine, theirs) => (base === undefined ? mine + theirs : undefined);
    expect(merge({}, { a: 1 }, { a: 2 }, { a: strategy })).toStrictEqual({ a: 3 });
    expect(merge({ a: 1 }, { a: 2 }, { a: 3 }, { a: strategy })).toStrictEqual({});
  });

  it("is for a top-level key, not for one of the same name within", () => {
    expect(merge({ o: {} }, { o: { n: 1 } }, { o: { n: 1, t: 1 } }, { n: "counter" })).toStrictEqual({
      o: { n: 1, t: 1 },
    });
  });

  it("may be for a key named __proto__", () => {
    const n = (value: number) => JSON.parse(`{"__proto__":${value}}`) as PlainObject;
    const strategies = JSON.parse('{"__proto__":"counter"}') as Strategies;
    expect(JSON.stringify(merge(n(1), n(2), n(3), strategies))).toBe('{"__proto__":4}');
  });
});

describe("replaceContents", () => {
  it("leaves the same object with exactly the other's members, in the other's order", () => {
    fc.assert(
      fc.property(data, data, (target, source) => {
        const before = JSON.stringify(source);
        replaceContents(target, source);
        expect(JSON.stringify(target)).toBe(before);
        expect(JSON.stringify(source)).toBe(before);
        expect(Object.getPrototypeOf(target)).toBe(Object.prototype);
      }),
      {
        examples: [
          [
            { a: 1, b: 2 },
            { b: 2, a: 1 },
          ],
        ],
      },
    );
  });

  it("takes an object itself for its new contents", () => {
    const target = { a: 1, b: { c: 2 } };
    replaceContents(target, target);
    expect(target).toStrictEqual({ a: 1, b: { c: 2 } });
  });

  it("takes __proto__ for a key", () => {
    const target: PlainObject = { a: 1 };
    replaceContents(target, JSON.parse('{"__proto__":{"role":"admin"}}'));
    expect(JSON.stringify(target)).toBe('{"__proto__":{"role":"admin"}}');
    expect(target.role).toBeUndefined();
    replaceContents(target, {});
    expect(Object.getOwnPropertyNames(target)).toEqual([]);
    expect(Object.getPrototypeOf(target)).toBe(Object.prototype);
  });
});
