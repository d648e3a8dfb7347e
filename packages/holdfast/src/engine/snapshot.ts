import { type Codec, isPlainObject, jsonCodec } from "./codec.js";

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

  /** Of data as it is now. @throws NotSerializableError */
  static of(codec: Codec, data: PlainObject): Snapshot {
    const text = codec.encode(data);
    // With JSON, a copy now costs a fraction of parsing the text later.
    return new Snapshot(codec, text, codec === jsonCodec ? copyOf(data) : undefined);
  }

  /** The data, to be changed by whoever gets it; undefined where it is no plain object. @throws what the codec throws. */
  copy(): PlainObject | undefined {
    const data = this.codec === jsonCodec ? copyOf(this.#value()) : this.codec.decode(this.text);
    return isPlainObject(data) ? data : undefined;
  }

  /** Whether data is still as stored. Where this says no, the texts may still be the same. */
  matches(data: PlainObject): boolean {
    return this.codec === jsonCodec ? isSame(data, this.#value()) : this.codec.encode(data) === this.text;
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

/** Whether data is exactly what JSON.parse once made: so nothing in it is what JSON can't carry. */
function isSame(data: unknown, stored: unknown): boolean {
  if (data === stored) return true;
  if (typeof data !== "object" || typeof stored !== "object" || data === null || stored === null)
    return false;
  if (Object.getPrototypeOf(data) !== Object.getPrototypeOf(stored)) return false;
  if (Object.getOwnPropertySymbols(data).length > 0) return false;
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
  // What is hidden counts, too.
  if (Object.getOwnPropertyNames(data).length !== keys.length) return false;
  let index = 0;
  for (const key in data) {
    if (key !== keys[index++] || !isSame(data[key], stored[key])) return false;
  }
  return index === keys.length;
}
