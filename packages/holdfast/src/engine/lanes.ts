import { isPromise } from "../awaitable.js";
import type { Awaitable } from "../stores/contract.js";

/**
 * Lets the writers of one session in this process take turns. It is only a courtesy: correctness comes from the store's
 * compare-and-swap, but writers that queue don't collide, so a busy session costs two store calls a write instead of many.
 * A writer that has waited for `patience` milliseconds goes ahead, so a store that hangs never makes the queue hang.
 */
export class Lanes {
  readonly #tails = new Map<string, Promise<void>>();
  readonly #patience: number;

  constructor(patience: number) {
    this.#patience = patience;
  }

  /** A task that finds the lane empty starts at once, and one that is done at once has been in nobody's way. */
  run<T>(key: string, task: () => Promise<T>): Promise<T>;
  run<T>(key: string, task: () => Awaitable<T>): Awaitable<T>;
  run<T>(key: string, task: () => Awaitable<T>): Awaitable<T> {
    const ahead = this.#tails.get(key);
    const work = ahead === undefined ? task() : this.#turn(ahead).then(task);
    return isPromise(work) ? this.#occupy(key, work) : work;
  }

  async #occupy<T>(key: string, work: Promise<T>): Promise<T> {
    const tail = work.then(ignore, ignore);
    this.#tails.set(key, tail);
    try {
      return await work;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }

  async #turn(ahead: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#patience);
    });
    await Promise.race([ahead, patience]);
    clearTimeout(timer);
  }
}

function ignore(): void {}
