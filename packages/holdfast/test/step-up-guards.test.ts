import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { afterEach, describe, expect, it } from "vitest";
import * as forExpress from "../src/adapters/express.js";
import * as forFastify from "../src/adapters/fastify.js";
import * as forHono from "../src/adapters/hono.js";
import * as forKoa from "../src/adapters/koa.js";
import { createSessions } from "../src/engine/create-sessions.js";
import type { Session } from "../src/engine/session.js";
import type { Sessions } from "../src/engine/sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { Browser } from "./support/browser.js";
import { Clock, SECRET } from "./support/shop.js";

/** The same application on each framework, with the guards of that framework's adapter. */

const MINUTE = 60_000;
const NEEDS = { level: 2 };
const LED = { redirectTo: (needs: string) => `/prove?needs=${needs}` };
const actions: Record<string, (session: Session<any>) => Promise<void>> = {
  login: (session) => session.login("ada", { methods: ["pwd"], level: 1 }),
  elevate: (session) => session.elevate({ methods: ["otp"], level: 2 }),
};

const FRAMEWORKS: Array<[string, (sessions: Sessions<any>, lazy: boolean) => Promise<Server> | Server]> = [
  [
    "Express",
    (sessions, lazy) => {
      const { requireRecentLogin, requireElevation, expressSessions } = forExpress;
      const app = express();
      app.set("env", "test");
      app.use(expressSessions(sessions, { lazy }));
      app.post("/do/:action", async (req, res) => {
        await actions[req.params.action]!(await req.openSession());
        res.end();
      });
      const done: express.RequestHandler = (_req, res) => {
        res.send("done");
      };
      const below = express.Router();
      below.all("/recent", requireRecentLogin("5m"), done);
      below.all("/elevated", requireElevation(), done);
      below.all("/level-2", requireElevation(NEEDS, LED), done);
      below.all("/led", requireRecentLogin("5m", { redirectTo: "/login" }), done);
      app.use("/account", below);
      return createServer(app);
    },
  ],
  [
    "Koa",
    (sessions, lazy) => {
      const { requireRecentLogin, requireElevation, koaSessions } = forKoa;
      const app = new Koa();
      app.silent = true;
      app.use(koaSessions(sessions, { lazy }));
      const guards: Record<string, Koa.Middleware> = {
        "/account/recent": requireRecentLogin("5m"),
        "/account/elevated": requireElevation(),
        "/account/level-2": requireElevation(NEEDS, LED),
        "/account/led": requireRecentLogin("5m", { redirectTo: "/login" }),
      };
      app.use(async (ctx) => {
        const action = /^\/do\/(\w+)/.exec(ctx.path)?.[1];
        if (action !== undefined) {
          await actions[action]!(await ctx.openSession());
          ctx.body = "";
          return;
        }
        await guards[ctx.path]!(ctx as any, async () => {
          ctx.body = "done";
        });
      });
      return createServer(app.callback());
    },
  ],
  [
    "Fastify",
    async (sessions, lazy) => {
      const { requireRecentLogin, requireElevation, fastifySessions } = forFastify;
      const app = fastify();
      app.register(fastifySessions, { sessions, lazy });
      app.after(() => {
        app.post("/do/:action", async (request) => {
          const { action } = request.params as { action: string };
          await actions[action]!(await request.openSession());
          return "";
        });
        const all = (url: string, onRequest: ReturnType<typeof requireElevation>) =>
          app.route({ method: ["GET", "POST"], url, onRequest, handler: async () => "done" });
        all("/account/recent", requireRecentLogin("5m"));
        all("/account/elevated", requireElevation());
        all("/account/level-2", requireElevation(NEEDS, LED));
        all("/account/led", requireRecentLogin("5m", { redirectTo: "/login" }));
      });
      await app.ready();
      return app.server;
    },
  ],
  [
    "Hono",
    (sessions, lazy) => {
      const { requireRecentLogin, requireElevation, honoSessions } = forHono;
      const app = new Hono<forHono.SessionEnv<any>>();
      app.use(honoSessions(sessions, { lazy }));
      app.post("/do/:action", async (c) => {
        await actions[c.req.param("action")]!(await c.var.openSession());
        return c.body("");
      });
      app.all("/account/recent", requireRecentLogin("5m"), (c) => c.text("done"));
      app.all("/account/elevated", requireElevation(), (c) => c.text("done"));
      app.all("/account/level-2", requireElevation(NEEDS, LED), (c) => c.text("done"));
      app.all("/account/led", requireRecentLogin("5m", { redirectTo: "/login" }), (c) => c.text("done"));
      return createAdaptorServer(app) as Server;
    },
  ],
];

const PAGE = { accept: "text/html,application/xhtml+xml" };

describe.each(FRAMEWORKS)("the guards for %s", (_name, serve) => {
  let close = async () => {};
  afterEach(() => close());

  const start = async (lazy = false) => {
    const clock = new Clock();
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: memoryStore(),
      clock: clock.read,
      sweepInterval: false,
    });
    const server = await serve(sessions, lazy);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    close = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await sessions.close();
    };
    const user = new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return { clock, user };
  };

  it("answer 401 with what is needed, and let pass who has it", async () => {
    const { clock, user } = await start();
    const visitor = await user.get("/account/recent");
    expect(visitor.status).toBe(401);
    expect(visitor.headers.get("www-authenticate")).toBe("Bearer");
    await user.post("/do/login");
    expect(await user.get("/account/recent")).toMatchObject({ status: 200, body: "done" });
    clock.advance(5 * MINUTE);
    const old = await user.get("/account/recent");
    expect(old.status).toBe(401);
    expect(old.headers.get("www-authenticate")).toBe(
      'Bearer error="insufficient_user_authentication", error_description="A more recent authentication is required", max_age="300"',
    );
    const weak = await user.post("/account/elevated");
    expect(weak.status).toBe(401);
    expect(weak.headers.get("www-authenticate")).toContain("A stronger authentication is required");
    await user.post("/do/elevate");
    for (const path of ["/account/recent", "/account/elevated", "/account/level-2"])
      expect(await user.post(path)).toMatchObject({ status: 200, body: "done" });
  });

  it("lead people to where they prove it, and back to the page, or to the page that the form is on", async () => {
    const { user } = await start();
    const page = await user.get("/account/led?tab=1&x=%2F", PAGE);
    expect(page.status).toBe(303);
    const back = encodeURIComponent("/account/led?tab=1&x=%2F");
    expect(page.headers.get("location")).toBe(`/login?returnTo=${back}`);
    expect(page.headers.get("cache-control")).toBe("no-store");
    await user.post("/do/login");
    const form = await user.post("/account/level-2", {
      ...PAGE,
      referer: "https://shop.example/account/devices?page=2",
    });
    expect(form.status).toBe(303);
    expect(form.headers.get("location")).toBe(
      `/prove?needs=elevation&returnTo=${encodeURIComponent("/account/devices?page=2")}`,
    );
    const unknown = await user.post("/account/level-2", { ...PAGE, referer: "about:blank" });
    expect(unknown.headers.get("location")).toBe("/prove?needs=elevation");
    // What a script asks for gets the error.
    expect((await user.post("/account/level-2", { accept: "application/json" })).status).toBe(401);
  });

  it("lead nowhere else, whatever is asked for", async () => {
    const { user } = await start();
    for (const path of ["/account/led?a=//evil.example", "/account/led#//evil.example"]) {
      const { headers } = await user.get(path, PAGE);
      expect(headers.get("location")).toMatch(/^\/login\?returnTo=%2Faccount%2Fled/);
    }
    const { headers } = await user.post("/account/led", {
      ...PAGE,
      referer: "https://x.example//evil.example",
    });
    expect(headers.get("location")).toBe("/login");
  });

  it("open a lazy session themselves", async () => {
    const { user } = await start(true);
    expect((await user.get("/account/recent")).status).toBe(401);
    await user.post("/do/login");
    expect((await user.get("/account/recent")).status).toBe(200);
  });
});

it.each(
  FRAMEWORKS.map(([name], index) => [name, [forExpress, forKoa, forFastify, forHono][index]!] as const),
)(
  "the guards for %s refuse what they can't do, at the start",
  (_name, { requireRecentLogin, requireElevation }) => {
    expect(() => requireRecentLogin("soon" as "1m")).toThrow("requireRecentLogin:");
    expect(() => requireRecentLogin("5m", { redirectTo: "https://evil.example" })).toThrow(
      "requireRecentLogin.redirectTo:",
    );
    expect(() => requireElevation({ level: -1 })).toThrow("level");
    expect(() => requireElevation({}, { redirectTo: "//evil.example" })).toThrow(
      "requireElevation.redirectTo:",
    );
  },
);
