/**
 * A request that takes its time, in a process of its own: opens the session of COOKIE and changes it, says so, waits for
 * a line on its input, then commits. Prints the session cookie that the response would set, or null.
 */
import { once } from "node:events";
import { createSessions } from "holdfast";
import { redisStore } from "holdfast/stores/redis";

const { REDIS_URL: url, SECRET, COOKIE } = process.env;
const sessions = createSessions({ secrets: [SECRET], store: redisStore({ url }), sweepInterval: false });
const exchange = await sessions.open({
  method: "GET",
  target: "/",
  header: (name) => ({ cookie: COOKIE, host: "shop.example" })[name],
  encrypted: true,
  remoteAddress: "192.0.2.1",
});
exchange.session.data.late = "written by a slow request";
process.stdout.write(`opened by ${exchange.session.userId}\n`);
await once(process.stdin, "data");
await exchange.commit();
let line = null;
exchange.writeHeaders({ get() {}, set() {}, append: (_name, value) => (line = value) });
process.stdout.write(`${JSON.stringify(line)}\n`);
await sessions.close();
process.stdin.destroy();
