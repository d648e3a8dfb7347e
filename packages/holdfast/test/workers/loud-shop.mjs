/**
 * A shop that writes down everything it hears of its sessions, as loudly as anybody might: each event and each error in every
 * form, the audit log by pino, metrics, spans, and what the diagnostics channel carries. `PLANT` makes it leak on purpose.
 *
 * Its parent asks by messages: "quiet" (end all sessions, let time pass), "tell" (metrics and spans), "heap" (a snapshot).
 */
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { setFlagsFromString, writeHeapSnapshot } from "node:v8";
import { runInNewContext } from "node:vm";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import express from "express";
import { auditLog, createSessions, memoryStore } from "holdfast";
import { expressSessions } from "holdfast/express";
import { instrumentSessions } from "holdfast/otel";
import { pino } from "pino";

const { PLANT, SECRET } = process.env;
const log = pino();

/** A value in every form in which it may come into a log. */
function tell(what, value) {
  const forms = [inspect(value, { depth: 20, maxStringLength: null, maxArrayLength: null }), String(value)];
  for (let error = value; error instanceof Error; error = error.cause) forms.push(error.stack, error.message);
  try {
    forms.push(JSON.stringify(value));
  } catch {}
  console.log(what, ...forms);
  log.info(value instanceof Error ? { err: value } : { value }, what);
}

// A store that can be told to fail, as drivers do: with the command that failed, and so with what was to be stored.
const store = memoryStore();
let failing = false;
for (const method of ["load", "create", "replace", "touch"]) {
  const original = store[method];
  store[method] = (...args) => {
    if (!failing) return original(...args);
    const [id, ...rest] = args;
    const error = Object.assign(new Error("READONLY You can't write against a read only replica."), {
      code: "READONLY",
      command: { name: method, args: [id, ...rest.map((each) => each?.payload ?? String(each))] },
      sql: `UPDATE sessions SET payload = '${rest.find((each) => each?.payload)?.payload}'`,
      cause: Object.assign(new Error("inner"), { parameters: rest.map((each) => each?.payload) }),
    });
    throw error;
  };
}

let now = Date.now();
const sessions = createSessions({
  secrets: [SECRET],
  store,
  clock: () => now,
  sweepInterval: false,
  maxSessionsPerUser: 3,
  rememberIp: true,
  explain: true,
});

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const spans = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
trace.setGlobalTracerProvider(tracerProvider);
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const meterProvider = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
});
instrumentSessions(sessions, { meter: meterProvider.getMeter("holdfast"), activeSessions: () => 1 });
sessions.on("*", (event) => tell(`event ${event.name}`, event));
sessions.on("store-error", ({ error }) => tell("store-error", error));
subscribe("holdfast:session", (message) => tell("channel", message));
auditLog(sessions, (record) => log.info(record, "audit"), {
  context: () => ({ source_ip: "192.0.2.1", useragent: "x" }),
});
process.on("warning", (warning) => tell("warning", warning));

const kept = [];
const tracer = trace.getTracer("server");
const app = express();
app.use((req, res, next) =>
  tracer.startActiveSpan(`${req.method} ${req.path}`, (span) => {
    res.on("close", () => span.end());
    if (PLANT === "heap-token") kept.push(req.headers.cookie);
    if (PLANT === "log-token") log.info({ cookie: req.headers.cookie }, "request");
    if (PLANT === "span-token" && req.headers.cookie) span.setAttribute("cookie", req.headers.cookie);
    next();
  }),
);
app.use(expressSessions(sessions));
let release;
const waiting = new Promise((resolve) => {
  release = resolve;
});
app.post("/write", async (req, res) => {
  req.session.data[`key-${req.query.key ?? "a"}`] = { deep: [req.get("x-marker")] };
  req.session.flash("notice", `flash-${req.get("x-marker")}`);
  if (PLANT === "heap-payload") kept.push({ ...req.session.data });
  if (PLANT === "log-payload") console.log(JSON.stringify(req.session.data));
  if (req.query.wait) await waiting;
  res.json({ stored: true });
});
app.post("/release", (_req, res) => {
  release();
  res.end();
});
app.post("/login/:user", async (req, res) => {
  await req.session.login(req.params.user);
  res.json(req.session);
});
app.post("/rotate", async (req, res) => {
  await req.session.rotate();
  res.end(inspect(req.session, { depth: 20, showHidden: true }));
});
app.post("/logout", async (req, res) => {
  await req.session.logout();
  res.end();
});
app.get("/read", (req, res) => res.json({ keys: Object.keys(req.session.data) }));
app.post("/bad", (req, res) => {
  req.session.data.bad = { text: req.get("x-marker"), number: 7n };
  res.end("never");
});
app.post("/huge", (req, res) => {
  req.session.data.huge = req.get("x-marker").repeat(5000);
  res.end("never");
});
app.post("/late", (req, res) => {
  res.end("late");
  req.session.data.late = req.get("x-marker");
});
app.post("/revoke/:user", async (req, res) => {
  res.json(await sessions.ofUser(req.params.user).revokeAll({ by: "admin:root", reason: "app:test" }));
});
app.post("/fail/:state", (req, res) => {
  failing = req.params.state === "on";
  res.end();
});
app.post("/sleep/:minutes", (req, res) => {
  now += Number(req.params.minutes) * 60_000;
  res.end();
});
app.use((error, req, res, _next) => {
  tell(`error of ${req.method} ${req.route?.path}`, error);
  res.status(error.status ?? 500).end(process.env.NODE_ENV === "production" ? "" : error.stack);
});

const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
process.send({ port: server.address().port });

process.on("message", async ({ ask, path }) => {
  if (ask === "tell") {
    await meterProvider.forceFlush();
    tell("metrics", exporter.getMetrics());
    for (const { name, attributes, events, status } of spans.getFinishedSpans())
      tell("span", { name, attributes, events, status });
    process.send({ told: true });
  }
  if (ask === "heap") {
    await sessions.ofEveryone().revokeAll();
    now += 24 * 60 * 60_000;
    await sessions.sweep();
    server.closeAllConnections();
    spans.reset();
    exporter.reset();
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc");
    for (let round = 0; round < 5; round++) {
      await turn();
      gc();
    }
    writeHeapSnapshot(path);
    process.send({ written: true, kept: kept.length });
  }
});
process.on("disconnect", () => process.exit());
