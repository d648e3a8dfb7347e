/** Prints how often each kind of request calls into node:crypto, in the engine with the memory store, as JSON. */
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

const COUNTED = [
  "hash",
  "createHash",
  "createHmac",
  "hkdfSync",
  "randomBytes",
  "randomUUID",
  "timingSafeEqual",
  "createCipheriv",
  "createDecipheriv",
];
let counts = {};
for (const name of COUNTED) {
  const original = crypto[name];
  if (original === undefined) continue;
  crypto[name] = (...args) => {
    counts[name] = (counts[name] ?? 0) + 1;
    return original(...args);
  };
}
syncBuiltinESMExports();

// Imported now, so that it finds what counts in their place.
const { createSessions, memoryStore } = await import("holdfast");
const { endedWithCookie, requestWith, smallData, startSession } = await import("./requests.mjs");

const sessions = createSessions({
  secrets: ["a secret for measurements only, 32 bytes"],
  store: memoryStore(),
  sweepInterval: false,
});

/** The calls of one request. */
async function callsOf(request, work = ({ session }) => session.data.user) {
  counts = {};
  const exchange = await sessions.open(request);
  await work(exchange);
  await endedWithCookie(exchange);
  return counts;
}

const changeData = ({ session }) => {
  session.data.count = (session.data.count ?? 0) + 1;
};
const request = await startSession(sessions, smallData());
const figures = {
  anonymous: await callsOf(requestWith(undefined)),
  malformed: await callsOf(requestWith("__Host-sid=garbage")),
  forged: await callsOf(requestWith(`__Host-sid=${"A".repeat(43)}.${"A".repeat(43)}`)),
  firstRead: await callsOf(request),
  read: await callsOf(request),
  write: await callsOf(request, changeData),
  firstWrite: await callsOf(requestWith(undefined), changeData),
  login: await callsOf(request, ({ session }) => session.login("ada")),
};
await sessions.close();
process.stdout.write(JSON.stringify(figures));
