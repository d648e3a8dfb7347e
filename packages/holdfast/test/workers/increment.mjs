/** One of several processes on one store: counts a session up through `session.update`. */
import { createSessions } from "holdfast";
import { openStore } from "holdfast/stores/url";

const { STORE: location, SECRET, COOKIE, TIMES } = process.env;
const sessions = createSessions({
  secrets: [SECRET],
  store: await openStore(location),
  sweepInterval: false,
});
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
process.stdout.write(JSON.stringify(results));
