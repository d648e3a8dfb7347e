import { ConflictError } from "../errors.js";
import type { StoreRecord } from "../stores/contract.js";
import type { EngineStore } from "./store-client.js";

const MAX_ATTEMPTS = 100;

/**
 * Changes a record that is no session, in one atomic step: `next` is given what is stored and says what is to be stored in
 * its place, or undefined to leave it. It may be asked again when another was faster.
 * @throws ConflictError after many collisions.
 */
export async function changeRecord(
  store: EngineStore,
  id: string,
  next: (current: StoreRecord | undefined) => StoreRecord | undefined,
): Promise<void> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const current = await store.load(id);
    const record = next(current);
    if (record === undefined) return;
    if (current === undefined) {
      if (await store.create(id, record)) return;
    } else if ((await store.replace(id, current.version, record)).status === "done") return;
  }
  throw new ConflictError(MAX_ATTEMPTS);
}
