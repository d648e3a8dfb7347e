import { type Codec, isPlainObject } from "./codec.js";

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
 * declared for that top-level key. Values are the same where the codec writes them alike. Changes none of its arguments.
 */
export function mergeData(
  base: PlainObject,
  mine: PlainObject,
  theirs: PlainObject,
  strategies: Readonly<Record<string, MergeStrategy | undefined>>,
  codec: Codec,
): PlainObject {
  const textOf = (value: unknown) => codec.encode({ value: withSortedKeys(value) });
  const mergeValues = (base: unknown, mine: unknown, theirs: unknown): unknown => {
    if (!isPlainObject(mine) || !isPlainObject(theirs)) return mine;
    return mergeObjects(isPlainObject(base) ? base : {}, mine, theirs, textOf, (_key, ...values) =>
      mergeValues(...values),
    );
  };
  return mergeObjects(base, mine, theirs, textOf, (key, ...values) => {
    const strategy = Object.hasOwn(strategies, key) ? strategies[key] : undefined;
    if (typeof strategy === "function") return strategy(...values);
    if (strategy === "counter") return mergeCounters(...values);
    if (strategy === "append") return mergeLists(...values, textOf);
    return mergeValues(...values);
  });
}

/** The order of keys makes no difference between objects. */
function withSortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSortedKeys);
  if (!isPlainObject(value)) return value;
  const sorted: PlainObject = {};
  for (const key of Object.keys(value).sort()) setOwn(sorted, key, withSortedKeys(value[key]));
  return sorted;
}

type TextOf = (value: unknown) => string;

type MergeBothChanged = (key: string, base: unknown, mine: unknown, theirs: unknown) => unknown;

function mergeObjects(
  base: PlainObject,
  mine: PlainObject,
  theirs: PlainObject,
  textOf: TextOf,
  both: MergeBothChanged,
): PlainObject {
  const merged: PlainObject = {};
  // Theirs first: keys that both have keep the order that is already stored.
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const before = own(base, key);
    const ours = own(mine, key);
    const other = own(theirs, key);
    const textBefore = textOf(before);
    let value: unknown;
    if (textOf(ours) === textBefore) value = other;
    else if (textOf(other) === textBefore) value = ours;
    else value = both(key, before, ours, other);
    if (value !== undefined) setOwn(merged, key, value);
  }
  return merged;
}

/** A counter that was deleted starts anew: what the other side counted since is kept, the sum before is not. */
function mergeCounters(base: unknown, mine: unknown, theirs: unknown): unknown {
  const ours = mine === undefined ? 0 : mine;
  const other = theirs === undefined ? 0 : theirs;
  if (typeof ours !== "number" || typeof other !== "number") return mine;
  return other + (ours - (typeof base === "number" ? base : 0));
}

/** A list that was deleted is a list with everything removed: what the other side added is kept, the rest is not. */
function mergeLists(base: unknown, mine: unknown, theirs: unknown, textOf: TextOf): unknown {
  const ours = mine === undefined ? [] : mine;
  const other = theirs === undefined ? [] : theirs;
  if (!Array.isArray(ours) || !Array.isArray(other)) return mine;
  const before = Array.isArray(base) ? base : [];
  const removed = without(before, ours, textOf);
  const merged = [...without(other, removed, textOf), ...without(ours, before, textOf)];
  const deleted = mine === undefined || theirs === undefined;
  return deleted && merged.length === 0 ? undefined : merged;
}

/** The list without one occurrence of each of `items`. */
function without(list: readonly unknown[], items: readonly unknown[], textOf: TextOf): unknown[] {
  // By text, so that long lists compare in linear time.
  const left = new Map<string, number>();
  for (const text of items.map(textOf)) left.set(text, (left.get(text) ?? 0) + 1);
  return list.filter((entry) => {
    const text = textOf(entry);
    const count = left.get(text) ?? 0;
    if (count > 0) left.set(text, count - 1);
    return count === 0;
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
