import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type PostgresQuery, type PostgresStore, postgresStore } from "../../src/stores/postgres.js";
import { startPostgres } from "../services/postgres.js";
import { call, newId, postgresBackend, recordOf } from "../support/sql.js";
import { testVolume } from "./sql-volume.js";

const server = await startPostgres();
if (server === undefined) {
  it.skip("PostgreSQL with many sessions: no server");
} else {
  const pool = new pg.Pool({ connectionString: server.url });
  beforeAll(() => postgresStore({ pool }).migrate());
  afterAll(async () => {
    await pool.end();
    await server.close();
  });

  /** The last statement that the store sends for a call. */
  async function statementOf(use: (store: PostgresStore) => unknown): Promise<PostgresQuery> {
    let statement: PostgresQuery | undefined;
    const watched = {
      query(query: PostgresQuery) {
        statement = query;
        return pool.query(query);
      },
    };
    await use(postgresStore({ pool: watched }));
    return statement!;
  }

  /** The nodes of the plan by which that statement runs. */
  async function planOf(use: (store: PostgresStore) => unknown): Promise<any[]> {
    const { text, values } = await statementOf(use);
    const { rows } = await pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values);
    const nodes: any[] = [];
    const walk = (node: any) => {
      nodes.push(node);
      node.Plans?.forEach(walk);
    };
    walk(rows[0]["QUERY PLAN"][0].Plan);
    return nodes;
  }

  /** The most rows that any of them reads. */
  function rowsOf(nodes: any[]): number {
    return Math.max(...nodes.map((node) => node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)));
  }

  testVolume("PostgreSQL", postgresBackend(server.url), {
    async fill(count, each, deadline, payload) {
      await pool.query(
        `INSERT INTO holdfast_sessions
         SELECT translate(encode(sha256(random()::text::bytea), 'base64'), '+/=', '-_'), 1, $1, $2, $2, 'user-' || n / $3
         FROM generate_series(0, $4 - 1) AS n`,
        [payload, deadline, each, count],
      );
      await pool.query("ANALYZE holdfast_sessions");
    },

    async size() {
      return Number((await pool.query("SELECT pg_total_relation_size('holdfast_sessions') AS n")).rows[0].n);
    },

    async cost(userId) {
      const nodes = await planOf((store) => store.listByUser(userId, call()));
      const index = nodes.find((node) => node["Index Name"])?.["Index Name"];
      const plan = nodes.map(
        (node) => `${node["Node Type"]} ${node["Index Name"] ?? ""}, ${node["Actual Rows"]} rows`,
      );
      return { rows: rowsOf(nodes), plan: plan.join("; "), index };
    },

    async pageCost(after, limit) {
      return rowsOf(await planOf((store) => store.scan!(after, limit, call())));
    },
  });

  it("PostgreSQL finds by its indexes what a sweep removes, and the record of an id", async () => {
    for (const use of [
      (store: PostgresStore) => store.sweep(call(1)),
      (store: PostgresStore) => store.load(newId(), call()),
      (store: PostgresStore) => store.replace(newId(), 1, recordOf(null), call()),
    ]) {
      const { text, values } = await statementOf(use);
      const plan = JSON.stringify((await pool.query(`EXPLAIN ${text}`, values)).rows);
      expect(plan).toContain("holdfast_sessions_");
      expect(plan).not.toContain("Seq Scan");
    }
  });
}
