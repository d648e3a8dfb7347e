import { type Destination, find } from "../engine/follow.js";
import type { Tombstone } from "../engine/record.js";
import { summarise } from "../engine/users/user-sessions.js";
import { isSessionId } from "../token/token.js";
import { STORE_OPTIONS } from "./arguments.js";
import { type Command, EXIT, type Invocation, UsageError } from "./command.js";
import { type OpenSessions, withSessions } from "./open.js";
import { clientName, sessionObject } from "./summary.js";
import { printFacts } from "./table.js";
import { visible } from "./visible.js";
import { moment, relative } from "./wording.js";

export const show: Command = {
  name: "show",
  about: "show one session, and what became of it",
  takes: "ID",
  details: [
    "The id is the session's, as ls --wide, events and logs have it, not the token of a cookie. One that the session had before a renewal leads to it. The session's data is never shown.",
    "Exit code 1 where there is no such living session.",
  ],
  options: STORE_OPTIONS,
  positionals: 1,
  run(invocation) {
    const id = sessionIdIn(invocation);
    return withSessions(invocation, async (open) => {
      const { terminal } = invocation;
      const destination = await find(open.engine, id);
      if (terminal.json) await terminal.object(objectOf(open, id, destination));
      else await print(invocation, open, id, destination);
      return destination.kind === "live" ? EXIT.ok : EXIT.findings;
    });
  },
};

/** @throws UsageError that doesn't repeat what was given: it may be a token. */
export function sessionIdIn({ positionals: [id] }: Invocation): string {
  if (id === undefined) throw new UsageError("Which session? Give its id");
  const whole: boolean = isSessionId(id);
  if (whole) return id;
  const cut = /^[A-Za-z0-9_-]{1,42}…?$/.test(id);
  throw new UsageError(
    `That is no session id, which has 43 letters, digits, "-" and "_"${cut ? ": holdfast ls --wide shows whole ids" : ""}`,
  );
}

const ENDINGS: Readonly<Record<Tombstone["ended"], string>> = {
  renewed: "renewed",
  rotated: "replaced by a new token (login or rotate)",
  logout: "logged out",
  destroyed: "destroyed",
  revoked: "revoked",
};

function objectOf({ engine }: OpenSessions, asked: string, destination: Destination) {
  if (destination.kind === "live") {
    const { record, meta } = destination.stored;
    const session = {
      ...summarise(engine, destination.id, record, meta),
      userId: record.userId ?? undefined,
    };
    return {
      state: "living",
      ...sessionObject(session),
      absoluteDeadline: new Date(record.absoluteDeadline).toISOString(),
      renewedFrom: destination.id === asked ? null : asked,
    };
  }
  if (destination.kind === "ended") {
    const { ended, at, reason } = destination.tombstone;
    return { state: "ended", id: asked, ended, reason: reason ?? null, endedAt: new Date(at).toISOString() };
  }
  return { state: destination.kind === "expired" ? "expired" : "unknown", id: asked };
}

async function print(
  { terminal }: Invocation,
  { engine, configured }: OpenSessions,
  asked: string,
  destination: Destination,
): Promise<void> {
  const now = engine.clock();
  if (destination.kind === "live") {
    const { record, meta } = destination.stored;
    const session = summarise(engine, destination.id, record, meta);
    const time = (at: Date | undefined) => at && moment(at.getTime(), now);
    await printFacts(terminal, [
      ["id", session.id],
      ["renewed from", session.id === asked ? undefined : asked],
      ["user", record.userId ?? "nobody has logged in"],
      ["began", time(session.createdAt)],
      ["logged in", time(session.authenticatedAt)],
      [configured ? "last seen" : "last written", time(session.lastSeenAt)],
      ["ends", `${time(session.expiresAt)} if nothing more comes`],
      ["ends at last", moment(record.absoluteDeadline, now)],
      ["client", clientName(session.client) || undefined],
    ]);
  } else if (destination.kind === "ended") {
    const { ended, at, reason } = destination.tombstone;
    const why = reason === undefined || reason === ended ? "" : ` (${visible(reason)})`;
    await terminal.line(`ended: ${ENDINGS[ended]}${why}, ${relative(at, now)}`);
  } else if (destination.kind === "expired") {
    await terminal.line(`expired ${relative(destination.record.idleDeadline, now)}, and waits for the sweep`);
  } else {
    await terminal.line("no such session: it never was, or it has ended and nothing is left of it");
  }
}
