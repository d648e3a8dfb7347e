import type { Duration } from "../duration.js";
import type { Engine } from "./engine.js";
import { callListener, type EventBus } from "./events.js";
import { type Destination, find } from "./follow.js";
import type { Tombstone } from "./record.js";

/** That a session has ended, as `session.onEnd` tells it. */
export interface SessionEnd {
  readonly sessionId: string;
  /**
   * "rotated": it goes on under a new token, after a login or another change of privileges. "gone": it is not in the store
   * any more, because another process ended it longer ago than the reason is kept.
   */
  readonly reason: "logout" | "revoked" | "rotated" | "expired" | "gone";
}

/** One that throws, or rejects, is reported as a warning. */
export type SessionEndListener = (end: SessionEnd) => void;

export interface OnEndOptions {
  /**
   * How often to ask the store, for what other processes end and for deadlines that pass. What this process ends is told at
   * once, and so is what others end where the store tells of changes (Redis, and PostgreSQL with `notify`). Each listener costs one read of the store in that time. At most 14 days, and never less often than `renewAfter`.
   * Default: "10s".
   */
  every?: Duration;
}

interface Watcher {
  id: string;
  /** The idle deadline, as the store had it last. */
  deadline: number;
  readonly engine: Engine;
  readonly every: number;
  readonly listener: SessionEndListener;
  timer: NodeJS.Timeout | undefined;
}

const REASONS: Record<Exclude<Tombstone["ended"], "renewed">, SessionEnd["reason"]> = {
  logout: "logout",
  destroyed: "logout",
  revoked: "revoked",
  rotated: "rotated",
};

/**
 * Tells who waits for it that a session has ended: from this process's events, when the store says that its record has
 * changed, and by asking the store now and then.
 */
export class Endings {
  readonly #events: EventBus;
  readonly #watchers = new Map<string, Set<Watcher>>();
  #listens = false;
  #stopWatching: (() => void) | undefined;
  #closed = false;

  constructor(events: EventBus) {
    this.#events = events;
  }

  /** Calls `listener` once, when the session of this id has ended, renewals followed. The returned function ends the wait. */
  watch(engine: Engine, id: string, every: number, listener: SessionEndListener): () => void {
    if (this.#closed) return () => {};
    this.#listen(engine);
    const watcher: Watcher = {
      id,
      deadline: Number.POSITIVE_INFINITY,
      engine,
      every,
      listener,
      timer: undefined,
    };
    this.#add(watcher);
    // It may have ended since its request was opened.
    void this.#check(watcher);
    return () => this.#remove(watcher);
  }

  /** Ends all waits, and begins no other. */
  close(): void {
    this.#closed = true;
    this.#stopWatching?.();
    for (const watchers of [...this.#watchers.values()])
      for (const watcher of watchers) this.#remove(watcher);
  }

  #listen({ store }: Engine): void {
    if (this.#listens) return;
    this.#listens = true;
    this.#stopWatching = store.watch?.((id) => {
      // Where word may have been lost, each finds out when it asks next: all of them at once would be a flood.
      if (id !== undefined) for (const watcher of this.#of(id)) void this.#check(watcher);
    });
    this.#events.on("logout", ({ sessionId }) => this.#end(sessionId, "logout"));
    this.#events.on("expired", ({ sessionId }) => this.#endOrAsk(sessionId, "expired"));
    this.#events.on("rotated", ({ previousId }) => previousId && this.#end(previousId, "rotated"));
    this.#events.on("revoked", ({ sessionId }) => {
      if (sessionId !== undefined) return this.#endOrAsk(sessionId, "revoked");
      // Sessions that live in cookies, ended without a list of them.
      for (const watchers of [...this.#watchers.values()]) for (const one of watchers) void this.#check(one);
    });
    this.#events.on("renewed", ({ previousId, sessionId }) => {
      for (const watcher of this.#of(previousId)) this.#move(watcher, sessionId);
    });
  }

  /** Asks the store, and again after a while. */
  async #check(watcher: Watcher): Promise<void> {
    clearTimeout(watcher.timer);
    const { engine, id } = watcher;
    // A renewal leaves its way to the new id until the next one.
    let pause = Math.min(watcher.every, engine.renewAfter ?? Number.POSITIVE_INFINITY);
    try {
      const destination = await find(engine, id);
      if (!this.#waits(watcher)) return;
      // It has been renewed meanwhile, and the answer may be older than that.
      if (watcher.id !== id) return this.#check(watcher);
      if (destination.kind !== "none") this.#move(watcher, destination.id);
      if (destination.kind !== "live") return this.#tell(watcher, reasonFor(destination, watcher));
      watcher.deadline = destination.stored.record.idleDeadline;
      pause = Math.min(pause, watcher.deadline - engine.clock() + 1);
    } catch {
      // The store's failure is an event already. Whether the session has ended is not known: it is asked again.
      if (!this.#waits(watcher)) return;
    }
    clearTimeout(watcher.timer);
    watcher.timer = setTimeout(() => void this.#check(watcher), pause);
    watcher.timer.unref?.();
  }

  #end(id: string, reason: SessionEnd["reason"]): void {
    for (const watcher of this.#of(id)) this.#tell(watcher, reason);
  }

  /**
   * What lives in a cookie has copies, and the event may be about an old one that expired, or about an id that somebody who
   * isn't its user revoked: only the watcher's own copy tells.
   */
  #endOrAsk(id: string, reason: SessionEnd["reason"]): void {
    for (const watcher of this.#of(id)) {
      if (watcher.engine.cookieHeld === undefined) this.#tell(watcher, reason);
      else void this.#check(watcher);
    }
  }

  #tell(watcher: Watcher, reason: SessionEnd["reason"]): void {
    // A listener that was told just before may have ended this wait.
    if (!this.#waits(watcher)) return;
    this.#remove(watcher);
    callListener("session.onEnd", watcher.listener, { sessionId: watcher.id, reason });
  }

  #of(id: string): Watcher[] {
    return [...(this.#watchers.get(id) ?? [])];
  }

  #waits(watcher: Watcher): boolean {
    return this.#watchers.get(watcher.id)?.has(watcher) === true;
  }

  #add(watcher: Watcher): void {
    const watchers = this.#watchers.get(watcher.id) ?? new Set();
    this.#watchers.set(watcher.id, watchers.add(watcher));
  }

  #move(watcher: Watcher, id: string): void {
    if (watcher.id === id) return;
    this.#forget(watcher);
    watcher.id = id;
    this.#add(watcher);
  }

  #remove(watcher: Watcher): void {
    clearTimeout(watcher.timer);
    this.#forget(watcher);
  }

  #forget(watcher: Watcher): void {
    const watchers = this.#watchers.get(watcher.id);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#watchers.delete(watcher.id);
  }
}

function reasonFor(
  destination: Exclude<Destination, { kind: "live" }>,
  { engine, deadline }: Watcher,
): SessionEnd["reason"] {
  if (destination.kind === "expired") return "expired";
  if (destination.kind === "ended")
    return REASONS[destination.tombstone.ended as keyof typeof REASONS] ?? "gone";
  // Some stores remove a record at its deadline, others are swept.
  return engine.clock() >= deadline ? "expired" : "gone";
}
