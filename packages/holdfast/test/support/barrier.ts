import { withResolvers } from "./resolvers.js";

/** A point where handlers wait until the test lets them go on. */
export class Barrier {
  #waiting = 0;
  #opened = withResolvers();
  #arrivals: Array<{ count: number; resolve: () => void }> = [];

  /** Called by a handler. */
  async wait(): Promise<void> {
    this.#waiting++;
    for (const { count, resolve } of this.#arrivals) if (this.#waiting >= count) resolve();
    await this.#opened.promise;
  }

  /** Resolves once so many handlers are waiting. */
  async arrived(count = 1): Promise<void> {
    if (this.#waiting >= count) return;
    const { promise, resolve } = withResolvers();
    this.#arrivals.push({ count, resolve });
    await promise;
  }

  open(): void {
    this.#opened.resolve();
  }
}
