import { TooManySessionsError } from "../errors.js";
import type { Awaitable, StoreRecord } from "../stores/contract.js";
import { newToken, sessionIdOf } from "../token/token.js";
import type { ActiveSession } from "./active-session.js";
import { arrive, type Candidate } from "./arrive.js";
import type { Engine } from "./engine.js";
import { contentsOf, follow } from "./follow.js";
import { asked, isOldRefused, LONGEST, type OldContents, type OldSession } from "./migration.js";
import { encodeTombstone, fixedRecord } from "./record.js";
import { assertUserId, settle } from "./rotation.js";
import { enforceLimit, Place } from "./users/limit.js";
import { storeNew } from "./write.js";

/**
 * Takes over the old session that a request without a living one of ours comes with. Its old id leads to the new session as
 * the id of a renewed one does: so it is taken over once, however many requests overlap, and not lost with a response that
 * never arrives.
 */
export function takeOverOld(active: ActiveSession): Awaitable<ActiveSession> {
  if (!isWithout(active)) return active;
  // A bearer request's cookies are not looked at, whosever they are.
  if (active.transport.reads !== "Cookie") return active;
  const found = active.engine.migration!.find(active.request);
  return found.length === 0 ? active : takeOverFirst(active, found);
}

/** Of several libraries' sessions, the first that lives. */
async function takeOverFirst(active: ActiveSession, found: readonly OldSession[]): Promise<ActiveSession> {
  for (const old of found) {
    await takeOver(active, old);
    if (!isWithout(active)) break;
  }
  return active;
}

/** Whether the request has led to no session, and may begin one. */
function isWithout({ record, standing }: ActiveSession): boolean {
  return record === undefined && standing === "none";
}

async function takeOver(active: ActiveSession, old: OldSession): Promise<void> {
  const { engine } = active;
  const id = sessionIdOf(`taken over: ${old.reference}`);
  const marker: Candidate = { token: "", id, signedByOlderKey: false };
  if (await followMarker(active, marker)) return;

  const record = await asked(engine, "load", old.load());
  const lives = record !== undefined && !(record.expires !== undefined && record.expires <= engine.clock());
  const contents = lives ? record.contents() : undefined;
  if (contents === undefined) {
    // Another request may have taken it over, and removed the record, since the marker was asked for.
    await followMarker(active, marker);
    return;
  }
  if (contents.userId !== undefined) {
    assertUserId(contents.userId);
    if (await isOldRefused(engine, contents.userId)) return removeQuietly(engine, old);
  }
  await storeTakenOver(active, marker, old, contents, record!.expires);
}

/** Goes where a takeover has left a marker for. False where there is none. */
async function followMarker(active: ActiveSession, marker: Candidate): Promise<boolean> {
  const record = await active.engine.store.load(marker.id);
  if (record === undefined) return false;
  await arrive(active, marker, await follow(active.engine, marker.id, record));
  return true;
}

/**
 * The new session is stored first and the marker after it, as for a new token: a crash in between leaves the old session good,
 * and a new one whose token nobody knows, which the next takeover removes.
 */
async function storeTakenOver(
  active: ActiveSession,
  marker: Candidate,
  old: OldSession,
  { data, userId }: OldContents,
  expires: number | undefined,
): Promise<void> {
  const { engine } = active;
  const { keepsOld } = engine.migration!;
  const token = newToken();
  const id = sessionIdOf(token);
  const place = userId === undefined ? undefined : await placeFor(active, userId, marker.id);
  if (place === "none") return;
  active.data = { ...active.data, ...data };
  const composed = active.compose(active.dataText(), {
    kind: "takeover",
    from: marker.id,
    userId: userId ?? null,
    login: place?.login,
    loginOrder: place?.order,
    old: keepsOld && old.inStore ? engine.keyring.sealer("migration").seal(old.reference, "") : undefined,
  });
  await storeNew(engine, id, composed.record);
  // Asked again, for all the user's sessions may have been revoked since: either that has found this one, or it is found here.
  if (userId !== undefined && (await isOldRefused(engine, userId))) {
    await engine.store.delete(id);
    await place?.giveBack();
    active.startAfresh("nothing");
    return;
  }
  const forLong = markerRecord(engine, id, composed.record.absoluteDeadline, expires);
  if (!(await engine.store.create(marker.id, forLong))) {
    // Another request was faster.
    await engine.store.delete(id);
    await place?.giveBack();
    active.startAfresh("nothing");
    await followMarker(active, marker);
    return;
  }
  active.written(composed);
  active.tokenReplaced(token, id);
  const at = new Date(engine.clock());
  engine.events.emit("created", { at, sessionId: id });
  engine.events.emit("migrated", { at, sessionId: id, userId, from: old.library });
  engine.migration!.noteTakeover();
  if (!keepsOld && old.inStore) await removeTakenOver(engine, old, marker.id, forLong, composed.record);
  if (userId === undefined) return;
  await removeAbandoned(engine, userId, marker.id, id);
  if (place !== undefined) await settle(active, place);
  await enforceLimit(engine, userId);
}

/**
 * Where logins beyond the limit are refused, so are takeovers: the old session waits for a place. Requests that overlap share one, by
 * the name of what they take over: otherwise the second would be refused for the first, and begin a session in place of it.
 */
async function placeFor(active: ActiveSession, userId: string, login: string): Promise<Place | "none"> {
  try {
    return await Place.take(active.engine, userId, login);
  } catch (error) {
    if (!(error instanceof TooManySessionsError)) throw error;
    active.reason = "limit";
    return "none";
  }
}

/** Once the old record is gone, nobody needs its marker for longer than the session can live. */
async function removeTakenOver(
  engine: Engine,
  old: OldSession,
  markerId: string,
  marker: StoreRecord,
  { absoluteDeadline }: StoreRecord,
): Promise<void> {
  try {
    await asked(engine, "remove", engine.migration!.remove(old.reference));
    if (marker.absoluteDeadline === absoluteDeadline) return;
    await engine.store.replace(markerId, 1, fixedRecord(2, marker.payload, absoluteDeadline));
  } catch {
    // It is an event already. The marker keeps anybody from using what is still there.
  }
}

async function removeQuietly(engine: Engine, old: OldSession): Promise<void> {
  if (old.inStore) await asked(engine, "remove", engine.migration!.remove(old.reference)).catch(() => {});
}

/** Removes what takeovers of the same old session have left that were cut off before they had placed the marker. */
async function removeAbandoned(engine: Engine, userId: string, from: string, keep: string): Promise<void> {
  for (const { id, record } of await engine.store.listByUser(userId)) {
    const contents = contentsOf(engine, record);
    if (id !== keep && "meta" in contents && contents.meta.renewedFrom === from)
      await engine.store.delete(id);
  }
}

/** It stays as long as the old session could be used, so that nobody brings that back. */
function markerRecord(
  engine: Engine,
  successor: string,
  absoluteDeadline: number,
  expires: number | undefined,
): StoreRecord {
  const at = engine.clock();
  const deadline = Math.max(absoluteDeadline, Math.min(expires ?? Number.POSITIVE_INFINITY, at + LONGEST));
  return fixedRecord(1, encodeTombstone({ ended: "renewed", at, successor }), deadline);
}
