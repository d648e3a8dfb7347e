import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createSessions, type SessionsOptions } from "../../src/engine/create-sessions.js";
import { type SessionEventName, sessionEventNames } from "../../src/engine/events.js";
import type { Sessions } from "../../src/engine/sessions.js";
import { Barrier } from "../support/barrier.js";
import { Browser } from "../support/browser.js";
import { sendOverHttp1, sendOverHttp2 } from "../support/http.js";
import { Clock, SECRET } from "../support/shop.js";
import { SlowStore } from "../support/slow-store.js";
import type { Framework, Setup } from "./framework.js";

/** What a test may choose for its application. */
export interface ApplicationOptions extends Partial<Pick<Setup, "trustProxy" | "lazy">> {
  readonly sessions?: Partial<SessionsOptions<any>>;
  /** A store that another application has used before. */
  readonly store?: SlowStore;
}

/** A framework's application on a port of loopback, from a test's point of view. */
export interface Application {
  readonly url: string;
  readonly sessions: Sessions<any>;
  readonly store: SlowStore;
  readonly clock: Clock;
  readonly events: Array<{ name: SessionEventName; [key: string]: any }>;
  /** The barriers that handlers have come to, in order: what tells whether a handler ran. */
  readonly reached: readonly string[];
  browser(): Browser;
  barrier(name: string): Barrier;
  /** Resolves once the server knows that the exchange of this path is over, be it that the client has gone. */
  over(path: string): Promise<void>;
  close(): Promise<void>;
}

export async function startApplication(
  framework: Framework,
  { store = new SlowStore(), trustProxy = false, lazy = false, ...options }: ApplicationOptions = {},
): Promise<Application> {
  const clock = new Clock();
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: store.store,
    clock: clock.read,
    sweepInterval: false,
    ...options.sessions,
  });
  const events: Application["events"] = [];
  for (const name of sessionEventNames) sessions.on(name, (event) => events.push({ name, ...event }));

  const barriers = new Map<string, Barrier>();
  const barrier = (name: string) => {
    const found = barriers.get(name) ?? new Barrier();
    barriers.set(name, found);
    return found;
  };
  const reached: string[] = [];
  const hold = async (name: unknown) => {
    if (typeof name !== "string") return;
    reached.push(name);
    await barrier(name).wait();
  };

  const server = await framework.serve({ sessions, hold, trustProxy, lazy });
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const exchanges = new Map<string, Promise<void>>();
  server.on("request", ({ url }: IncomingMessage, response: ServerResponse) => {
    exchanges.set(url!, new Promise((resolve) => response.on("close", resolve)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const send = framework.http2 ? sendOverHttp2() : sendOverHttp1;

  return {
    url,
    sessions,
    store,
    clock,
    events,
    reached,
    barrier,
    browser: () => new Browser(url, send),
    over: (path) => exchanges.get(path)!,
    async close() {
      for (const each of barriers.values()) each.open();
      store.release();
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
      await sessions.close();
    },
  };
}
