import { Lanes } from "../../engine/lanes.js";
import { ConfigurationError } from "../../errors.js";
import type { ReplaceResult, Store, StoreCall, StoredSession, StoreRecord } from "../../stores/contract.js";
import { sessionIdOf } from "../../token/token.js";
import { warn } from "../../warn.js";
import { Cookie } from "../express-session/cookie.js";
import type { ConnectStore, StoredData } from "../express-session/store.js";

/** The methods that a store for express-session must have. */
export type AnyConnectStore = Pick<ConnectStore, "get" | "set" | "destroy">;

/** Writers of one record wait for each other at most so long, in milliseconds: a store that hangs must not stop them all. */
const PATIENCE = 10_000;

/** One queue a store, however often it is wrapped. */
const lanesOf = new WeakMap<object, Lanes>();

/**
 * Makes a store for express-session (connect-redis, connect-pg-simple, connect-mongo, …) a Holdfast store. Such a store has
 * no compare-and-swap and no index by user: writers of this process take turns, and a user's sessions are listed in a record
 * of their own. Writers of other processes can overwrite each other, which is said once, as a warning.
 */
export function fromConnectStore(store: AnyConnectStore): Store {
  const missing = (["get", "set", "destroy"] as const).filter((name) => typeof store?.[name] !== "function");
  if (missing.length > 0) {
    throw new ConfigurationError(
      "fromConnectStore",
      `expected a store for express-session; it has no ${missing.join(", ")}`,
    );
  }
  const lanes = lanesOf.get(store) ?? new Lanes(PATIENCE);
  if (!lanesOf.has(store)) warnOfWeakness(store);
  lanesOf.set(store, lanes);
  return new BridgedStore(store, lanes);
}

class BridgedStore implements Store {
  readonly name = "connect";
  readonly #store: AnyConnectStore;
  readonly #lanes: Lanes;

  constructor(store: AnyConnectStore, lanes: Lanes) {
    this.#store = store;
    this.#lanes = lanes;
  }

  async load(id: string): Promise<StoreRecord | undefined> {
    const stored = await this.#get(id);
    // Whatever else is there is for the engine to refuse: a damaged record must not look like none.
    return stored === undefined ? undefined : (stored.holdfast ?? null);
  }

  create(id: string, record: StoreRecord, call: StoreCall): Promise<boolean> {
    return this.#lanes.run(id, async () => {
      if ((await this.load(id)) !== undefined) return false;
      await this.#put(id, record, undefined, call.now);
      return true;
    });
  }

  replace(id: string, expectedVersion: number, record: StoreRecord, call: StoreCall): Promise<ReplaceResult> {
    return this.#lanes.run(id, async () => {
      const current = await this.load(id);
      if (current === undefined) return { status: "gone" };
      if (current.version !== expectedVersion) return { status: "conflict", record: current };
      await this.#put(id, record, current, call.now);
      return { status: "done" };
    });
  }

  touch(id: string, idleDeadline: number, call: StoreCall): Promise<boolean> {
    return this.#lanes.run(id, async () => {
      const current = await this.load(id);
      if (
        current === undefined ||
        idleDeadline <= current.idleDeadline ||
        idleDeadline > current.absoluteDeadline
      )
        return false;
      await this.#put(id, { ...current, idleDeadline }, current, call.now);
      return true;
    });
  }

  delete(id: string, call: StoreCall): Promise<void> {
    return this.#lanes.run(id, async () => {
      const current = await this.load(id);
      await this.#destroy(id);
      if (typeof current?.userId === "string") await this.#leave(current.userId, id, call.now);
    });
  }

  /** The store removes what has expired, by the `expires` of each session's cookie. */
  sweep(): number {
    return 0;
  }

  async listByUser(userId: string): Promise<StoredSession[]> {
    const found: StoredSession[] = [];
    for (const id of await this.#idsOf(userId)) {
      const record = await this.load(id);
      if (record?.userId === userId) found.push({ id, record });
    }
    return found;
  }

  async deleteByUser(userId: string, except: string | undefined, call: StoreCall): Promise<string[]> {
    const ids = (await this.listByUser(userId)).map(({ id }) => id).filter((id) => id !== except);
    for (const id of ids) await this.delete(id, call);
    return ids;
  }

  /** The application has made the store, and closes it. */
  close(): void {}

  async #put(id: string, record: StoreRecord, before: StoreRecord | undefined, now: number): Promise<void> {
    // First the index: one entry too many is harmless, and one that is missing can't be revoked.
    if (record.userId !== null) await this.#join(record.userId, id, record.absoluteDeadline, now);
    await this.#set(id, record.idleDeadline, { holdfast: record }, now);
    if (typeof before?.userId === "string" && before.userId !== record.userId)
      await this.#leave(before.userId, id, now);
  }

  #join(userId: string, id: string, until: number, now: number): Promise<void> {
    return this.#changeIndex(userId, now, (ids) => ({ ...ids, [id]: Math.max(until, ids[id] ?? 0) }));
  }

  #leave(userId: string, id: string, now: number): Promise<void> {
    return this.#changeIndex(userId, now, ({ [id]: _, ...others }) => others);
  }

  async #idsOf(userId: string): Promise<string[]> {
    return Object.keys((await this.#get(indexKey(userId)))?.ids ?? {});
  }

  /** The index of a user: session id to absolute deadline. */
  #changeIndex(
    userId: string,
    now: number,
    change: (ids: Record<string, number>) => Record<string, number>,
  ): Promise<void> {
    const key = indexKey(userId);
    return this.#lanes.run(key, async () => {
      const before: Record<string, number> = (await this.#get(key))?.ids ?? {};
      // Nobody tells of those that the store has removed by itself.
      const ids = Object.fromEntries(Object.entries(change(before)).filter(([, until]) => until > now));
      if (JSON.stringify(ids) === JSON.stringify(before)) return;
      const deadlines = Object.values(ids);
      if (deadlines.length === 0) await this.#destroy(key);
      else await this.#set(key, Math.max(...deadlines), { ids }, now);
    });
  }

  #get(key: string): Promise<StoredData | undefined> {
    return new Promise((resolve, reject) => {
      this.#store.get(key, (error, session) => {
        if (error && (error as { code?: unknown }).code !== "ENOENT") reject(error);
        else resolve(error || !session ? undefined : session);
      });
    });
  }

  #set(key: string, expires: number, content: object, now: number): Promise<void> {
    const cookie = new Cookie({ maxAge: Math.max(expires - now, 1000) });
    return new Promise((resolve, reject) => {
      this.#store.set(key, { cookie, ...content } as unknown as StoredData, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  #destroy(key: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#store.destroy(key, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** Looks like any session id; no session can have it. */
function indexKey(userId: string): string {
  return sessionIdOf(`sessions of user ${userId}`);
}

function warnOfWeakness(store: object): void {
  const name = store.constructor?.name || "a store for express-session";
  warn(
    "HOLDFAST_CONNECT_STORE",
    `fromConnectStore(): ${name} has no compare-and-swap. Within this process no update is lost and no session comes back; ` +
      "two processes that write to one session at the same time can overwrite each other. Use one of Holdfast's own stores " +
      "where several processes run.",
  );
}
