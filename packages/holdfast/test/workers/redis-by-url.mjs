/** Opens a store of Redis by its URL, with whatever driver is there, and does what each line of its input says. */
import { createInterface } from "node:readline";

const { STORE, REDIS_URL: url } = process.env;
const { redisStore } = await import(STORE);
const call = () => ({ now: Date.now(), signal: AbortSignal.timeout(1000) });
const deadline = Date.now() + 1_800_000;
const record = {
  version: 1,
  payload: "payload",
  idleDeadline: deadline,
  absoluteDeadline: deadline,
  userId: null,
};
let store;
const actions = {
  create: () => store.create(`id-${process.pid}`, record, call()),
  load: async () => {
    const late = new Promise((resolve) => setTimeout(resolve, 500, { payload: "no answer" }));
    return (await Promise.race([store.load(`id-${process.pid}`, call()), late])).payload;
  },
  close: async () => {
    await store.close();
    return "closed";
  },
};
const input = createInterface({ input: process.stdin });
input.on("line", async (line) => {
  try {
    store ??= redisStore({ url });
    console.log(String(await actions[line]()));
  } catch (error) {
    console.log(error.message);
  }
  if (line === "close") {
    input.close();
    process.stdin.destroy();
  }
});
