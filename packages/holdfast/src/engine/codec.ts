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
    assertNone(() => faultIn(data, []));
    return JSON.stringify(data);
  },
  decode: (text) => JSON.parse(text),
};

/** The same as `jsonCodec.encode`, where all but these members of plain data are known to be what JSON.parse has made. */
export function encodeChanged(data: Record<string, unknown>, changed: readonly string[]): string {
  assertNone(() => faultUnder(data, changed, [data]));
  return JSON.stringify(data);
}

/** @throws NotSerializableError */
function assertNone(find: () => Fault | undefined): void {
  let fault: Fault | undefined;
  try {
    fault = find();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    fault = { path: "", what: "nested too deeply" };
  }
  if (fault !== undefined) throw new NotSerializableError(`data${fault.path}`, fault.what);
}

/** What JSON can't carry, and where. The path is put together on the way out, so that a value without a fault costs none. */
interface Fault {
  readonly path: string;
  readonly what: string;
}

function faultIn(value: unknown, ancestors: object[]): Fault | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : here(String(value));
    case "object":
      return value === null ? undefined : faultInObject(value, ancestors);
    default:
      return here(value === undefined ? "undefined" : `a ${typeof value}`);
  }
}

function faultInObject(value: object, ancestors: object[]): Fault | undefined {
  if (ancestors.includes(value)) return here("a reference to an object that contains it");
  ancestors.push(value);
  const fault = Array.isArray(value) ? faultInList(value, ancestors) : faultInMembers(value, ancestors);
  ancestors.pop();
  return fault;
}

function faultInList(list: readonly unknown[], ancestors: object[]): Fault | undefined {
  if (Object.getPrototypeOf(list) !== Array.prototype) return here(`an instance of ${classOf(list)}`);
  for (let index = 0; index < list.length; index++) {
    const fault = faultIn(list[index], ancestors);
    if (fault !== undefined) return { path: `[${index}]${fault.path}`, what: fault.what };
  }
  // Its indices come first, then what JSON drops. (Reflect.ownKeys is ten times slower on a long list.)
  const extra = Object.keys(list)[list.length] ?? Object.getOwnPropertySymbols(list)[0];
  if (extra !== undefined) return { path: segment(extra), what: "a named member of a list" };
  return Object.hasOwn(list, "toJSON") ? { path: ".toJSON", what: "a member of a list" } : undefined;
}

function faultInMembers(value: object, ancestors: object[]): Fault | undefined {
  if (!isPlainObject(value)) return here(`an instance of ${classOf(value)}`);
  if (typeof value.toJSON === "function") return { path: ".toJSON", what: "a function" };
  // In two steps, for Reflect.ownKeys is ten times slower.
  const keys = Object.getOwnPropertyNames(value);
  const fault = faultUnder(value, keys, ancestors);
  if (fault !== undefined) return fault;
  const [symbol] = Object.getOwnPropertySymbols(value);
  if (symbol !== undefined) return { path: segment(symbol), what: "keyed by a symbol" };
  if (Object.keys(value).length === keys.length) return undefined;
  const hidden = keys.find((key) => !Object.prototype.propertyIsEnumerable.call(value, key))!;
  return { path: segment(hidden), what: "a member that is not enumerable" };
}

function faultUnder(
  value: Record<string, unknown>,
  keys: readonly string[],
  ancestors: object[],
): Fault | undefined {
  for (const key of keys) {
    const member = value[key];
    if (member === undefined) continue;
    const fault = faultIn(member, ancestors);
    if (fault !== undefined) return { path: segment(key) + fault.path, what: fault.what };
  }
  return undefined;
}

function here(what: string): Fault {
  return { path: "", what };
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

function segment(key: string | symbol): string {
  if (typeof key === "symbol") return `[${String(key)}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
