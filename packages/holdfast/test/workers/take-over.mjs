/**
 * One of several processes that take over sessions of connect-redis into one SQLite file. Says its port, and of each request that
 * it waits, and that it was opened; a line on the standard input lets all of its requests go on, twice.
 */
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { RedisStore } from "connect-redis";
import { createSessions } from "holdfast";
import { migrateFrom } from "holdfast/compat/migrate";
import { nodeSessions } from "holdfast/node";
import { sqliteStore } from "holdfast/stores/sqlite";
import { createClient } from "redis";

const { REDIS_URL, PATH_TO_STORE: path, SECRET, OLD_SECRET } = process.env;
const client = createClient({ url: REDIS_URL });
await client.connect();
const sessions = createSessions({
  secrets: [SECRET],
  store: sqliteStore({ path }),
  migration: migrateFrom({ expressSession: { secret: OLD_SECRET, store: new RedisStore({ client }) } }),
  sweepInterval: false,
});

const waiting = { waits: [], opened: [] };
const wait = (phase) =>
  new Promise((resolve) => {
    waiting[phase].push(resolve);
    console.log(phase);
  });
createInterface({ input: process.stdin })
  .on("line", (phase) => {
    for (const resolve of waiting[phase]) resolve();
  })
  .on("close", () => process.exit());

const handle = nodeSessions(sessions).handler(async (request, response) => {
  await wait("opened");
  request.session.data[request.url.slice(1)] = true;
  response.end(JSON.stringify({ isNew: request.session.isNew, userId: request.session.userId }));
});
const server = createServer(async (request, response) => {
  await wait("waits");
  handle(request, response);
});
server.listen(0, "127.0.0.1", () => console.log("port", server.address().port));
