import { isRevokeReason, type RevokeOptions } from "../engine/users/revocation.js";
import { StoreCorruptError } from "../errors.js";
import { isSessionId } from "../token/token.js";
import { STORE_OPTIONS, YES } from "./arguments.js";
import { type Command, EXIT, type Invocation, text, UsageError } from "./command.js";
import { type OpenSessions, withSessions } from "./open.js";
import { Progress } from "./progress.js";
import { sessionIdIn } from "./show.js";
import { clientName } from "./summary.js";
import { visible } from "./visible.js";
import { counted, relative } from "./wording.js";

export const revoke: Command = {
  name: "revoke",
  about: "end one session, a user's, or everybody's",
  takes: "ID | --user USER [--except ID] | --all",
  details: [
    "It ends at once and everywhere: the next request of its browser is anonymous. Asks before it does; where there is nobody to ask, it needs --yes.",
    "Exit code 1 where there is no such living session, where --all had to leave records that can't be read here, or the answer was no.",
  ],
  examples: [
    "npx holdfast revoke --user ada --store redis://127.0.0.1",
    "npx holdfast revoke --all --yes --json",
  ],
  options: {
    user: { type: "string", value: "USER", about: "every session of this user" },
    except: { type: "string", value: "ID", about: "but for this one (with --user)" },
    all: { type: "boolean", about: "every session of everybody" },
    reason: {
      type: "string",
      value: "REASON",
      about: 'what their browsers find in session.reason: "password-changed", …',
    },
    ...YES,
    ...STORE_OPTIONS,
  },
  positionals: 1,
  async run(invocation) {
    const { options, positionals } = invocation;
    const ways = [positionals.length > 0, options.user !== undefined, options.all === true];
    if (ways.filter(Boolean).length !== 1)
      throw new UsageError("Whose sessions? Give one of an id, --user USER and --all");
    const except = text(invocation, "except");
    if (except !== undefined && (options.user === undefined || !isSessionId(except)))
      throw new UsageError("--except takes a whole session id, and goes with --user");
    const id = positionals.length > 0 ? sessionIdIn(invocation) : undefined;
    const revoking = reasonIn(invocation);
    return withSessions(invocation, async (open) => {
      if (id !== undefined) return revokeOne(invocation, open, id, revoking);
      if (options.all === true) return revokeAll(invocation, open, revoking);
      return revokeOfUser(invocation, open, text(invocation, "user")!, {
        ...revoking,
        ...(except && { except }),
      });
    });
  },
};

/** @throws UsageError for a reason that is none. */
function reasonIn(invocation: Invocation): RevokeOptions {
  const reason = text(invocation, "reason");
  if (reason === undefined) return {};
  if (isRevokeReason(reason)) return { reason };
  throw new UsageError(
    '--reason takes "revoked", "password-changed", "account-disabled", or "app:" with lower-case letters, digits and hyphens',
  );
}

async function revokeOne(
  invocation: Invocation,
  open: OpenSessions,
  id: string,
  revoking: RevokeOptions,
): Promise<number> {
  const all = open.sessions.ofEveryone();
  const session = await all.find(id);
  if (session === undefined) return done(invocation, 0, "no such living session");
  const whose = session.userId === undefined ? "an anonymous session" : `a session of ${session.userId}`;
  const seen = relative(session.lastSeenAt.getTime(), open.engine.clock());
  const client = clientName(session.client);
  const details = [client, `last seen ${seen}`].filter(Boolean).join(", ");
  await ask(invocation, open, `End ${visible(`${whose} (${details})`)}`);
  return done(invocation, (await all.revoke(id, revoking)) ? 1 : 0, "it has ended meanwhile");
}

async function revokeOfUser(
  invocation: Invocation,
  open: OpenSessions,
  user: string,
  revoking: RevokeOptions & { except?: string },
): Promise<number> {
  const theirs = open.sessions.ofUser(user);
  const meant = (await theirs.list()).filter(({ id }) => id !== revoking.except);
  if (meant.length === 0) return done(invocation, 0, "this user has no living session to end");
  await ask(invocation, open, `End ${counted(meant.length, "session")} of ${visible(user)}`);
  const ended = await theirs.revokeAll(revoking);
  return done(invocation, ended, "they have ended meanwhile");
}

async function revokeAll(
  invocation: Invocation,
  open: OpenSessions,
  revoking: RevokeOptions,
): Promise<number> {
  const { terminal } = invocation;
  const { sessions } = open;
  const counting = new Progress(terminal, "counting sessions");
  // Whoever has the right key may still use what is passed over here.
  let unreadable = 0;
  const passOver = ({ error }: { error: unknown }) => {
    if (error instanceof StoreCorruptError) unreadable++;
  };
  sessions.on("store-error", passOver);
  for await (const { id } of sessions.ofEveryone().list()) counting.step(id);
  sessions.off("store-error", passOver);
  counting.end();
  if (counting.done === 0) return done(invocation, 0, "no living sessions", { unreadable });
  await ask(invocation, open, `End all ${counted(counting.done, "session")}, of everybody,`);

  const ending = new Progress(terminal, "ending sessions", counting.done);
  const step = () => ending.step();
  sessions.on("revoked", step);
  const interrupted = () => terminal.note(`${counted(ending.done, "session")} had ended by then`);
  process.once("SIGINT", interrupted);
  try {
    return done(invocation, await sessions.ofEveryone().revokeAll(revoking), "they have ended meanwhile", {
      before: () => ending.end(),
      unreadable,
    });
  } finally {
    process.off("SIGINT", interrupted);
    ending.end();
  }
}

function ask({ terminal, options }: Invocation, { where }: OpenSessions, what: string): Promise<void> {
  return terminal.confirm(`${what} in ${visible(where)}?`, options.yes === true);
}

async function done(
  { terminal }: Invocation,
  revoked: number,
  otherwise: string,
  { before = () => {}, unreadable = 0 } = {},
): Promise<number> {
  before();
  if (terminal.json) await terminal.object({ revoked, ...(unreadable > 0 && { unreadable }) });
  else if (revoked === 0) terminal.note(otherwise);
  else await terminal.line(`ended ${counted(revoked, "session")}`);
  if (unreadable > 0 && !terminal.json)
    terminal.note(
      `${counted(unreadable, "record")} can't be read here, and stayed: where they are sealed, give all keys (SESSION_SECRETS or --secrets-file)`,
    );
  return revoked === 0 || unreadable > 0 ? EXIT.findings : EXIT.ok;
}
