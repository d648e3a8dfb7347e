import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "vitest";
import { testStore } from "../testing/store.js";
import { sqliteStore } from "./sqlite.js";

const path = join(mkdtempSync(join(tmpdir(), "holdfast-")), "sessions.db");
testStore("sqliteStore", () => sqliteStore({ path }), { describe, it });
