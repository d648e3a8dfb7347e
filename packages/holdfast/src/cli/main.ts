#!/usr/bin/env node
import { EXIT } from "./command.js";
import { run } from "./run.js";

// Whoever reads our output has had enough, as `head` has: that is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failure);
});
process.stderr.on("error", () => {});

// What has been done is done, and what hasn't been is left: every step is atomic in the store.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (process.stderr.isTTY) process.stderr.write("\r\u001b[2K");
    process.stderr.write("interrupted\n");
    // A command may have something to say of how far it came.
    setImmediate(() => process.exit(signal === "SIGINT" ? EXIT.interrupted : 143));
  });
}

const exitCode = await run(process.argv.slice(2), process, process.env);
// The module of an application may have left connections and timers open, so this doesn't wait for them to end.
process.stdout.write("", () => process.exit(exitCode));
