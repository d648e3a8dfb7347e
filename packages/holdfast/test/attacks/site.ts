import { createRequire } from "node:module";
import express, { type Express, type Request, type RequestHandler } from "express";
import { expressSessions } from "../../src/adapters/express.js";
import type { AdapterOptions } from "../../src/adapters/options.js";
import { createSessions, type SessionsOptions } from "../../src/engine/create-sessions.js";
import type { Session } from "../../src/engine/session.js";
import { memoryStore } from "../../src/stores/memory.js";
import { Barrier } from "../support/barrier.js";
import { call } from "../support/sql.js";

// Not imported: its types and Holdfast's say different things of `req.session`, and one program can have but one of them.
const expressSession = createRequire(import.meta.url)("express-session");

/** One of the two sites that every attack is tried on. They have the same routes, and the same holes in the application. */
export interface Site {
  readonly name: "express-session as tutorials set it up" | "Holdfast by default";
  readonly app: Express;
  /** Where the requests of an attack wait for each other. */
  readonly barrier: Barrier;
  /** What the routes of an attack keep with a session: what each library calls its data. */
  data(req: Request): Record<string, any>;
  /** Holdfast's session; undefined on the other site. */
  session(req: Request): Session<any> | undefined;
  /** How many sessions are stored. */
  stored(): number;
  /** All that the store holds, as text. */
  dump(): string | Promise<string>;
  /** From here on, the store can't be reached. */
  cutStore(): void;
  close(): Promise<void>;
}

export interface SiteOptions {
  /** One more mistake that is often made with express-session, where an attack needs it. */
  naive?: Record<string, unknown>;
  holdfast?: Partial<SessionsOptions<any>>;
  adapter?: AdapterOptions<Request>;
  /** Routes of this attack alone. */
  routes?: (site: Site) => void;
}

export const SECRET = "c2cb1c4e-a secret for attacks only-0b7d";

/** As the README and most tutorials have it: in memory, the well-known secret, and the same id before and after the login. */
export function naiveSite({ naive, routes }: SiteOptions = {}): Site {
  const store = new expressSession.MemoryStore();
  const middleware = expressSession({
    secret: "keyboard cat",
    resave: true,
    saveUninitialized: true,
    store,
    ...naive,
  });
  const data = (req: Request) => (req as any).session as Record<string, any>;
  const site: Site = {
    name: "express-session as tutorials set it up",
    app: applicationWith(middleware, data, {
      user: (req) => data(req).user,
      login(req, user) {
        data(req).user = user;
      },
      logout(req) {
        delete data(req).user;
      },
    }),
    barrier: new Barrier(),
    data,
    session: () => undefined,
    stored: () => Object.keys(store.sessions).length,
    dump: () => JSON.stringify(store.sessions),
    cutStore: () => store.emit("disconnect"),
    async close() {},
  };
  routes?.(site);
  return site;
}

/** With what `createSessions` needs, and no more. */
export function holdfastSite({ holdfast, adapter, routes }: SiteOptions = {}): Site {
  const ids = new Set<string>();
  let isCut = false;
  const memory = memoryStore();
  const store: typeof memory = {
    ...memory,
    load(id, call) {
      if (isCut) throw new Error("connection refused");
      return memory.load(id, call);
    },
    create(id, record, call) {
      ids.add(id);
      return memory.create(id, record, call);
    },
  };
  const sessions = createSessions<any>({ secrets: [SECRET], store, ...holdfast });
  const data = (req: Request) => req.session.data as Record<string, any>;
  const site: Site = {
    name: "Holdfast by default",
    app: applicationWith(expressSessions(sessions, adapter), data, {
      user: (req) => req.session.userId,
      login: (req, user) => req.session.login(user),
      logout: (req) => req.session.logout(),
    }),
    barrier: new Barrier(),
    data,
    session: (req) => req.session,
    stored: () => ids.size,
    dump: async () => JSON.stringify(await memory.scan!(undefined, 1000, call())),
    cutStore() {
      isCut = true;
    },
    close: () => sessions.close(),
  };
  routes?.(site);
  return site;
}

interface Login {
  user(req: Request): string | undefined;
  login(req: Request, user: string): unknown;
  logout(req: Request): unknown;
}

function applicationWith(middleware: RequestHandler, data: Site["data"], login: Login): Express {
  const app = express();
  app.set("env", "test");
  app.use(middleware);
  app.get("/", (req, res) => {
    res.json({ user: login.user(req) ?? null, note: data(req).note ?? null });
  });
  app.post("/login/:user", async (req, res) => {
    await login.login(req, req.params.user);
    res.send("hello");
  });
  app.post("/logout", async (req, res) => {
    await login.logout(req);
    res.send("bye");
  });
  app.post("/note/:note", (req, res) => {
    data(req).note = req.params.note;
    res.send("noted");
  });
  // A hole in the application: what it is asked for becomes a part of the page.
  app.get("/search", (req, res) => {
    res.type("html").send(`<!doctype html><title>Search</title><p>Nothing was found for ${req.query.q}</p>`);
  });
  return app;
}
