import { after, isPromise } from "../awaitable.js";
import { SessionGoneError } from "../errors.js";
import type { Awaitable } from "../stores/contract.js";
import { warn } from "../warn.js";
import type { ActiveSession } from "./active-session.js";
import { renew } from "./rotation.js";
import { reportDropped, write } from "./write.js";

/**
 * Ends a request's work on its session, before the response's headers leave: stores what changed, renews what is due,
 * touches what was only read. A request that leaves its session as it was costs no store call and no promise.
 * @throws HoldfastError where something can't be stored; `writeSessionHeaders` tells even then what is true by now.
 */
export function commit(active: ActiveSession): Awaitable<void> {
  const text = active.unsavedText;
  if (text !== undefined || active.flash.changed || hasOtherWork(active)) {
    // A step that is still under way may change the data once more.
    const toStore = active.busy ? undefined : text;
    return active.exclusively(() => commitWork(active, toStore));
  }
  active.headersSent = true;
}

function hasOtherWork(active: ActiveSession): boolean {
  if (active.busy) return true;
  if (active.record === undefined) return active.wanted;
  return (
    hasUnconfirmedCookie(active) ||
    active.isTouchDue ||
    isRenewalDue(active) ||
    active.renewalToConfirm ||
    active.standing === "signed-by-older-key"
  );
}

/** @param text the changed data as text, where that is known. */
function commitWork(active: ActiveSession, text: string | undefined): Awaitable<void> {
  const done = () => {
    active.headersSent = true;
  };
  const failed = (error: unknown) => {
    active.headersSent = true;
    if (!(error instanceof SessionGoneError)) throw error;
    // It was ended by another request. Nothing comes back, and the cookie is that other response's business.
    active.abandonChanges();
    active.received = active.record;
    if (active.cookieIntent === "set") active.cookieIntent = "keep";
  };
  try {
    const storing = store(active, text);
    if (isPromise(storing)) return storing.then(done, failed);
    done();
  } catch (error) {
    failed(error);
  }
}

function store(active: ActiveSession, text: string | undefined): Awaitable<void> {
  return isRenewalDue(active)
    ? renew(active).then(() => storeUnderItsToken(active, undefined))
    : storeUnderItsToken(active, text);
}

function storeUnderItsToken(active: ActiveSession, text: string | undefined): Awaitable<void> {
  if (text !== undefined || active.changed || isMissing(active) || active.renewalToConfirm)
    return after(write(active, undefined, text), () => bringCookieUpToDate(active));
  const ifSo = (lives: boolean) => {
    if (lives) bringCookieUpToDate(active);
  };
  if (active.isTouchDue) return after(touch(active), ifSo);
  if (active.standing === "signed-by-older-key") return after(isUnchanged(active), ifSo);
  if (!hasUnconfirmedCookie(active)) return;
  return after(isUnchanged(active), (unchanged) => {
    if (!unchanged) active.received = active.record;
  });
}

/** Where a session is known to live, and the browser's cookie is out of date: its deadline has moved, or its secret is old. */
function bringCookieUpToDate(active: ActiveSession): void {
  const outOfDate = active.persistent || active.standing === "signed-by-older-key";
  if (outOfDate && active.token !== undefined && active.record !== undefined) active.cookieIntent = "set";
}

/** Whether the session is to be stored, though it holds nothing yet, and isn't. */
function isMissing({ record, wanted }: ActiveSession): boolean {
  return wanted && record === undefined;
}

/** A session that lives in its cookie was saved early on: another request may have ended it since. */
function hasUnconfirmedCookie({ engine, record, received, cookieIntent }: ActiveSession): boolean {
  return engine.cookieHeld?.revocations !== undefined && cookieIntent === "keep" && record !== received;
}

/** Moves the idle deadline. False where another request was faster, or the session has ended. */
export function touch(active: ActiveSession): Awaitable<boolean> {
  const deadline = active.touchDeadline;
  if (deadline === undefined) return false;
  active.assertStorable("Moving the idle deadline");
  return after(active.engine.store.touch(active.id, deadline), (moved) => {
    if (moved) active.touched(deadline);
    return moved;
  });
}

/** A late response must not write the cookie of a session that was ended meanwhile. */
function isUnchanged(active: ActiveSession): Awaitable<boolean> {
  return after(active.engine.store.load(active.id), (current) => current?.version === active.record!.version);
}

function isRenewalDue({ engine, record, meta, standing, cookieIntent }: ActiveSession): boolean {
  if (record === undefined || cookieIntent === "set") return false;
  if (standing === "renewal-lost") return true;
  if (standing !== "current" && standing !== "signed-by-older-key") return false;
  return engine.renewAfter !== undefined && engine.clock() - meta.tokenAt >= engine.renewAfter;
}

/** Tells, once, of changes that were made after the headers had left and without `save` or `update`, so are stored nowhere. */
export function reportLateChanges(active: ActiveSession): void {
  try {
    if (!active.changed) return;
    active.abandonChanges();
  } catch {
    // Changed by something that can't even be stored.
  }
  reportDropped(active, "headers-sent");
  if (!active.engine.production) {
    warn(
      "HOLDFAST_LATE_CHANGE",
      "session data was changed after the response's headers had left, so the change is not stored. Change it before the " +
        "first byte of the response, or call `await session.save()` afterwards.",
    );
  }
}
