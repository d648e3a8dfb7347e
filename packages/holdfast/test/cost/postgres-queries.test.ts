import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postgresStore } from "../../src/stores/postgres.js";
import { startPostgres } from "../services/postgres.js";
import type { Browser } from "../support/browser.js";
import { openShop, type TestShop } from "../support/shop.js";

/** What each kind of request costs in queries to a real PostgreSQL, each a round trip. */

const server = await startPostgres();

describe.skipIf(server === undefined)("queries to PostgreSQL", () => {
  let pool: pg.Pool;
  let shop: TestShop;
  let browser: Browser;
  let queries: pg.QueryConfig[] = [];
  beforeAll(async () => {
    pool = new pg.Pool({ connectionString: server!.url });
    // A connection that is being closed may hear that the server is, too.
    pool.on("connect", (client) => client.on("error", () => {}));
    const counting = {
      query(query: pg.QueryConfig) {
        queries.push(query);
        return pool.query(query);
      },
    };
    const store = postgresStore({ pool: counting, table: "holdfast_cost" });
    await store.migrate();
    shop = await openShop(store);
    browser = shop.browser();
    // The first call looks at the schema as well.
    await browser.post("/set/name/Ada");
  });
  afterAll(async () => {
    await shop.close();
    await pool.query("DROP TABLE holdfast_cost");
    await pool.end();
    await server!.close();
  });

  async function queriesOf(answering: Promise<{ status: number }>): Promise<string[]> {
    queries = [];
    expect((await answering).status).toBeLessThan(400);
    // Prepared: the text goes to the server once for each connection.
    for (const { name } of queries) expect(name).toMatch(/^holdfast_/);
    return queries.map(({ text }) => /^\W*(\w+)/.exec(text)![1]!);
  }

  it("a read is one, a write two, all of them prepared", async () => {
    expect(await queriesOf(shop.browser().get("/session"))).toEqual([]);
    expect(await queriesOf(browser.get("/session"))).toEqual(["SELECT"]);
    expect(await queriesOf(browser.post("/set/name/Grace"))).toEqual(["SELECT", "WITH"]);
    expect(await queriesOf(shop.browser().post("/set/name/Grace"))).toEqual(["INSERT"]);
  });
});
