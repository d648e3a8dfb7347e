import type { StoreRecord } from "../stores/contract.js";
import type { Composed } from "./active-session.js";
import type { StoredSessions } from "./engine.js";
import { type Contents, decodePayload, faultOf, type Tombstone } from "./record.js";

/** A living session, under the id that it has now, with the renewals that led there, in order. */
export interface LiveSession {
  readonly kind: "live";
  readonly id: string;
  readonly stored: Composed;
  readonly renewals: readonly Tombstone[];
}

/** Where the token of a session leads to. */
export type Destination =
  | LiveSession
  | {
      readonly kind: "ended";
      readonly id: string;
      readonly tombstone: Tombstone;
      readonly renewals: readonly Tombstone[];
    }
  | { readonly kind: "expired"; readonly id: string; readonly record: StoreRecord }
  | { readonly kind: "none" };

/** A renewal leaves one tombstone, a lost one another; more than this in a row is no honest history. */
const MAX_RENEWALS = 10;

/** Follows a loaded record to the living session that it, or its renewals, lead to. */
export async function follow(
  engine: StoredSessions,
  id: string,
  record: StoreRecord | undefined,
): Promise<Destination> {
  const renewals: Tombstone[] = [];
  for (let hop = 0; hop <= MAX_RENEWALS; hop++) {
    if (record === undefined) return { kind: "none" };
    const contents = contentsOf(engine, record);
    if ("meta" in contents) {
      if (isExpired(record, engine.clock())) return { kind: "expired", id, record };
      return { kind: "live", id, stored: { record, ...contents }, renewals };
    }
    if (isExpired(record, engine.clock())) return { kind: "none" };
    const { tombstone } = contents;
    if (tombstone.successor === undefined) return { kind: "ended", id, tombstone, renewals };
    renewals.push(tombstone);
    id = tombstone.successor;
    record = await engine.store.load(id);
  }
  return { kind: "none" };
}

/** Loads what is stored under an id, and follows it to the living session. */
export async function find(engine: StoredSessions, id: string): Promise<Destination> {
  return follow(engine, id, await engine.store.load(id));
}

/**
 * On a record: what its payload says. Stores that keep records in memory give the same one again and again, and it is read
 * once. (A WeakMap would keep the records of all other stores until the next full collection.)
 */
const CONTENTS = Symbol("contents");

/** A record's payload, read. @throws StoreCorruptError */
export function contentsOf(engine: StoredSessions, record: StoreRecord): Contents {
  const holder = record as StoreRecord & { [CONTENTS]?: Contents };
  if (holder[CONTENTS] !== undefined) return holder[CONTENTS];
  try {
    return rememberContents(record, decodePayload(record.payload));
  } catch (error) {
    throw engine.store.corrupt("load", faultOf(record) ?? (error as Error).message);
  }
}

/** Notes what a record's payload says, for the next request that a store gives this same record. */
export function rememberContents<Found extends Contents>(record: StoreRecord, contents: Found): Found {
  if (Object.isExtensible(record)) (record as { [CONTENTS]?: Contents })[CONTENTS] = contents;
  return contents;
}

export function isExpired(record: StoreRecord, now: number): boolean {
  return now >= record.idleDeadline || now >= record.absoluteDeadline;
}
