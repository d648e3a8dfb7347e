import type { CookieRejection, SessionEventName, SessionEvents } from "../engine/events.js";
import type { SeenClient } from "../engine/guard/client-change.js";

/** How serious an entry is, in the words of OWASP's logging vocabulary. */
export type AuditLevel = "INFO" | "WARN" | "CRITICAL";

/** What an event says in the audit log. */
interface Entry<Type extends string, Fields extends object> {
  /** The word for it. */
  readonly type: Type;
  readonly level: AuditLevel;
  /** What follows the word after a colon, as OWASP lists it for each. */
  readonly parameters: ReadonlyArray<string | number | undefined>;
  /** A sentence without anything that a client has sent. */
  readonly description: string;
  readonly fields: Fields;
}

function entry<const Type extends string, Fields extends object>(
  type: Type,
  level: AuditLevel,
  parameters: Entry<Type, Fields>["parameters"],
  description: string,
  fields: Fields,
): Entry<Type, Fields> {
  return { type, level, parameters, description, fields };
}

/**
 * Each event's word: those of the OWASP Logging Vocabulary Cheat Sheet where it has one, else of our own in its style. Where our
 * level differs from OWASP's, docs/audit-log.md says why.
 */
export const vocabulary = {
  created: ({ sessionId }) =>
    entry("session_created", "INFO", [], "A session was stored for the first time", { sessionid: sessionId }),

  renewed: ({ sessionId, previousId, userId }) =>
    entry("session_renewed", "INFO", [userId], "A session got a new token by routine renewal", {
      sessionid: sessionId,
      previous_sessionid: previousId,
      userid: userId,
    }),

  rotated: ({ sessionId, previousId, userId }) =>
    entry("session_rotated", "INFO", [userId], "A session got a new token, and the old one is dead", {
      sessionid: sessionId,
      previous_sessionid: previousId,
      userid: userId,
    }),

  migrated: ({ sessionId, userId, from }) =>
    entry("session_migrated", "INFO", [userId, from], "A session of another library's was taken over", {
      sessionid: sessionId,
      userid: userId,
      from,
    }),

  login: ({ sessionId, userId }) =>
    entry("authn_login_success", "INFO", [userId], "A user logged in", {
      sessionid: sessionId,
      userid: userId,
    }),

  logout: ({ sessionId, userId }) =>
    entry("session_expired", "INFO", [userId, "logout"], "A user logged out", {
      sessionid: sessionId,
      userid: userId,
      reason: "logout",
    }),

  revoked: ({ sessionId, userId, by, reason, actor }) =>
    entry("session_expired", "INFO", [userId, "revoked"], "A session was ended from outside", {
      sessionid: sessionId,
      userid: userId,
      reason: "revoked",
      revoked_by: by,
      revoked_for: reason,
      actor,
    }),

  anomaly: ({ sessionId, userId, changed, from, to, answer }) =>
    entry(
      "session_client_changed",
      "WARN",
      [userId, answer],
      "A token came from another client than its session began with",
      {
        sessionid: sessionId,
        userid: userId,
        changed: changed.join(" "),
        from: namesOf(from),
        to: namesOf(to),
        answer,
      },
    ),

  elevated: ({ sessionId, userId, methods, level, until }) =>
    entry("session_elevated", "INFO", [userId, level], "A user proved more, for a while", {
      sessionid: sessionId,
      userid: userId,
      methods: methods.join(" "),
      level,
      until: until.toISOString(),
    }),

  "refused-login": ({ userId, limit }) =>
    entry(
      "session_limit_exceeded",
      "WARN",
      [userId, limit],
      "A login was refused: the user has too many sessions",
      {
        userid: userId,
        limit,
      },
    ),

  expired: ({ sessionId, userId, timeout }) =>
    entry(
      "session_expired",
      "INFO",
      [userId, `${timeout}_timeout`],
      "A request came for an expired session",
      {
        sessionid: sessionId,
        userid: userId,
        reason: `${timeout}_timeout` as const,
      },
    ),

  conflict: ({ sessionId, attempt }) =>
    entry("session_conflict", "INFO", [attempt], "Another request wrote first; the changes are merged", {
      sessionid: sessionId,
      attempt,
    }),

  "dropped-write": ({ sessionId, reason }) =>
    entry("session_write_dropped", "WARN", [reason], "A change of a session was not stored", {
      sessionid: sessionId,
      reason,
    }),

  "rejected-cookie": ({ sessionId, reason }) => {
    const { type, level, description } = REJECTIONS[reason];
    return entry(type, level, [reason], description, { sessionid: sessionId, reason });
  },

  "csrf-refused": ({ sessionId, method, reason }) =>
    entry("malicious_cors", "CRITICAL", [reason], "A request that another site may have caused was refused", {
      sessionid: sessionId,
      reason,
      request_method: method,
    }),

  "guess-limit": ({ client, guesses, until }) =>
    entry(
      "excess_rate_limit_exceeded",
      "WARN",
      [client, guesses],
      "A client sent more tokens that don't verify than it may",
      { source_ip: client, guesses, until: until.toISOString() },
    ),

  "store-error": ({ operation, error }) =>
    entry("sys_store_fail", "CRITICAL", [operation, error.code], "A call to the session store failed", {
      operation,
      store: error.store,
      error_code: error.code,
      /** The driver's own code, as in "ECONNREFUSED". Its message may name hosts and statements, so it is left out. */
      cause_code: codeOf(error.cause),
    }),

  "secrets-changed": ({ option, count }) =>
    entry("crypt_secrets_changed", "INFO", [option, count], "Other secrets are in force", { option, count }),

  "secrets-refused": ({ option, reason }) =>
    entry("crypt_secrets_refused", "CRITICAL", [option], "Secrets were refused; those of before stay", {
      option,
      reason,
    }),
} satisfies Partial<{ [Name in SessionEventName]: (event: SessionEvents[Name]) => Entry<string, object> }>;

export type Vocabulary = typeof vocabulary;

type RejectionType =
  | "input_validation_fail"
  | "session_use_after_expire"
  | "authn_token_reuse"
  | OwnRejection;
type OwnRejection = "session_token_forged" | "session_cookie_ambiguous";

const REJECTIONS: Record<CookieRejection, { type: RejectionType; level: AuditLevel; description: string }> = {
  malformed: {
    type: "input_validation_fail",
    level: "WARN",
    description: "A session cookie came that is no signed token",
  },
  "too-many": {
    type: "input_validation_fail",
    level: "WARN",
    description: "More session cookies came than are looked at",
  },
  forged: {
    type: "session_token_forged",
    level: "CRITICAL",
    description: "A session cookie came whose signature fits no secret",
  },
  ambiguous: {
    type: "session_cookie_ambiguous",
    level: "CRITICAL",
    description: "Several session cookies came that lead to living sessions",
  },
  // Every browser that comes back after a night does this, so it can't be an alarm.
  unknown: {
    type: "session_use_after_expire",
    level: "WARN",
    description: "A token came whose session is not there any more",
  },
  ended: {
    type: "session_use_after_expire",
    level: "WARN",
    description: "The token of a session that has just ended came",
  },
  renewed: {
    type: "authn_token_reuse",
    level: "CRITICAL",
    description: "A token came that a renewal replaced, after its grace: somebody may use a stolen one",
  },
};

/** As in "Firefox, Windows, 192.0.2.0/24": names that have been read of a User-Agent, never the text that came. */
function namesOf({ browser, system, network }: SeenClient): string {
  return [browser, system, network].filter(Boolean).join(", ");
}

function codeOf(cause: unknown): string | undefined {
  const { code } = (cause ?? {}) as { code?: unknown };
  return typeof code === "string" && /^[\w.-]{1,40}$/.test(code) ? code : undefined;
}
