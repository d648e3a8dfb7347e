import { ConfigurationError } from "../errors.js";
import type { SecretEntry, SecretSource } from "./secret-source.js";

/** A date in front of a secret, as in "2027-01-01T00:00:00Z 3q2-7w…": from then on it signs. */
const DATED = /^(\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?)\s+(\S.*)$/;

/**
 * The secrets in a text, one a line, the one that signs first. Blank lines and those that start with "#" are skipped, and
 * blanks around a secret are none of it. A date in front of a secret schedules it.
 * @param name what it is the text of, for messages.
 */
export function secretsInText(name: string, text: string): SecretEntry[] {
  const entries: SecretEntry[] = [];
  for (const [index, line] of text
    .replace(/^\ufeff/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    const entry = line.trim();
    if (entry !== "" && !entry.startsWith("#")) entries.push(entryIn(`${name}, line ${index + 1}`, entry));
  }
  return entries;
}

function entryIn(name: string, entry: string): SecretEntry {
  const [, date, secret] = DATED.exec(entry) ?? [];
  if (date === undefined || secret === undefined) return entry;
  const from = new Date(date);
  if (Number.isNaN(from.getTime())) throw new ConfigurationError(name, `${date} is not a date`);
  return { secret, from };
}

/**
 * Secrets from environment variables: `secretsFromEnv("SESSION_SECRETS")`, separated by commas or line feeds, the one that
 * signs first; or one variable each, in this order: `secretsFromEnv("SESSION_SECRET", "SESSION_SECRET_BEFORE")`. One that
 * is not set is left out. A date in front of a secret schedules it, as in "2027-01-01 3q2-7w…".
 *
 * @throws ConfigurationError where no name is given.
 */
export function secretsFromEnv(...names: string[]): SecretSource {
  if (names.length === 0 || names.some((name) => typeof name !== "string" || name === ""))
    throw new ConfigurationError(
      "secretsFromEnv",
      'expected names of environment variables, as in "SESSION_SECRETS"',
    );
  return {
    description: `the environment (${names.join(", ")})`,
    read: () => names.flatMap((name) => secretsInText(name, (process.env[name] ?? "").replaceAll(",", "\n"))),
  };
}
