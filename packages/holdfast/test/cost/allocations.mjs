/** Prints the bytes that each kind of request allocates in the engine, with the memory store, as JSON. */
import { createSessions, memoryStore } from "holdfast";
import { bytesAllocatedBy } from "./allocation-meter.mjs";
import { largeData, requestWith, smallData, startSession } from "./requests.mjs";

const sessions = createSessions({
  secrets: ["a secret for measurements only, 32 bytes"],
  store: memoryStore(),
  sweepInterval: false,
});

const read = (request) => () => {
  const exchange = sessions.open(request);
  exchange.session.data.user?.name;
  return exchange.commit();
};
let count = 0;
const write = (request) => () => {
  const exchange = sessions.open(request);
  exchange.session.data.count = ++count;
  return exchange.commit();
};

const forged = `__Host-sid=${"A".repeat(43)}.${"A".repeat(43)}`;
const small = await startSession(sessions, smallData());
const large = await startSession(sessions, largeData());
const figures = {
  anonymous: await bytesAllocatedBy(read(requestWith(undefined))),
  forged: await bytesAllocatedBy(read(requestWith(forged))),
  read: await bytesAllocatedBy(read(small)),
  write: await bytesAllocatedBy(write(small)),
  read20k: await bytesAllocatedBy(read(large)),
  write20k: await bytesAllocatedBy(write(large)),
};
await sessions.close();
process.stdout.write(JSON.stringify(figures));
