/**
 * How many bytes a piece of work allocates, on the heap and in buffers, on average. It needs a process in which nothing is
 * collected meanwhile: `node --expose-gc --max-semi-space-size=128 --min-semi-space-size=128`.
 */
import { PerformanceObserver, performance } from "node:perf_hooks";

export const METER_FLAGS = ["--expose-gc", "--max-semi-space-size=128", "--min-semi-space-size=128"];

/** What may be allocated between two collections, with room to spare. */
const ROOM = 64 * 1024 * 1024;
const MOST = 50 * 4 ** 4;
/** Repetitions after which the optimising compiler has seen all of it. */
const WARM_UP = 3000;

/**
 * @param {(argument?: unknown) => unknown} work may give a promise
 * @param {{ prepare?: () => unknown }} [options] `prepare` makes the argument of each repetition; that isn't counted
 */
export async function bytesAllocatedBy(work, { prepare } = {}) {
  const repeat = async (times) => {
    const prepared = prepare && [];
    for (let n = 0; n < times; n++) if (prepare) prepared.push(await prepare());
    globalThis.gc();
    globalThis.gc();
    // What the collector leaves for a moment later, as the memory of OpenSSL's objects.
    await afterTasks();
    const collections = watchCollections();
    const startedAt = performance.now();
    const before = used();
    for (let n = 0; n < times; n++) {
      const result = work(prepared?.[n]);
      if (typeof result?.then === "function") await result;
    }
    const bytes = used() - before;
    const collected = await collections.after(startedAt);
    return { bytes: bytes / times, collected };
  };

  await repeat(WARM_UP);
  // As many repetitions as go without a collection: the more there are, the less it counts that memory is taken in pages.
  let average;
  for (let times = 50; times <= MOST; times *= 4) {
    const { bytes, collected } = await repeat(times);
    if (collected) break;
    average = bytes;
    if (bytes * times * 4 > ROOM) break;
  }
  if (average === undefined) throw new Error("the collector ran: is the process started with METER_FLAGS?");
  return Math.round(average);
}

function used() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function afterTasks() {
  for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
}

/** Whether the collector ran, which the observer is told a moment later. */
function watchCollections() {
  const starts = [];
  const observer = new PerformanceObserver((list) => {
    for (const { startTime } of list.getEntries()) starts.push(startTime);
  });
  observer.observe({ entryTypes: ["gc"] });
  return {
    async after(time) {
      await afterTasks();
      for (const { startTime } of observer.takeRecords()) starts.push(startTime);
      observer.disconnect();
      return starts.some((start) => start > time);
    },
  };
}
