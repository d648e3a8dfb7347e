/**
 * A process that reads sessions through a near cache, on a clock that stands still: `read COOKIE` prints whose session it is and how
 * often the store was asked for it; `wait COOKIE` prints why the session ended once it is told so, with no polling to tell it.
 */
import { createInterface } from "node:readline";
import { createSessions } from "holdfast";
import { nearCache } from "holdfast/stores/near-cache";
import { postgresStore } from "holdfast/stores/postgres";
import { redisStore } from "holdfast/stores/redis";

const { STORE_URL: url, SECRET, NOW } = process.env;
const now = Number(NOW);
const store = url.startsWith("redis")
  ? redisStore({ url })
  : postgresStore({ connectionString: url, notify: true });
let loads = 0;
const { load } = store;
store.load = (...args) => {
  loads++;
  return load(...args);
};
let listening;
const ready = new Promise((resolve) => {
  listening = resolve;
});
const near = nearCache(store, { maxAge: "1h" });
// The first word is that it listens.
near.watch(() => listening());
const sessions = createSessions({ secrets: [SECRET], store: near, clock: () => now, sweepInterval: false });

async function open(cookie) {
  const header = (name) => ({ host: "shop.example", cookie })[name];
  const exchange = await sessions.open({ method: "GET", target: "/", header, encrypted: true });
  return exchange.session;
}

await ready;
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const [what, cookie] = line.split(" ");
  loads = 0;
  const session = await open(cookie);
  if (what === "read") {
    console.log(JSON.stringify({ userId: session.userId ?? null, data: session.data, loads }));
  } else {
    session.onEnd(({ reason }) => console.log(reason), { every: "14d" });
    console.log("waiting");
  }
}
await sessions.close();
