import type { Migration, OldSession } from "../../engine/migration.js";
import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";
import { type ExpressSessionSource, expressSessionSource } from "./express-session.js";
import { type KoaSessionSource, koaSessionSource } from "./koa-session.js";
import { checkNames } from "./options.js";

export type { Migration } from "../../engine/migration.js";
export type { ExpressSessionSource, OldConnectStore } from "./express-session.js";
export { type ExpressSessionsOptions, expressSessionsStore } from "./express-sessions.js";
export type { KoaSessionSource } from "./koa-session.js";
export type { OldCookieScope } from "./old-cookie.js";
export type { SourceOptions } from "./options.js";

/** Where the sessions to take over are. One of the libraries, or both. */
export interface MigrateFromOptions {
  /** Of express-session, with any store. */
  expressSession?: ExpressSessionSource;
  /** Of koa-session, in cookies or in a store. */
  koaSession?: KoaSessionSource;
  /**
   * Leave the old record and the old cookie where they are, so that you can go back to the old library without logging
   * anybody out; a session that ends here is ended there, too. Without it both are removed. Default: false.
   */
  keepOld?: boolean;
}

/** How far a migration has come. */
export interface MigrationProgress {
  /** Sessions that this process has taken over. */
  readonly migrated: number;
  /**
   * Records that are in the old stores, with `keepOld` also those that were taken over; undefined where a store can't count, or
   * sessions live in cookies.
   */
  readonly remaining: number | undefined;
}

/** One library's sessions, as this file puts several of them together. */
export interface Source {
  readonly library: string;
  find(header: (name: string) => string | undefined): Omit<OldSession, "library"> | undefined;
  remove(reference: string): Promise<void>;
  remaining(): Promise<number | undefined>;
}

/**
 * Takes over the sessions of express-session or koa-session, each when its browser comes: `createSessions({ migration })`. The
 * browser gets a new token, the data and the user stay, and nobody has to log in again.
 * @throws ConfigurationError that names the option.
 */
export function migrateFrom(
  options: MigrateFromOptions,
): Migration & { progress(): Promise<MigrationProgress> } {
  checkNames("migrateFrom", options, ["expressSession", "koaSession", "keepOld"]);
  const { expressSession, koaSession, keepOld = false } = options;
  if (typeof keepOld !== "boolean")
    throw new ConfigurationError("migrateFrom.keepOld", `expected true or false, got ${shown(keepOld)}`);
  const sources: Source[] = [];
  if (expressSession !== undefined) sources.push(expressSessionSource(expressSession));
  if (koaSession !== undefined) sources.push(koaSessionSource(koaSession));
  if (sources.length === 0)
    throw new ConfigurationError("migrateFrom", "expected `expressSession`, `koaSession` or both");

  let migrated = 0;
  return {
    keepsOld: keepOld,

    find(request) {
      const found: OldSession[] = [];
      for (const { library, find } of sources) {
        const old = find((name) => request.header(name));
        if (old !== undefined) found.push({ ...old, library, reference: `${library}\n${old.reference}` });
      }
      return found;
    },

    async remove(reference) {
      const lineEnd = reference.indexOf("\n");
      const library = reference.slice(0, lineEnd);
      await sources.find((source) => source.library === library)?.remove(reference.slice(lineEnd + 1));
    },

    noteTakeover() {
      migrated++;
    },

    async progress() {
      const counts = await Promise.all(sources.map((source) => source.remaining()));
      let remaining: number | undefined = 0;
      for (const count of counts) {
        remaining = remaining === undefined || count === undefined ? undefined : remaining + count;
      }
      return { migrated, remaining };
    },
  };
}
