import type { Duration } from "../duration.js";
import { shown } from "../shown.js";
import { warn } from "../warn.js";
import type { Engine } from "./engine.js";
import type { EventBus } from "./events.js";
import { find } from "./follow.js";
import type { Tombstone } from "./record.js";

/** That a session has ended, as `session.onEnd` tells it. */
export interface SessionEnd {
  readonly sessionId: string;
  /**
   * "rotated": it goes on under a new token, after a login or another change of privileges. "gone": it is not in the store
   * any more, because another process revoked all of a user's sessions, or swept it after it expired.
   */
  readonly reason: "logout" | "revoked" | "rotated" | "expired" | "gone";
}

export type SessionEndListener = (end: SessionEnd) => void;

export interface OnEndOptions {
  /**
   * How often to ask the store, for what other processes end and for deadlines that pass. What this process ends is told at
   * once. Default: "10s".
   */
  every?: Duration;
}

interface Watcher {
  id: string;
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

/** Tells who waits for it that a session has ended: from this process's events, and by asking the store now and then. */
export class Endings {
  readonly #events: EventBus;
  readonly #watchers = new Map<string, Set<Watcher>>();
  #listens = false;

  constructor(events: EventBus) {
    this.#events = events;
  }

  /** Calls `listener` once, when the session of this id has ended, renewals followed. The returned function ends the wait. */
  watch(engine: Engine, id: string, every: number, listener: SessionEndListener): () => void {
    this.#listen();
    const watcher: Watcher = { id, engine, every, listener, timer: undefined };
    this.#add(watcher);
    // It may have ended since its request was opened.
    void this.#check(watcher);
    return () => this.#remove(watcher);
  }

  #listen(): void {
    if (this.#listens) return;
    this.#listens = true;
    this.#events.on("logout", ({ sessionId }) => this.#end(sessionId, "logout"));
    this.#events.on("expired", ({ sessionId }) => this.#end(sessionId, "expired"));
    this.#events.on("rotated", ({ previousId }) => previousId && this.#end(previousId, "rotated"));
    this.#events.on("revoked", ({ sessionId }) => {
      if (sessionId !== undefined) return this.#end(sessionId, "revoked");
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
    let pause = watcher.every;
    try {
      const { engine } = watcher;
      const destination = await find(engine, watcher.id);
      if (!this.#waits(watcher)) return;
      if (destination.kind !== "live") {
        const { kind } = destination;
        const reason = kind === "ended" ? REASONS[destination.tombstone.ended as keyof typeof REASONS] : kind;
        return this.#tell(watcher, reason === "none" ? "gone" : reason);
      }
      this.#move(watcher, destination.id);
      pause = Math.min(pause, destination.stored.record.idleDeadline - engine.clock() + 1);
    } catch {
      // The store's failure is an event already. Whether the session has ended is not known: it is asked again.
      if (!this.#waits(watcher)) return;
    }
    watcher.timer = setTimeout(() => void this.#check(watcher), pause);
    watcher.timer.unref?.();
  }

  #end(id: string, reason: SessionEnd["reason"]): void {
    for (const watcher of this.#of(id)) this.#tell(watcher, reason);
  }

  #tell(watcher: Watcher, reason: SessionEnd["reason"]): void {
    this.#remove(watcher);
    try {
      watcher.listener({ sessionId: watcher.id, reason });
    } catch (error) {
      warn(
        "HOLDFAST_LISTENER",
        `a listener of session.onEnd threw: ${error instanceof Error ? error : shown(error)}`,
      );
    }
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
