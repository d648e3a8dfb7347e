import express, { type Express } from "express";
import { expressSessions } from "../../src/adapters/express.js";
import { createSessions, type SessionsOptions } from "../../src/engine/create-sessions.js";
import { type SessionEventName, sessionEventNames } from "../../src/engine/events.js";
import type { BaseSessions, Sessions } from "../../src/engine/sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { Barrier } from "./barrier.js";
import { Browser, listen } from "./browser.js";

export const SECRET = "9d1f6b0c-a secret for tests only-77e2";

/** A clock that stands still until it is told to go on. */
export class Clock {
  time = Date.UTC(2030, 0, 1);
  readonly read = () => this.time;

  advance(milliseconds: number): void {
    this.time += milliseconds;
  }
}

export interface Data {
  cart?: string[];
  counter?: number;
  [key: string]: unknown;
}

/** A small real application over real HTTP, with a barrier for each request that asks for one. */
export interface TestShop {
  readonly sessions: Sessions<Data>;
  readonly clock: Clock;
  readonly app: Express;
  readonly events: Array<{ name: SessionEventName; [key: string]: any }>;
  browser(): Browser;
  /** The barrier that a request with `?hold=name` waits at, after its session was opened and before its work. */
  barrier(name: string): Barrier;
  close(): Promise<void>;
}

export async function openShop(
  store: Store,
  options: Partial<SessionsOptions<Data>> = {},
): Promise<TestShop> {
  const clock = new Clock();
  const sessions = createSessions<Data>({
    secrets: [SECRET],
    store,
    clock: clock.read,
    sweepInterval: false,
    ...options,
  });
  const { app, events, barrier } = shopOn(sessions);
  app.post("/revoke-all", async (req, res) => {
    res.json(await sessions.ofUser(req.session.userId!).revokeAll());
  });

  const { url, close } = await listen(app);
  return {
    sessions,
    clock,
    app,
    events,
    barrier,
    browser: () => new Browser(url),
    async close() {
      await close();
      await sessions.close();
    },
  };
}

/** The routes of every test shop, on sessions of any kind, with what happens to them and the barriers of the requests. */
export function shopOn(sessions: BaseSessions<any>): Pick<TestShop, "app" | "events" | "barrier"> {
  const events: TestShop["events"] = [];
  for (const name of sessionEventNames) sessions.on(name, (event) => events.push({ name, ...event }));

  const barriers = new Map<string, Barrier>();
  const barrier = (name: string) => {
    const found = barriers.get(name) ?? new Barrier();
    barriers.set(name, found);
    return found;
  };

  const app = express();
  app.use(expressSessions(sessions));
  // The session is opened and its data read before the request is held, as in a handler that works for a while.
  app.use(async (req, _res, next) => {
    const { hold } = req.query;
    if (typeof hold === "string") {
      void req.session.data;
      await barrier(hold).wait();
    }
    next();
  });
  app.get("/session", ({ session }, res) => {
    res.json({ ...session.toJSON(), data: session.data });
  });
  app.get("/plain", (_req, res) => {
    res.send("no session is looked at");
  });
  app.post("/set/:key/:value", (req, res) => {
    req.session.data[req.params.key] = req.params.value;
    res.send("set");
  });
  app.post("/cart/:item", async (req, res) => {
    await req.session.update((data) => {
      data.cart = [...(data.cart ?? []), req.params.item];
    });
    res.json(req.session.data.cart);
  });
  app.post("/increment", async (req, res) => {
    res.json(await req.session.update((data) => (data.counter = (data.counter ?? 0) + 1)));
  });
  app.post("/login/:user", async (req, res) => {
    await req.session.login(req.params.user);
    res.redirect("/session");
  });
  app.post("/rotate", async (req, res) => {
    await req.session.rotate();
    res.send("rotated");
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.send("logged out");
  });
  return { app, events, barrier };
}
