import { afterAll, beforeAll, describe, it } from "vitest";
import { testStore } from "../../src/testing/store.js";
import { startPostgres } from "../services/postgres.js";
import { postgresBackend } from "../support/sql.js";
import { testInterleavings } from "./sql-interleavings.js";

const server = await startPostgres();
if (server === undefined) {
  it.skip("PostgreSQL: no server");
} else {
  const backend = postgresBackend(server.url);
  beforeAll(async () => {
    const store = backend.open();
    await store.migrate();
    await store.close();
  });
  afterAll(() => server.close());
  testStore("postgresStore", () => backend.open(), { describe, it });
  testInterleavings("PostgreSQL", backend, () => backend.open());
}
