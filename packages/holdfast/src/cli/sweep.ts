import { STORE_OPTIONS } from "./arguments.js";
import { type Command, EXIT, FailureError } from "./command.js";
import { askStore } from "./doctor/ask-store.js";
import { withSessions } from "./open.js";
import { Progress } from "./progress.js";
import { counted, span } from "./wording.js";

/** Milliseconds that the clock of this machine may be ahead, which is not one of the application's servers. */
const MOST_AHEAD = 60_000;

export const sweep: Command = {
  name: "sweep",
  about: "remove expired sessions from the store now",
  takes: "",
  details: [
    "Applications do so by themselves every sweepInterval. It removes what nobody can use any more, and no living session, so it doesn't ask. Redis removes what expires by itself: there is nothing to sweep.",
  ],
  options: STORE_OPTIONS,
  positionals: 0,
  run: (invocation) =>
    withSessions(invocation, async ({ sessions, engine }) => {
      const { terminal } = invocation;
      const { skew = 0 } = (await askStore(engine)) ?? {};
      if (skew < -MOST_AHEAD)
        throw new FailureError(
          `This machine's clock is ${span(skew)} ahead of the store's, so living sessions would count as expired: set it right`,
        );
      const progress = new Progress(terminal, "removing expired sessions");
      let removed: number;
      try {
        removed = await sessions.sweep();
      } finally {
        progress.end();
      }
      const itself = (engine.given.options.store as { name?: string }).name === "redis";
      if (terminal.json) await terminal.object({ removed });
      else if (itself) await terminal.line("nothing to do: Redis removes what expires by itself");
      else await terminal.line(`removed ${counted(removed, "expired record")}`);
      return EXIT.ok;
    }),
};
