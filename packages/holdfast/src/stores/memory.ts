import { ConfigurationError } from "../errors.js";
import { inProduction, warn } from "../warn.js";
import type { Store, StoredSession, StoreRecord } from "./contract.js";

export interface MemoryStoreOptions {
  /** The most sessions kept; beyond it the one unused for longest is dropped. Default: 10,000. */
  maxSessions?: number;
  /** The most memory that payloads may take, in bytes; beyond it the same. Default: 64 MiB. */
  maxBytes?: number;
}

/** Between the one used before and the one used after. */
interface Place {
  older: Place;
  newer: Place;
}

/**
 * A record in its place in the order of use. The order is not that of the map: to take a record out of a map and put it back
 * with each use makes the map grow anew now and then, and V8's garbage collector keeps what was in the old one for long.
 */
interface Entry extends Place {
  readonly id: string;
  record: StoreRecord;
}

/**
 * Sessions in the memory of this process, for tests and development: they end with the process, and no other process
 * sees them. Bounded, least recently used out first.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const maxSessions = limit("maxSessions", options.maxSessions ?? 10_000);
  const maxBytes = limit("maxBytes", options.maxBytes ?? 64 * 1024 * 1024);
  if (inProduction()) {
    warn(
      "HOLDFAST_MEMORY_STORE",
      "memoryStore() keeps sessions in this process only: they end at the next restart, and other processes don't see " +
        "them. Use sqliteStore() or a database in production.",
    );
  }

  const entries = new Map<string, Entry>();
  /** The order of use is a ring: here it begins, with the one unused for longest, and ends. */
  const ends = {} as Place;
  ends.newer = ends;
  ends.older = ends;
  const idsByUser = new Map<string, Set<string>>();
  let bytes = 0;

  function use(entry: Entry): void {
    if (entry.newer === ends) return;
    leave(entry);
    joinAsNewest(entry);
  }

  function leave(place: Place): void {
    place.older.newer = place.newer;
    place.newer.older = place.older;
  }

  function joinAsNewest(place: Place): void {
    place.older = ends.older;
    place.newer = ends;
    ends.older.newer = place;
    ends.older = place;
  }

  function exchange(entry: Entry, record: StoreRecord): void {
    const { id, record: before } = entry;
    bytes += sizeOf(record) - sizeOf(before);
    entry.record = record;
    if (record.userId === before.userId) return;
    removeFromUser(before.userId, id);
    addToUser(record.userId, id);
  }

  function keepWithinLimits(newest: Entry): void {
    while ((entries.size > maxSessions || bytes > maxBytes) && ends.newer !== newest) {
      remove((ends.newer as Entry).id);
    }
  }

  function remove(id: string): void {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entries.delete(id);
    leave(entry);
    bytes -= sizeOf(entry.record);
    removeFromUser(entry.record.userId, id);
  }

  function addToUser(userId: string | null, id: string): void {
    if (userId === null) return;
    const ids = idsByUser.get(userId) ?? new Set();
    idsByUser.set(userId, ids.add(id));
  }

  function removeFromUser(userId: string | null, id: string): void {
    if (userId === null) return;
    const ids = idsByUser.get(userId)!;
    ids.delete(id);
    if (ids.size === 0) idsByUser.delete(userId);
  }

  const entryOf = (id: string): StoredSession => ({ id, record: entries.get(id)!.record });

  return {
    name: "memory",

    load(id) {
      const entry = entries.get(id);
      if (entry !== undefined) use(entry);
      return entry?.record;
    },

    create(id, record) {
      if (entries.has(id)) return false;
      const entry = { id, record, older: ends, newer: ends };
      entries.set(id, entry);
      joinAsNewest(entry);
      bytes += sizeOf(record);
      addToUser(record.userId, id);
      keepWithinLimits(entry);
      return true;
    },

    replace(id, expectedVersion, record) {
      const entry = entries.get(id);
      if (entry === undefined) return { status: "gone" };
      if (entry.record.version !== expectedVersion) return { status: "conflict", record: entry.record };
      exchange(entry, record);
      use(entry);
      keepWithinLimits(entry);
      return { status: "done" };
    },

    touch(id, idleDeadline) {
      const entry = entries.get(id);
      if (entry === undefined) return false;
      const current = entry.record;
      if (idleDeadline <= current.idleDeadline || idleDeadline > current.absoluteDeadline) return false;
      entry.record = { ...current, idleDeadline };
      return true;
    },

    delete: remove,

    sweep({ now }) {
      const before = entries.size;
      for (const { id, record } of entries.values()) if (record.idleDeadline <= now) remove(id);
      return before - entries.size;
    },

    listByUser(userId) {
      return [...(idsByUser.get(userId) ?? [])].map(entryOf);
    },

    deleteByUser(userId, except) {
      const ids = [...(idsByUser.get(userId) ?? [])].filter((id) => id !== except);
      for (const id of ids) remove(id);
      return ids;
    },

    scan(cursor, limit) {
      // By id, so that what comes and goes between two pages moves nothing.
      const ids = [...entries.keys()].filter((id) => cursor === undefined || id > cursor).sort();
      const page = ids.slice(0, limit);
      return {
        sessions: page.map(entryOf),
        next: ids.length > limit ? page.at(-1) : undefined,
      };
    },

    rewrite(id, expectedVersion, payload) {
      const entry = entries.get(id);
      if (entry?.record.version !== expectedVersion) return false;
      const { idleDeadline, absoluteDeadline, userId } = entry.record;
      // In its place: nobody has used it.
      exchange(entry, { version: expectedVersion + 1, payload, idleDeadline, absoluteDeadline, userId });
      return true;
    },

    close() {
      entries.clear();
      ends.newer = ends;
      ends.older = ends;
      idsByUser.clear();
      bytes = 0;
    },
  };
}

/** About what a record takes: text at two bytes a unit at most, and some for the rest. */
function sizeOf(record: StoreRecord): number {
  return record.payload.length * 2 + 200;
}

function limit(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new ConfigurationError(
    `memoryStore.${option}`,
    `expected a whole number, 1 or more, got ${String(value)}`,
  );
}
