import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createClient } from "redis";
import { afterAll, describe, expect, it } from "vitest";
import { createSessions } from "../../../src/engine/create-sessions.js";
import { sqliteStore } from "../../../src/stores/sqlite.js";
import { redisProgram, startRedis } from "../../services/redis.js";
import { Browser } from "../../support/browser.js";
import { requestWith } from "../../support/exchange.js";
import { withResolvers } from "../../support/resolvers.js";
import { SECRET } from "../../support/shop.js";
import { temporaryFile } from "../../support/stores.js";
import { loggedIn, OLD_SECRET, oldExpress } from "./old-applications.js";

const program = await redisProgram();
const redis = program === undefined ? undefined : await startRedis(program);
afterAll(() => redis?.stop());

/** A process of its own; see workers/take-over.mjs. It runs the built package. */
function startWorker(path: string) {
  const worker = fileURLToPath(new URL("../../workers/take-over.mjs", import.meta.url));
  const child = spawn(process.execPath, [worker], {
    env: { ...process.env, REDIS_URL: redis!.url, PATH_TO_STORE: path, SECRET, OLD_SECRET },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = withResolvers<string>();
  const heard: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("port ")) port.resolve(line.slice(5));
    else heard.push(line);
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  return {
    url: port.promise.then((number) => `http://127.0.0.1:${number}`),
    count: (word: string) => heard.filter((line) => line === word).length,
    say: (word: string) => child.stdin.write(`${word}\n`),
    end() {
      child.stdin.end();
      return ended;
    },
  };
}

describe.skipIf(redis === undefined)("ten overlapping requests to five processes on one SQLite file", () => {
  it("take a session over once, none is anonymous, and all ten keep their writes, five times over", async () => {
    const path = temporaryFile("sessions.db");
    const workers = Array.from({ length: 5 }, () => startWorker(path));
    const urls = await Promise.all(workers.map(({ url }) => url));
    const client = createClient({ url: redis!.url });
    await client.connect();
    const { RedisStore } = (await import("connect-redis" as string)) as { RedisStore: any };
    const old = await oldExpress({ store: new RedisStore({ client }) });
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: sqliteStore({ path }),
      sweepInterval: false,
    });
    const all = async (word: string, count: number) => {
      while (workers.reduce((sum, worker) => sum + worker.count(word), 0) < count)
        await new Promise((resolve) => setTimeout(resolve, 5));
      for (const worker of workers) worker.say(word);
    };

    for (let round = 1; round <= 5; round++) {
      const user = `user-${round}`;
      const browser = await loggedIn(old, new Browser(old.url), user);
      const twins = Array.from({ length: 10 }, (_, index) => browser.twin(urls[index % 5]!));
      const answers = twins.map((twin, index) => twin.post(`/key${index}`));
      await all("waits", round * 10);
      await all("opened", round * 10);
      for (const { status, body } of await Promise.all(answers)) {
        expect([status, JSON.parse(body)]).toEqual([200, { isNew: false, userId: user }]);
      }
      const winners = twins.filter((twin) => twin.cookies.has("sid"));
      expect(winners).toHaveLength(1);
      const cookie = winners[0]!.cookieHeader;
      const request = requestWith(cookie, { host: "127.0.0.1" }, false);
      const { session } = await sessions.open({ ...request, remoteAddress: "127.0.0.1" });
      expect(Object.keys(session.data).sort()).toEqual(
        ["cart", ...twins.map((_, index) => `key${index}`), "passport"].sort(),
      );
      expect(await sessions.ofUser(user).list()).toHaveLength(1);
    }
    expect(await client.keys("sess:*")).toEqual([]);
    await Promise.all(workers.map((worker) => worker.end()));
    await old.close();
    await sessions.close();
    await client.close();
  }, 120_000);
});
