import type { Store } from "../../src/stores/contract.js";
import { memoryStore } from "../../src/stores/memory.js";
import { withResolvers } from "./resolvers.js";

/** The methods that change what is stored for a session. */
export const WRITES = ["create", "replace", "touch", "delete"] as const;
const METHODS = ["load", ...WRITES] as const;
type Method = (typeof METHODS)[number];

/** A memory store whose calls are noted, and can be held back or made to fail: all of them, or some methods' only. */
export class SlowStore {
  readonly store: Store = memoryStore();
  /** The methods that were called, in order. */
  readonly calls: Method[] = [];
  #held: readonly Method[] = [];
  #failing: readonly Method[] = [];
  #gate = withResolvers();
  #asked = withResolvers();
  #written = withResolvers();
  #payload: string | undefined;

  constructor() {
    for (const method of METHODS) {
      const original = this.store[method] as (...args: any[]) => unknown;
      Object.assign(this.store, {
        [method]: async (...args: any[]) => {
          this.calls.push(method);
          if (this.#held.includes(method)) {
            this.#asked.resolve();
            await this.#gate.promise;
          }
          if (this.#failing.includes(method)) throw new Error("the disk is gone");
          const answer = original(...args);
          this.#note(method, args);
          return answer;
        },
      });
    }
  }

  #note(method: Method, args: any[]): void {
    if (method !== "create" && method !== "replace") return;
    this.#payload = args.at(-2).payload;
    this.#written.resolve();
    this.#written = withResolvers();
  }

  /** The session data that was stored last. */
  get lastData(): unknown {
    return this.#payload === undefined ? undefined : JSON.parse(this.#payload.split("\n")[1]!);
  }

  /** Resolves when a session is stored, from now on. */
  nextWrite(): Promise<void> {
    return this.#written.promise;
  }

  /** From now on calls wait until `release`. */
  hold(methods: readonly Method[] = METHODS): void {
    this.#held = methods;
    this.#gate = withResolvers();
    this.#asked = withResolvers();
  }

  /** Resolves once a call waits. */
  asked(): Promise<void> {
    return this.#asked.promise;
  }

  release(): void {
    this.#held = [];
    this.#gate.resolve();
  }

  /** From now on calls fail, until `recover`. */
  fail(methods: readonly Method[] = METHODS): void {
    this.#failing = methods;
  }

  recover(): void {
    this.#failing = [];
  }
}
