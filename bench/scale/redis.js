import { createConnection } from "node:net";
import { freemem } from "node:os";
import { redisStore } from "holdfast/stores/redis";
import { createClient } from "redis";
import { idOf, userOf } from "./population.js";

const PREFIX = "holdfast:";
const COMMANDS_AT_ONCE = 30_000;
/** About what a session takes, to see beforehand whether there is room. */
const BYTES_A_SESSION = 1000;

export async function openRedis({ url }) {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  const store = redisStore({ client, prefix: PREFIX });
  const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await client.info("memory"))[1]);
  const memoryBefore = await usedMemory();
  return {
    store,

    /** Why there is no room for so many; undefined where there is. */
    lacks(count) {
      const needed = count * BYTES_A_SESSION * 1.5;
      if (needed < freemem()) return undefined;
      return `it would need ${gigabytes(needed)} of memory, and ${gigabytes(freemem())} are free`;
    },

    /** Commands in a pipeline, with the value of the sample as Redis has it. */
    async fill({ from, to, users, sampleId, place, record, idleDeadline }) {
      const sample = await client.get(`${PREFIX}s:${sampleId}`);
      const text = sample.replace(` ${record.idleDeadline} `, ` ${idleDeadline} `);
      const now = Date.now();
      const second = String(Math.floor(now / 1000));
      const lifetime = String(idleDeadline - now);
      const listLifetime = String(record.absoluteDeadline - now);
      const pipeline = await openPipeline(url);
      for (let n = from; n < to; n++) {
        const [id, user] = [idOf(n), userOf(n, users)];
        pipeline.add("SET", `${PREFIX}s:${id}`, text.replaceAll(place, user), "PX", lifetime);
        pipeline.add("ZADD", `${PREFIX}u:${user}`, second, id);
        pipeline.add("PEXPIRE", `${PREFIX}u:${user}`, listLifetime);
        if (pipeline.size >= COMMANDS_AT_ONCE) await pipeline.flush();
      }
      await pipeline.flush();
      pipeline.close();
    },

    async bytes() {
      return (await usedMemory()) - memoryBefore;
    },

    /** Sessions: what is not a user's list. */
    async count() {
      const keys = await client.dbSize();
      const lists = Number(
        await client.eval(
          "local n, c = 0, '0' repeat local r = redis.call('SCAN', c, 'COUNT', 10000, 'MATCH', ARGV[1]) c = r[1] n = n + #r[2] until c == '0' return n",
          {
            keys: [],
            arguments: [`${PREFIX}u:*`],
          },
        ),
      );
      return keys - lists;
    },

    async close() {
      await client.flushDb();
      await client.close();
    },
  };
}

/** Commands in the protocol of Redis (RESP 2), as many at once as are added before `flush`. */
async function openPipeline(url) {
  const { hostname, port } = new URL(url);
  const socket = createConnection(Number(port), hostname);
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  let commands = [];
  let missing = 0;
  let done;
  socket.setEncoding("latin1");
  socket.on("data", (replies) => {
    // Each reply is a line: "+OK" or a number. An error's line begins with "-".
    if (/^-/m.test(replies)) done.reject(new Error(replies.slice(0, 200)));
    for (const character of replies) if (character === "\n") missing--;
    if (missing === 0) done.resolve();
  });
  return {
    get size() {
      return commands.length;
    },
    add(...words) {
      const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      commands.push(`*${words.length}\r\n${parts.join("")}`);
    },
    flush() {
      if (commands.length === 0) return;
      missing = commands.length;
      const text = commands.join("");
      commands = [];
      return new Promise((resolve, reject) => {
        done = { resolve, reject };
        socket.write(text);
      });
    },
    close: () => socket.destroy(),
  };
}

const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;
