import { createServer, type RequestListener, request } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { text } from "node:stream/consumers";
import { createAdaptorServer } from "@hono/node-server";
import express5 from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa3 from "koa";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { checkCsrfToken } from "../src/adapters/binding.js";
import { expressSessions } from "../src/adapters/express.js";
import { fastifySessions } from "../src/adapters/fastify.js";
import { fetchSessions } from "../src/adapters/fetch.js";
import { honoSessions, type SessionEnv } from "../src/adapters/hono.js";
import { koaSessions } from "../src/adapters/koa.js";
import { nodeSessions } from "../src/adapters/node.js";
import { createSessions } from "../src/engine/create-sessions.js";
import type { Sessions } from "../src/engine/sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { SECRET } from "./support/shop.js";

const { default: express4 } = (await import("express4" as string)) as { default: typeof express5 };
const { default: Koa2 } = (await import("koa2" as string)) as { default: typeof Koa3 };

/**
 * The smallest application of each framework, without an error handler of its own: GET / gives a CSRF token, POST /json and POST
 * /form say who is logged in, and /form checks the field `_csrf` before, where the framework has parsed forms.
 */
const applications: Record<string, (sessions: Sessions<any>) => Server | Promise<Server>> = {
  "Express 5": (sessions) => createServer(onExpress(express5, sessions)),
  "Express 4": (sessions) => createServer(onExpress(express4, sessions)),
  "Koa 3": (sessions) => createServer(onKoa(Koa3, sessions)),
  "Koa 2": (sessions) => createServer(onKoa(Koa2, sessions)),
  async "Fastify 5"(sessions) {
    const app = fastify();
    app.addContentTypeParser(
      "application/x-www-form-urlencoded",
      { parseAs: "string" },
      (_request, body, done) => {
        done(null, Object.fromEntries(new URLSearchParams(String(body))));
      },
    );
    app.register(fastifySessions, { sessions });
    app.get("/", async ({ session }) => session.csrfToken());
    app.post("/json", async ({ session }) => `reached ${session.isNew}`);
    app.post("/form", async (request) => {
      await checkCsrfToken(request, (request.body as any)._csrf);
      return `reached ${request.session.isNew}`;
    });
    await app.ready();
    return app.server;
  },
  Hono(sessions) {
    const app = new Hono<SessionEnv<any>>();
    app.use(honoSessions(sessions));
    app.get("/", (c) => c.text(c.var.session.csrfToken()));
    app.post("/json", (c) => c.text(`reached ${c.var.session.isNew}`));
    app.post("/form", async (c) => {
      await checkCsrfToken(c, (await c.req.parseBody())._csrf);
      return c.text(`reached ${c.var.session.isNew}`);
    });
    return createAdaptorServer({ fetch: app.fetch }) as Server;
  },
  "node:http"(sessions) {
    return createServer(
      nodeSessions(sessions).handler(async (request, response) => {
        if (request.method === "GET") return response.end(request.session.csrfToken());
        if (request.url === "/form")
          await checkCsrfToken(request, new URLSearchParams(await text(request)).get("_csrf"));
        return response.end(`reached ${request.session.isNew}`);
      }),
    );
  },
  Fetch(sessions) {
    const answer = fetchSessions(sessions, { remoteAddress: () => "127.0.0.1" }).handler(
      async (request, session) =>
        request.method === "GET"
          ? new Response(session.csrfToken())
          : new Response(`reached ${session.isNew}`),
    );
    return createAdaptorServer({ fetch: answer }) as Server;
  },
};

function onExpress(express: typeof express5, sessions: Sessions<any>): RequestListener {
  const app = express();
  app.use(expressSessions(sessions), express.urlencoded({ extended: false }));
  app.get("/", (req, res) => void res.send(req.session.csrfToken()));
  app.post("/json", (req, res) => void res.send(`reached ${req.session.isNew}`));
  app.post("/form", (req, res, next) => {
    checkCsrfToken(req, req.body._csrf).then(() => res.send(`reached ${req.session.isNew}`), next);
  });
  return app;
}

function onKoa(Koa: typeof Koa3, sessions: Sessions<any>): RequestListener {
  const app = new Koa();
  app.silent = true;
  app.use(koaSessions(sessions));
  app.use(async (ctx) => {
    if (ctx.method === "GET") {
      ctx.body = ctx.session.csrfToken();
      return;
    }
    if (ctx.path === "/form")
      await checkCsrfToken(ctx, new URLSearchParams(await text(ctx.req)).get("_csrf"));
    ctx.body = `reached ${ctx.session.isNew}`;
  });
  return app.callback();
}

const running: Array<{ server: Server; sessions: Sessions<any> }> = [];
let warning: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(async () => {
  for (const { server, sessions } of running.splice(0)) {
    await new Promise((resolve) => server.close(resolve));
    await sessions.close();
  }
  vi.restoreAllMocks();
});

async function start(name: string, options: object) {
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    sweepInterval: false,
    ...options,
  });
  const server = await applications[name]!(sessions);
  running.push({ server, sessions });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return (path: string, headers: Record<string, string> = {}, body?: string) =>
    new Promise<{ status: number; headers: Record<string, any>; body: string }>((resolve, reject) => {
      const method = path === "/" ? "GET" : "POST";
      request({ port, host: "127.0.0.1", path, method, headers: { ...headers, connection: "close" } })
        .on("response", async (response) => {
          resolve({ status: response.statusCode!, headers: response.headers, body: await text(response) });
        })
        .on("error", reject)
        .end(body);
    });
}

const FORM = { "content-type": "application/x-www-form-urlencoded" };

describe.each(Object.keys(applications))("%s, with no error handler of the application's own,", (name) => {
  it("answers what the CSRF guard refuses with 403, without a cookie, and warns nobody", async () => {
    const send = await start(name, { csrf: true });
    const answer = await send("/json", { "sec-fetch-site": "cross-site" });
    expect(answer.status).toBe(403);
    expect(answer.body).not.toContain("reached");
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(warning).not.toHaveBeenCalled();
    expect(await send("/json", { "sec-fetch-site": "same-origin" })).toMatchObject({
      status: 200,
      body: "reached true",
    });
  });

  it("answers who guesses with 429, and says when to come again", async () => {
    const send = await start(name, { guessLimit: { max: 1, per: "1h" }, clock: () => 0 });
    const guess = (value: string) => send("/", { cookie: `sid=${value}; __Host-sid=${value}` });
    expect((await guess("a")).status).toBe(200);
    const answer = await guess("b");
    expect({ status: answer.status, after: answer.headers["retry-after"] }).toEqual({
      status: 429,
      after: "3600",
    });
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(warning).not.toHaveBeenCalled();
  });

  it.skipIf(name === "Fetch")(
    "takes the token of an old client's form, and keeps the session closed until then",
    async () => {
      const send = await start(name, { csrf: { formTokens: true } });
      const page = await send("/");
      const cookie = page.headers["set-cookie"][0].split(";", 1)[0];
      const form = { ...FORM, cookie };
      expect(await send("/form", form, `_csrf=${page.body}`)).toMatchObject({
        status: 200,
        body: "reached false",
      });
      expect((await send("/form", form, "_csrf=x")).status).toBe(403);
      expect((await send("/form", form, "a=b")).status).toBe(403);
      expect((await send("/form", FORM, `_csrf=${page.body}`)).status).toBe(403);
      expect((await send("/json", form, `_csrf=${page.body}`)).status).toBe(403);
      expect((await send("/form", { ...form, origin: "https://evil.example" }, "a=b")).status).toBe(403);
      // What the guard lets pass without a token needs none.
      const own = { ...form, "sec-fetch-site": "same-origin" };
      expect(await send("/form", own, "a=b")).toMatchObject({ status: 200, body: "reached false" });
    },
  );
});

it("checkCsrfToken says where a request has no sessions", async () => {
  await expect(checkCsrfToken({}, "x")).rejects.toThrow("This request has no session");
});
