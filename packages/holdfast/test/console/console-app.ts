import express from "express";
import { expressSessions } from "../../src/adapters/express.js";
import { type SessionConsole, sessionConsole } from "../../src/console/index.js";
import { createSessions, type SessionsOptions } from "../../src/engine/create-sessions.js";
import type { SessionEventName } from "../../src/engine/events.js";
import type { Sessions } from "../../src/engine/sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { memoryStore } from "../../src/stores/memory.js";
import { Browser, listen } from "../support/browser.js";
import { requestWith } from "../support/exchange.js";
import { SECRET } from "../support/shop.js";

/** An application with the console at /admin/sessions, for whoever is logged in as admin. */
export interface ConsoleApp {
  readonly url: string;
  readonly sessions: Sessions<any>;
  readonly console: SessionConsole<any>;
  readonly events: Array<{ name: SessionEventName; [key: string]: any }>;
  browser(): Browser;
  /** Logs users in, as by another browser each. */
  people(...userIds: string[]): Promise<void>;
  close(): Promise<void>;
}

export async function openConsoleApp(
  store: Store = memoryStore(),
  options: Partial<SessionsOptions<any>> = {},
): Promise<ConsoleApp> {
  const sessions = createSessions<any>({ secrets: [SECRET], store, sweepInterval: false, ...options });
  const events: ConsoleApp["events"] = [];
  sessions.on("*", (event) => events.push(event));
  const administration = sessionConsole<any>(sessions, {
    path: "/admin/sessions",
    title: "Harbour sessions",
    guard: (req) => (req.session.userId === "admin" ? "admin:root" : undefined),
  });
  const app = express();
  app.use(expressSessions(sessions));
  app.get("/login/:user", async (req, res) => {
    await req.session.login(req.params.user);
    res.send(
      `<!doctype html><link rel=icon href="data:,"><title>in</title>You are ${encodeURIComponent(req.params.user)}`,
    );
  });
  app.use("/admin/sessions", administration.node);
  app.use((_req, res) => void res.status(404).send("not the console's"));
  const { url, close } = await listen(app);
  return {
    url,
    sessions,
    console: administration,
    events,
    browser: () => new Browser(url),
    async people(...userIds) {
      for (const userId of userIds) {
        const exchange = await sessions.open(requestWith(undefined));
        await exchange.session.login(userId);
        await exchange.commit();
      }
    },
    async close() {
      administration.close();
      await close();
      await sessions.close();
    },
  };
}
