import { ConfigurationError } from "../errors.js";
import { inProduction, warn } from "../warn.js";
import type { Store, StoreRecord } from "./contract.js";

export interface MemoryStoreOptions {
  /** The most sessions kept; beyond it the one unused for longest is dropped. Default: 10,000. */
  maxSessions?: number;
  /** The most memory that payloads may take, in bytes; beyond it the same. Default: 64 MiB. */
  maxBytes?: number;
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

  /** In the order of their last use. */
  const records = new Map<string, StoreRecord>();
  const idsByUser = new Map<string, Set<string>>();
  let bytes = 0;

  function put(id: string, record: StoreRecord): void {
    remove(id);
    records.set(id, record);
    bytes += sizeOf(record);
    if (record.userId !== null) {
      const ids = idsByUser.get(record.userId) ?? new Set();
      idsByUser.set(record.userId, ids.add(id));
    }
    if (records.size > maxSessions || bytes > maxBytes) evict(id);
  }

  /** @param newest the one that came in just now: it stays. */
  function evict(newest: string): void {
    for (const oldest of records.keys()) {
      if ((records.size <= maxSessions && bytes <= maxBytes) || oldest === newest) break;
      remove(oldest);
    }
  }

  function remove(id: string): void {
    const record = records.get(id);
    if (record === undefined) return;
    records.delete(id);
    bytes -= sizeOf(record);
    if (record.userId === null) return;
    const ids = idsByUser.get(record.userId)!;
    ids.delete(id);
    if (ids.size === 0) idsByUser.delete(record.userId);
  }

  return {
    name: "memory",

    load(id) {
      const record = records.get(id);
      if (record !== undefined) {
        records.delete(id);
        records.set(id, record);
      }
      return record;
    },

    create(id, record) {
      if (records.has(id)) return false;
      put(id, record);
      return true;
    },

    replace(id, expectedVersion, record) {
      const current = records.get(id);
      if (current === undefined) return { status: "gone" };
      if (current.version !== expectedVersion) return { status: "conflict", record: current };
      put(id, record);
      return { status: "done" };
    },

    touch(id, idleDeadline) {
      const current = records.get(id);
      if (current === undefined) return false;
      if (idleDeadline <= current.idleDeadline || idleDeadline > current.absoluteDeadline) return false;
      records.set(id, { ...current, idleDeadline });
      return true;
    },

    delete: remove,

    sweep({ now }) {
      const before = records.size;
      for (const [id, { idleDeadline }] of records) if (idleDeadline <= now) remove(id);
      return before - records.size;
    },

    listByUser(userId) {
      return [...(idsByUser.get(userId) ?? [])].map((id) => ({ id, record: records.get(id)! }));
    },

    deleteByUser(userId, except) {
      const ids = [...(idsByUser.get(userId) ?? [])].filter((id) => id !== except);
      for (const id of ids) remove(id);
      return ids;
    },

    scan(cursor, limit) {
      // Reading moves a record to the end of the map, so the order of use is no order to go on in.
      const ids = [...records.keys()].filter((id) => cursor === undefined || id > cursor).sort();
      const page = ids.slice(0, limit);
      return {
        sessions: page.map((id) => ({ id, record: records.get(id)! })),
        next: ids.length > limit ? page.at(-1) : undefined,
      };
    },

    rewrite(id, expectedVersion, payload) {
      const current = records.get(id);
      if (current?.version !== expectedVersion) return false;
      const { idleDeadline, absoluteDeadline, userId } = current;
      const next = { version: expectedVersion + 1, payload, idleDeadline, absoluteDeadline, userId };
      // In its place: nobody has used it.
      records.set(id, next);
      bytes += sizeOf(next) - sizeOf(current);
      return true;
    },

    close() {
      records.clear();
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
