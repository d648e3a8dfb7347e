import { InvalidArgumentError, SessionGoneError, UserMismatchError } from "../errors.js";
import { newToken, sessionIdOf } from "../token/token.js";
import type { ActiveSession, ChangesMeta, Composed, Step } from "./active-session.js";
import { checkedMeans, type MeansOfAuthentication } from "./authentication.js";
import { endStored, tombstoneFor } from "./ending.js";
import type { Engine } from "./engine.js";
import type { Destination } from "./follow.js";
import { lifetimeOf } from "./lifetime.js";
import { replaceContents } from "./merge.js";
import type { Identity, SessionMeta, Tombstone } from "./record.js";
import { Place } from "./users/limit.js";
import { storeNew, swap } from "./write.js";

/**
 * The steps that change a session's token or end it. Each leaves a tombstone under the old id, put there by
 * compare-and-swap: what a request in flight had written before is seen and kept, nothing is written there afterwards,
 * and the old token is known for what it is while late requests may still come with it.
 *
 * All of them run inside `active.exclusively`.
 */

/** What a login may say beside who the user is. */
export interface LoginTerms extends MeansOfAuthentication {
  readonly keep?: readonly string[];
  readonly identity?: Identity;
  readonly expiresAt?: Date;
  readonly remember?: boolean;
  readonly authenticatedAt?: Date | "unknown";
  readonly acr?: string | undefined;
}

/**
 * Binds a user: a new token, new deadlines, the anonymous data kept, or only the keys in `keep`.
 * @throws UserMismatchError where the session belongs to another user.
 * @throws TooManySessionsError where the user has as many as there may be, and logins beyond that are refused.
 */
export async function login(active: ActiveSession, userId: string, terms: LoginTerms): Promise<void> {
  const { keep, identity, expiresAt } = terms;
  const { engine } = active;
  assertUserId(userId);
  const until = expiresAt === undefined ? undefined : checkedEnd(expiresAt, engine.clock());
  const meta = loginMeta(engine, terms);
  active.assertInTime("session.login()");
  if (active.userId !== undefined && active.userId !== userId) throw new UserMismatchError();
  if (keep !== undefined) {
    const kept = Object.entries(active.data).filter(([key]) => keep.includes(key));
    replaceContents(active.data, Object.fromEntries(kept));
  }
  const place = await Place.take(engine, userId, active.meta.login);
  const { login, order: loginOrder } = place;
  try {
    await replaceToken(active, { kind: "login", userId, login, loginOrder, identity, until, meta }, place);
  } catch (error) {
    await place.giveBack();
    throw error;
  }
  await settle(active, place);
  engine.events.emit("login", { at: new Date(engine.clock()), sessionId: active.id, userId });
}

/** A login that took so long that its place went to another is ended again. */
export async function settle(active: ActiveSession, place: Place): Promise<void> {
  try {
    await place.settle();
  } catch (error) {
    if (active.record !== undefined)
      await endStored(active.engine, active.id, active.record, { ended: "destroyed" });
    active.startAfresh("nothing");
    active.cookieIntent = "delete";
    throw error;
  }
}

/** What a login says beside who the user is, as the session keeps it. @throws InvalidArgumentError */
function loginMeta(
  { clock, remember }: Engine,
  { remember: remembered = false, authenticatedAt, acr, ...means }: LoginTerms,
): Pick<SessionMeta, "authenticatedAt" | "authentication" | "remembered"> {
  if (typeof remembered !== "boolean" || (remembered && remember === undefined)) {
    throw new InvalidArgumentError(
      "session.login() takes true or false as `remember`, and true only where createSessions() has the option `remember`.",
    );
  }
  const { methods, level } = checkedMeans("login", means);
  const authentication = { methods, level, acr };
  const says = methods !== undefined || level !== undefined || acr !== undefined;
  return {
    ...(remembered && { remembered }),
    ...(says && { authentication }),
    ...(authenticatedAt !== undefined && { authenticatedAt: checkedStart(authenticatedAt, clock()) }),
  };
}

/** Of a time that is still to come, as by a provider's clock that is ahead, only that it is now. */
function checkedStart(at: unknown, now: number): number | undefined {
  if (at === "unknown") return undefined;
  const time = at instanceof Date ? at.valueOf() : Number.NaN;
  if (Number.isFinite(time)) return Math.min(time, now);
  throw new InvalidArgumentError('session.login() takes a Date, or "unknown", as `authenticatedAt`.');
}

/**
 * Gives the session a new token at once, after a change of privileges. @throws SessionGoneError
 * @param changes what changes with it of what the library keeps.
 */
export async function rotate(active: ActiveSession, changes?: ChangesMeta): Promise<void> {
  active.assertInTime("session.rotate()");
  if (active.standing === "stale") throw new SessionGoneError();
  // A token that no browser has yet needs no successor.
  if (active.record !== undefined) await replaceToken(active, { kind: "rotate", changes });
}

/**
 * Routine renewal: a new token, to which the old one leads for the grace. Where another request was faster to renew, its
 * token stands and this request goes on with that session. Where the session has ended, there is nothing to renew.
 */
export async function renew(active: ActiveSession): Promise<void> {
  try {
    await replaceToken(active, { kind: "renew" });
  } catch (error) {
    if (!(error instanceof SessionGoneError)) throw error;
  }
}

/** Ends the session. The request goes on with a new, empty one. */
export async function end(active: ActiveSession, ended: "logout" | "destroyed"): Promise<void> {
  const { record, userId } = active;
  if (active.engine.cookieHeld?.revocations === undefined) active.assertStorable("Ending the session");
  if (record !== undefined) {
    const { id: sessionId } = await endStored(active.engine, active.id, record, { ended });
    active.engine.events.emit("logout", { at: new Date(active.engine.clock()), sessionId, userId });
  }
  const late = active.standing === "stale";
  active.startAfresh("nothing");
  // A late request whose token has been replaced already must not delete the newer cookie.
  if (!late) active.cookieIntent = "delete";
}

type TokenStep =
  | Extract<Step, { kind: "login" | "renew" }>
  | { readonly kind: "rotate"; readonly changes?: ChangesMeta | undefined };

/**
 * Moves the session to a new token. The new record is stored first and the old one buried after it: a crash in between
 * leaves the old token good, and a new record whose token nobody knows.
 */
async function replaceToken(active: ActiveSession, step: TokenStep, place?: Place): Promise<void> {
  const { engine } = active;
  const token = newToken();
  const id = sessionIdOf(token);
  const isNew = active.record === undefined;
  // Its renewal has reached the browser long ago, so nobody needs the way from there to here any more.
  const { renewedFrom, predecessor: grave } = active.meta;
  let previousId = isNew ? undefined : active.id;
  const lost = active.standing === "renewal-lost";

  let stored = await storeUnder(engine, id, undefined, active.compose(active.dataText(), step));
  for (let attempt = 1; active.record !== undefined; attempt++) {
    const { idleTimeout } = lifetimeOf(engine, active.meta);
    const says = tombstoneOf(step, id, engine.clock(), lost);
    const tombstone = tombstoneFor({ idleTimeout, grace: engine.grace }, active.record, says);
    const elsewhere = await swap(engine, active.id, active.record, tombstone, attempt);
    if (elsewhere === undefined) break;

    if (elsewhere.kind === "live") {
      const renewedByAnother = elsewhere.id !== active.id;
      active.moveTo(elsewhere);
      if (renewedByAnother && step.kind === "renew") {
        await engine.store.delete(id);
        return;
      }
      previousId = elsewhere.id;
    } else if (step.kind === "login") {
      active.startAfresh(isTwin(elsewhere, step.userId) ? "all" : "changes");
      // What goes on under the name that it had is the other one.
      step = { ...step, login: await anotherPlace(engine, id, place!) };
    } else {
      await engine.store.delete(id);
      throw new SessionGoneError();
    }
    stored = await storeUnder(engine, id, stored, active.compose(active.dataText(), step));
  }

  active.written(stored);
  active.tokenReplaced(token, id);
  if (step.kind === "renew" && renewedFrom === undefined && grave !== undefined)
    await engine.store.delete(grave);
  const at = new Date(engine.clock());
  const userId = active.userId;
  if (isNew) engine.events.emit("created", { at, sessionId: id });
  if (step.kind === "renew")
    engine.events.emit("renewed", { at, sessionId: id, previousId: previousId!, userId });
  else engine.events.emit("rotated", { at, sessionId: id, previousId, userId });
}

/** @throws TooManySessionsError, with nothing left under the id. */
async function anotherPlace(engine: Engine, id: string, place: Place): Promise<string> {
  try {
    return await place.another();
  } catch (error) {
    await engine.store.delete(id);
    throw error;
  }
}

/**
 * Whether the session ended by a login of the same user, as when a form is sent twice: both saw the same anonymous data,
 * and both keep it. A session that ended in any other way doesn't come back through a login.
 */
function isTwin(destination: Destination, userId: string): boolean {
  return destination.kind === "ended" && destination.tombstone.userId === userId;
}

/** Stores the record of a new token, or its next version where it has been stored before. */
async function storeUnder(
  engine: Engine,
  id: string,
  before: Composed | undefined,
  next: Composed,
): Promise<Composed> {
  if (before === undefined) {
    await storeNew(engine, id, next.record);
    return next;
  }
  const record = { ...next.record, version: before.record.version + 1 };
  const answer = await engine.store.replace(id, before.record.version, record);
  // Only a revocation of all the user's sessions can come between.
  if (answer.status !== "done") throw new SessionGoneError();
  return { ...next, record };
}

function tombstoneOf(step: TokenStep, successor: string, at: number, lost: boolean): Tombstone {
  if (step.kind === "renew") return { ended: "renewed", at, successor, ...(lost && { lost }) };
  return {
    ended: "rotated",
    at,
    rotatedTo: successor,
    userId: step.kind === "login" ? step.userId : undefined,
  };
}

/** NaN would be a deadline that never comes. */
function checkedEnd(expiresAt: unknown, now: number): number {
  const end = expiresAt instanceof Date ? expiresAt.valueOf() : Number.NaN;
  if (end > now) return end;
  throw new InvalidArgumentError("session.login() takes a Date in the future as `expiresAt`.");
}

const MAX_USER_ID = 255;

/** Stores key by the user id, so it must be text that each of them can hold. */
export function isUserId(userId: unknown): userId is string {
  return (
    typeof userId === "string" &&
    userId.length >= 1 &&
    userId.length <= MAX_USER_ID &&
    userId.isWellFormed() &&
    !/\p{Cc}/u.test(userId)
  );
}

export function assertUserId(userId: unknown): asserts userId is string {
  if (!isUserId(userId)) {
    throw new InvalidArgumentError(
      `A user id must be text of 1 to ${MAX_USER_ID} characters without control characters. For a number, pass String(id).`,
    );
  }
}
