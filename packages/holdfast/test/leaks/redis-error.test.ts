import { inspect } from "node:util";
import { pino } from "pino";
import { expect, it } from "vitest";
import type { StoreError } from "../../src/errors.js";
import { redisStore } from "../../src/stores/redis.js";
import { redisProgram, startRedis } from "../services/redis.js";
import { openShop } from "../support/shop.js";

const program = await redisProgram();

/** ioredis puts the command that failed on its error, and with it what was to be stored. */
it.skipIf(program === undefined)("a Redis that is full doesn't print session data", async () => {
  const redis = await startRedis(program!, "--maxmemory", "1", "--maxmemory-policy", "noeviction");
  const shop = await openShop(redisStore({ url: redis.url }));
  const errors: StoreError[] = [];
  shop.sessions.on("store-error", ({ error }) => errors.push(error));
  try {
    expect((await shop.browser().post("/set/key/payload-that-nobody-may-see")).status).toBe(503);
    expect(errors).toHaveLength(1);
    const [error] = errors;
    expect(String((error!.cause as Error).message)).toContain("OOM");
    // It is there: for who asks for it by name, and for this test to be able to fail.
    expect(JSON.stringify((error!.cause as { command?: unknown }).command)).toContain(
      "payload-that-nobody-may-see",
    );
    const lines: string[] = [];
    pino({}, { write: (line: string) => void lines.push(line) }).error(error);
    for (const text of [inspect(error, { depth: 20 }), JSON.stringify(error!.cause), ...lines])
      expect(text).not.toContain("payload-that-nobody-may-see");
  } finally {
    await shop.close();
    await redis.stop();
  }
});
