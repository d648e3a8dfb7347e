import { clearTimeout, setTimeout } from "node:timers";
import { warn } from "../warn.js";

/** A connection on which a server tells of changes. */
export interface Listening {
  /** A sign of life. */
  ping(): Promise<unknown>;
  end(): unknown;
}

/** What a connection tells while it lasts. */
export interface Listener {
  changed(id: string | undefined): void;
  /** The connection is gone. Whoever has made it makes no other. */
  lost(error?: unknown): void;
}

/** Milliseconds. */
const PATIENCE = 5000;
const PING_INTERVAL = 10_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 15_000;

/**
 * Listens on one connection after the other, for as long as it isn't stopped. Before each begins to tell, and when it is
 * lost or shows no sign of life, anything may have changed.
 */
export function keepListening(
  what: string,
  listen: (listener: Listener) => Promise<Listening>,
  onChange: (id: string | undefined) => void,
): () => void {
  let stopped = false;
  let failures = 0;
  let current: { end(): void } | undefined;
  let pause: NodeJS.Timeout | undefined;

  function again(): void {
    current = undefined;
    const longest = Math.min(FIRST_PAUSE * 2 ** failures++, LONGEST_PAUSE);
    pause = setTimeout(begin, longest * (0.5 + Math.random() / 2));
    pause.unref();
  }

  function begin(): void {
    let ended = false;
    let timer: NodeJS.Timeout | undefined;
    let listening: Listening | undefined;
    const end = () => {
      ended = true;
      clearTimeout(timer);
      listening?.end();
    };
    const lost = (error?: unknown) => {
      if (ended) return;
      end();
      if (listening !== undefined) onChange(undefined);
      if (failures === 0) tell(what, error);
      again();
    };
    const patience = (task: () => void, time: number) => {
      clearTimeout(timer);
      timer = setTimeout(task, time);
      timer.unref();
    };
    const ping = () => {
      patience(() => lost(new Error("the connection has gone silent")), PATIENCE);
      listening!.ping().then(() => {
        if (!ended) patience(ping, PING_INTERVAL);
      }, lost);
    };

    current = { end };
    patience(() => lost(new Error(`no answer within ${PATIENCE} ms`)), PATIENCE);
    const changed = (id: string | undefined) => {
      if (!ended) onChange(id);
    };
    listen({ changed, lost }).then((made) => {
      listening = made;
      if (ended) return void made.end();
      failures = 0;
      onChange(undefined);
      patience(ping, PING_INTERVAL);
    }, lost);
  }

  begin();
  return () => {
    if (stopped) return;
    stopped = true;
    clearTimeout(pause);
    current?.end();
  };
}

function tell(what: string, error: unknown): void {
  const why = error instanceof Error ? error.message : "the connection was closed";
  warn(
    "HOLDFAST_WATCH",
    `${what} doesn't tell of changes: ${why}. It is tried again; meanwhile changes by other processes are noticed later.`,
  );
}
