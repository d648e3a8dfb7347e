import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { pipeline, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import Koa3, { type Context, type Middleware } from "koa";
import { koaSessions } from "../../src/adapters/koa.js";
import { ANSWER, CHUNKS, EVENTS, type Setup, type Ways } from "./framework.js";
import { testFramework } from "./suite.js";

const { default: Koa2 } = (await import("koa2" as string)) as { default: typeof Koa3 };

const FILE = fileURLToPath(import.meta.url);
const fileText = readFileSync(FILE, "utf8");

/** Answers by `ctx.res`, in Koa's words: it is bypassed. */
const bypassing = (respond: (res: Context["res"]) => unknown) => (ctx: Context) => {
  ctx.respond = false;
  ctx.status = 200;
  return respond(ctx.res);
};

async function writeByAndBy(res: Context["res"]) {
  for (const letter of ANSWER) {
    res.write(letter);
    await null;
  }
  res.end();
}

const ways: Ways<(ctx: Context) => unknown> = {
  text: { respond: (ctx) => (ctx.body = ANSWER) },
  html: { respond: (ctx) => (ctx.body = `<p>${ANSWER}`), body: `<p>${ANSWER}` },
  bytes: { respond: (ctx) => (ctx.body = Buffer.from(ANSWER)) },
  json: {
    respond: (ctx) => (ctx.body = { answer: ANSWER }),
    body: JSON.stringify({ answer: ANSWER }),
  },
  "null-body": { respond: (ctx) => (ctx.body = null), status: 204, body: "" },
  "status-only": { respond: (ctx) => (ctx.status = 202), status: 202, body: "Accepted" },
  nothing: { respond: () => {}, status: 404, body: "Not Found" },
  stream: { respond: (ctx) => (ctx.body = Readable.from([...ANSWER].map((letter) => Buffer.from(letter)))) },
  file: { respond: (ctx) => (ctx.body = createReadStream(FILE)), body: fileText },
  attachment: {
    respond(ctx) {
      ctx.attachment("answer.txt");
      ctx.body = ANSWER;
    },
  },
  redirect: { respond: (ctx) => ctx.redirect("/there"), status: 302, body: "Redirecting to /there." },
  "ctx.throw": { respond: (ctx) => ctx.throw(418, ANSWER), status: 418 },
  "flushHeaders-then-body": {
    respond(ctx) {
      ctx.status = 200;
      ctx.flushHeaders();
      ctx.body = Readable.from([Buffer.from(ANSWER)]);
    },
  },
  "res.end-without-bypassing": {
    respond(ctx) {
      ctx.status = 200;
      ctx.res.end(ANSWER);
    },
  },
  "res.write-by-and-by-without-bypassing": {
    async respond(ctx) {
      ctx.status = 200;
      await writeByAndBy(ctx.res);
    },
  },
  "bypassing-end": { respond: bypassing((res) => res.end(ANSWER)) },
  "bypassing-write": {
    respond: bypassing((res) => [...ANSWER].map((letter) => res.write(letter)) && res.end()),
  },
  "bypassing-write-by-and-by": { respond: bypassing(writeByAndBy) },
  "bypassing-write-by-and-by-after-the-middleware": {
    respond: bypassing((res) => {
      setImmediate(() => writeByAndBy(res));
    }),
  },
  "bypassing-writeHead": {
    respond: bypassing((res) => res.writeHead(201, { "X-Own": "1" }).end(ANSWER)),
    status: 201,
  },
  "bypassing-writeHead-with-list": {
    respond: bypassing((res) => res.writeHead(200, "Fine", ["X-Own", "1"]).end(ANSWER)),
  },
  "bypassing-flushHeaders": {
    respond: bypassing((res) => {
      res.flushHeaders();
      res.end(ANSWER);
    }),
  },
  "bypassing-pipe": { respond: bypassing((res) => void Readable.from([...ANSWER]).pipe(res)) },
  "bypassing-pipeline": {
    respond: bypassing((res) => void pipeline(Readable.from([...ANSWER]), res, () => {})),
  },
  "bypassing-later": { respond: bypassing((res) => void setImmediate(() => res.end(ANSWER))) },
};

const waysOfKoa3: typeof ways = {
  ...ways,
  blob: { respond: (ctx) => (ctx.body = new Blob([ANSWER])) },
  response: { respond: (ctx) => (ctx.body = new Response(ANSWER, { status: 201 })), status: 201 },
  "web-stream": { respond: (ctx) => (ctx.body = new Blob([ANSWER]).stream()) },
};

testFramework({ name: "Koa 3", ways: waysOfKoa3, serve: (setup) => serve(Koa3, waysOfKoa3, setup) });
testFramework({ name: "Koa 2", ways, serve: (setup) => serve(Koa2, ways, setup) });

function serve(Koa: typeof Koa3, ways: Ways<(ctx: Context) => unknown>, setup: Setup) {
  const { sessions, hold, trustProxy, lazy } = setup;
  const app = new Koa({ proxy: trustProxy });
  app.silent = true;
  app.use(koaSessions(sessions, { lazy, skip: ({ path }) => path === "/skipped" }));
  app.use(async ({ query }, next) => {
    await hold(query.hold);
    await next();
  });
  app.use(routes(ways, hold));
  return createServer(app.callback());
}

type Handler = (ctx: Context, first: string, second: string) => unknown;

function routes(ways: Ways<(ctx: Context) => unknown>, hold: Setup["hold"]): Middleware {
  const table: Record<string, Handler> = {
    "GET plain": (ctx) => {
      ctx.body = ANSWER;
    },
    "GET read": (ctx) => {
      const { userId, isNew, data } = ctx.session;
      ctx.body = { userId, isNew, data };
    },
    "POST set": (ctx, key, value) => {
      ctx.session.data[key] = value;
      ctx.body = ANSWER;
    },
    "POST increment": async (ctx) => {
      const count = await ctx.session.update((data) => (data.counter = Number(data.counter ?? 0) + 1));
      ctx.body = String(count);
    },
    "POST login": async (ctx, user) => {
      await ctx.session.login(user);
      ctx.status = 303;
      ctx.redirect("/read");
    },
    "POST logout": async (ctx) => {
      await ctx.session.logout();
      ctx.body = ANSWER;
    },
    "POST rotate": async (ctx) => {
      await ctx.session.rotate();
      ctx.body = ANSWER;
    },
    "GET respond": (ctx, way) => {
      ctx.session.data.written = true;
      return ways[way]!.respond(ctx);
    },
    "GET large": (ctx) => {
      ctx.session.data.written = true;
      ctx.body = Readable.from(CHUNKS, { objectMode: false });
    },
    "GET sse": (ctx) => {
      ctx.session.data.written = true;
      ctx.type = "text/event-stream";
      ctx.body = Readable.from(events(ctx));
    },
    "GET throw": (ctx) => {
      ctx.session.data.written = true;
      throw new Error("thrown");
    },
    "GET reject": async (ctx) => {
      ctx.session.data.written = true;
      await null;
      throw new Error("rejected");
    },
    "GET etag": (ctx) => {
      ctx.session.data.written = true;
      ctx.body = ANSWER;
      ctx.etag = "answer";
      if (ctx.fresh) ctx.status = 304;
    },
    "GET own-headers": (ctx, kind) => {
      ctx.session.data.written = true;
      ctx.cookies.set("theme", "dark");
      ctx.cookies.set("lang", "en");
      ctx.vary("Accept-Language");
      ctx.set("Cache-Control", `${kind}, max-age=60`);
      ctx.body = ANSWER;
    },
    "GET skipped": (ctx) => {
      ctx.body = typeof ctx.session;
    },
    "GET lazy/plain": (ctx) => {
      ctx.body = ANSWER;
    },
    "GET lazy/read": async (ctx) => {
      const { userId, isNew, data } = await ctx.openSession();
      ctx.body = { userId, isNew, data };
    },
    "POST lazy/set": async (ctx, key, value) => {
      (await ctx.openSession()).data[key] = value;
      ctx.body = ANSWER;
    },
    "GET lazy/early": (ctx) => {
      try {
        ctx.body = typeof ctx.session;
      } catch (error) {
        ctx.body = (error as Error).message;
      }
    },
  };

  async function* events({ session }: Context) {
    yield EVENTS[0];
    await hold("sse");
    session.data.late = true;
    yield EVENTS[1];
  }

  return async (ctx) => {
    const method = ctx.method === "HEAD" ? "GET" : ctx.method;
    const [, path, first = "", second = ""] =
      /^\/((?:lazy\/)?[^/]+)\/?([^/]*)\/?([^/]*)/.exec(ctx.path) ?? [];
    await table[`${method} ${path}`]?.(ctx, first, second);
  };
}
