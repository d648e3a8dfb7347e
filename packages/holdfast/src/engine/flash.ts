/** A message for the next page, under a key such as "notice" or "error". */
export type FlashEntry = readonly [key: string, message: unknown];

/** Shared: most requests have no message. */
const NONE: readonly never[] = [];
const NOTHING_STORING = { read: 0, added: NONE };

/**
 * The flash messages of one request's session: what was stored, what this request read (a message is read once) and
 * what it added. Kept apart from the data, so that no key of the application's collides with it, and as operations, so
 * that two requests that add messages at the same time both keep theirs.
 */
export class Flash {
  /** What is stored and was not read here. */
  #unread: readonly FlashEntry[] = NONE;
  /** What was read here, as JSON: its reader may change what it got. */
  #read: readonly string[] = NONE;
  #added: readonly FlashEntry[] = NONE;
  /** How much of the above the write that is under way takes along. */
  #storing: { readonly read: number; readonly added: readonly FlashEntry[] } = NOTHING_STORING;

  get changed(): boolean {
    return this.#read.length > 0 || this.#added.length > 0;
  }

  add(key: string, message: unknown): void {
    this.#added = [...this.#added, [key, message]];
  }

  /** The messages under a key, oldest first; they are gone from then on. */
  take(key: string): unknown[] {
    const taken = this.entries().filter((entry) => entry[0] === key);
    const read = this.#unread.filter((entry) => entry[0] === key);
    this.#read = [...this.#read, ...read.map((entry) => JSON.stringify(entry))];
    this.#unread = this.#unread.filter((entry) => entry[0] !== key);
    this.#added = this.#added.filter((entry) => entry[0] !== key);
    return taken.map(([, message]) => message);
  }

  /** What is to be stored: the stored messages less those read here, and those added here. */
  entries(): readonly FlashEntry[] {
    return this.#added.length === 0 ? this.#unread : [...this.#unread, ...this.#added];
  }

  /** What a write takes along from here on is settled by `stored`; what is done meanwhile stays to be stored. */
  beginStoring(): readonly FlashEntry[] {
    if (this.changed) this.#storing = { read: this.#read.length, added: this.#added };
    return this.entries();
  }

  /** Notes that what was there at `beginStoring` is stored. */
  stored(entries: readonly FlashEntry[] | undefined): void {
    const { read, added } = this.#storing;
    if (this.#storing === NOTHING_STORING) {
      this.rebase(entries);
      return;
    }
    this.#storing = NOTHING_STORING;
    const takenMeanwhile = added.filter((entry) => !this.#added.includes(entry));
    this.#added = this.#added.filter((entry) => !added.includes(entry));
    this.#read = [...this.#read.slice(read), ...takenMeanwhile.map((entry) => JSON.stringify(entry))];
    this.rebase(entries);
  }

  /** Takes over what the store holds now; what this request did stays on top. */
  rebase(stored: readonly FlashEntry[] | undefined = NONE): void {
    if (this.#read.length === 0) {
      this.#unread = stored;
      return;
    }
    const read = [...this.#read];
    this.#unread = stored.filter((entry) => {
      const index = read.indexOf(JSON.stringify(entry));
      if (index !== -1) read.splice(index, 1);
      return index === -1;
    });
  }

  /** Starts from what the store holds, with nothing done yet. */
  reset(stored: readonly FlashEntry[] | undefined = NONE): void {
    this.#unread = stored;
    this.#read = NONE;
    this.#added = NONE;
  }
}
