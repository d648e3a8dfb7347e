import type { StoreRecord } from "../stores/contract.js";
import { newToken, sessionIdOf } from "../token/token.js";
import type { ActiveSession } from "./active-session.js";
import { arrive } from "./arrive.js";
import type { Engine } from "./engine.js";
import { find, follow } from "./follow.js";
import { asked, type OldContents } from "./migration.js";
import { encodeTombstone } from "./record.js";
import { enforceLimit } from "./user-sessions.js";
import { storeNew } from "./write.js";

/**
 * Takes over the old session that a request without a living one of ours comes with. Its old id leads to the new session as
 * the id of a renewed one does: so it is taken over once, however many requests overlap, and not lost with a response that
 * never arrives.
 */
export async function takeOverOld(active: ActiveSession): Promise<ActiveSession> {
  const { engine, request } = active;
  const migration = engine.migration!;
  if (active.record !== undefined || active.standing !== "none") return active;
  const old = migration.find(request);
  if (old === undefined) return active;
  active.old = old;
  const candidate = { token: "", id: markerOf(old.reference), signedByOlderKey: false };

  const marker = await engine.store.load(candidate.id);
  if (marker !== undefined) return arrive(active, candidate, await follow(engine, candidate.id, marker));

  const contents = await asked(engine, "load", old.load());
  if (contents === undefined) return active;
  const token = newToken();
  const id = sessionIdOf(token);
  active.data = { ...active.data, ...contents.data };
  const composed = active.compose(active.dataText(), {
    kind: "takeover",
    from: candidate.id,
    userId: contents.userId ?? null,
    old: migration.keepsOld ? engine.keyring.sealer("migration").seal(old.reference, "") : undefined,
  });
  await storeNew(engine, id, composed.record);
  if (!(await engine.store.create(candidate.id, markerRecord(engine, id, composed.record, contents)))) {
    // Another request was faster.
    await engine.store.delete(id);
    active.startAfresh("nothing");
    return arrive(active, candidate, await find(engine, candidate.id));
  }
  active.written(composed);
  active.tokenReplaced(token, id);
  const at = new Date(engine.clock());
  engine.events.emit("created", { at, sessionId: id });
  engine.events.emit("migrated", { at, sessionId: id, userId: active.userId, from: old.library });
  migration.noteTakeover();
  // That it couldn't be removed is an event. Its marker keeps anybody from using it.
  if (!migration.keepsOld) await asked(engine, "remove", migration.remove(old.reference)).catch(() => {});
  if (contents.userId !== undefined) await enforceLimit(engine, contents.userId, id);
  return active;
}

/** The id under which it is noted that an old session has been taken over, and to where. */
function markerOf(reference: string): string {
  return sessionIdOf(`taken over: ${reference}`);
}

/** It stays as long as the old session could have been used, so that nobody brings that back. */
function markerRecord(
  engine: Engine,
  successor: string,
  { absoluteDeadline }: StoreRecord,
  { expires = 0 }: OldContents,
): StoreRecord {
  const at = engine.clock();
  const deadline = Math.max(absoluteDeadline, Math.min(expires, at + LONGEST));
  return {
    version: 1,
    payload: encodeTombstone({ ended: "renewed", at, successor }),
    idleDeadline: deadline,
    absoluteDeadline: deadline,
    userId: null,
  };
}

/** 400 days: browsers keep no cookie longer. */
const LONGEST = 400 * 86_400_000;
