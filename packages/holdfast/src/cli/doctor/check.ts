/** How bad it is: an error is an open door, a warning weakens a defence, a note is worth knowing. */
export type Severity = "error" | "warning" | "note";

/** One thing that `doctor` looks at. The docs list them from the same tables. */
export interface Check<Facts> {
  /** Stays the same, so that `--ignore` can name it. */
  readonly id: string;
  readonly severity: Severity;
  /** What is looked at, for the list in the docs. */
  readonly about: string;
  /** The requirement of OWASP ASVS 5.0 that asks for it; undefined where none does. */
  readonly asvs?: string;
  readonly fix: string;
  /** What is weak and why, in a sentence; undefined where nothing is. */
  find(facts: Facts): string | undefined;
}

export interface Finding {
  readonly id: string;
  readonly severity: Severity;
  readonly asvs: string | undefined;
  readonly reason: string;
  readonly fix: string;
}

/** The worst first. */
export const SEVERITIES: readonly Severity[] = ["error", "warning", "note"];

export function findings<Facts>(checks: ReadonlyArray<Check<Facts>>, facts: Facts): Finding[] {
  return checks.flatMap((check) => {
    const reason = check.find(facts);
    if (reason === undefined) return [];
    const { id, severity, asvs, fix } = check;
    return [{ id, severity, asvs, reason, fix }];
  });
}
