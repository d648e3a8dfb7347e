import { STORE_OPTIONS } from "./arguments.js";
import { type Command, EXIT, text, wholeNumber } from "./command.js";
import { type OpenSessions, withSessions } from "./open.js";
import { clientName, type Listed, sessionObject } from "./summary.js";
import { type Column, Table } from "./table.js";
import { counted, relative } from "./wording.js";

/** Enough of an id to tell it from all others: 72 bits. */
const SHORT_ID = 12;

export const ls: Command = {
  name: "ls",
  about: "list living sessions",
  takes: "",
  details: [
    "Everybody's, in no order, or those of one user, the last seen first. On a screen, ids are cut to what tells them apart; --wide shows them whole, and so does output that goes to a file or a program.",
    "Without --config the application's idle timeout isn't known, and a session was last seen at its last write.",
  ],
  examples: [
    "npx holdfast ls --store sessions.db --user ada",
    "npx holdfast ls --json | jq -r .userId | sort | uniq -c",
  ],
  options: {
    user: { type: "string", value: "USER", about: "of this user only" },
    limit: { type: "string", value: "N", about: "so many at most" },
    wide: { type: "boolean", about: "whole ids, however long the lines become" },
    ...STORE_OPTIONS,
  },
  positionals: 0,
  run(invocation) {
    const { terminal, options } = invocation;
    const limit = wholeNumber(invocation, "limit", Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY;
    const user = text(invocation, "user");
    return withSessions(invocation, async (open) => {
      const screen = options.wide ? undefined : terminal.columns;
      const columns: Column[] = [
        { title: "ID" },
        { title: "USER", least: 8 },
        { title: open.configured ? "LAST SEEN" : "WRITTEN", align: "right" },
        { title: "ENDS", align: "right" },
        { title: "BEGAN", align: "right" },
        { title: "CLIENT", least: 6 },
      ];
      const table = new Table(terminal, columns, screen);
      let listed = 0;
      let more = false;
      for await (const session of sessionsFor(open, user)) {
        if (listed === limit) {
          more = true;
          break;
        }
        listed++;
        if (terminal.json) await terminal.object(sessionObject(session));
        else await table.row(cellsOf(session, open.engine.clock(), screen !== undefined));
      }
      if (terminal.json) return EXIT.ok;
      await table.end();
      if (listed === 0)
        terminal.note(user === undefined ? "no living sessions" : "no living sessions of this user");
      else terminal.note(`${counted(listed, "session")}${more ? ", and there are more" : ""}`);
      return EXIT.ok;
    });
  },
};

async function* sessionsFor({ sessions }: OpenSessions, user: string | undefined): AsyncGenerator<Listed> {
  if (user === undefined) yield* sessions.ofEveryone().list();
  else for (const session of await sessions.ofUser(user).list()) yield { ...session, userId: user };
}

function cellsOf(session: Listed, now: number, short: boolean): string[] {
  return [
    short ? `${session.id.slice(0, SHORT_ID)}…` : session.id,
    session.userId ?? "-",
    relative(session.lastSeenAt.getTime(), now),
    relative(session.expiresAt.getTime(), now),
    relative(session.createdAt.getTime(), now),
    clientName(session.client),
  ];
}
