/** One of several processes on one database: does to a session what its parent says, a message a step. */
import { createSessions } from "../../dist/index.js";
import { mysqlStore } from "../../dist/stores/mysql.js";
import { postgresStore } from "../../dist/stores/postgres.js";

const { STORE_URL: url, TABLE: table, SECRET } = process.env;
const store = url.startsWith("mysql:")
  ? mysqlStore({ uri: url, table })
  : postgresStore({ connectionString: url, table });
const sessions = createSessions({ secrets: [SECRET], store, sweepInterval: false });
let exchange;

const steps = {
  migrate: () => store.migrate(),

  async open(cookie) {
    const headers = { cookie, host: "shop.example" };
    exchange = await sessions.open({
      method: "GET",
      target: "/",
      header: (name) => headers[name],
      encrypted: true,
      remoteAddress: "192.0.2.1",
    });
    return { isNew: exchange.session.isNew, data: exchange.session.data };
  },

  set(key, value) {
    exchange.session.data[key] = value;
  },

  /** The Set-Cookie lines of the response. */
  async commit() {
    await exchange.commit();
    const lines = [];
    exchange.writeHeaders({
      get() {},
      set() {},
      append: (name, value) => name === "Set-Cookie" && lines.push(value),
    });
    return lines;
  },

  logout: () => exchange.session.logout(),

  /** The counts that were reached. */
  async increment(times) {
    const results = [];
    while (results.length < times) {
      results.push(await exchange.session.update((data) => (data.counter = (data.counter ?? 0) + 1)));
    }
    return results;
  },

  close: () => sessions.close(),
};

process.on("message", async ([step, ...args]) => {
  try {
    process.send({ result: (await steps[step](...args)) ?? null });
  } catch (error) {
    process.send({ error: String(error?.stack ?? error) });
  }
  if (step === "close") process.disconnect();
});
