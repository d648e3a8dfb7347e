import type { CsrfRule } from "./engine/guard/csrf.js";
import { quietCause } from "./quiet-cause.js";
import { warn } from "./warn.js";

/**
 * Every error that Holdfast throws on purpose. Each class has one cause and a stable `code` to switch on;
 * `status` is the HTTP status that fits when nobody handles the error (Express and others read it).
 * No message holds a token, a secret or session data.
 */
export class HoldfastError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, status: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.status = status;
  }

  /** What Hono answers with where the application has no `onError`: the status alone, and a warning for who runs it. */
  getResponse(): Response {
    warn("HOLDFAST_HANDLER", `a request failed: ${this.stack}`);
    return new Response(STATUS_TEXTS[this.status], { status: this.status });
  }
}

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  403: "Forbidden",
  409: "Conflict",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** An option of `createSessions`, a store or an adapter is wrong. Thrown at start-up; `option` names it. */
export class ConfigurationError extends HoldfastError {
  readonly option: string;

  constructor(option: string, message: string) {
    super("ERR_HOLDFAST_CONFIG", 500, `${option}: ${message}`);
    this.option = option;
  }
}

/** A method of the session was called with an argument that it can't take. */
export class InvalidArgumentError extends HoldfastError {
  constructor(message: string) {
    super("ERR_HOLDFAST_INVALID_ARGUMENT", 500, message);
  }
}

/** What was asked for is more than the store, or the way that sessions are kept, can do. */
export class UnsupportedError extends HoldfastError {
  constructor(message: string) {
    super("ERR_HOLDFAST_UNSUPPORTED", 500, message);
  }
}

/** The store failed. The request must not go on as if nobody were logged in: answer 503. */
export class StoreError extends HoldfastError {
  readonly store: string;
  readonly operation: string;

  constructor(
    store: string,
    operation: string,
    message: string,
    cause?: unknown,
    code = "ERR_HOLDFAST_STORE",
  ) {
    super(code, 503, `The session store "${store}" ${message} (operation: ${operation}).`, quietCause(cause));
    this.store = store;
    this.operation = operation;
  }
}

/** The store did not answer within `storeTimeout`. Whether a write took effect is not known. */
export class StoreTimeoutError extends StoreError {
  constructor(store: string, operation: string, timeout: number) {
    super(store, operation, `gave no answer within ${timeout} ms`, undefined, "ERR_HOLDFAST_STORE_TIMEOUT");
  }
}

/** The store answered with something that is not a record of Holdfast's. */
export class StoreCorruptError extends StoreError {
  constructor(store: string, operation: string, what: string, code = "ERR_HOLDFAST_STORE_CORRUPT") {
    super(store, operation, `returned a record that can't be read: ${what}`, undefined, code);
  }
}

/** A record is sealed with a key that is not among those given: none of them opens it. */
export class UnknownKeyError extends StoreCorruptError {
  constructor(store: string, operation: string, option: string) {
    super(
      store,
      operation,
      `it is sealed with a key that is not among \`${option}\`. Put that key back, as the last one, until ` +
        "`await sessions.reencrypt()` has found nothing more that needs it",
      "ERR_HOLDFAST_UNKNOWN_KEY",
    );
  }
}

/** A sealed record was changed, or moved here from another session, user, version or absolute deadline. */
export class BrokenSealError extends StoreCorruptError {
  constructor(store: string, operation: string) {
    super(
      store,
      operation,
      "its seal doesn't fit: the record was changed, or moved here from another session, user, version or absolute " +
        "deadline. Somebody may be writing to the store",
      "ERR_HOLDFAST_BROKEN_SEAL",
    );
  }
}

/** A record is not sealed, and `encrypt.plain` says "refuse". */
export class NotSealedError extends StoreCorruptError {
  constructor(store: string, operation: string) {
    super(
      store,
      operation,
      'it is not sealed, and `encrypt.plain` is "refuse". Either somebody is writing to the store, or it is from before ' +
        'encryption: then set `plain` to "read" until `await sessions.reencrypt()` has sealed everything',
      "ERR_HOLDFAST_NOT_SEALED",
    );
  }
}

/** Too many others wrote to the same session at the same time; nothing of this write was stored. Try again. */
export class ConflictError extends HoldfastError {
  constructor(attempts: number) {
    super(
      "ERR_HOLDFAST_CONFLICT",
      503,
      `The session was changed by others ${attempts} times while this request tried to write to it; nothing was stored. ` +
        "Spread such writes out, or keep the hot value outside of the session.",
    );
  }
}

/** The session ended (logout, revoke, rotation, expiry) while this request was working with it, or is out of its reach. */
export class SessionGoneError extends HoldfastError {
  constructor(
    message = "The session ended while this request was using it (logged out, revoked, rotated or expired), so nothing was stored.",
  ) {
    super("ERR_HOLDFAST_SESSION_GONE", 401, message);
  }
}

/** A value in the session data can't be stored and read back as it was. `path` says where, as in `data.cart[0].at`. */
export class NotSerializableError extends HoldfastError {
  readonly path: string;

  constructor(path: string, what: string) {
    super(
      "ERR_HOLDFAST_NOT_SERIALIZABLE",
      500,
      `${path} is ${what}, which JSON can't carry back as it was. Store a plain value instead (a date as its ISO string, ` +
        "a Map as an object), or choose another `codec`.",
    );
    this.path = path;
  }
}

/** The session data is larger than `maxPayloadBytes`. `keys` lists the biggest top-level keys, biggest first. */
export class PayloadTooLargeError extends HoldfastError {
  readonly size: number;
  readonly limit: number;
  readonly keys: ReadonlyArray<{ key: string; bytes: number }>;

  constructor(size: number, limit: number, keys: ReadonlyArray<{ key: string; bytes: number }>) {
    const biggest = keys.map(({ key, bytes }) => `${key} (${bytes} bytes)`).join(", ");
    super(
      "ERR_HOLDFAST_PAYLOAD_TOO_LARGE",
      500,
      `The session takes ${size} bytes, and ${limit} is the most. Its biggest keys: ${biggest}. ` +
        "Keep large things in your database and their ids in the session.",
    );
    this.size = size;
    this.limit = limit;
    this.keys = keys;
  }
}

/** The response's headers have left, so a new token could not reach the browser any more. */
export class HeadersSentError extends HoldfastError {
  constructor(action: string) {
    super(
      "ERR_HOLDFAST_HEADERS_SENT",
      500,
      `${action} needs to set a cookie, but the response's headers have been sent. Call it before the first byte of the response.`,
    );
  }
}

/** The session of a request was used before the store was asked for it: `lazy` leaves that to `await openSession()`. */
export class SessionNotOpenError extends HoldfastError {
  constructor() {
    super(
      "ERR_HOLDFAST_SESSION_NOT_OPEN",
      500,
      "With the option `lazy`, the session is opened when it is asked for: call `await openSession()` of the request first.",
    );
  }
}

/** A page of another origin wants to use the session: refused, for it could act in the user's name. */
export class CrossOriginError extends HoldfastError {
  constructor() {
    super(
      "ERR_HOLDFAST_CROSS_ORIGIN",
      403,
      "The request comes from a page of another origin. If that page is yours, name its origin in `origins`.",
    );
  }
}

/** A request is refused for what came with it. An event has told who runs the server, so nobody is warned. */
export class RefusedError extends HoldfastError {
  /** For the answer: Express, Koa, Fastify and others read them. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: string, status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(code, status, message);
    this.headers = headers;
  }

  override getResponse(): Response {
    return new Response(STATUS_TEXTS[this.status], { status: this.status, headers: this.headers });
  }
}

/**
 * An unsafe request that the CSRF guard refused, before the handler ran. `rule` says by what; a browser that follows the
 * application's own pages never meets it.
 */
export class CsrfError extends RefusedError {
  readonly rule: CsrfRule;

  constructor(rule: CsrfRule, method: string) {
    super(
      "ERR_HOLDFAST_CSRF",
      403,
      `The CSRF guard refused a ${method} request (${rule}): ${CSRF_ADVICE[rule]}`,
    );
    this.rule = rule;
  }
}

const CSRF_ADVICE: Readonly<Record<CsrfRule, string>> = {
  "cross-site":
    "Sec-Fetch-Site says that a page of another site sent it. If that page may, name its origin in `csrf.origins`, or the path " +
    "in `csrf.exempt` where what comes there proves itself in another way.",
  "same-site":
    "Sec-Fetch-Site says that a page of another origin of this site sent it, such as a sibling subdomain. If that page is yours, " +
    "name its origin in `csrf.origins`.",
  "foreign-origin": "its Origin is none of `csrf.origins`.",
  "unknown-origin":
    "no Sec-Fetch-Site came, and there is nothing to compare its Origin with. Name the application's own origin in " +
    "`csrf.origins`, or send the session's token.",
  "no-origin":
    "neither Sec-Fetch-Site nor Origin came, so it is no browser's of today. Send the session's token, use the bearer transport, or " +
    "name the path in `csrf.exempt`.",
  "wrong-token": "its token is not one of this session's. Get a new one with the page that sends it.",
};

/** A client has tried too many session tokens that don't verify. Those with a living session still pass. */
export class TooManyGuessesError extends RefusedError {
  /** Seconds until it may try again. */
  readonly retryAfter: number;

  constructor(retryAfter: number) {
    super(
      "ERR_HOLDFAST_TOO_MANY_GUESSES",
      429,
      `The client has sent too many session tokens that don't verify; it may try again in ${retryAfter} s.`,
      { "Retry-After": String(retryAfter) },
    );
    this.retryAfter = retryAfter;
  }
}

/** What a user has to do first. */
export type ReauthenticationNeed = "login" | "recent-login" | "elevation";

/**
 * The user has to prove who they are, once more or by more, before this request: `needs` says what. The answer is 401 with the
 * challenge of RFC 9470, which native clients understand; a web page leads to where people do it.
 */
export class ReauthenticationRequiredError extends RefusedError {
  readonly needs: ReauthenticationNeed;
  /** The age that a login may have, in seconds, where it needs a recent one. */
  readonly maxAge: number | undefined;
  /** The level and the methods, where it needs an elevation. */
  readonly level: number | undefined;
  readonly methods: readonly string[];

  constructor(
    needs: ReauthenticationNeed,
    asked: { maxAge?: number; level?: number | undefined; methods?: readonly string[] } = {},
  ) {
    const { maxAge, level, methods = [] } = asked;
    super("ERR_HOLDFAST_REAUTHENTICATION_REQUIRED", 401, NEEDS[needs], {
      "WWW-Authenticate":
        needs === "login"
          ? "Bearer"
          : `Bearer error="insufficient_user_authentication", error_description="${DESCRIPTIONS[needs]}"` +
            (maxAge === undefined ? "" : `, max_age="${maxAge}"`),
    });
    this.needs = needs;
    this.maxAge = maxAge;
    this.level = level;
    this.methods = methods;
  }
}

const DESCRIPTIONS = {
  "recent-login": "A more recent authentication is required",
  elevation: "A stronger authentication is required",
} as const;

const NEEDS: Readonly<Record<ReauthenticationNeed, string>> = {
  login: "This needs a logged-in user. Lead to the login.",
  "recent-login":
    "The user's login is too long ago for this, or their client has changed since. Ask for the password, or another proof, and call " +
    "session.login() again.",
  elevation: "This needs more than the user has proved. Ask for it, and call session.elevate().",
};

/**
 * A login was refused, for the user has as many sessions as `maxSessionsPerUser` allows (with `atSessionLimit: "refuse"`). Nobody
 * was logged in, and none of the others was ended.
 */
export class TooManySessionsError extends HoldfastError {
  readonly limit: number;

  constructor(limit: number) {
    super(
      "ERR_HOLDFAST_TOO_MANY_SESSIONS",
      409,
      `The login was refused: its user has ${limit} sessions already, the most that maxSessionsPerUser allows. Show them with ` +
        "sessions.ofUser(userId).list(), let the user end one with .revoke(id), and log in again.",
    );
    this.limit = limit;
  }
}

/** `login` as one user in the living session of another. Log the first one out before. */
export class UserMismatchError extends HoldfastError {
  constructor() {
    super(
      "ERR_HOLDFAST_USER_MISMATCH",
      409,
      "This session belongs to another user. Call session.logout() before session.login() with a different user id.",
    );
  }
}
