import type { Engine } from "../engine/engine.js";
import type { AnySessionEvent } from "../engine/events.js";
import { observeStore, watched } from "../engine/observe-store.js";

/** Milliseconds of one bucket, and how many are kept: one hour. */
export const BUCKET = 30_000;
export const BUCKETS = 120;

/** The upper bounds of the classes that latencies are counted in, in milliseconds: each twice the one before. */
const CLASSES = Array.from({ length: 18 }, (_, index) => 0.05 * 2 ** index);

/** What happened in half a minute. */
export interface Bucket {
  /** Since the epoch, in milliseconds. */
  readonly start: number;
  logins: number;
  /** Refused cookies, requests and guesses. */
  rejects: number;
  conflicts: number;
  failures: number;
  /** Living sessions at its end; undefined until they have been counted once. */
  active: number | undefined;
  /** Store calls, by class of how long they took. */
  readonly latencies: number[];
}

/** The last hour of this process, of what it did with sessions: bounded, in memory, and gone when it ends. */
export class History {
  readonly #engine: Engine;
  readonly #buckets: Bucket[] = [];
  #active: number | undefined;
  readonly #ends: Array<() => void> = [];

  constructor(engine: Engine) {
    this.#engine = engine;
    const listener = (event: AnySessionEvent) => this.#note(event);
    engine.events.on("*", listener);
    this.#ends.push(
      () => engine.events.off("*", listener),
      observeStore(engine.store, (_operation, call) => {
        const start = performance.now();
        return watched(call, () => this.#measure(performance.now() - start));
      }),
    );
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  /** Takes a count of the living sessions; from it on, events move it. */
  counted(active: number): void {
    this.#active = active;
    this.#now().active = active;
  }

  /** The living sessions, as far as this process knows. */
  get active(): number | undefined {
    return this.#active;
  }

  /** The last hour, oldest first, with a bucket for each half minute. */
  buckets(): Bucket[] {
    const last = this.#now().start;
    const all: Bucket[] = [];
    let known = 0;
    let active: number | undefined;
    for (let start = last - (BUCKETS - 1) * BUCKET; start <= last; start += BUCKET) {
      while (this.#buckets[known] !== undefined && this.#buckets[known]!.start < start) {
        active = this.#buckets[known]!.active;
        known++;
      }
      const bucket =
        this.#buckets[known]?.start === start ? this.#buckets[known]! : emptyBucket(start, active);
      active = bucket.active;
      all.push(bucket);
    }
    return all;
  }

  #now(): Bucket {
    const start = Math.floor(this.#engine.clock() / BUCKET) * BUCKET;
    const last = this.#buckets.at(-1);
    // A clock that was set back goes on in the bucket that is there.
    if (last !== undefined && last.start >= start) return last;
    const bucket = emptyBucket(start, this.#active);
    this.#buckets.push(bucket);
    if (this.#buckets.length > BUCKETS) this.#buckets.shift();
    return bucket;
  }

  #measure(milliseconds: number): void {
    const index = CLASSES.findIndex((bound) => milliseconds <= bound);
    this.#now().latencies[index === -1 ? CLASSES.length - 1 : index]!++;
  }

  #note(event: AnySessionEvent): void {
    const bucket = this.#now();
    switch (event.name) {
      case "login":
        bucket.logins++;
        break;
      case "rejected-cookie":
      case "csrf-refused":
      case "guess-limit":
      case "refused-login":
        bucket.rejects++;
        break;
      case "conflict":
        bucket.conflicts++;
        break;
      case "store-error":
        bucket.failures++;
        break;
      case "created":
        this.#move(bucket, 1);
        break;
      case "logout":
      case "expired":
      case "revoked":
        this.#move(bucket, -1);
        break;
    }
  }

  #move(bucket: Bucket, by: number): void {
    if (this.#active === undefined) return;
    this.#active = Math.max(0, this.#active + by);
    bucket.active = this.#active;
  }
}

function emptyBucket(start: number, active: number | undefined): Bucket {
  return {
    start,
    logins: 0,
    rejects: 0,
    conflicts: 0,
    failures: 0,
    active,
    latencies: CLASSES.map(() => 0),
  };
}

/** Within how many milliseconds that share of calls was answered, to within a factor of two; undefined without a call. */
export function quantile(latencies: readonly number[], share: number): number | undefined {
  const total = latencies.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let seen = 0;
  for (const [index, count] of latencies.entries()) {
    seen += count;
    if (seen >= total * share) return CLASSES[index];
  }
  return CLASSES.at(-1);
}
