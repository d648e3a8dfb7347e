/** What drivers put on their errors that tells what went wrong and not with what. */
const HARMLESS = new Set<PropertyKey>([
  "name",
  "message",
  "stack",
  "code",
  "errno",
  "syscall",
  "address",
  "port",
  "host",
  "sqlState",
  "severity",
  "schema",
  "table",
  "column",
  "constraint",
  "routine",
]);

/** Causes of causes that are looked at. */
const DEEPEST = 5;

/**
 * A driver's error, as it may be logged. Drivers put the command that failed on it, and with it what was to be stored (ioredis:
 * `command.args`, mysql2: `sql`, pg: `detail`, MongoDB: `errInfo`): such properties are no longer enumerable. So whatever prints errors leaves
 * them out, and who asks for one by its name still finds it.
 */
export function quietCause(error: unknown, depth = 0): unknown {
  if (typeof error !== "object" || error === null) return error;
  if (depth === DEEPEST) return undefined;
  const seen = error as Record<PropertyKey, unknown>;
  try {
    for (const key of Reflect.ownKeys(error)) {
      if (!HARMLESS.has(key)) Object.defineProperty(error, key, { enumerable: false });
    }
    // These are printed even where they are not enumerable.
    if (seen.cause !== undefined) replace(error, "cause", quietCause(seen.cause, depth + 1));
    if (Array.isArray(seen.errors))
      replace(
        error,
        "errors",
        seen.errors.map((each) => quietCause(each, depth + 1)),
      );
    return error;
  } catch {
    // It is frozen, or no ordinary object: its words alone, then.
    return new Error(String((error as { message?: unknown }).message ?? "an error that can't be told"));
  }
}

function replace(error: object, key: string, value: unknown): void {
  Object.defineProperty(error, key, { configurable: true, enumerable: false, writable: true, value });
}
