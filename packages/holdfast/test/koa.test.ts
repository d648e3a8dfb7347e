import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { createGunzip } from "node:zlib";
import compression from "compression";
import Koa3, { type Context, type Middleware } from "koa";
import compose from "koa-compose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { koaSessions } from "../src/adapters/koa.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Sessions } from "../src/engine/sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { Browser, listen } from "./support/browser.js";
import { withResolvers } from "./support/resolvers.js";
import { SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

const { default: Koa2 } = (await import("koa2" as string)) as { default: typeof Koa3 };

const VERSIONS = [
  { version: "Koa 2", Koa: Koa2 },
  { version: "Koa 3", Koa: Koa3 },
];

/** What is Koa's own; what holds in every framework is in `frameworks/suite.ts`. */
describe.each(VERSIONS)("$version", ({ Koa }) => {
  let app: Koa3;
  let store: SlowStore;
  let sessions: Sessions<any>;
  let errors: any[];
  let closings: Array<() => Promise<void>>;

  const newSessions = (options: Partial<SessionsOptions<any>> = {}) =>
    createSessions<any>({ secrets: [SECRET], store: store.store, sweepInterval: false, ...options });
  const newApp = () => {
    const app = new Koa();
    app.on("error", (error) => errors.push(error));
    return app;
  };
  const visit = async (application = app) => {
    const { url, close } = await listen(application.callback());
    closings.push(close);
    return new Browser(url);
  };

  beforeEach(() => {
    [store, errors, closings] = [new SlowStore(), [], []];
    sessions = newSessions();
    app = newApp();
  });
  afterEach(async () => {
    for (const close of closings) await close();
    vi.restoreAllMocks();
  });

  describe("fails closed", () => {
    const writing: Middleware = (ctx) => {
      ctx.session.data.a = 1;
      ctx.set("X-Own", "1");
      ctx.etag = "answer";
      ctx.body = { fine: true };
    };

    it("tells app.on('error') of a session that can't be stored, and answers 503", async () => {
      app.use(koaSessions(sessions)).use(writing);
      const user = await visit();
      store.fail();
      expect(await user.get("/")).toMatchObject({ status: 503, body: "Service Unavailable", setCookie: [] });
      expect(errors).toEqual([expect.objectContaining({ code: "ERR_HOLDFAST_STORE" })]);
    });

    it.each<[string, (ctx: Context, error: any) => void, number]>([
      ["with a status", (ctx, { status }) => (ctx.status = status), 503],
      ["with another status", (ctx) => (ctx.status = 500), 500],
      ["with the body alone", () => {}, 503],
    ])("lets a middleware before it answer, %s", async (_how, setStatus, status) => {
      app.use(async (ctx, next) => {
        try {
          await next();
        } catch (error: any) {
          setStatus(ctx, error);
          ctx.body = `sorry: ${error.code}`;
        }
      });
      app.use(koaSessions(sessions)).use(writing);
      const user = await visit();
      store.fail();
      const answer = await user.get("/");
      expect(answer).toMatchObject({ status, body: "sorry: ERR_HOLDFAST_STORE", setCookie: [] });
      expect(answer.headers.get("etag")).toBeNull();
      expect(answer.headers.get("x-own")).toBe("1");
      expect(errors).toEqual([]);
    });

    it("tells app.on('error') and answers 503 where the answer bypasses Koa and its middleware has returned", async () => {
      app.use(koaSessions(sessions)).use((ctx) => {
        ctx.session.data.a = 1;
        ctx.respond = false;
        setImmediate(() => ctx.res.writeHead(201, { Location: "/secret" }).end("fine"));
      });
      const user = await visit();
      store.fail();
      const answer = await user.get("/");
      expect(answer).toMatchObject({ status: 503, body: "Service Unavailable", setCookie: [] });
      expect(answer.headers.get("location")).toBeNull();
      expect(errors).toEqual([expect.objectContaining({ code: "ERR_HOLDFAST_STORE" })]);
    });

    it("still tells the browser of a login that was stored before something else couldn't be", async () => {
      app.use(koaSessions(sessions)).use(async (ctx) => {
        ctx.body = ctx.session.userId ?? "nobody";
        if (ctx.path !== "/login") return;
        await ctx.session.login("ada");
        ctx.session.data.at = new Date();
      });
      const user = await visit();
      expect(await user.get("/login")).toMatchObject({ status: 500, setCookie: [expect.any(String)] });
      expect((await user.get("/")).body).toBe("ada");
    });
  });

  describe("keeps what was written where the answer fails", () => {
    it("and its headers, when Koa removes all others for its error page", async () => {
      app.use(koaSessions(sessions)).use((ctx) => {
        ctx.session.data.attempts = 1;
        ctx.set("X-Own", "1");
        ctx.throw(402, "pay first");
      });
      const answer = await (await visit()).get("/");
      expect(answer).toMatchObject({ status: 402, body: "pay first", setCookie: [expect.any(String)] });
      expect(answer.headers.get("x-own")).toBeNull();
      expect(answer.headers.get("vary")).toBe("Cookie");
      expect(store.lastData).toEqual({ attempts: 1 });
    });

    it("and stores what was written before the body fails, where that is a stream", async () => {
      app.use(koaSessions(sessions)).use((ctx) => {
        ctx.session.data.a = 1;
        ctx.body = new Readable({ read() {} });
        setImmediate(() => ctx.body.destroy(new Error("the file is gone")));
      });
      const user = await visit();
      await user.get("/").catch(() => {});
      expect(errors[0]).toMatchObject({ message: "the file is gone" });
      expect(store.lastData).toEqual({ a: 1 });
    });
  });

  it("stores later changes of a stored session by save and update, and refuses what would need a cookie", async () => {
    const outcome = withResolvers<string>();
    app.use(koaSessions(sessions)).use((ctx) => {
      ctx.session.data.early = true;
      ctx.body = Readable.from(chunks(ctx));
    });
    async function* chunks({ session }: Context) {
      yield "first";
      await session.update((data) => {
        data.updated = true;
      });
      session.data.saved = true;
      await session.save();
      outcome.resolve(await session.login("ada").catch((error) => error.code));
      yield "last";
    }
    expect((await (await visit()).get("/")).body).toBe("firstlast");
    expect(await outcome.promise).toBe("ERR_HOLDFAST_HEADERS_SENT");
    expect(store.lastData).toEqual({ early: true, updated: true, saved: true });
  });

  it("tells of what a middleware before it changes when the session is stored already", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const dropped = withResolvers<unknown>();
    sessions.on("dropped-write", dropped.resolve);
    app.use(async (ctx, next) => {
      await next();
      ctx.session.data.late = true;
    });
    app.use(koaSessions(sessions)).use((ctx) => {
      ctx.session.data.early = true;
      ctx.body = "done";
    });
    expect((await (await visit()).get("/")).body).toBe("done");
    expect(await dropped.promise).toMatchObject({ reason: "headers-sent" });
    expect(store.lastData).toEqual({ early: true });
  });

  describe("with middleware that wraps the response", () => {
    const compressing: Middleware = async (ctx, next) => {
      await new Promise((resolve) => compression({ threshold: 0 })(ctx.req as any, ctx.res as any, resolve));
      await next();
    };
    const ways: Array<[string, (ctx: Context) => unknown]> = [
      ["text", (ctx) => (ctx.body = "done".repeat(1000))],
      ["a stream", (ctx) => (ctx.body = Readable.from([Buffer.from("done".repeat(1000))]))],
      [
        "writes past Koa",
        (ctx) => {
          ctx.respond = false;
          ctx.status = 200;
          for (let n = 0; n < 1000; n++) ctx.res.write("done");
          setImmediate(() => ctx.res.end());
        },
      ],
    ];

    it.each(
      (["before", "after"] as const).flatMap((order) =>
        ways.map(([way, respond]) => [order, way, respond] as const),
      ),
    )("compression %s the sessions, answering with %s", async (order, _way, respond) => {
      if (order === "before") app.use(compressing);
      app.use(koaSessions(sessions));
      if (order === "after") app.use(compressing);
      app.use((ctx) => {
        ctx.session.data.written = Math.random();
        ctx.type = "text/plain";
        respond(ctx);
        // Compressed, it is shorter; Koa's own compression takes care of that in the same way.
        ctx.remove("Content-Length");
      });
      const user = await visit();
      for (let n = 0; n < 2; n++) {
        const answer = await user.open("GET", "/", { headers: { "accept-encoding": "gzip" } });
        expect(answer.headers.get("content-encoding")).toBe("gzip");
        expect(await text(answer.body.pipe(createGunzip()))).toBe("done".repeat(1000));
        expect(answer.headers.getSetCookie()).toHaveLength(n === 0 ? 1 : 0);
      }
    });
  });

  describe("fits the framework", () => {
    /** As koa-mount does it: the inner application's middleware with the outer one's context. */
    const mount = (path: string, inner: Koa3): Middleware => {
      const composed = compose(inner.middleware);
      return (ctx, next) => (ctx.path.startsWith(path) ? composed(ctx, next) : next());
    };

    it("works in a mounted application, and when used twice", async () => {
      const inner = newApp();
      inner.use(koaSessions(sessions)).use(async (ctx, next) => {
        ctx.session.data.inner = true;
        await next();
      });
      app.use(async (ctx, next) => {
        await next();
        ctx.set("X-Session", typeof ctx.session);
      });
      app.use(koaSessions(sessions));
      app.use(mount("/inner", inner));
      app.use((ctx) => {
        ctx.session.data.outer = true;
        ctx.body = "outer";
      });
      const answer = await (await visit()).get("/inner");
      expect(answer).toMatchObject({ body: "outer", setCookie: [expect.any(String)] });
      expect(answer.headers.get("x-session")).toBe("object");
      expect(store.calls).toEqual(["create"]);
      expect(store.lastData).toEqual({ inner: true, outer: true });
    });

    it("works in an application that another one hands the request to", async () => {
      const inner = newApp();
      inner.use(koaSessions(sessions)).use((ctx) => {
        ctx.session.data.inner = true;
        ctx.body = "inner";
      });
      const callback = inner.callback();
      app.use(koaSessions(sessions)).use(async (ctx) => {
        ctx.session.data.outer = true;
        ctx.respond = false;
        await callback(ctx.req, ctx.res);
      });
      expect(await (await visit()).get("/")).toMatchObject({
        body: "inner",
        setCookie: [expect.any(String)],
      });
      expect(store.lastData).toEqual({ inner: true, outer: true });
    });

    it("refuses two different sessions on one request", async () => {
      app.use(koaSessions(sessions)).use(koaSessions(newSessions({ store: memoryStore() })));
      expect((await (await visit()).get("/")).status).toBe(500);
      expect(errors).toEqual([expect.objectContaining({ code: "ERR_HOLDFAST_CONFIG" })]);
    });

    it("has two different sessions on paths of their own", async () => {
      const admin = newSessions({ cookie: { name: "admin" } });
      const only =
        (path: string, middleware: Middleware): Middleware =>
        (ctx, next) =>
          ctx.path === path ? middleware(ctx, next) : next();
      app.use(only("/shop", koaSessions(sessions))).use(only("/admin", koaSessions(admin)));
      app.use((ctx) => {
        ctx.session.data.path = ctx.path;
        ctx.body = ctx.session.data;
      });
      const user = await visit();
      for (const path of ["/shop", "/admin", "/shop", "/admin"])
        expect(JSON.parse((await user.get(path)).body)).toEqual({ path });
      expect([...user.cookies.keys()]).toEqual(["sid", "admin"]);
    });

    it("tells what to do where ctx.session is assigned", async () => {
      app.use(koaSessions(sessions)).use((ctx) => {
        try {
          (ctx as any).session = null;
        } catch (error) {
          ctx.body = (error as Error).message;
        }
      });
      expect((await (await visit()).get("/")).body).toContain("ctx.session.destroy()");
    });

    it("leaves other applications and requests alone: another library may set ctx.session there", async () => {
      app.use(koaSessions(sessions, { skip: ({ path }) => path === "/other" }));
      app.use((ctx) => {
        if (ctx.path === "/other") (ctx as any).session = { other: true };
        ctx.body = { session: ctx.session, opener: typeof ctx.openSession };
      });
      const user = await visit();
      await user.get("/");
      expect(JSON.parse((await user.get("/other")).body).session).toEqual({ other: true });

      const other = newApp();
      other.use((ctx) => {
        (ctx as any).session = { other: true };
        ctx.body = { session: ctx.session, opener: typeof ctx.openSession };
      });
      const { body } = await (await visit(other)).get("/");
      expect(JSON.parse(body)).toEqual({ session: { other: true }, opener: "undefined" });
      expect("session" in other.context).toBe(false);
    });

    it("says that a request which is skipped has no session to open", async () => {
      app.use(koaSessions(sessions, { skip: () => true, lazy: true }));
      app.use(async (ctx) => {
        await ctx.openSession();
      });
      expect((await (await visit()).get("/")).status).toBe(500);
      expect(errors[0].message).toContain("no session");
    });
  });

  describe("behind a proxy", () => {
    const forwarded = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9" };

    it.each([
      { proxy: true, cookie: "__Host-sid", ip: "203.0.113.9" },
      { proxy: false, cookie: "sid", ip: "127.0.0.1" },
    ])("believes what Koa believes: app.proxy = $proxy", async ({ proxy, cookie, ip }) => {
      app.proxy = proxy;
      app.use(koaSessions(newSessions({ rememberIp: true }))).use((ctx) => {
        ctx.session.data.a = 1;
        ctx.body = { secure: ctx.secure, ip: ctx.session.client.ip };
      });
      const user = await visit();
      await user.get("/", forwarded);
      expect([...user.cookies.keys()]).toEqual([cookie]);
      expect(JSON.parse((await user.get("/", forwarded)).body)).toEqual({ secure: proxy, ip });
    });
  });
});
