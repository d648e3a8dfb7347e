import { afterAll, beforeAll, it } from "vitest";
import { startPostgres } from "../services/postgres.js";
import { postgresBackend } from "../support/sql.js";
import { testLoad } from "./sql-load.js";

const server = await startPostgres();
if (server === undefined) {
  it.skip("PostgreSQL under load: no server");
} else {
  const backend = postgresBackend(server.url);
  beforeAll(async () => {
    const store = backend.open();
    await store.migrate();
    await store.close();
  });
  afterAll(() => server.close());
  testLoad("PostgreSQL", backend, server.control);
}
