import { type Duration, LONGEST_TIMER, milliseconds } from "../duration.js";
import { ConfigurationError } from "../errors.js";
import { type RefreshedSecrets, refreshedSecrets } from "./refreshed-secrets.js";
import { secretsInText } from "./secret-text.js";

export interface SecretsFromFileOptions {
  /** How often to look whether the file has changed. Default: "10s". */
  refresh?: Duration;
}

/** Milliseconds in which a file that has changed must stay as it is, for it may just be being written. */
const SETTLED = 250;

/**
 * Secrets from a file, one a line, the one that signs first; blank lines and those that start with "#" are skipped, and a
 * date in front of a secret schedules it ("2027-01-01T00:00:00Z 3q2-7w…"). The file is watched, so that secrets are
 * rotated without a restart: also one that is replaced by another, and links that are, as Kubernetes and Docker do. Where it
 * can't be read or has no secret, those of before stay, and a warning and the event `secrets-refused` tell.
 *
 * It is looked at every `refresh`, for links and network file systems tell nobody that they have changed.
 *
 * @throws ConfigurationError where the file can't be read now.
 */
export function secretsFromFile(path: string, options: SecretsFromFileOptions = {}): RefreshedSecrets {
  if (typeof path !== "string" || path === "")
    throw new ConfigurationError(
      "secretsFromFile",
      'expected the path of a file, as in "/run/secrets/session"',
    );
  const interval = milliseconds("secretsFromFile.refresh", options.refresh ?? "10s", 50, LONGEST_TIMER);
  const description = `the file ${path}`;
  // The engine runs where there are no files; only this function needs them.
  const { readFileSync, statSync } = process.getBuiltinModule("node:fs");

  /** What is another when the file is: links are followed, so a link that leads elsewhere counts. */
  function signature(): string {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
  }

  const read = () => secretsInText(path, readFileSync(path, "utf8"));
  const unreadable = (error: unknown) =>
    error instanceof ConfigurationError
      ? error
      : new ConfigurationError(
          "secretsFromFile",
          `${path} can't be read (${(error as { code?: string }).code}): it should be a file of text that this process may read`,
        );

  let known: string;
  let first: ReturnType<typeof read>;
  try {
    known = signature();
    first = read();
  } catch (error) {
    throw unreadable(error);
  }

  return refreshedSecrets({
    description,
    first,
    interval,
    async load() {
      let seen = signature();
      if (seen === known) return undefined;
      for (let before = ""; seen !== before; seen = signature()) {
        before = seen;
        await new Promise((resolve) => setTimeout(resolve, SETTLED));
      }
      const entries = read();
      known = seen;
      return entries;
    },
    reasonOf: (error) => unreadable(error).message,
  });
}
