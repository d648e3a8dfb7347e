import { ConfigurationError, StoreCorruptError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { StoredSession, StoreRecord } from "../../stores/contract.js";
import type { StoreClient } from "../store-client.js";
import { opened, type Sealing, sealed } from "./sealed-store.js";

/** What `encrypt` sets up: how records are sealed, and the store with the records as it keeps them. */
export interface Encryption {
  readonly sealing: Sealing;
  readonly store: StoreClient;
}

export interface ReencryptOptions {
  /** Where to go on: the `cursor` of a progress that was not the last. Default: from the start. */
  cursor?: string | undefined;
  /** Told after each page of the store. */
  onProgress?: (progress: ReencryptProgress) => void;
  /** Ends the pass after the page that it is at; the answer then has the `cursor` to go on from. */
  signal?: AbortSignal | undefined;
  /**
   * What happens to records that none of the keys opens, and to those whose seal is broken: they stay ("keep"), and each
   * request for such a session is answered with 503; or they go, and their users have to log in again ("delete").
   * Default: "keep".
   */
  unreadable?: "keep" | "delete";
}

/** How far a pass is: how many records, of sessions and of the library's own, and what became of them. */
export interface ReencryptProgress {
  /** How many the store has given so far; Redis may give some twice. */
  readonly scanned: number;
  /** Written anew, as they are to be by now. */
  readonly changed: number;
  /** Those that none of the keys opens, and those whose seal is broken. */
  readonly unreadable: number;
  /** Those that requests wrote to so often meanwhile that this pass never had its turn. */
  readonly missed: number;
  /** Where another pass can go on; undefined at the end. */
  readonly cursor: string | undefined;
  /**
   * Whether the pass has come to the end and has left nothing that needs an older key; not so where another key has come to seal
   * meanwhile. Then those may be dropped, where every server has sealed with the first since before it began.
   */
  readonly complete: boolean;
}

/** Records of one page: few enough that no request has to wait long behind it. */
const PAGE = 200;
/** Records that are written at the same time: a few of the connections that a pool has for requests. */
const AT_ONCE = 4;
/** How often one record is tried, where requests are faster. */
const MAX_ATTEMPTS = 20;

/**
 * Writes every record of a store anew that is not kept as it is to be: plain ones are sealed, those that an older key has
 * sealed are sealed with the first, and where `seal` is false all are written plain. Each in one atomic step that leaves
 * deadlines, user and data as they are; where a request writes first, its write wins and is looked at again.
 */
export async function reencrypt(
  { sealing, store }: Encryption,
  options: ReencryptOptions,
): Promise<ReencryptProgress> {
  const { onProgress, signal, unreadable = "keep" } = options;
  if (unreadable !== "keep" && unreadable !== "delete")
    throw new ConfigurationError("unreadable", `expected "keep" or "delete", got ${shown(unreadable)}`);
  const counts = { scanned: 0, changed: 0, unreadable: 0, missed: 0 };
  let lost = 0;
  // Where another key comes to seal meanwhile, what has been looked at by then needs the older one.
  const mark = sealing.sealer.seal("", "");
  let sameKey = true;
  const isFirstKey = () => sealing.sealer.open(mark, "")?.sealedByOlderKey === false;

  async function visit({ id, record }: StoredSession): Promise<void> {
    let current: StoreRecord | undefined = record;
    for (let attempt = 1; current !== undefined; attempt++) {
      const found = read(id, current);
      if (found === undefined) {
        counts.unreadable++;
        if (unreadable === "delete") await store.delete(id);
        else lost++;
        return;
      }
      if (!found.outdated) return;
      const next = sealed(sealing, id, { ...found.record, version: current.version + 1 });
      if (await store.rewrite(id, current, next.payload)) {
        counts.changed++;
        return;
      }
      if (attempt === MAX_ATTEMPTS) {
        counts.missed++;
        return;
      }
      current = await store.load(id);
    }
  }

  function read(id: string, record: StoreRecord) {
    try {
      return opened(sealing, store.name, "reencrypt", id, record);
    } catch (error) {
      if (error instanceof StoreCorruptError) return undefined;
      throw error;
    }
  }

  let { cursor } = options;
  for (;;) {
    const began = performance.now();
    const page = await store.scan(cursor, PAGE);
    for (let start = 0; start < page.sessions.length; start += AT_ONCE) {
      await Promise.all(page.sessions.slice(start, start + AT_ONCE).map(visit));
      // A store in this process answers at once: requests that are waiting get their turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
    counts.scanned += page.sessions.length;
    cursor = page.next;
    const ended = cursor === undefined;
    sameKey &&= !sealing.seals || isFirstKey();
    const complete = ended && sameKey && lost === 0 && counts.missed === 0;
    const progress = { ...counts, cursor, complete };
    onProgress?.(progress);
    if (ended || signal?.aborted) return progress;
    // It rests for as long as it has worked, so at least half of the store is the requests'.
    await new Promise((resolve) => setTimeout(resolve, performance.now() - began));
  }
}
