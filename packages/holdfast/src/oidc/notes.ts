import { changeRecord } from "../engine/change-record.js";
import type { Engine } from "../engine/engine.js";
import { fixedRecord } from "../engine/record.js";
import { ConfigurationError } from "../errors.js";
import type { StoreRecord } from "../stores/contract.js";
import { sessionIdOf } from "../token/token.js";

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
    return this.#engine.store.create(this.#idOf(key), fixedRecord(1, JSON.stringify(note), until));
  }

  /** Changes a note in one atomic step; undefined leaves it as it is. The note as it is then. */
  async change(
    key: string,
    until: number,
    change: (note: Note | undefined) => Note | undefined,
  ): Promise<Note | undefined> {
    let note: Note | undefined;
    await changeRecord(this.#engine.store, this.#idOf(key), (current) => {
      note = this.#noteIn(current);
      const after = change(note);
      if (after === undefined) return undefined;
      note = after;
      const latest = Math.max(until, current?.idleDeadline ?? 0);
      return fixedRecord((current?.version ?? 0) + 1, JSON.stringify(after), latest);
    });
    return note;
  }

  /** Has a note end sooner. */
  async shorten(key: string, until: number): Promise<void> {
    await changeRecord(this.#engine.store, this.#idOf(key), (current) => {
      if (this.#noteIn(current) === undefined || current!.idleDeadline <= until) return undefined;
      return fixedRecord(current!.version + 1, current!.payload, until);
    });
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
}
