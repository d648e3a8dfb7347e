import { isPromise } from "../awaitable.js";
import { type Duration, milliseconds } from "../duration.js";
import { ConfigurationError } from "../errors.js";
import { shown } from "../shown.js";
import type { Awaitable, ReplaceResult, Store, StoreRecord } from "./contract.js";

export interface NearCacheOptions {
  /**
   * How old an answer may be, at most: what holds where word of a change is lost, or the store has none. A revoke, a logout
   * and a change by another process take effect here by then. Default: "5s"; at most "1h".
   */
  maxAge?: Duration;
  /** The most sessions kept; beyond it the one unused for longest is dropped. Default: 10,000. */
  maxSessions?: number;
  /** The most memory that payloads may take, in bytes; beyond it the same. Default: 64 MiB. */
  maxBytes?: number;
}

const HOUR = 3_600_000;

/**
 * A store with a cache before it, in the memory of this process: a request that only reads a session that another has read
 * lately takes no round trip. What others change is dropped when the store tells of it (`watch`: Redis, and PostgreSQL with
 * `notify`), and `maxAge` later at the latest. What this process changes is seen at once. Writes compare and swap as ever, so an
 * old record costs a conflict and another try, and never an update. What it gives up: docs/stores/near-cache.md.
 *
 * @throws ConfigurationError where an option is wrong.
 */
export function nearCache(store: Store, options: NearCacheOptions = {}): Store {
  if (typeof store?.load !== "function" || typeof store.replace !== "function") {
    throw new ConfigurationError("nearCache", "expected a store, as in nearCache(redisStore({ url }))");
  }
  const maxAge = milliseconds("nearCache.maxAge", options.maxAge ?? "5s", 1, HOUR);
  const maxSessions = limit("maxSessions", options.maxSessions ?? 10_000);
  const maxBytes = limit("maxBytes", options.maxBytes ?? 64 * 1024 * 1024);

  /** In the order of their last use. */
  const entries = new Map<string, Entry>();
  let bytes = 0;
  const calls = new Map<string, CallsUnderWay>();
  const listeners = new Set<(id: string | undefined) => void>();

  function put(id: string, record: StoreRecord, at: number): void {
    const known = entries.get(id);
    if (known !== undefined && known.record.version > record.version) return;
    drop(id);
    entries.set(id, { record, at });
    bytes += sizeOf(record);
    for (const oldest of entries.keys()) {
      if (entries.size <= maxSessions && bytes <= maxBytes) break;
      drop(oldest);
    }
  }

  function drop(id: string): void {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entries.delete(id);
    bytes -= sizeOf(entry.record);
  }

  /** The record has changed: what calls under way will answer may be older than that. */
  function changed(id: string): void {
    drop(id);
    const underWay = calls.get(id);
    if (underWay !== undefined) underWay.outdated = true;
  }

  function anythingChanged(): void {
    entries.clear();
    bytes = 0;
    for (const underWay of calls.values()) underWay.outdated = true;
  }

  const stopWatching = store.watch?.((id) => {
    if (id === undefined) anythingChanged();
    else changed(id);
    for (const listener of [...listeners]) listener(id);
  });

  /**
   * Does a call about one record. `settle` gets its answer, and whether it is certain to be the newest that this process knows
   * of: nothing has been heard of the record since the call began.
   */
  function during<T>(
    id: string,
    call: () => Awaitable<T>,
    settle: (answer: T, underWay: CallsUnderWay) => void,
  ): Awaitable<T> {
    const underWay = calls.get(id) ?? { count: 0, outdated: false };
    underWay.count++;
    calls.set(id, underWay);
    const end = () => {
      if (--underWay.count === 0) calls.delete(id);
    };
    const done = (answer: T) => {
      settle(answer, underWay);
      end();
      return answer;
    };
    const failed = (error: unknown): never => {
      // A write may have been done all the same.
      changed(id);
      end();
      throw error;
    };
    let answer: Awaitable<T>;
    try {
      answer = call();
    } catch (error) {
      return failed(error);
    }
    return isPromise(answer) ? answer.then(done, failed) : done(answer);
  }

  /** After a write: `record` is what is stored now. With another call about it under way, which of the two was first is not known. */
  function written(id: string, record: StoreRecord | undefined, now: number, underWay: CallsUnderWay): void {
    const certain = underWay.count === 1 && !underWay.outdated;
    if (record === undefined || !certain) changed(id);
    else put(id, record, now);
  }

  const cached: Store = {
    name: store.name,

    load(id, call) {
      if (call.mayBeCached === true) {
        const entry = entries.get(id);
        if (entry !== undefined) {
          const age = call.now - entry.at;
          // One that seems to have expired may have been touched since.
          if (age >= 0 && age < maxAge && call.now < entry.record.idleDeadline) {
            entries.delete(id);
            entries.set(id, entry);
            return entry.record;
          }
          drop(id);
        }
      }
      return during(
        id,
        () => store.load(id, call),
        (record, { outdated }) => {
          if (record === undefined) drop(id);
          else if (!outdated) put(id, record, call.now);
        },
      );
    },

    create(id, record, call) {
      return during(
        id,
        () => store.create(id, record, call),
        (created, underWay) => written(id, created ? record : undefined, call.now, underWay),
      );
    },

    replace(id, expectedVersion, record, call) {
      return during(
        id,
        () => store.replace(id, expectedVersion, record, call),
        (answer, underWay) => written(id, storedBy(answer, record), call.now, underWay),
      );
    },

    touch(id, idleDeadline, call) {
      return during(
        id,
        () => store.touch(id, idleDeadline, call),
        (moved, { outdated }) => {
          const entry = entries.get(id);
          if (!moved || outdated) changed(id);
          // No younger than it was: a touch says nothing of the rest.
          else if (entry !== undefined)
            entries.set(id, { ...entry, record: { ...entry.record, idleDeadline } });
        },
      );
    },

    delete(id, call) {
      return during(
        id,
        () => store.delete(id, call),
        () => changed(id),
      );
    },

    sweep: (call) => store.sweep(call),

    listByUser: (userId, call) => store.listByUser(userId, call),

    deleteByUser(userId, except, call) {
      const done = (ids: readonly string[]) => {
        for (const id of ids) changed(id);
        return ids;
      };
      const failed = (error: unknown): never => {
        anythingChanged();
        throw error;
      };
      const answer = store.deleteByUser(userId, except, call);
      return isPromise(answer) ? answer.then(done, failed) : done(answer);
    },

    close() {
      stopWatching?.();
      anythingChanged();
      return store.close();
    },
  };
  if (store.scan !== undefined) cached.scan = (cursor, limit, call) => store.scan!(cursor, limit, call);
  if (store.inspect !== undefined) cached.inspect = (call) => store.inspect!(call);
  if (store.rewrite !== undefined) {
    cached.rewrite = (id, expectedVersion, payload, call) =>
      during(
        id,
        () => store.rewrite!(id, expectedVersion, payload, call),
        () => changed(id),
      );
  }
  if (stopWatching !== undefined) {
    cached.watch = (onChange) => {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    };
  }
  return cached;
}

interface Entry {
  readonly record: StoreRecord;
  /** When it was asked for, by the engine's clock. */
  readonly at: number;
}

/** The calls about one record that have no answer yet. */
interface CallsUnderWay {
  count: number;
  /** Something was heard of the record since. */
  outdated: boolean;
}

function storedBy(answer: ReplaceResult, record: StoreRecord): StoreRecord | undefined {
  if (answer.status === "done") return record;
  return answer.status === "conflict" ? answer.record : undefined;
}

/** About what a record takes: text at two bytes a unit at most, and some for the rest. */
function sizeOf(record: StoreRecord): number {
  return record.payload.length * 2 + 200;
}

function limit(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new ConfigurationError(
    `nearCache.${option}`,
    `expected a whole number, 1 or more, got ${shown(value)}`,
  );
}
