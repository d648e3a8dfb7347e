import { ConflictError, StoreCorruptError } from "../../errors.js";
import type { StoredSession } from "../../stores/contract.js";
import { endStored } from "../ending.js";
import type { Engine } from "../engine.js";
import { contentsOf, isExpired } from "../follow.js";
import { lifetimeOf } from "../lifetime.js";
import type { SessionMeta } from "../record.js";
import { type EndReason, emitRevoked, type RevokedBy } from "./revocation.js";

/** A living session with what its payload says. */
export interface LivingSession extends StoredSession {
  readonly meta: SessionMeta;
}

/** A user's living sessions, in no order. @throws StoreCorruptError */
export async function livingSessions(engine: Engine, userId: string): Promise<LivingSession[]> {
  const now = engine.clock();
  const living: LivingSession[] = [];
  for (const { id, record } of await engine.store.listByUser(userId)) {
    const contents = contentsOf(engine, record);
    if ("meta" in contents && !isExpired(record, now)) living.push({ id, record, meta: contents.meta });
  }
  return living;
}

/**
 * The name of the login that a session began with: the same under each of its tokens, so that it is known again while it
 * moves from one to the next, and for that time counts once.
 */
export function loginOf({ id, meta }: Pick<LivingSession, "id" | "meta">): string {
  // One that was stored before there were names gets its id of then for its name with the next write.
  return meta.login ?? id;
}

/** The last write or touch, in milliseconds. A touch moves only the idle deadline, which tells when it was. */
export function lastSeen(engine: Engine, record: StoredSession["record"], meta: SessionMeta): number {
  // Under a longer timeout than today's, the deadline would tell of a time to come.
  return Math.min(
    Math.max(meta.seenAt, record.idleDeadline - lifetimeOf(engine, meta).idleTimeout),
    engine.clock(),
  );
}

/** How sessions are ended from outside, for the tombstone and the event. */
export interface Ending {
  readonly by: RevokedBy;
  readonly reason: EndReason;
  readonly actor?: string | undefined;
}

/** A session that moved again between each look and its end would keep this going for ever. */
const MAX_LOOKS = 100;

/**
 * Ends those of a user's living sessions that `choose` picks, at once and everywhere. The number ended. One that takes a new
 * token meanwhile is found under it, for this looks again until there is none.
 *
 * A look is a snapshot in SQL, and none in Redis and MongoDB, where a session that moves just then can be missed. Two looks in a
 * row can't miss the same one: it moves once an hour. `isSure` says where one that was missed would make no difference.
 * @throws ConflictError after many looks.
 */
export async function endLivingSessions(
  engine: Engine,
  userId: string,
  ending: Ending,
  choose: (living: readonly LivingSession[], look: number) => readonly LivingSession[],
  isSure: (living: readonly LivingSession[]) => boolean = () => false,
): Promise<number> {
  let ended = 0;
  let quiet = 0;
  for (let look = 0; look < MAX_LOOKS; look++) {
    const living = await livingSessions(engine, userId);
    const meant = choose(living, look);
    if (meant.length === 0) {
      quiet++;
      if (quiet === 2 || isSure(living)) return ended;
      continue;
    }
    quiet = 0;
    // All at once, because they are few.
    const ends = await Promise.all(meant.map((session) => endLiving(engine, session, ending)));
    ended += ends.filter(Boolean).length;
  }
  throw new ConflictError(MAX_LOOKS);
}

/** Ends one session from outside, wherever renewals and rotations move it meanwhile. False where another has ended it. */
export async function endLiving(
  engine: Engine,
  { id, record }: StoredSession,
  ending: Ending,
  beforeEvent: () => void = () => {},
): Promise<boolean> {
  const end = await endStored(engine, id, record, { ended: "revoked", reason: ending.reason });
  if (end.done) {
    beforeEvent();
    emitRevoked(engine, { ...ending, sessionId: end.id, userId: record.userId ?? undefined });
  }
  return end.done;
}

/**
 * Removes what a user's list holds beside living sessions: records that can't be read, and those past a deadline, which a
 * server whose clock is behind would still take for living ones.
 */
export async function removeRest(engine: Engine, userId: string, except: string | undefined): Promise<void> {
  const now = engine.clock();
  for (const { id, record } of await engine.store.listByUser(userId)) {
    if (id !== except && (isExpired(record, now) || !isReadable(engine, record)))
      await engine.store.delete(id);
  }
}

function isReadable(engine: Engine, record: StoredSession["record"]): boolean {
  try {
    contentsOf(engine, record);
    return true;
  } catch (error) {
    if (error instanceof StoreCorruptError) return false;
    throw error;
  }
}
