import type { ClientDescription } from "../engine/guard/client.js";
import type { SessionSummary } from "../engine/users/user-sessions.js";

/** A session as JSON tells of it. Times are ISO 8601 in UTC; what isn't known is null. */
export interface SessionObject {
  readonly id: string;
  readonly userId: string | null;
  readonly createdAt: string;
  readonly authenticatedAt: string | null;
  readonly lastSeenAt: string;
  readonly expiresAt: string;
  readonly client: {
    readonly browser: string | null;
    readonly system: string | null;
    readonly ip: string | null;
  };
}

export type Listed = SessionSummary & { readonly userId: string | undefined };

export function sessionObject(session: Listed): SessionObject {
  const { browser = null, system = null, ip = null } = session.client;
  return {
    id: session.id,
    userId: session.userId ?? null,
    createdAt: session.createdAt.toISOString(),
    authenticatedAt: session.authenticatedAt?.toISOString() ?? null,
    lastSeenAt: session.lastSeenAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
    client: { browser, system, ip },
  };
}

/** As in "Firefox on Windows, 10.1.2.3". */
export function clientName({ browser, system, ip }: ClientDescription): string {
  const program = [browser, system].filter(Boolean).join(" on ");
  return [program, ip].filter(Boolean).join(", ");
}
