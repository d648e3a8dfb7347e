import { inspect, isDeepStrictEqual } from "node:util";
import { isPlainObject } from "./codec.js";

/**
 * What happens to a top-level key that two requests changed at the same time:
 * - "append": an array; what each added is kept, what each removed is removed;
 * - "counter": a number; what each added or subtracted is summed;
 * - a function of the value before, this request's and the other's, for everything else. It must not change its arguments.
 */
export type MergeStrategy<Value = any> =
  | "append"
  | "counter"
  | ((base: Value | undefined, mine: Value | undefined, theirs: Value | undefined) => Value | undefined);

/** A strategy for each top-level key that needs one. Keys without one merge as plain values. */
export type MergeStrategies<Data> = { [Key in keyof Data]?: MergeStrategy<Data[Key]> };

type PlainObject = Record<string, unknown>;

/**
 * Merges two changes of one object, three ways: a key that only one side changed takes that side's value; plain objects
 * that both changed merge key by key; anything else that both changed takes `mine`, the later write, or the strategy
 * declared for that top-level key. Changes none of its arguments.
 */
export function mergeData(
  base: PlainObject,
  mine: PlainObject,
  theirs: PlainObject,
  strategies: Readonly<Record<string, MergeStrategy | undefined>>,
): PlainObject {
  return mergeObjects(base, mine, theirs, (key, before, ours, other) => {
    const strategy = Object.hasOwn(strategies, key) ? strategies[key] : undefined;
    return strategy === undefined
      ? mergeValues(before, ours, other)
      : applyStrategy(strategy, before, ours, other);
  });
}

type MergeBothChanged = (key: string, base: unknown, mine: unknown, theirs: unknown) => unknown;

function mergeObjects(
  base: PlainObject,
  mine: PlainObject,
  theirs: PlainObject,
  both: MergeBothChanged,
): PlainObject {
  const merged: PlainObject = {};
  // Theirs first: keys that both have keep the order that is already stored.
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const before = own(base, key);
    const ours = own(mine, key);
    const other = own(theirs, key);
    let value: unknown;
    if (isDeepStrictEqual(ours, before)) value = other;
    else if (isDeepStrictEqual(other, before)) value = ours;
    else value = both(key, before, ours, other);
    if (value !== undefined) setOwn(merged, key, value);
  }
  return merged;
}

function mergeValues(base: unknown, mine: unknown, theirs: unknown): unknown {
  if (!isPlainObject(mine) || !isPlainObject(theirs)) return mine;
  return mergeObjects(isPlainObject(base) ? base : {}, mine, theirs, (_key, before, ours, other) =>
    mergeValues(before, ours, other),
  );
}

function applyStrategy(strategy: MergeStrategy, base: unknown, mine: unknown, theirs: unknown): unknown {
  if (typeof strategy === "function") return strategy(base, mine, theirs);
  if (strategy === "counter") return mergeCounters(base, mine, theirs);
  return mergeLists(base, mine, theirs);
}

/** A counter that was deleted starts anew: what the other side counted since is kept, the sum before is not. */
function mergeCounters(base: unknown, mine: unknown, theirs: unknown): unknown {
  const ours = mine === undefined ? 0 : mine;
  const other = theirs === undefined ? 0 : theirs;
  if (typeof ours !== "number" || typeof other !== "number") return mine;
  return other + (ours - (typeof base === "number" ? base : 0));
}

/** A list that was deleted is a list with everything removed: what the other side added is kept, the rest is not. */
function mergeLists(base: unknown, mine: unknown, theirs: unknown): unknown {
  const ours = mine === undefined ? [] : mine;
  const other = theirs === undefined ? [] : theirs;
  if (!Array.isArray(ours) || !Array.isArray(other)) return mine;
  const before = Array.isArray(base) ? base : [];
  const merged = [...without(other, without(before, ours)), ...without(ours, before)];
  const deleted = mine === undefined || theirs === undefined;
  return deleted && merged.length === 0 ? undefined : merged;
}

/** The list without one occurrence of each of `items`. */
function without(list: readonly unknown[], items: readonly unknown[]): unknown[] {
  const left = new Map<string, number>();
  for (const item of items) left.set(identityOf(item), (left.get(identityOf(item)) ?? 0) + 1);
  return list.filter((entry) => {
    const identity = identityOf(entry);
    const count = left.get(identity) ?? 0;
    if (count > 0) left.set(identity, count - 1);
    return count === 0;
  });
}

/** The same text for values that are deeply equal, whatever codec they come from, so that long lists compare in linear time. */
function identityOf(value: unknown): string {
  return inspect(value, {
    depth: null,
    maxArrayLength: null,
    maxStringLength: null,
    breakLength: Infinity,
    sorted: true,
  });
}

/**
 * Makes `target` hold exactly what `source` holds, and stay the same object, so that a handler's reference to its
 * session data stays good when the data is merged or read anew.
 */
export function replaceContents(target: PlainObject, source: PlainObject): void {
  const members = Object.entries(source);
  // The order of keys counts, for the encoded text shows it: what is out of place is put in anew.
  if (Object.keys(target).some((key, index) => key !== members[index]?.[0])) {
    for (const key of Object.keys(target)) delete target[key];
  }
  for (const [key, value] of members) setOwn(target, key, value);
}

function own(object: PlainObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Plain assignment, but for "__proto__", which is data like any other key and must not set the prototype. */
function setOwn(object: PlainObject, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    object[key] = value;
  }
}
