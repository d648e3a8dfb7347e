import { type Duration, milliseconds } from "../duration.js";

/** A clock that stands still until it is told to go on: `createSessions({ clock: clock.now })`. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Moves on by milliseconds or a duration such as "31m". The new time. */
  advance(by: Duration): number;
  /** Goes to a time, also back. */
  set(time: Date | number): void;
}

/** @param start where it stands at first; default: now. */
export function testClock(start: Date | number = Date.now()): TestClock {
  let time = Number(start);
  return {
    now: () => time,
    advance(by) {
      time += milliseconds("by", by, 0);
      return time;
    },
    set(to) {
      time = Number(to);
    },
  };
}
