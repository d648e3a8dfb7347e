import { postgresStore } from "holdfast/stores/postgres";
import pg from "pg";

const TABLE = "holdfast_scale";
/** The nth token and its id as `population.js` computes them. */
const TOKEN =
  "translate(rtrim(encode(sha256(convert_to('session ' || n, 'UTF8')), 'base64'), '='), '+/', '-_')";
const ID = `translate(rtrim(encode(sha256(convert_to(${TOKEN}, 'UTF8')), 'base64'), '='), '+/', '-_')`;

export async function openPostgres({ url }) {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  pool.on("error", () => {});
  await pool.query(`DROP TABLE IF EXISTS ${TABLE}`);
  const store = postgresStore({ pool, table: TABLE });
  await store.migrate();
  return {
    store,

    /** The server makes the rows itself, and the indexes afterwards. */
    async fill({ from, to, users, record, payloadFor, place, idleDeadline }) {
      const { rows: indexes } = await pool.query(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1 AND indexdef NOT LIKE '%UNIQUE%'",
        [TABLE],
      );
      const manyRows = to - from > 50_000;
      if (manyRows) for (const { indexname } of indexes) await pool.query(`DROP INDEX "${indexname}"`);
      await pool.query(
        `INSERT INTO ${TABLE} (id, version, payload, idle_deadline, absolute_deadline, user_id)
         SELECT ${ID}, $3, replace($4, $5, 'user-' || n % $6::bigint), $7, $8, 'user-' || n % $6::bigint
         FROM generate_series($1::bigint, $2::bigint - 1) AS n`,
        [from, to, record.version, payloadFor(place), place, users, idleDeadline, record.absoluteDeadline],
      );
      if (manyRows) for (const { indexdef } of indexes) await pool.query(indexdef);
      await pool.query(`VACUUM ANALYZE ${TABLE}`);
    },

    async bytes() {
      const { rows } = await pool.query(`SELECT pg_total_relation_size('${TABLE}') AS bytes`);
      return Number(rows[0].bytes);
    },

    async count() {
      const { rows } = await pool.query(`SELECT count(*) AS count FROM ${TABLE}`);
      return Number(rows[0].count);
    },

    async close() {
      await pool.query(`DROP TABLE ${TABLE}`);
      await pool.end();
    },
  };
}
