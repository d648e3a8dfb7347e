import { ConfigurationError } from "../errors.js";
import type { Secret } from "./secret.js";

/** A secret that signs from a time on. Before it, it verifies what servers sign whose clocks are ahead. */
export interface ScheduledSecret {
  readonly secret: Secret;
  readonly from: Date;
}

/** One of the secrets that a source gives. */
export type SecretEntry = Secret | ScheduledSecret;

/**
 * Where secrets come from that may change while the process runs: `secretsFromFile`, `secretsFromEnv`, `secretsFrom`,
 * `scheduledSecrets`.
 */
export interface SecretSource {
  /** Where they come from, for messages, as in "the file /run/secrets/session". Never a secret. */
  readonly description: string;
  /** The secrets as they are now: the first signs, all verify. */
  read(): readonly SecretEntry[];
  /** Tells of changes from now on, until the function that it gives is called. */
  watch?(observer: SecretObserver): () => void;
}

export interface SecretObserver {
  /** There may be other secrets now. */
  changed(entries: readonly SecretEntry[]): void;
  /** They could not be read: those of before stay. @param reason why, without a word of what was read. */
  failed(reason: string): void;
}

export function isSecretSource(value: unknown): value is SecretSource {
  return typeof (value as SecretSource | undefined)?.read === "function";
}

export function isScheduled(entry: SecretEntry): entry is ScheduledSecret {
  return typeof entry === "object" && entry !== null && "secret" in entry;
}

/** What is known of a secret's time. */
export interface Dated {
  /** When it begins to sign, in milliseconds since the epoch; -Infinity for one without a date. */
  readonly from: number;
}

/** The secrets of a schedule at one time. */
export interface InForce<Entry extends Dated> {
  /** The first signs, all verify. */
  readonly entries: readonly Entry[];
  /** When this is no longer so, in milliseconds since the epoch. */
  readonly until: number;
}

/** How far the clocks of several servers may be apart, in milliseconds. */
const CLOCK_SKEW = 5 * 60_000;

/**
 * Which secrets are in force at a time. The latest that has begun signs. One that is yet to begin verifies already, and one
 * that has been replaced verifies for as long as something may live that it signed.
 * @param life how long that is, in milliseconds.
 */
export function inForce<Entry extends Dated>(
  list: readonly Entry[],
  now: number,
  life: number,
): InForce<Entry> {
  const begun = list.filter(({ from }) => from <= now).sort((a, b) => b.from - a.from);
  const upcoming = list.filter(({ from }) => from > now);
  const dropAt = (entry: Entry, index: number) => {
    // Those without a date have all been replaced by the first that has one.
    const successor = begun[entry.from === Number.NEGATIVE_INFINITY ? lastDated(begun) : index - 1];
    return successor === undefined ? Number.POSITIVE_INFINITY : successor.from + life + CLOCK_SKEW;
  };
  const ends = begun.map(dropAt);
  const kept = begun.filter((_, index) => ends[index]! > now);
  const changes = [...ends.filter((end) => end > now), ...upcoming.map(({ from }) => from)];
  return { entries: [...kept, ...upcoming], until: Math.min(...changes, Number.POSITIVE_INFINITY) };
}

function lastDated(entries: readonly Dated[]): number {
  return entries.findLastIndex(({ from }) => from !== Number.NEGATIVE_INFINITY);
}

/**
 * Secrets that take turns at times known beforehand, so that no server signs with one that another doesn't know yet. Each
 * verifies from the start, signs from its date, and is dropped `absoluteTimeout` after its successor's date (and 5 minutes
 * more, for clocks that differ), when nothing that it signed can live.
 *
 * ```ts
 * secrets: scheduledSecrets([
 *   { secret: process.env.SESSION_SECRET_2027!, from: new Date("2027-01-01T00:00:00Z") },
 *   { secret: process.env.SESSION_SECRET_2026!, from: new Date("2026-01-01T00:00:00Z") },
 * ]),
 * ```
 *
 * @throws ConfigurationError for an entry without a secret or with a date that is none.
 */
export function scheduledSecrets(schedule: readonly ScheduledSecret[]): SecretSource {
  if (!Array.isArray(schedule))
    throw new ConfigurationError("scheduledSecrets", "expected a list of { secret, from }");
  for (const [index, entry] of schedule.entries()) {
    if (!isScheduled(entry) || !isDate(entry.from))
      throw new ConfigurationError(
        `scheduledSecrets[${index}]`,
        "expected { secret, from } with a Date for `from`",
      );
  }
  return { description: "the schedule", read: () => schedule };
}

export function isDate(value: unknown): value is Date {
  return value instanceof Date && Number.isFinite(value.getTime());
}
