// @ts-check
import { sessionEventNames } from "holdfast";

/** Of all sessions together. */
const SIZE = 500;

/** @typedef {{ at: Date, name: import("holdfast").SessionEventName, sessionId?: string, previousId?: string, userId?: string, detail?: string }} Entry */

/** What concerns no session, or not its user. */
const ELSEWHERE = new Set(["rejected-cookie", "store-error"]);

/**
 * Keeps the last events of the sessions, for the panel at the foot of every page.
 *
 * @param {import("./sessions.js").ShopSessions} sessions
 */
export function keepJournal(sessions) {
  /** @type {Entry[]} */
  const entries = [];
  for (const name of sessionEventNames.filter((each) => !ELSEWHERE.has(each))) {
    sessions.on(name, (event) => {
      const { by, timeout, reason, attempt, ...rest } = /** @type {any} */ (event);
      entries.push({ ...rest, name, detail: by ?? timeout ?? reason ?? (attempt && `attempt ${attempt}`) });
      if (entries.length > SIZE) entries.shift();
    });
  }

  return {
    /**
     * What happened to this session, under the ids it had before too, and to its user's others. The newest first.
     *
     * @param {import("holdfast").Session} session
     * @param {number} limit
     */
    of(session, limit) {
      const ids = new Set([session.id]);
      const found = [];
      for (const entry of entries.toReversed()) {
        const own = entry.sessionId !== undefined && ids.has(entry.sessionId);
        if (!own && (entry.userId === undefined || entry.userId !== session.userId)) continue;
        if (own && entry.previousId !== undefined) ids.add(entry.previousId);
        found.push({ ...entry, own });
        if (found.length === limit) break;
      }
      return found;
    },
  };
}

/** @typedef {ReturnType<typeof keepJournal>} Journal */
