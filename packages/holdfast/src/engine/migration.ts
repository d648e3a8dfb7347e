import { StoreError } from "../errors.js";
import { sessionIdOf } from "../token/token.js";
import type { Engine } from "./engine.js";
import { encodeTombstone, fixedRecord } from "./record.js";
import type { SessionRequest } from "./request.js";
import { inTime } from "./store-client.js";
import type { ResponseHeaders } from "./transport.js";

/** Sessions of another library, taken over when their browser comes: what `migrateFrom` makes. */
export interface Migration {
  /** Whether old records and cookies stay where they are, so that one can go back. */
  readonly keepsOld: boolean;
  /** The old sessions that a request's cookies name, by their signatures. Asks no store. */
  find(request: SessionRequest): readonly OldSession[];
  /** Removes the old record that `OldSession.reference` names. */
  remove(reference: string): Promise<void>;
  /** Called for each session that was taken over. */
  noteTakeover(): void;
}

export interface OldSession {
  /** The name of the old library, for events. */
  readonly library: string;
  /** Names it to its library: as secret as the cookie. */
  readonly reference: string;
  /** Whether a store has a record of it; else all of it is in the cookie. */
  readonly inStore: boolean;
  /** What is there of it; undefined where it has ended. */
  load(): Promise<OldRecord | undefined>;
  /** Tells the browser to drop the old cookie, unless `newName` is its name, too. */
  erase(headers: ResponseHeaders, newName: string): void;
}

export interface OldRecord {
  /** When the old library would have ended it, in milliseconds since the epoch; undefined where it doesn't say. */
  readonly expires: number | undefined;
  /** What the application's functions make of it; undefined where it is not to be taken over. Throws what they throw. */
  contents(): OldContents | undefined;
}

export interface OldContents {
  readonly data: Record<string, unknown>;
  readonly userId: string | undefined;
}

/** 400 days: browsers keep no cookie longer. */
export const LONGEST = 400 * 86_400_000;

/** Removes the old record that a session was made of, where it was left in its place. */
export async function removeOld(engine: Engine, sealed: string): Promise<void> {
  const reference = engine.keyring.sealer("migration").open(sealed, "")?.text;
  if (reference !== undefined && engine.migration !== undefined)
    await asked(engine, "remove", engine.migration.remove(reference));
}

/**
 * Ends the sessions that a user still has with the old library. Nobody can list them, so it is noted, and each is refused when
 * its browser comes.
 */
export async function refuseOldOf(engine: Engine, userId: string): Promise<void> {
  const at = engine.clock();
  const tombstone = encodeTombstone({ ended: "revoked", at });
  await engine.store.create(refusalOf(userId), fixedRecord(1, tombstone, at + LONGEST));
}

export async function isOldRefused(engine: Engine, userId: string): Promise<boolean> {
  return (await engine.store.load(refusalOf(userId))) !== undefined;
}

function refusalOf(userId: string): string {
  return sessionIdOf(`old sessions refused: ${userId}`);
}

/** The answer of the old library's store, in time; its failure is one of a store's. */
export async function asked<T>(engine: Engine, operation: string, answer: Promise<T>): Promise<T> {
  try {
    return await inTime(answer, "migration", operation, engine.storeTimeout);
  } catch (failure) {
    const error = failure instanceof StoreError ? failure : oldStoreError(operation, failure);
    engine.events.emit("store-error", { at: new Date(engine.clock()), operation, error });
    throw error;
  }
}

function oldStoreError(operation: string, failure: unknown): StoreError {
  // What JSON.parse says quotes the record.
  if (failure instanceof SyntaxError)
    return new StoreError("migration", operation, "returned a record that can't be read");
  return new StoreError("migration", operation, "failed", failure);
}
