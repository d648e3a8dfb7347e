// Explains, and ends by itself, or with "wait" when it is killed. Says when it can be asked.
import { createSessions, memoryStore } from "holdfast";

createSessions({
  secrets: ["9d1f6b0c-a secret for tests only-77e2"],
  store: memoryStore(),
  sweepInterval: false,
  explain: () => {},
});
// A turn later it listens.
setImmediate(() => console.log("ready"));
if (process.argv[2] === "wait") setInterval(() => {}, 60_000);
