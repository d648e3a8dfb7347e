import type { Channel } from "node:diagnostics_channel";
import type { StoreError } from "../errors.js";
import { shown } from "../shown.js";
import { warn } from "../warn.js";
import type { ClientChange, ClientChangeAnswer } from "./guard/client-change.js";
import type { CsrfRule } from "./guard/csrf.js";
import type { EndReason, RevokedBy } from "./users/revocation.js";

/** Why a cookie was not taken for a session. */
export type CookieRejection =
  /** Not the shape of a signed token. */
  | "malformed"
  /** The signature fits none of the secrets. */
  | "forged"
  /** More cookies of the name than are worth looking at. */
  | "too-many"
  /** Several cookies verify to living sessions: somebody may have planted one. */
  | "ambiguous"
  /** Well signed, but the store has no such session: it expired and was swept, or was revoked. */
  | "unknown"
  /** The token of a session that was logged out, rotated or destroyed a moment ago. */
  | "ended"
  /** The token that a renewal replaced, after its grace and after the new one was used. */
  | "renewed";

/** Why a change was not stored. */
export type DroppedWriteReason =
  /** The session ended while the request was running. */
  | "gone"
  /** The request came with a token that had just been replaced or ended. */
  | "stale"
  /** Another site has made the request, so the browser kept the cookie back: a session of its own would replace the user's. */
  | "cross-site"
  /** The change was made after the response's headers had left. */
  | "headers-sent";

/** What happens to sessions, by event name. No event holds a token, a secret or session data. */
export interface SessionEvents {
  /** A session was stored for the first time. */
  created: { at: Date; sessionId: string };
  /** Routine renewal gave a living session a new token. */
  renewed: { at: Date; sessionId: string; previousId: string; userId: string | undefined };
  /** `login` or `rotate` gave a new token; the old one is dead. */
  rotated: { at: Date; sessionId: string; previousId: string | undefined; userId: string | undefined };
  /** A session of another library's was taken over. */
  migrated: { at: Date; sessionId: string; userId: string | undefined; from: string };
  login: { at: Date; sessionId: string; userId: string };
  /** `elevate` noted that a user has proved more, for a while. */
  elevated: {
    at: Date;
    sessionId: string;
    userId: string;
    methods: readonly string[];
    level: number | undefined;
    until: Date;
  };
  /** `logout` or `destroy` ended a session. */
  logout: { at: Date; sessionId: string; userId: string | undefined };
  /**
   * A session was ended from outside: by `revoke`, `revokeAll`, the limit of sessions for each user, or a changed client.
   * `sessionId` is undefined where `revokeAll` has ended sessions that live in cookies, which nobody can list.
   */
  revoked: {
    at: Date;
    sessionId: string | undefined;
    userId: string | undefined;
    by: RevokedBy;
    /** What for: what the browser's next request finds in `session.reason`. */
    reason: EndReason;
    /** Who ended it, where `revoke` or `revokeAll` was told (`by`). */
    actor: string | undefined;
  };
  /** The token of a user's session came from another client than the session began with; once for each such client. */
  anomaly: { at: Date; answer: ClientChangeAnswer } & ClientChange;
  /** A login was refused: the user has as many sessions as `maxSessionsPerUser` allows. */
  "refused-login": { at: Date; userId: string; limit: number };
  /** A request came for a session past a deadline. */
  expired: { at: Date; sessionId: string; userId: string | undefined; timeout: "idle" | "absolute" };
  /** Another request wrote to the session first; the changes are merged and written again. */
  conflict: { at: Date; sessionId: string; attempt: number };
  "dropped-write": { at: Date; sessionId: string | undefined; reason: DroppedWriteReason };
  "rejected-cookie": { at: Date; reason: CookieRejection; sessionId: string | undefined };
  /** The CSRF guard refused a request. `sessionId` is the one whose token came, living or not. */
  "csrf-refused": { at: Date; reason: CsrfRule; method: string; sessionId: string | undefined };
  /** A client has tried more tokens that don't verify than it may; once for each window. `client` is its address, or /64. */
  "guess-limit": { at: Date; client: string; guesses: number; until: Date };
  "store-error": { at: Date; operation: string; error: StoreError };
  /** Other secrets are in force, by their source or their schedule: so many. `option` is where they were set. */
  "secrets-changed": { at: Date; option: string; count: number };
  /** A source's secrets could not be read, or are too weak: those of before stay. */
  "secrets-refused": { at: Date; option: string; reason: string };
}

export type SessionEventName = keyof SessionEvents;

const NAMES: Record<SessionEventName, true> = {
  created: true,
  renewed: true,
  rotated: true,
  migrated: true,
  login: true,
  elevated: true,
  logout: true,
  revoked: true,
  anomaly: true,
  "refused-login": true,
  expired: true,
  conflict: true,
  "dropped-write": true,
  "rejected-cookie": true,
  "csrf-refused": true,
  "guess-limit": true,
  "store-error": true,
  "secrets-changed": true,
  "secrets-refused": true,
};

/** Every event name, for listening to all of them. */
export const sessionEventNames = Object.keys(NAMES) as readonly SessionEventName[];

/** Any event, with its name: what a listener of "*" gets, and the subscribers of the diagnostics channel. */
export type AnySessionEvent = {
  [Name in SessionEventName]: { readonly name: Name } & Readonly<SessionEvents[Name]>;
}[SessionEventName];

export type SessionEventListener<Name extends SessionEventName | "*"> = (
  event: Name extends SessionEventName ? SessionEvents[Name] : AnySessionEvent,
) => void;

/** Where every event of every `createSessions` in this process is published, while somebody subscribes. */
export const DIAGNOSTICS_CHANNEL = "holdfast:session";

// Not imported: runtimes that don't have it can do all the rest.
const channel = globalThis.process
  ?.getBuiltinModule?.("node:diagnostics_channel")
  ?.channel(DIAGNOSTICS_CHANNEL) as Channel | undefined;

/** Typed listeners. A listener that throws, or rejects, is reported as a warning and never breaks a request. */
export class EventBus {
  readonly #listeners = new Map<SessionEventName | "*", Set<(event: any) => void>>();

  on<Name extends SessionEventName | "*">(name: Name, listener: SessionEventListener<Name>): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
  }

  off<Name extends SessionEventName | "*">(name: Name, listener: SessionEventListener<Name>): void {
    this.#listeners.get(name)?.delete(listener);
  }

  emit<Name extends SessionEventName>(name: Name, event: SessionEvents[Name]): void {
    this.#tell(name, name, event);
    const published = channel?.hasSubscribers === true;
    if (!published && !this.#listeners.get("*")?.size) return;
    const named = { name, ...event };
    this.#tell("*", name, named);
    if (published) channel?.publish(named);
  }

  #tell(listened: SessionEventName | "*", name: SessionEventName, event: object): void {
    // A copy, for a listener may add and remove listeners.
    for (const listener of [...(this.#listeners.get(listened) ?? [])]) {
      callListener(`the event "${name}"`, listener, event);
    }
  }
}

/** Calls a listener. One that throws, or rejects, is reported as a warning. @param of what it listens to. */
export function callListener<Event>(of: string, listener: (event: Event) => void, event: Event): void {
  const report = (error: unknown) => {
    const what = error instanceof Error ? String(error) : shown(error);
    warn("HOLDFAST_LISTENER", `a listener of ${of} threw: ${what}`);
  };
  try {
    const result: unknown = listener(event);
    if (result instanceof Promise) result.catch(report);
  } catch (error) {
    report(error);
  }
}
