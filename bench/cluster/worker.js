/** One of several workers that share a port and a store. It also listens on a port of its own, so that it can be asked alone. */
import cluster from "node:cluster";
import express from "express";
import { createSessions } from "holdfast";
import { expressSessions } from "holdfast/express";
import { openStore } from "holdfast/stores/url";
import { SECRET } from "../http/servers/settings.js";
import { smallData } from "../http/session-data.js";

process.once("disconnect", () => process.exit(0));

const store = await openStore(process.env.STORE);
const sessions = createSessions({ secrets: [SECRET], store, storeTimeout: "30s" });
const app = express();
app.disable("x-powered-by");
app.use(expressSessions(sessions));
app.post("/start", (req, res) => {
  Object.assign(req.session.data, smallData("u"));
  res.json({ started: true });
});
app.get("/read", (req, res) => {
  res.json({ name: req.session.data.user?.name ?? "nobody" });
});
app.get("/check", (req, res) => {
  res.json({ worker: cluster.worker.id, count: req.session.data.count });
});
app.post("/write", async (req, res) => {
  const count = await req.session.update((data) => ++data.count);
  written++;
  res.json({ name: req.session.data.user.name, count });
});
app.post("/logout", async (req, res) => {
  await req.session.logout();
  res.json({ worker: cluster.worker.id });
});
// What fails fails the benchmark, too; this says why.
app.use((error, _req, _res, next) => {
  console.error(error, error.cause);
  next(error);
});
let written = 0;

const listening = (server) =>
  new Promise((resolve) => server.once("listening", () => resolve(server.address().port)));
// In a cluster, port 0 is some port, but the same one for every worker.
const shared = await listening(app.listen(0, "127.0.0.1"));
const own = await listening(app.listen({ port: 0, host: "127.0.0.1", exclusive: true }));
process.send({ shared, own });
process.on("message", () => process.send({ written }));
