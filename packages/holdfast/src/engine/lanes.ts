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

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const ahead = this.#tails.get(key);
    const work = ahead === undefined ? task() : this.#turn(ahead).then(task);
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
