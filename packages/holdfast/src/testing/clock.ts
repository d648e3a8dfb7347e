import { type Duration, milliseconds } from "../duration.js";
import { InvalidArgumentError } from "../errors.js";
import { shown } from "../shown.js";

/** A clock that stands still until it is told to go on: `createSessions({ clock: clock.now })`. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Moves on by milliseconds or a duration such as "31m". The new time. */
  advance(by: Duration): number;
  /** Goes to a time, also back. */
  set(time: Date | number): void;
}

/**
 * @param start where it stands at first; default: now. MongoDB removes records by a clock of its own, so with it start
 * at now, and only go on.
 * @throws InvalidArgumentError for what is no time.
 */
export function testClock(start: Date | number = Date.now()): TestClock {
  let time = sinceEpoch(start);
  return {
    now: () => time,
    advance(by) {
      time += milliseconds("by", by, 0);
      return time;
    },
    set(to) {
      time = sinceEpoch(to);
    },
  };
}

/** A clock that says NaN would be past no deadline: nothing expires, and a test proves nothing. */
function sinceEpoch(time: Date | number): number {
  const value = time instanceof Date ? time.getTime() : time;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError(
    `testClock() expected a time, as a Date or in milliseconds since the epoch, got ${shown(time)}.`,
  );
}
