// @ts-check

/** Milliseconds. */
const LONGEST_WARNING = 120_000;

/**
 * What a browser needs to warn in time: in how many milliseconds the session ends, and with how many left to warn. Spans
 * and not moments, because the browser's clock may be wrong.
 *
 * @param {Pick<import("holdfast").Session, "expiresAt" | "lastSeenAt">} session
 */
export function countdownOf({ expiresAt, lastSeenAt }) {
  const span = expiresAt.getTime() - lastSeenAt.getTime();
  return {
    endsIn: Math.max(expiresAt.getTime() - Date.now(), 0),
    warnAt: Math.min(Math.round(span * 0.4), LONGEST_WARNING),
  };
}
