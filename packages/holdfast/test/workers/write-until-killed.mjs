/** Writes sessions as fast as it can, some at a time, and prints the cookie of each once it is acknowledged, until it is killed. */
import { createSessions } from "holdfast";
import { sqliteStore } from "holdfast/stores/sqlite";

const { PATH_TO_STORE: path, SECRET, AT_ONCE = "1" } = process.env;
const sessions = createSessions({ secrets: [SECRET], store: sqliteStore({ path }), sweepInterval: false });
async function write(n) {
  let line;
  const request = {
    method: "GET",
    target: "/",
    header: (name) => (name === "host" ? "shop.example" : undefined),
    encrypted: true,
  };
  const exchange = await sessions.open(request);
  exchange.session.data.n = n;
  await exchange.commit();
  exchange.writeHeaders({ get() {}, set() {}, append: (_name, value) => (line = value) });
  process.stdout.write(`${n} ${line.split(";", 1)[0]}\n`);
}

for (let n = 0; ; n += Number(AT_ONCE)) {
  await Promise.all(Array.from({ length: Number(AT_ONCE) }, (_, k) => write(n + k)));
  // Lets what was printed leave the process.
  await new Promise((resolve) => setImmediate(resolve));
}
