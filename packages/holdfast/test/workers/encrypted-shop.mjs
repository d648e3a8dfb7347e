/**
 * One of several servers on one store, as a deployment starts it: secrets and keys by its environment and files. Tells its
 * port, and then what a `reencrypt` that its parent asked for comes to.
 */
import { createServer } from "node:http";
import { createSessions, secretsFromEnv, secretsFromFile } from "holdfast";
import { nodeSessions } from "holdfast/node";
import { openStore } from "holdfast/stores/url";

const { STORE, SECRETS_FILE, PLAIN } = process.env;
const sessions = createSessions({
  secrets: secretsFromFile(SECRETS_FILE, { refresh: 50 }),
  store: await openStore(STORE),
  encrypt: process.env.KEYS ? { keys: secretsFromEnv("KEYS"), plain: PLAIN ?? "read" } : false,
  sweepInterval: false,
});
sessions.on("secrets-changed", ({ count }) => process.send({ secrets: count }));
const node = nodeSessions(sessions);
const server = createServer(
  node.handler(async (request, response) => {
    const { session } = request;
    if (request.method === "POST") {
      if (session.userId === undefined) await session.login("ada");
      await session.update((data) => {
        data.counter = (data.counter ?? 0) + 1;
      });
    }
    response.end(JSON.stringify({ counter: session.data.counter ?? null, userId: session.userId ?? null }));
  }),
);
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

process.on("message", async (message) => {
  if (message === "reencrypt") {
    const done = await sessions.reencrypt({ onProgress: ({ scanned }) => process.send({ scanned }) });
    process.send({ done });
  } else {
    server.closeAllConnections();
    server.close();
    await sessions.close();
    process.disconnect();
  }
});
