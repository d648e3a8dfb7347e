import type { StoreRecord } from "../stores/contract.js";
import type { Engine } from "./engine.js";
import { contentsOf, find } from "./follow.js";
import { removeOld } from "./migration.js";
import { encodeTombstone, fixedRecord, type Tombstone } from "./record.js";
import { swap } from "./write.js";

/** What has become of a session that was to be ended. */
export interface End {
  /** The id under which it ended, or had ended before. */
  readonly id: string;
  /** Whether it was this that ended it. */
  readonly done: boolean;
}

/**
 * Ends a stored session, wherever renewals have moved it meanwhile, and, where it is ended from outside, rotations as well: it
 * must not escape by a new token. A logout that comes late with the token from before a login is not meant for that login.
 */
export async function endStored(
  engine: Engine,
  id: string,
  record: StoreRecord,
  reason: Pick<Tombstone, "ended" | "reason">,
): Promise<End> {
  // Before all else: where it fails, nothing has ended, and who tries again ends both.
  const contents = contentsOf(engine, record);
  if ("meta" in contents && contents.meta.old !== undefined) await removeOld(engine, contents.meta.old);
  for (let attempt = 1; ; attempt++) {
    const lost = isRenewalLost(engine, record);
    const tombstone = { ...reason, at: engine.clock(), ...(lost && { lost }) };
    let elsewhere = await swap(engine, id, record, tombstoneFor(engine, record, tombstone), attempt);
    if (elsewhere === undefined) return { id, done: true };
    if (elsewhere.kind === "ended" && reason.ended === "revoked")
      elsewhere = await findRotated(engine, elsewhere.tombstone);
    if (elsewhere?.kind !== "live") return { id, done: false };
    id = elsewhere.id;
    record = elsewhere.stored.record;
  }
}

function isRenewalLost(engine: Engine, record: StoreRecord): boolean {
  const contents = contentsOf(engine, record);
  return "meta" in contents && contents.meta.renewedFrom !== undefined;
}

/** Rotations within the grace; more than this in a row is no honest history. */
const MAX_ROTATIONS = 10;

/** Where a session lives that is to be ended from outside: a token leads there by renewals only, this by rotations, too. */
export async function findToEnd(engine: Engine, id: string) {
  const destination = await find(engine, id);
  return destination.kind === "ended" ? findRotated(engine, destination.tombstone) : destination;
}

async function findRotated(engine: Engine, tombstone: Tombstone) {
  for (let hop = 0; hop < MAX_ROTATIONS && tombstone.rotatedTo !== undefined; hop++) {
    const destination = await find(engine, tombstone.rotatedTo);
    if (destination.kind !== "ended") return destination;
    tombstone = destination.tombstone;
  }
  return undefined;
}

/**
 * The record of a tombstone. One of a renewal stays as long as the browser may come back without having got the new
 * token. One of a session that was ended from outside stays as long as its browser would have had a session, so that it can be
 * told why it has none. Any other stays as long as late requests may come.
 */
export function tombstoneFor(
  { idleTimeout, grace }: Pick<Engine, "idleTimeout" | "grace">,
  buried: StoreRecord,
  tombstone: Tombstone,
): StoreRecord {
  const { at, ended } = tombstone;
  let deadline = at + (ended === "renewed" ? idleTimeout + grace : grace);
  if (ended === "revoked") deadline = Math.max(deadline, buried.idleDeadline);
  const latest = Math.max(buried.absoluteDeadline, at);
  return fixedRecord(buried.version + 1, encodeTombstone(tombstone), Math.min(deadline, latest));
}
