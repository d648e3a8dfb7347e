/** One variant of the benchmarked application, in a process of its own: `node bench/server.js VARIANT`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import expressSession from "express-session";
import { createSessions, memoryStore } from "holdfast";
import { expressSessions } from "holdfast/express";
import { sqliteStore } from "holdfast/stores/sqlite";

const SECRET = "a benchmark's secret of 32 bytes or more";
const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
process.once("SIGTERM", () => process.exit(0));

const holdfast = (store) => {
  const sessions = createSessions({ secrets: [SECRET], store });
  return { middleware: expressSessions(sessions), dataOf: (req) => req.session.data };
};

/** What each variant puts before the handlers, and where its handlers find the data. */
const VARIANTS = {
  bare: () => ({ middleware: (_req, _res, next) => next(), dataOf: () => ({ user: BENCH_DATA.user }) }),
  "holdfast-memory": () => holdfast(memoryStore({ maxSessions: 1_000_000 })),
  "holdfast-sqlite": () => holdfast(sqliteStore({ path: join(folder, "sessions.db") })),
  "express-session": () => ({
    middleware: expressSession({ secret: SECRET, resave: false, saveUninitialized: false }),
    dataOf: (req) => req.session,
  }),
};

const BENCH_DATA = {
  user: { id: "u-4711", name: "Ada Lovelace", roles: ["customer", "editor"] },
  cart: [
    { sku: "tea-green", quantity: 2, price: 790 },
    { sku: "cup-blue", quantity: 1, price: 1450 },
  ],
  locale: "en-GB",
  theme: "dark",
};

const { middleware, dataOf } = VARIANTS[process.argv[2]]();
const app = express();
app.disable("x-powered-by");
app.use(middleware);
app.post("/start", (req, res) => {
  Object.assign(dataOf(req), structuredClone(BENCH_DATA));
  res.json({ started: true });
});
app.get("/read", (req, res) => {
  res.json({ name: dataOf(req).user?.name ?? "nobody" });
});
let writes = 0;
app.post("/write", (req, res) => {
  dataOf(req).last = ++writes;
  res.json({ name: dataOf(req).user?.name ?? "nobody" });
});
const server = app.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

// Asked before and after each measurement: the processor time that this process has used, in microseconds.
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send({ cpu: user + system });
});
