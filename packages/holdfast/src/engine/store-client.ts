import { isPromise } from "../awaitable.js";
import { StoreCorruptError, StoreError, StoreTimeoutError, UnsupportedError } from "../errors.js";
import type {
  Awaitable,
  ReplaceResult,
  ScanPage,
  Store,
  StoreCall,
  StoredSession,
  StoreRecord,
} from "../stores/contract.js";
import type { EventBus } from "./events.js";
import { recordFault } from "./record.js";

/** A store as the engine uses it: `StoreClient`, or for sessions that live in their cookie the `RequestStore`. */
export interface EngineStore {
  /** As in "sqlite". */
  readonly name: string;
  /** @param mayBeCached whether the answer of a near cache will do. */
  load(id: string, mayBeCached?: boolean): Awaitable<StoreRecord | undefined>;
  create(id: string, record: StoreRecord): Awaitable<boolean>;
  replace(id: string, expectedVersion: number, record: StoreRecord): Awaitable<ReplaceResult>;
  touch(id: string, idleDeadline: number): Awaitable<boolean>;
  delete(id: string): Awaitable<void>;
  sweep(): Awaitable<number>;
  listByUser(userId: string): Awaitable<readonly StoredSession[]>;
  deleteByUser(userId: string, except: string | undefined): Awaitable<readonly string[]>;
  /** Every record, page by page. @throws UnsupportedError where the store can't list them. */
  scan(cursor: string | undefined, limit: number): Awaitable<ScanPage>;
  /** Tells of records that anybody changes, where the store does. The returned function ends it. */
  watch?(onChange: (id: string | undefined) => void): () => void;
  close(): Awaitable<void>;
  /** The error for a record that can't be read. */
  corrupt(operation: string, fault: string | StoreCorruptError): StoreCorruptError;
}

/**
 * Guards the calls to a store: every call has a deadline, every failure is a StoreError, every answer is checked.
 * A store that answers at once costs no promise.
 */
export class StoreClient implements EngineStore {
  readonly #store: Store;
  readonly #timeout: number;
  readonly #clock: () => number;
  readonly #events: EventBus;

  constructor(store: Store, timeout: number, clock: () => number, events: EventBus) {
    this.#store = store;
    this.#timeout = timeout;
    this.#clock = clock;
    this.#events = events;
  }

  get name(): string {
    return this.#store.name;
  }

  load(id: string, mayBeCached = false): Awaitable<StoreRecord | undefined> {
    const call = new DeadlineCall(this.#clock(), mayBeCached);
    let answer: Awaitable<StoreRecord | undefined>;
    try {
      answer = this.#store.load(id, call);
    } catch (error) {
      throw this.#failure("load", error);
    }
    return this.#settled("load", answer, call, loadFault, this.#timeout);
  }

  create(id: string, record: StoreRecord): Awaitable<boolean> {
    return this.#run("create", (call) => this.#store.create(id, record, call), booleanFault);
  }

  replace(id: string, expectedVersion: number, record: StoreRecord): Awaitable<ReplaceResult> {
    return this.#run(
      "replace",
      (call) => this.#store.replace(id, expectedVersion, record, call),
      replaceFault,
    );
  }

  touch(id: string, idleDeadline: number): Awaitable<boolean> {
    return this.#run("touch", (call) => this.#store.touch(id, idleDeadline, call), booleanFault);
  }

  delete(id: string): Awaitable<void> {
    return this.#run("delete", (call) => this.#store.delete(id, call), noFault);
  }

  sweep(): Awaitable<number> {
    return this.#run("sweep", (call) => this.#store.sweep(call), countFault, Number.POSITIVE_INFINITY);
  }

  listByUser(userId: string): Awaitable<readonly StoredSession[]> {
    return this.#run("listByUser", (call) => this.#store.listByUser(userId, call), listFault);
  }

  deleteByUser(userId: string, except: string | undefined): Awaitable<readonly string[]> {
    return this.#run("deleteByUser", (call) => this.#store.deleteByUser(userId, except, call), idsFault);
  }

  scan(cursor: string | undefined, limit: number): Awaitable<ScanPage> {
    const store = this.#store;
    if (store.scan === undefined)
      throw new UnsupportedError(`The store "${store.name}" can't list all sessions.`);
    return this.#run("scan", (call) => store.scan!(cursor, limit, call), pageFault);
  }

  /** Another payload for a record of this version. False where it has another by now, or is gone. */
  async rewrite(id: string, { version, ...record }: StoreRecord, payload: string): Promise<boolean> {
    const store = this.#store;
    if (store.rewrite !== undefined)
      return this.#run("rewrite", (call) => store.rewrite!(id, version, payload, call), booleanFault);
    const answer = await this.replace(id, version, { ...record, version: version + 1, payload });
    return answer.status === "done";
  }

  watch(onChange: (id: string | undefined) => void): () => void {
    return this.#store.watch?.(onChange) ?? (() => {});
  }

  close(): Awaitable<void> {
    return this.#store.close();
  }

  #run<T>(
    operation: string,
    invoke: (call: StoreCall) => Awaitable<T>,
    faultOf: (answer: T) => string | undefined,
    timeout = this.#timeout,
  ): Awaitable<T> {
    const call = new DeadlineCall(this.#clock());
    let answer: Awaitable<T>;
    try {
      answer = invoke(call);
    } catch (error) {
      throw this.#failure(operation, error);
    }
    return this.#settled(operation, answer, call, faultOf, timeout);
  }

  #settled<T>(
    operation: string,
    answer: Awaitable<T>,
    call: DeadlineCall,
    faultOf: (answer: T) => string | undefined,
    timeout: number,
  ): Awaitable<T> {
    if (isPromise(answer)) return this.#withDeadline(operation, answer, call, faultOf, timeout);
    return this.#checked(operation, answer, faultOf);
  }

  async #withDeadline<T>(
    operation: string,
    answer: Promise<T>,
    call: DeadlineCall,
    faultOf: (answer: T) => string | undefined,
    timeout: number,
  ): Promise<T> {
    let value: T;
    try {
      value = await inTime(answer, this.#store.name, operation, timeout, () => call.abort());
    } catch (error) {
      throw this.#failure(operation, error);
    }
    return this.#checked(operation, value, faultOf);
  }

  #checked<T>(operation: string, answer: T, faultOf: (answer: T) => string | undefined): T {
    const fault = faultOf(answer);
    if (fault === undefined) return answer;
    throw this.corrupt(operation, fault);
  }

  /** The error for a record of this store that can't be read; it is an event as well. */
  corrupt(operation: string, fault: string | StoreCorruptError): StoreCorruptError {
    const error =
      typeof fault === "string" ? new StoreCorruptError(this.#store.name, operation, fault) : fault;
    return this.#failure(operation, error) as StoreCorruptError;
  }

  #failure(operation: string, error: unknown): StoreError {
    const failure =
      error instanceof StoreError ? error : new StoreError(this.#store.name, operation, "failed", error);
    this.#events.emit("store-error", { at: new Date(this.#clock()), operation, error: failure });
    return failure;
  }
}

/**
 * The answer of a store, unless it takes longer than `timeout` milliseconds.
 * @throws StoreTimeoutError
 */
export async function inTime<T>(
  answer: Promise<T>,
  store: string,
  operation: string,
  timeout: number,
  onTimeout: () => void = () => {},
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    if (timeout === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(() => {
      reject(new StoreTimeoutError(store, operation, timeout));
      onTimeout();
    }, timeout);
  });
  try {
    return await Promise.race([answer, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** The context of one call. Most stores never read the signal, so it is made only when one does. */
class DeadlineCall implements StoreCall {
  readonly now: number;
  readonly mayBeCached: boolean;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor(now: number, mayBeCached = false) {
    this.now = now;
    this.mayBeCached = mayBeCached;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

function noFault(): undefined {}

function loadFault(answer: unknown): string | undefined {
  return answer === undefined ? undefined : recordFault(answer);
}

function booleanFault(answer: unknown): string | undefined {
  return typeof answer === "boolean" ? undefined : "the answer is not true or false";
}

function replaceFault(answer: ReplaceResult): string | undefined {
  if (answer?.status === "done" || answer?.status === "gone") return undefined;
  return answer?.status === "conflict" ? recordFault(answer.record) : "the answer has no known status";
}

function countFault(answer: unknown): string | undefined {
  return Number.isSafeInteger(answer) && (answer as number) >= 0 ? undefined : "the answer is not a count";
}

function idsFault(answer: unknown): string | undefined {
  const areIds = Array.isArray(answer) && answer.every((id) => typeof id === "string");
  return areIds ? undefined : "the answer is not a list of ids";
}

function pageFault({ sessions, next }: ScanPage): string | undefined {
  if (next !== undefined && typeof next !== "string") return "the next cursor is not text";
  return listFault(sessions);
}

function listFault(answer: readonly StoredSession[]): string | undefined {
  if (!Array.isArray(answer)) return "the answer is not a list";
  for (const entry of answer) {
    const fault = typeof entry?.id === "string" ? recordFault(entry.record) : "an entry has no id";
    if (fault !== undefined) return fault;
  }
  return undefined;
}
