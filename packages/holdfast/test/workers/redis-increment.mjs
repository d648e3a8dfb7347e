/** One of several processes on one Redis: counts a session up through `session.update`. */
import { createSessions } from "holdfast";
import { redisStore } from "holdfast/stores/redis";
import { Redis } from "ioredis";

const { REDIS_URL: url, DRIVER, SECRET, COOKIE, TIMES } = process.env;
const client = DRIVER === "ioredis" ? new Redis(url) : undefined;
const store = redisStore(client === undefined ? { url } : { client });
const sessions = createSessions({ secrets: [SECRET], store, sweepInterval: false });
const request = {
  method: "GET",
  target: "/",
  header: (name) => ({ cookie: COOKIE, host: "shop.example" })[name],
  encrypted: true,
  remoteAddress: "192.0.2.1",
};
const results = [];
for (let n = 0; n < Number(TIMES); n++) {
  const { session } = await sessions.open(request);
  results.push(await session.update((data) => (data.counter = (data.counter ?? 0) + 1)));
}
await sessions.close();
client?.disconnect();
process.stdout.write(JSON.stringify(results));
