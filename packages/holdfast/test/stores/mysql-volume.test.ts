import { randomBytes } from "node:crypto";
import mysql from "mysql2/promise";
import { afterAll, beforeAll, it } from "vitest";
import { type MysqlStore, mysqlStore } from "../../src/stores/mysql.js";
import { startMysql } from "../services/mysql.js";
import { call, mysqlBackend } from "../support/sql.js";
import { testVolume } from "./sql-volume.js";

const server = await startMysql();
if (server === undefined) {
  it.skip("MySQL with many sessions: no server");
} else {
  const pool = mysql.createPool({ uri: server.url, connectionLimit: 1 });
  beforeAll(() => mysqlStore({ pool }).migrate());
  afterAll(async () => {
    await pool.end();
    await server.close();
  });

  /** The last statement that the store sends for a call, and how often the engine reads a row for it. */
  async function measured(use: (store: MysqlStore) => unknown): Promise<{ reads: number; statement: any }> {
    let statement: any;
    const watched = {
      async getConnection() {
        const connection = await pool.getConnection();
        return {
          query: (sql: string) => connection.query(sql),
          execute(each: any) {
            statement = each;
            return connection.execute(each);
          },
          release: () => connection.release(),
          destroy: () => connection.destroy(),
        };
      },
    };
    const store = mysqlStore({ pool: watched });
    await store.load("id", call());
    await pool.query("FLUSH STATUS");
    await use(store);
    const [counters] = await pool.query<any[]>("SHOW SESSION STATUS LIKE 'Handler_read%'");
    return { reads: counters.map((row) => Number(row.Value)).reduce((sum, n) => sum + n, 0), statement };
  }

  testVolume("MySQL", mysqlBackend(server.url), {
    async fill(count, each, deadline, payload) {
      for (let start = 0; start < count; start += 1000) {
        const rows = Array.from({ length: 1000 }, (_, n) => {
          const user = `user-${Math.floor((start + n) / each)}`;
          return [randomBytes(32).toString("base64url"), 1, payload, deadline, deadline, user];
        });
        await pool.query("INSERT INTO holdfast_sessions VALUES ?", [rows]);
      }
      await pool.query("ANALYZE TABLE holdfast_sessions");
    },

    async size() {
      await pool.query("ANALYZE TABLE holdfast_sessions");
      const [rows] = await pool.query<any[]>(
        "SELECT data_length + index_length AS n FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'holdfast_sessions'",
      );
      return Number(rows[0].n);
    },

    async cost(userId) {
      const { reads, statement } = await measured((store) => store.listByUser(userId, call()));
      const [plan] = await pool.query<any[]>(`EXPLAIN ${statement.sql}`, statement.values);
      const { type, key, rows } = plan[0];
      return {
        rows: reads,
        plan: `type ${type}, key ${key}, rows ${rows}; ${reads} reads by the engine`,
        index: key,
      };
    },

    async pageCost(after, limit) {
      return (await measured((store) => store.scan!(after, limit, call()))).reads;
    },
  });
}
