import { MODULE_OPTIONS, YES } from "./arguments.js";
import { type Command, EXIT, FailureError, UsageError } from "./command.js";
import { locationOf, withSessions } from "./open.js";
import { Progress } from "./progress.js";
import { count, counted } from "./wording.js";

export const reencrypt: Command = {
  name: "reencrypt",
  about: "write anew what is not kept as `encrypt` says",
  takes: "",
  details: [
    'Seals plain records, and those of an older key with the first one, before that key is dropped or `plain` becomes "refuse"; with `seal: false` it writes all of them plain. Needs --config, for the module says how sessions are encrypted. Requests go on meanwhile.',
    "Exit code 1 where something is left: what no key opens, or what requests kept writing to.",
  ],
  options: {
    "delete-unreadable": {
      type: "boolean",
      about: "remove what no key opens, whose users then have to log in again",
    },
    ...YES,
    ...MODULE_OPTIONS,
  },
  positionals: 0,
  run(invocation) {
    const { terminal, options } = invocation;
    if (locationOf(invocation).config === undefined)
      throw new UsageError(
        "How the sessions are encrypted is in the application's module: give --config MODULE",
      );
    return withSessions(invocation, async ({ sessions, engine, where }) => {
      if (engine.encryption === undefined)
        throw new FailureError(`Nothing is encrypted in ${where}: set \`encrypt\` of createSessions() first`);
      const removes = options["delete-unreadable"] === true;
      if (removes)
        await terminal.confirm(
          `Remove every record in ${where} that none of the keys opens?`,
          options.yes === true,
        );
      const progress = new Progress(terminal, "encrypting");
      let result: Awaited<ReturnType<typeof sessions.reencrypt>>;
      try {
        result = await sessions.reencrypt({
          unreadable: removes ? "delete" : "keep",
          onProgress: ({ scanned, cursor }) => progress.reach(scanned, cursor),
        });
      } finally {
        progress.end();
      }
      const { scanned, changed, unreadable, missed, complete } = result;
      if (terminal.json) await terminal.object({ scanned, changed, unreadable, missed, complete });
      else {
        await terminal.line(`${counted(scanned, "record")}, ${count(changed)} written anew`);
        if (unreadable > 0)
          await terminal.line(
            `${count(unreadable)} that no key opens ${removes ? "removed" : "left as they are"}`,
          );
        if (missed > 0) await terminal.line(`${count(missed)} that requests kept writing to: run it again`);
        if (complete) await terminal.line("Nothing is left that needs an older key.");
        else if (unreadable + missed > 0) await terminal.line("Something is left: see above.");
        else await terminal.line("The key that seals has changed meanwhile: run it again.");
      }
      return complete ? EXIT.ok : EXIT.findings;
    });
  },
};
