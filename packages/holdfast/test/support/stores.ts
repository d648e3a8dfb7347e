import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryStore } from "../../src/stores/memory.js";
import { sqliteStore } from "../../src/stores/sqlite.js";

/** The stores that every promise is tested on. */
export const STORES = [
  { name: "memory", open: () => memoryStore() },
  { name: "sqlite", open: () => sqliteStore({ path: temporaryFile("sessions.db") }) },
] as const;

export function temporaryFile(name: string): string {
  return join(mkdtempSync(join(tmpdir(), "holdfast-")), name);
}
