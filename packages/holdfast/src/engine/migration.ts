import { StoreError, StoreTimeoutError } from "../errors.js";
import type { Engine } from "./engine.js";
import type { SessionRequest } from "./request.js";
import type { ResponseHeaders } from "./transport.js";

/** Sessions of another library, taken over when their browser comes: what `migrateFrom` makes. */
export interface Migration {
  /** Whether old records and cookies stay where they are, so that one can go back. */
  readonly keepsOld: boolean;
  /** The old session that a request's cookie names, by its signature. Asks no store. */
  find(request: SessionRequest): OldSession | undefined;
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
  /** What it holds; undefined where it has ended. */
  load(): Promise<OldContents | undefined>;
  /** Tells the browser to drop the old cookie. */
  erase(headers: ResponseHeaders): void;
}

export interface OldContents {
  readonly data: Record<string, unknown>;
  readonly userId: string | undefined;
  /** When the old library would have ended it, in milliseconds since the epoch. */
  readonly expires: number | undefined;
}

/** Removes what a session that has ended was made of, where it was left in its place. */
export async function removeOld(engine: Engine, sealed: string): Promise<void> {
  const reference = engine.keyring.sealer("migration").open(sealed, "")?.text;
  if (reference !== undefined && engine.migration !== undefined)
    await asked(engine, "remove", engine.migration.remove(reference));
}

/** The answer of the old library's store, in time; its failure is one of a store's. */
export async function asked<T>(engine: Engine, operation: string, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StoreTimeoutError("migration", operation, engine.storeTimeout)),
      engine.storeTimeout,
    );
  });
  try {
    return await Promise.race([answer, deadline]);
  } catch (cause) {
    const error =
      cause instanceof StoreError ? cause : new StoreError("migration", operation, "failed", cause);
    engine.events.emit("store-error", { at: new Date(engine.clock()), operation, error });
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
