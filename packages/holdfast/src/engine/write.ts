import { after, isPromise } from "../awaitable.js";
import { ConflictError, InvalidArgumentError, SessionGoneError } from "../errors.js";
import type { Awaitable, ReplaceResult, StoreRecord } from "../stores/contract.js";
import type { ActiveSession, ChangesMeta, Composed } from "./active-session.js";
import type { StoredSessions } from "./engine.js";
import type { DroppedWriteReason } from "./events.js";
import { type Destination, find, follow, isExpired } from "./follow.js";

/**
 * Writers of one session in one process take turns, so collisions come from other processes only. Over a network, whoever
 * has just won writes again sooner than a loser can: of 5,000 increments by four processes, one lost 81 times in a row.
 */
const MAX_ATTEMPTS = 300;
/** Before this one attempt follows the other at once: what lost knows the newest state, and one of the rivals has won. */
const FIRST_PAUSE = 10;
/** Milliseconds. */
const MAX_PAUSE = 20;

type PlainObject = Record<string, unknown>;

/**
 * Stores the session's data and flash messages: as a new session, or in place of the version that was loaded. When
 * another request was first, its changes and these are merged and written again. `change` is applied to a copy of the
 * data right before each attempt, so together they are one atomic read-modify-write.
 *
 * Runs inside `active.exclusively`.
 * @param text the data as text, where that is known.
 * @param changes what changes of what the library keeps.
 * @throws SessionGoneError when the session ended in the meantime; nothing is stored then.
 * @throws ConflictError after a bounded number of attempts.
 */
export function write<R>(
  active: ActiveSession,
  change?: (data: PlainObject) => R,
  text?: string,
  changes?: ChangesMeta,
): Awaitable<R | undefined> {
  if (active.standing === "stale")
    throw dropped(active, active.reason === "withheld" ? "cross-site" : "stale");
  active.assertStorable("Storing the session");
  return tryToWrite(active, change, text ?? active.dataText(), 1, changes);
}

/** @param before the data as text. */
function tryToWrite<R>(
  active: ActiveSession,
  change: ((data: PlainObject) => R) | undefined,
  before: string,
  attempt: number,
  changes: ChangesMeta | undefined,
): Awaitable<R | undefined> {
  const { engine } = active;
  const data = change && active.copyOf(before);
  const result = data && change!(data);
  if (isPromise(result)) {
    throw new InvalidArgumentError(
      "The function given to session.update() must not be asynchronous: it may run again when another request was " +
        "faster. Do the asynchronous work before, and only change the data in it.",
    );
  }
  const text = data ? engine.codec.encode(data) : before;
  const composed = active.compose(text, { kind: "write", changes });

  const stored: Awaitable<Destination | undefined> =
    active.record === undefined
      ? insert(active, composed)
      : swap(engine, active.id, active.record, composed.record, attempt);
  return after(stored, (elsewhere): Awaitable<R | undefined> => {
    if (elsewhere === undefined) {
      active.written(composed);
      if (data) active.takeOver(data, before);
      return result;
    }
    if (elsewhere.kind !== "live") throw dropped(active, "gone");
    active.moveTo(elsewhere);
    return tryToWrite(active, change, active.dataText(), attempt + 1, changes);
  });
}

function insert(active: ActiveSession, { record }: Composed): Awaitable<undefined> {
  active.assertInTime("Storing a new session");
  const { engine, id } = active;
  return after(storeNew(engine, id, record), () => {
    active.cookieIntent = "set";
    engine.events.emit("created", { at: new Date(engine.clock()), sessionId: id });
    return undefined;
  });
}

/** Stores the first record of a token that was made just now. */
export function storeNew(engine: StoredSessions, id: string, record: StoreRecord): Awaitable<void> {
  return after(engine.store.create(id, record), (isNew) => {
    if (!isNew) throw engine.store.corrupt("create", "a new random id is taken already");
  });
}

/**
 * Stores `next` in place of `current`. Undefined when that is done; else, with nothing changed, where the session is now.
 * Where it lives and another was faster, the caller merges and tries again with the next `attempt`.
 * @throws ConflictError where there were too many.
 */
export function swap(
  engine: StoredSessions,
  id: string,
  current: StoreRecord,
  next: StoreRecord,
  attempt: number,
): Awaitable<Destination | undefined> {
  const replace = () =>
    after(engine.store.replace(id, current.version, next), (answer) =>
      answer.status === "done" ? undefined : overtaken(engine, id, answer, attempt),
    );
  if (!isExpired(current, engine.clock())) return replace();
  // The deadline passed while the handler ran: the session lives only if another request has moved it since.
  return find(engine, id).then((destination) => {
    const same =
      destination.kind === "live" &&
      destination.id === id &&
      destination.stored.record.version === current.version;
    return same ? replace() : destination;
  });
}

/** Where the session is now that another request has changed or ended it. @throws ConflictError */
async function overtaken(
  engine: StoredSessions,
  id: string,
  answer: Exclude<ReplaceResult, { status: "done" }>,
  attempt: number,
): Promise<Destination> {
  const elsewhere = await follow(engine, id, answer.status === "conflict" ? answer.record : undefined);
  if (elsewhere.kind !== "live") return elsewhere;

  engine.events.emit("conflict", { at: new Date(engine.clock()), sessionId: elsewhere.id, attempt });
  if (attempt >= MAX_ATTEMPTS) throw new ConflictError(attempt);
  if (attempt < FIRST_PAUSE) return elsewhere;
  // Whoever loses so often meets many rivals: it steps back at random, and then needs to know what they wrote meanwhile.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_PAUSE));
  return find(engine, elsewhere.id);
}

const WITHHELD =
  "Another site has made this request, so the browser kept the session's cookie back (SameSite), and nothing was stored: a new " +
  "session would take the place of the user's.";

/** Tells of changes that are stored nowhere. */
export function reportDropped(active: ActiveSession, reason: DroppedWriteReason): void {
  const { engine, record, id } = active;
  active.dropped = reason;
  const sessionId = record === undefined ? undefined : id;
  engine.events.emit("dropped-write", { at: new Date(engine.clock()), sessionId, reason });
}

function dropped(active: ActiveSession, reason: DroppedWriteReason): SessionGoneError {
  reportDropped(active, reason);
  return new SessionGoneError(reason === "cross-site" ? WITHHELD : undefined);
}
