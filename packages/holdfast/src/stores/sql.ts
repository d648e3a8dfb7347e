import { setTimeout as delay } from "node:timers/promises";
import { ConfigurationError } from "../errors.js";
import type { StoreCall } from "./contract.js";

/** What the stores for PostgreSQL and MySQL have in common: statements that run again, and a table that has a version. */

const MAX_ATTEMPTS = 50;

/** Work that runs again, a few times, where the server undid it for the sake of another or for want of a lock. */
export async function untilItHolds<T>(
  call: StoreCall,
  work: () => Promise<T>,
  isRolledBack: (error: unknown) => boolean,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isRolledBack(error) || attempt === MAX_ATTEMPTS || call.signal.aborted) throw error;
      await delay(Math.random() * Math.min(2 ** attempt * 5, 100));
    }
  }
}

/** A look at something that is taken once; after a failure, the next call looks again. */
export class OneLook {
  readonly #look: () => Promise<void>;
  #looking: Promise<void> | undefined;
  #fine = false;

  constructor(look: () => Promise<void>) {
    this.#look = look;
  }

  /** Undefined where all was found to be well, so that a call after the first takes no promise for it. */
  taken(): Promise<void> | undefined {
    if (this.#fine) return undefined;
    this.#looking ??= this.#look().then(
      () => {
        this.#fine = true;
      },
      (error) => {
        this.#looking = undefined;
        throw error;
      },
    );
    return this.#looking;
  }

  /** What was seen has changed. */
  again(): void {
    this.#fine = false;
    this.#looking = undefined;
  }
}

/** Which store it is, and its table, for messages. */
export interface Table {
  readonly store: "postgresStore" | "mysqlStore";
  readonly name: string;
  /** The version of its schema that this Holdfast knows. */
  readonly version: number;
}

/** @param version undefined or 0 where there is no such table. @throws ConfigurationError */
export function assertVersion(table: Table, version: unknown): void {
  const found = Number(version ?? 0);
  if (found < table.version) throw notMigrated(table);
  if (found > table.version) throw newerSchema(table);
}

export function notMigrated({ store, name }: Table): ConfigurationError {
  const file = store === "postgresStore" ? "postgres.sql" : "mysql.sql";
  return new ConfigurationError(
    store,
    `the table ${name} has not been made: run \`await store.migrate()\` once, or holdfast/sql/${file}`,
  );
}

export function newerSchema({ store, name, version }: Table): ConfigurationError {
  return new ConfigurationError(
    store,
    `the table ${name} was made by a newer Holdfast (this one knows schema version ${version}): upgrade holdfast`,
  );
}
