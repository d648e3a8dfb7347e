import type { EventEmitter } from "node:events";
import type { Callback } from "./session.js";
import { type ConnectStore, Store, type StoredData } from "./store.js";

/** `session.MemoryStore`: for development, as in the original. Sessions end with the process and nothing bounds their number. */
export interface MemoryStore extends ConnectStore {
  /** Session id to JSON. */
  sessions: Record<string, string>;
  touch(sid: string, session: StoredData, callback?: Callback): void;
  all(callback: (error: any, sessions?: Record<string, StoredData> | null) => void): void;
  length(callback: (error: any, length?: number) => void): void;
  clear(callback?: Callback): void;
}

/** Not a class, for others inherit by `MemoryStore.call(this)`. */
export const MemoryStore = function MemoryStore(this: MemoryStore): void {
  Store.call(this);
  this.sessions = Object.create(null);
} as unknown as (new () => MemoryStore) & ((this: EventEmitter) => void);

Object.setPrototypeOf(MemoryStore.prototype, Store.prototype);
Object.setPrototypeOf(MemoryStore, Store);

const methods: Pick<MemoryStore, "get" | "set" | "touch" | "destroy" | "all" | "length" | "clear"> &
  ThisType<MemoryStore> = {
  get(sid, callback) {
    setImmediate(callback, null, read(this.sessions, sid));
  },

  set(sid, session, callback) {
    this.sessions[sid] = JSON.stringify(session);
    if (callback) setImmediate(callback);
  },

  touch(sid, session, callback) {
    const current = read(this.sessions, sid);
    if (current) this.sessions[sid] = JSON.stringify({ ...current, cookie: session.cookie });
    if (callback) setImmediate(callback);
  },

  destroy(sid, callback) {
    delete this.sessions[sid];
    if (callback) setImmediate(callback);
  },

  all(callback) {
    const living: Record<string, StoredData> = Object.create(null);
    for (const sid of Object.keys(this.sessions)) {
      const session = read(this.sessions, sid);
      if (session) living[sid] = session;
    }
    if (callback) setImmediate(callback, null, living);
  },

  length(callback) {
    this.all((error, sessions) => callback(error, error ? undefined : Object.keys(sessions!).length));
  },

  clear(callback) {
    this.sessions = Object.create(null);
    if (callback) setImmediate(callback);
  },
};

Object.assign(MemoryStore.prototype, methods);

/** The session of an id, unless it has expired: then it is removed. */
function read(sessions: Record<string, string>, sid: string): StoredData | undefined {
  const text = sessions[sid];
  if (text === undefined) return undefined;
  const session = JSON.parse(text) as StoredData;
  const { expires } = session.cookie ?? {};
  if (!expires || new Date(expires).valueOf() > Date.now()) return session;
  delete sessions[sid];
  return undefined;
}
