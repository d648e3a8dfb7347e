import { NotSerializableError } from "../errors.js";

/**
 * Turns session data into text and back. The text must be the same whenever the data is the same, for a change is found
 * by comparing texts. `encode` throws where `decode` could not give back what it was handed.
 */
export interface Codec {
  encode(data: unknown): string;
  decode(text: string): unknown;
}

/**
 * The default: JSON, checked so that nothing is lost in silence. A property that is `undefined` counts as absent.
 * Everything else that JSON would drop or turn into another value (a Date, Map, class instance, function, symbol,
 * BigInt, NaN, a hole, a cycle) is a NotSerializableError that names its path.
 */
export const jsonCodec: Codec = {
  encode(data) {
    assertPlain(data, "data", []);
    return JSON.stringify(data);
  },
  decode: (text) => JSON.parse(text),
};

function assertPlain(value: unknown, path: string, ancestors: object[]): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (!Number.isFinite(value)) throw new NotSerializableError(path, String(value));
      return;
    case "object":
      if (value !== null) assertPlainObject(value, path, ancestors);
      return;
    default:
      throw new NotSerializableError(path, value === undefined ? "undefined" : `a ${typeof value}`);
  }
}

function assertPlainObject(value: object, path: string, ancestors: object[]): void {
  if (ancestors.includes(value))
    throw new NotSerializableError(path, "a reference to an object that contains it");
  ancestors.push(value);
  if (Array.isArray(value)) assertPlainList(value, path, ancestors);
  else assertPlainMembers(value, path, ancestors);
  ancestors.pop();
}

function assertPlainList(list: readonly unknown[], path: string, ancestors: object[]): void {
  if (Object.getPrototypeOf(list) !== Array.prototype)
    throw new NotSerializableError(path, `an instance of ${classOf(list)}`);
  for (let index = 0; index < list.length; index++) assertPlain(list[index], `${path}[${index}]`, ancestors);
  // Its indices come first, then what JSON drops. (Reflect.ownKeys is ten times slower on a long list.)
  const extra = Object.keys(list)[list.length] ?? Object.getOwnPropertySymbols(list)[0];
  if (extra !== undefined)
    throw new NotSerializableError(memberPath(path, extra), "a named member of a list");
  if (Object.hasOwn(list, "toJSON")) throw new NotSerializableError(`${path}.toJSON`, "a member of a list");
}

function assertPlainMembers(value: object, path: string, ancestors: object[]): void {
  if (!isPlainObject(value)) throw new NotSerializableError(path, `an instance of ${classOf(value)}`);
  if (typeof value.toJSON === "function") throw new NotSerializableError(`${path}.toJSON`, "a function");
  const keys = Reflect.ownKeys(value);
  for (const key of keys) {
    if (typeof key === "symbol") throw new NotSerializableError(memberPath(path, key), "keyed by a symbol");
    const member = value[key];
    if (member !== undefined) assertPlain(member, memberPath(path, key), ancestors);
  }
  if (Object.keys(value).length < keys.length) {
    const hidden = keys.find((key) => !Object.prototype.propertyIsEnumerable.call(value, key))!;
    throw new NotSerializableError(memberPath(path, hidden), "a member that is not enumerable");
  }
}

/** True for `{}`, for what JSON.parse makes and for `Object.create(null)`. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function classOf(value: object): string {
  const prototype = Object.getPrototypeOf(value) as { constructor?: unknown };
  return (typeof prototype.constructor === "function" && prototype.constructor.name) || "a class";
}

function memberPath(path: string, key: string | symbol): string {
  if (typeof key === "symbol") return `${path}[${String(key)}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}
