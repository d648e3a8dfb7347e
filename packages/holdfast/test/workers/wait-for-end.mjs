/** A process that waits for the end of a session, and has nothing else to do. */
import { createSessions, memoryStore } from "holdfast";

const sessions = createSessions({ secrets: [process.env.SECRET], store: memoryStore() });
const exchange = await sessions.open({
  header: () => undefined,
  encrypted: true,
  remoteAddress: "192.0.2.1",
});
await exchange.session.login("ada");
exchange.session.onEnd(() => console.log("ended"), { every: "100ms" });
// It has been asked for once, and the timer for the next time runs.
await new Promise((resolve) => setTimeout(resolve, 50));
console.log("waiting");
