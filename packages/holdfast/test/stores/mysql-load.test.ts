import { afterAll, beforeAll, it } from "vitest";
import { startMysql } from "../services/mysql.js";
import { mysqlBackend } from "../support/sql.js";
import { testLoad } from "./sql-load.js";

const server = await startMysql();
if (server === undefined) {
  it.skip("MySQL under load: no server");
} else {
  const backend = mysqlBackend(server.url);
  beforeAll(async () => {
    const store = backend.open();
    await store.migrate();
    await store.close();
  });
  afterAll(() => server.close());
  testLoad("MySQL", backend, server.control);
}
