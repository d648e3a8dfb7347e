import { type Duration, LONGEST_TIMER, milliseconds } from "../duration.js";
import { ConfigurationError } from "../errors.js";
import type { SecretEntry, SecretObserver, SecretSource } from "./secret-source.js";

/** A source that looks for other secrets by itself, as long as sessions use it. */
export interface RefreshedSecrets extends SecretSource {
  /** Looks now, as on a signal from outside. What goes wrong is told as a warning and as an event, as always. */
  refresh(): Promise<void>;
}

/** What `refreshedSecrets` is made of. */
export interface Refresh {
  readonly description: string;
  /** What is there at first. */
  readonly first: readonly SecretEntry[];
  /** Milliseconds. */
  readonly interval: number;
  /** What is there now; undefined where nothing has changed. What it throws is told by `reasonOf`. */
  load(): Promise<readonly SecretEntry[] | undefined>;
  /** Why the secrets could not be read, without a word of any. */
  reasonOf(error: unknown): string;
}

/** Looks for other secrets at intervals, one look at a time, while anybody watches. */
export function refreshedSecrets({
  description,
  first,
  interval,
  load,
  reasonOf,
}: Refresh): RefreshedSecrets {
  const observers = new Set<SecretObserver>();
  let entries = first;
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    try {
      const found = await load();
      if (found === undefined) return;
      entries = found;
    } catch (error) {
      const reason = reasonOf(error);
      for (const observer of [...observers]) observer.failed(reason);
      return;
    }
    for (const observer of [...observers]) observer.changed(entries);
  }

  function refresh(): Promise<void> {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  /** At varied intervals, so that many processes don't all ask at once. */
  function schedule(): void {
    timer = setTimeout(
      async () => {
        await refresh();
        if (observers.size > 0) schedule();
      },
      interval * (0.8 + Math.random() * 0.2),
    );
    timer.unref?.();
  }

  return {
    description,
    read: () => entries,
    refresh,
    watch(observer) {
      if (observers.size === 0) schedule();
      observers.add(observer);
      return () => {
        observers.delete(observer);
        if (observers.size === 0) clearTimeout(timer);
      };
    },
  };
}

export interface SecretsFromOptions {
  /** How often the function is asked again. Default: "5m". */
  refresh?: Duration;
  /** How long its answer may take. Default: "10s". */
  timeout?: Duration;
}

/** The error of a function that gives secrets, and gave none when it was first asked. */
const FROM = "secretsFrom";

/**
 * Secrets from a function, such as one that asks a KMS or a Vault; the one that signs first. It is asked now, and then again
 * and again. Where it fails, takes too long or gives none, the secrets of before stay, and a warning and the event
 * `secrets-refused` tell.
 *
 * ```ts
 * secrets: await secretsFrom(async ({ signal }) => (await vault.read("session-secrets", { signal })).list, { refresh: "5m" }),
 * ```
 *
 * @param ask gives the secrets, each also as `{ secret, from }` with the date from which it signs. Its signal aborts where it
 *   takes too long.
 * @throws what the function throws when it is first asked; ConfigurationError where it gives no list.
 */
export async function secretsFrom(
  ask: (call: { readonly signal: AbortSignal }) => Promise<readonly SecretEntry[]> | readonly SecretEntry[],
  options: SecretsFromOptions = {},
): Promise<RefreshedSecrets> {
  if (typeof ask !== "function")
    throw new ConfigurationError(FROM, "expected a function that gives the secrets");
  const interval = milliseconds(`${FROM}.refresh`, options.refresh ?? "5m", 100, LONGEST_TIMER);
  const timeout = milliseconds(`${FROM}.timeout`, options.timeout ?? "10s", 1, LONGEST_TIMER);

  async function load(): Promise<readonly SecretEntry[]> {
    const controller = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new ConfigurationError(FROM, `the function gave no answer within ${timeout} ms`));
        controller.abort();
      }, timeout);
    });
    try {
      const answer = await Promise.race([ask({ signal: controller.signal }), late]);
      if (Array.isArray(answer)) return answer;
    } finally {
      clearTimeout(timer);
    }
    throw new ConfigurationError(FROM, "the function gave no list of secrets");
  }

  return refreshedSecrets({
    description: "the function of secretsFrom",
    first: await load(),
    interval,
    load,
    reasonOf(error) {
      if (error instanceof ConfigurationError) return error.message;
      // Its message may quote what was read: what JSON.parse says does.
      const { name, code } = error as { name?: unknown; code?: unknown };
      const kind = [name, code].filter((word) => typeof word === "string").join(" ");
      return `${FROM}: the function failed (${kind || "it threw no error"})`;
    },
  });
}
