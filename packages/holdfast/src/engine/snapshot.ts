import { type Codec, encodeChanged, isPlainObject, jsonCodec } from "./codec.js";

type PlainObject = Record<string, unknown>;

/**
 * A session's data as it is stored, to make copies of and to find changes against. With JSON, the text is parsed once for all
 * copies, and data that was only read is compared without being written as text.
 */
export class Snapshot {
  readonly text: string;
  readonly codec: Codec;
  #parsed: unknown;

  /** @param parsed what JSON.parse makes of the text, where that is known. */
  constructor(codec: Codec, text: string, parsed?: PlainObject) {
    this.codec = codec;
    this.text = text;
    this.#parsed = parsed;
  }

  /** The data, to be changed by whoever gets it; undefined where it is no plain object. @throws what the codec throws. */
  copy(): PlainObject | undefined {
    const data = this.codec === jsonCodec ? copyOf(this.#value()) : this.codec.decode(this.text);
    return isPlainObject(data) ? data : undefined;
  }

  /**
   * The snapshot of data that has come of a copy; undefined where it is still as stored.
   * @throws NotSerializableError
   */
  next(data: PlainObject): Snapshot | undefined {
    const changed = this.codec === jsonCodec ? changedMembers(data, this.#value()) : undefined;
    if (changed?.length === 0) return undefined;
    const text = changed === undefined ? this.codec.encode(data) : encodeChanged(data, changed);
    if (text === this.text) return undefined;
    // With JSON, a copy now costs a fraction of parsing the text later.
    return new Snapshot(this.codec, text, this.codec === jsonCodec ? copyOf(data) : undefined);
  }

  #value(): unknown {
    this.#parsed ??= jsonCodec.decode(this.text);
    return this.#parsed;
  }
}

/** What comes back of data that JSON can carry: without members that are undefined, and -0 as 0. */
function copyOf<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? (0 as Value) : value;
  if (Array.isArray(value)) return value.map(copyOf) as Value;
  const copy = { ...value };
  // Not a list of keys: this one takes no memory.
  for (const key in copy) {
    const member = copy[key];
    if (member === undefined) Reflect.deleteProperty(copy, key);
    if ((typeof member !== "object" || member === null) && !Object.is(member, -0)) continue;
    // What somebody has put on Object.prototype is no part of it.
    if (!Object.hasOwn(copy, key)) continue;
    // Spreading has made "__proto__" a property like any other, but assigning to it would not.
    if (key !== "__proto__") copy[key] = copyOf(member);
    else
      Object.defineProperty(copy, key, {
        value: copyOf(member),
        writable: true,
        enumerable: true,
        configurable: true,
      });
  }
  return copy;
}

/** The members that have changed or come; undefined where it takes more than these to tell data from what is stored. */
function changedMembers(data: PlainObject, stored: unknown): string[] | undefined {
  if (!isPlainObject(stored) || !isAlike(data, stored) || typeof data.toJSON === "function") return undefined;
  const changed: string[] = [];
  const keys = Object.keys(stored);
  let index = 0;
  for (const key in data) {
    const position = index++;
    if (position < keys.length && key !== keys[position]) return undefined;
    if (position >= keys.length || !isSame(data[key], stored[key])) changed.push(key);
  }
  return index >= keys.length && isAllOf(data, index) ? changed : undefined;
}

/** Whether data is exactly what JSON.parse once made: so nothing in it is what JSON can't carry. */
function isSame(data: unknown, stored: unknown): boolean {
  if (data === stored) return true;
  if (typeof data !== "object" || typeof stored !== "object" || data === null || stored === null)
    return false;
  if (!isAlike(data, stored)) return false;
  return Array.isArray(stored)
    ? isSameList(data as unknown[], stored)
    : isSameObject(data as PlainObject, stored as PlainObject);
}

function isSameList(data: readonly unknown[], stored: readonly unknown[]): boolean {
  const { length } = stored;
  // A list may have named members, which come last.
  if (data.length !== length || Object.keys(data).length !== length) return false;
  if (Object.hasOwn(data, "toJSON")) return false;
  for (let index = 0; index < length; index++) if (!isSame(data[index], stored[index])) return false;
  return true;
}

function isSameObject(data: PlainObject, stored: PlainObject): boolean {
  const keys = Object.keys(stored);
  let index = 0;
  for (const key in data) {
    if (key !== keys[index++] || !isSame(data[key], stored[key])) return false;
  }
  return index === keys.length && isAllOf(data, index);
}

function isAlike(data: object, stored: object): boolean {
  return (
    Object.getPrototypeOf(data) === Object.getPrototypeOf(stored) &&
    Object.getOwnPropertySymbols(data).length === 0
  );
}

/** Whether data has so many members, those included that are hidden. */
function isAllOf(data: object, count: number): boolean {
  return Object.getOwnPropertyNames(data).length === count;
}
