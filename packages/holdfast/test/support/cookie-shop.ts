import type { ServerResponse } from "node:http";
import express, { type Express, type Request, type Response } from "express";
import { expressSessions } from "../../src/adapters/express.js";
import { type CookieSessionsOptions, createSessions } from "../../src/engine/create-sessions.js";
import { type SessionEventName, sessionEventNames } from "../../src/engine/events.js";
import type { RevocableCookieSessions } from "../../src/engine/sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { cookieStore } from "../../src/stores/cookie.js";
import { Barrier } from "./barrier.js";
import { Browser, listen } from "./browser.js";
import { Clock, SECRET } from "./shop.js";

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
  const events: CookieShop["events"] = [];
  for (const name of sessionEventNames) sessions.on(name, (event) => events.push({ name, ...event }));

  const barriers = new Map<string, Barrier>();
  const barrier = (name: string) => {
    const found = barriers.get(name) ?? new Barrier();
    barriers.set(name, found);
    return found;
  };

  const app = express();
  app.use(expressSessions(sessions));
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
  app.post("/set/:key/:value", (req, res) => {
    req.session.data[req.params.key] = req.params.value;
    res.send("set");
  });
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
