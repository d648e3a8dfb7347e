/**
 * Measures what a session adds to a request without a network: `node bench/hot-path.js [framework…]`. The servers of
 * `bench/http` are handed Node's own request and response objects, on a socket that leads nowhere, one after the other.
 *
 * Each variant is a process of its own; they take turns in short batches. The figure is the processor time for a request,
 * garbage collection included, at a low quantile of the batches: whatever else the machine does only ever adds to it.
 *
 * `node bench/hot-path.js --profile express/holdfast-memory read` tells where the time of one of them goes, and with
 * `--allocations` where its memory does.
 */
import { fork } from "node:child_process";
import { IncomingMessage, ServerResponse } from "node:http";
import { Session } from "node:inspector/promises";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { nextMessage } from "./http/processes.js";
import { SCENARIOS } from "./http/scenarios.js";
import { VARIANTS } from "./http/variants.js";

const SESSIONS = 100;
const REQUESTS = 1000;
const BATCHES = 24;
const WARM_UP = 5;
const COLUMNS = ["anonymous", "read", "write"];

const HEADERS = [
  ["Host", "127.0.0.1"],
  [
    "User-Agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
  ],
  ["Accept", "application/json"],
].flat();

/** The client's end of a connection, which keeps what it is sent. */
class Nowhere extends Duplex {
  remoteAddress = "127.0.0.1";
  received = "";

  _read() {}

  _write(chunk, _encoding, done) {
    this.received += chunk;
    done();
  }

  setTimeout() {
    return this;
  }
}

async function startApplication(name) {
  const [framework, variant] = name.split("/");
  const { listen } = await import(`./http/servers/${framework}.js`);
  const server = await listen(variant);
  const socket = new Nowhere();

  const ask = ({ method, path, answer }, cookie) => {
    const headers = [...HEADERS];
    if (cookie !== undefined) headers.push("Cookie", cookie);
    if (method === "POST") headers.push("Content-Length", "0");
    const request = new IncomingMessage(socket);
    Object.assign(request, {
      httpVersionMajor: 1,
      httpVersionMinor: 1,
      httpVersion: "1.1",
      method,
      url: path,
    });
    request.rawHeaders = headers;
    request._addHeaderLines(headers, headers.length);
    request.complete = true;
    request.push(null);
    const response = new ServerResponse(request);
    response.assignSocket(socket);
    socket.received = "";
    return new Promise((resolve, reject) => {
      response.once("finish", () => {
        response.detachSocket(socket);
        if (socket.received.includes(answer)) resolve(socket.received);
        else reject(new Error(`${name} answered ${socket.received} in place of ${answer}`));
      });
      server.emit("request", request, response);
    });
  };

  const cookies = [];
  for (let user = 0; user < SESSIONS; user++) {
    const path = `/start?user=user-${user}&size=small`;
    const answered = await ask({ method: "POST", path, answer: '{"started":true' });
    const set = [...answered.matchAll(/^set-cookie: ([^;\r]*)/gim)].map(([, cookie]) => cookie);
    cookies.push(set.join("; ") || "none=1");
  }
  /** Processor time in microseconds for each request. */
  return async (scenarioName, requests) => {
    const scenario = SCENARIOS.find(({ name }) => name === scenarioName);
    const before = process.cpuUsage();
    for (let n = 0; n < requests; n++) {
      await ask(scenario, scenario.session === "none" ? undefined : cookies[n % SESSIONS]);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / requests;
  };
}

async function compare(framework) {
  const rivals = VARIANTS.map(({ peer }) => peer);
  const variants = VARIANTS.filter(
    ({ name, framework: own, isBare, needs, peer }) =>
      own === framework && needs === undefined && (isBare || peer !== undefined || rivals.includes(name)),
  );
  const children = new Map();
  for (const { name } of variants) {
    const child = fork(fileURLToPath(import.meta.url), ["--serve", name], {
      env: { ...process.env, NODE_ENV: "production", NODE_NO_WARNINGS: "1" },
    });
    await nextMessage(child, "a server");
    children.set(name, child);
  }
  try {
    for (const scenario of COLUMNS) {
      const times = new Map(variants.map(({ name }) => [name, []]));
      for (let batch = -WARM_UP; batch < BATCHES; batch++) {
        for (const [name, child] of children) {
          child.send(scenario);
          const time = await nextMessage(child, "a server");
          if (batch >= 0) times.get(name).push(time);
        }
      }
      const low = (name) => times.get(name).toSorted((a, b) => a - b)[Math.floor(BATCHES / 8)];
      const added = (name) => low(name) - low(`${framework}/bare`);
      for (const { name, isBare, peer } of variants) {
        const cost = isBare ? "" : `+${added(name).toFixed(1)} us`;
        const ratio =
          peer === undefined ? "" : `${(added(name) / added(peer)).toFixed(2)} of ${peer.split("/")[1]}'s`;
        console.log(
          `${scenario.padEnd(10)} ${name.padEnd(26)} ${low(name).toFixed(1).padStart(6)} us ${cost.padStart(10)}  ${ratio}`,
        );
      }
    }
  } finally {
    for (const child of children.values()) child.kill();
  }
}

/** Prints the functions that take the most time, their own, in microseconds for each request. */
async function profile(work) {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 100 });
  await session.post("Profiler.start");
  const cost = await work();
  const { profile } = await session.post("Profiler.stop");
  const scale = cost / profile.timeDeltas.reduce((sum, delta) => sum + delta);
  const nameOf = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map();
  for (const [index, id] of profile.samples.entries()) {
    const place = placeOf(nameOf.get(id));
    times.set(place, (times.get(place) ?? 0) + profile.timeDeltas[index] * scale);
  }
  printLargest(times, "us");
}

function placeOf({ functionName, url, lineNumber }) {
  const file = url.replace(/.*\/(?=(?:node_modules|dist|bench)\/)/, "");
  return `${functionName || "(anonymous)"} ${file}:${lineNumber + 1}`;
}

function printLargest(figures, unit) {
  const total = [...figures.values()].reduce((sum, figure) => sum + figure);
  const largest = [...figures].sort((a, b) => b[1] - a[1]).slice(0, 40);
  for (const [place, figure] of [["all", total], ...largest]) {
    console.log(`${figure.toFixed(2).padStart(9)} ${unit}  ${place}`);
  }
}

/** Prints the functions that allocate the most, in bytes for each request. */
async function profileAllocations(work, requests) {
  const session = new Session();
  session.connect();
  const includeAll = { includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true };
  await session.post("HeapProfiler.startSampling", { samplingInterval: 4096, ...includeAll });
  await work();
  const { profile } = await session.post("HeapProfiler.stopSampling");
  const bytes = new Map();
  const collect = ({ callFrame, selfSize, children }) => {
    const place = placeOf(callFrame);
    bytes.set(place, (bytes.get(place) ?? 0) + selfSize / requests);
    for (const child of children) collect(child);
  };
  collect(profile.head);
  printLargest(bytes, "B");
}

const [first, second, third] = process.argv.slice(2);
if (first === "--serve") {
  const measure = await startApplication(second);
  process.once("disconnect", () => process.exit());
  process.on("message", async (scenario) => process.send(await measure(scenario, REQUESTS)));
  process.send("ready");
} else if (first === "--profile") {
  const measure = await startApplication(second);
  await measure(third, 10 * REQUESTS);
  await profile(() => measure(third, 40 * REQUESTS));
  process.exit();
} else if (first === "--allocations") {
  const measure = await startApplication(second);
  await measure(third, 10 * REQUESTS);
  await profileAllocations(() => measure(third, 10 * REQUESTS), 10 * REQUESTS);
  process.exit();
} else {
  const frameworks = first === undefined ? ["express", "koa", "fastify"] : process.argv.slice(2);
  for (const framework of frameworks) await compare(framework);
}
