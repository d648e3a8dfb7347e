/** One of several processes on one store: logs the same user in, many times at once, when its parent says so. */
import { createSessions } from "holdfast";
import { openStore } from "holdfast/stores/url";

const { STORE: location, SECRET, TIMES, MOST, AT_LIMIT } = process.env;
const sessions = createSessions({
  secrets: [SECRET],
  store: await openStore(location),
  maxSessionsPerUser: Number(MOST),
  atSessionLimit: AT_LIMIT,
  sweepInterval: false,
});
const request = {
  method: "POST",
  target: "/login",
  header: (name) => ({ host: "shop.example" })[name],
  encrypted: true,
  remoteAddress: "192.0.2.1",
};

async function logIn() {
  const exchange = await sessions.open(request);
  try {
    await exchange.session.login("ada");
  } catch (error) {
    return error.code;
  }
  await exchange.commit();
  let cookie;
  exchange.writeHeaders({
    get() {},
    set() {},
    append: (name, value) => {
      if (name === "Set-Cookie") cookie = value.split(";", 1)[0];
    },
  });
  return cookie;
}

// The connections are open before any begins.
await sessions.ofUser("ada").list();
process.stdout.write("ready\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
const results = await Promise.all(Array.from({ length: Number(TIMES) }, logIn));
await sessions.close();
process.stdout.write(JSON.stringify(results));
process.exit();
