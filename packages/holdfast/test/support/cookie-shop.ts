import type { ServerResponse } from "node:http";
import type { Express, Request, Response } from "express";
import { type CookieSessionsOptions, createSessions } from "../../src/engine/create-sessions.js";
import type { SessionEventName } from "../../src/engine/events.js";
import type { RevocableCookieSessions } from "../../src/engine/sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { cookieStore } from "../../src/stores/cookie.js";
import type { Barrier } from "./barrier.js";
import { Browser, listen } from "./browser.js";
import { Clock, SECRET, shopOn } from "./shop.js";

/** A small real application whose sessions live in cookies, with a list of the ended ones or without. */
export interface CookieShop {
  /** Without a list there is no `ofUser`. */
  readonly sessions: RevocableCookieSessions<any>;
  readonly clock: Clock;
  readonly app: Express;
  readonly events: Array<{ name: SessionEventName; [key: string]: any }>;
  readonly errors: unknown[];
  browser(): Browser;
  /** The barrier that a request with `?hold=name` waits at, after its session was opened and before its work. */
  barrier(name: string): Barrier;
  close(): Promise<void>;
}

type Options = Partial<Omit<CookieSessionsOptions<any, true>, "store">> & { maxCookies?: number };

export async function openCookieShop(
  revocations: Store | undefined,
  { maxCookies = 2, ...options }: Options = {},
  clock = new Clock(),
): Promise<CookieShop> {
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: cookieStore({ maxCookies, revocations: revocations as Store }),
    clock: clock.read,
    sweepInterval: false,
    ...options,
  });
  const { app, events, barrier } = shopOn(sessions);
  app.post("/fill/:key/:length", (req, res) => {
    req.session.data[req.params.key] = "x".repeat(Number(req.params.length));
    res.send("filled");
  });
  app.post("/touch", async (req, res) => {
    await req.session.touch();
    res.send("touched");
  });
  app.get("/poll", (req, res) => {
    req.session.ignoreActivity();
    res.json(req.session.toJSON());
  });
  app.post("/flash/:message", (req, res) => {
    req.session.flash("notice", req.params.message);
    res.send("left");
  });
  app.get("/flash", (req, res) => {
    res.json(req.session.flash("notice"));
  });
  app.post("/revoke-all", async (req, res) => {
    await sessions.ofUser(req.session.userId!).revokeAll();
    res.send("revoked");
  });
  app.post("/revoke-others", async (req, res) => {
    await sessions.ofUser(req.session.userId!).revokeAll({ except: req.session.id });
    res.send("revoked");
  });
  const errors: unknown[] = [];
  // Not a middleware of the application, for tests add routes to it.
  const answer = (error: any, res: ServerResponse) => {
    if (error) errors.push(error);
    res.statusCode = error ? (error.status ?? 500) : 404;
    res.end(error?.code);
  };
  const { url, close } = await listen((req, res) => {
    app(req as Request, res as Response, (error: unknown) => answer(error, res));
  });
  return {
    sessions,
    clock,
    app,
    events,
    errors,
    barrier,
    browser: () => new Browser(url),
    async close() {
      await close();
      await sessions.close();
    },
  };
}
