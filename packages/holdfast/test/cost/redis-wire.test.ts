import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RedisStoreOptions, redisStore } from "../../src/stores/redis.js";
import { type RedisServer, redisProgram, startRedis } from "../services/redis.js";
import type { Browser } from "../support/browser.js";
import { openShop, type TestShop } from "../support/shop.js";
import { countingProxy, type Traffic } from "./counting-proxy.js";

/** What each kind of request costs between a real client and a real Redis: commands, round trips and bytes. */

const program = await redisProgram();

type Client = NonNullable<RedisStoreOptions["client"]>;

/** Each client's, connected to a port. */
const CLIENTS: Array<{ name: string; connect(port: number): Promise<{ client: Client; close(): unknown }> }> =
  [
    {
      name: "node-redis",
      async connect(port) {
        const client = createClient({ url: `redis://127.0.0.1:${port}` });
        await client.connect();
        return { client, close: () => client.destroy() };
      },
    },
    {
      name: "ioredis",
      async connect(port) {
        const client = new Redis(port, "127.0.0.1");
        await client.ping();
        return { client, close: () => client.disconnect() };
      },
    },
  ];

describe.skipIf(program === undefined)("on the wire to Redis", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis(program!);
  });
  afterAll(() => server.stop());

  describe.each(CLIENTS)("with $name", ({ connect }) => {
    let proxy: Awaited<ReturnType<typeof countingProxy>>;
    let connection: Awaited<ReturnType<typeof connect>>;
    let shop: TestShop;
    let browser: Browser;
    beforeEach(async () => {
      proxy = await countingProxy(server.port);
      connection = await connect(proxy.port);
      const store = redisStore({ client: connection.client });
      shop = await openShop(store, { clock: Date.now, renewAfter: false });
      browser = shop.browser();
      // Until the scripts are in Redis. What a logout leaves to be done comes before the answer of the last request.
      const first = shop.browser();
      await first.post("/login/ada");
      await first.post("/logout");
      await first.post("/set/name/Ada");
      await first.post("/set/name/Grace");
      proxy.traffic();
    });
    afterEach(async () => {
      await shop.close();
      await connection.close();
      proxy.close();
    });

    async function trafficOf(answering: Promise<{ status: number }>): Promise<Traffic> {
      expect((await answering).status).toBeLessThan(400);
      return proxy.traffic();
    }

    const text = "x".repeat(1000);

    it("anonymous readers and forged cookies send nothing", async () => {
      expect(await trafficOf(browser.get("/session"))).toMatchObject({ commands: [], bytesSent: 0 });
      browser.cookies.set("__Host-sid", `${"A".repeat(43)}.${"A".repeat(43)}`);
      expect(await trafficOf(browser.get("/session"))).toMatchObject({ commands: [], bytesSent: 0 });
    });

    it("a read is one GET: its key one way, the record the other", async () => {
      await trafficOf(browser.post(`/set/text/${text}`));
      const traffic = await trafficOf(browser.get("/session"));
      expect(traffic).toMatchObject({ commands: ["GET"], roundTrips: 1 });
      // The key is a prefix and 43 characters; the record has its times, versions and the library's own line beside the data.
      expect(traffic.bytesSent).toBeLessThanOrEqual(100);
      expect(traffic.bytesReceived).toBeGreaterThan(text.length);
      expect(traffic.bytesReceived).toBeLessThanOrEqual(text.length + 400);
    });

    it("a write is a read and one script, in two round trips", async () => {
      await trafficOf(browser.post(`/set/text/${text}`));
      const traffic = await trafficOf(browser.post("/set/name/Ada"));
      expect(traffic).toMatchObject({ commands: ["GET", "EVALSHA"], roundTrips: 2 });
      // Each way the record goes once.
      expect(traffic.bytesSent).toBeLessThanOrEqual(text.length + 800);
      expect(traffic.bytesReceived).toBeLessThanOrEqual(text.length + 500);
    });

    it("the first write is one script, in one round trip", async () => {
      expect(await trafficOf(browser.post("/set/name/Ada"))).toMatchObject({
        commands: ["EVALSHA"],
        roundTrips: 1,
      });
    });

    it("a logout is a read and one script", async () => {
      await browser.post("/set/name/Ada");
      proxy.traffic();
      expect(await trafficOf(browser.post("/logout"))).toMatchObject({ commands: ["GET", "EVALSHA"] });
    });
  });
});
