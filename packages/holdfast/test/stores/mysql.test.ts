import { afterAll, beforeAll, describe, it } from "vitest";
import { testStore } from "../../src/testing/store.js";
import { startMysql } from "../services/mysql.js";
import { mysqlBackend } from "../support/sql.js";
import { testInterleavings } from "./sql-interleavings.js";

const server = await startMysql();
if (server === undefined) {
  it.skip("MySQL: no server");
} else {
  const backend = mysqlBackend(server.url);
  beforeAll(async () => {
    const store = backend.open();
    await store.migrate();
    await store.close();
  });
  afterAll(() => server.close());
  testStore("mysqlStore", () => backend.open(), { describe, it });
  testInterleavings("MySQL", backend, () => backend.open());
}
