import type { Engine } from "../engine/engine.js";
import { ConfigurationError, ConflictError } from "../errors.js";
import type { StoreRecord } from "../stores/contract.js";
import { sessionIdOf } from "../token/token.js";

const MAX_ATTEMPTS = 100;

/**
 * Small records of the login's own in the session store, beside the sessions: which users a provider's session belongs to,
 * which logout tokens have come, the tokens of a login. Their ids look like any session's, and no session can have them.
 */
export class Notes<Note extends object> {
  readonly #engine: Engine;
  readonly #kind: string;

  constructor(engine: Engine, kind: string) {
    if (engine.cookieHeld !== undefined)
      throw new ConfigurationError(
        "store",
        "logging in with OpenID Connect needs a store on the server, not cookieStore()",
      );
    this.#engine = engine;
    this.#kind = kind;
  }

  async read(key: string): Promise<Note | undefined> {
    const record = await this.#engine.store.load(this.#idOf(key));
    return this.#noteIn(record);
  }

  /** Writes a note that is not there yet. False where it is. @param until milliseconds since the epoch. */
  async add(key: string, note: Note, until: number): Promise<boolean> {
    return this.#engine.store.create(this.#idOf(key), this.#recordOf(note, until, 1));
  }

  /** Changes a note in one atomic step; undefined leaves it as it is. The note as it is then. */
  async change(
    key: string,
    until: number,
    change: (note: Note | undefined) => Note | undefined,
  ): Promise<Note | undefined> {
    const { store } = this.#engine;
    const id = this.#idOf(key);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const current = await store.load(id);
      const before = this.#noteIn(current);
      const after = change(before);
      if (after === undefined) return before;
      const latest = Math.max(until, current?.idleDeadline ?? 0);
      const record = this.#recordOf(after, latest, (current?.version ?? 0) + 1);
      if (current === undefined) {
        if (await store.create(id, record)) return after;
      } else if ((await store.replace(id, current.version, record)).status === "done") return after;
    }
    throw new ConflictError(MAX_ATTEMPTS);
  }

  /** Has a note end sooner. */
  async shorten(key: string, until: number): Promise<void> {
    const { store } = this.#engine;
    const id = this.#idOf(key);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const current = await store.load(id);
      const note = this.#noteIn(current);
      if (current === undefined || note === undefined || current.idleDeadline <= until) return;
      const record = this.#recordOf(note, until, current.version + 1);
      if ((await store.replace(id, current.version, record)).status !== "conflict") return;
    }
    throw new ConflictError(MAX_ATTEMPTS);
  }

  async remove(key: string): Promise<void> {
    await this.#engine.store.delete(this.#idOf(key));
  }

  #idOf(key: string): string {
    return sessionIdOf(`oidc ${this.#kind} ${key}`);
  }

  #noteIn(record: StoreRecord | undefined): Note | undefined {
    if (record === undefined || record.idleDeadline <= this.#engine.clock()) return undefined;
    try {
      return JSON.parse(record.payload);
    } catch {
      throw this.#engine.store.corrupt("load", `a note of a login (${this.#kind}) is not JSON`);
    }
  }

  #recordOf(note: Note, until: number, version: number): StoreRecord {
    return {
      version,
      payload: JSON.stringify(note),
      idleDeadline: until,
      absoluteDeadline: until,
      userId: null,
    };
  }
}
