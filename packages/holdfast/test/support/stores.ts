import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SealedStore } from "../../src/engine/encryption/sealed-store.js";
import { memoryStore } from "../../src/stores/memory.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { sealingWith } from "./sealing.js";

/** The stores that every promise is tested on. */
export const STORES = [
  { name: "memory", open: () => memoryStore() },
  { name: "sqlite", open: () => sqliteStore({ path: temporaryFile("sessions.db") }) },
] as const;

/** The same with their payloads sealed, which neither the engine nor they know of. */
export const SEALED_STORES = STORES.map(({ name, open }) => ({
  name: `${name}, sealed,`,
  open: () => new SealedStore(open(), sealingWith()),
}));

export function temporaryFile(name: string): string {
  return join(mkdtempSync(join(tmpdir(), "holdfast-")), name);
}
