/**
 * A request that changes its session, says "changed", and commits once its input ends. Then it prints the code of the error
 * or "committed", and the Set-Cookie lines of its response.
 */
import { createSessions } from "../../dist/index.js";
import { mongodbStore } from "../../dist/stores/mongodb.js";

const { MONGODB, SECRET, COOKIE } = process.env;
const sessions = createSessions({
  secrets: [SECRET],
  store: mongodbStore({ url: MONGODB }),
  sweepInterval: false,
});
const exchange = await sessions.open({
  method: "GET",
  target: "/",
  header: (name) => ({ cookie: COOKIE, host: "shop.example" })[name],
  encrypted: true,
  remoteAddress: "192.0.2.1",
});
exchange.session.data.late = "from the slow writer";
process.stdout.write("changed\n");
process.stdin.resume().on("end", async () => {
  const setCookie = [];
  const outcome = await exchange.commit().then(
    () => "committed",
    (error) => error.code,
  );
  exchange.writeHeaders({
    get() {},
    set() {},
    append: (name, value) => name === "Set-Cookie" && setCookie.push(value),
  });
  await sessions.close();
  process.stdout.write(JSON.stringify({ outcome, setCookie }));
});
