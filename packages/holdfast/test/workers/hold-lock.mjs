/** Takes the write lock of a SQLite file, says "locked", and gives it back when its input ends. */
import { createRequire } from "node:module";

const Database =
  process.getBuiltinModule("node:sqlite")?.DatabaseSync ?? createRequire(import.meta.url)("libsql");
const database = new Database(process.env.PATH_TO_STORE);
database.exec("BEGIN IMMEDIATE");
process.stdout.write("locked");
process.stdin.resume().on("end", () => {
  database.exec("COMMIT");
  database.close();
});
