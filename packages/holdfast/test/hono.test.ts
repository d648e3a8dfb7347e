import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createGunzip } from "node:zlib";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import { compress } from "hono/compress";
import { setCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { stream, streamText } from "hono/streaming";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { honoSessions, type SessionEnv } from "../src/adapters/hono.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import { Session } from "../src/engine/session.js";
import type { Sessions } from "../src/engine/sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { Browser } from "./support/browser.js";
import { withResolvers } from "./support/resolvers.js";
import { SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

type Env = SessionEnv<any>;

let store: SlowStore;
let sessions: Sessions<any>;
let servers: Server[];
let warnings: string[];

const newSessions = (options: Partial<SessionsOptions<any>> = {}) =>
  createSessions<any>({ secrets: [SECRET], store: store.store, sweepInterval: false, ...options });

beforeEach(() => {
  [store, servers, warnings] = [new SlowStore(), [], []];
  sessions = newSessions();
  vi.spyOn(process, "emitWarning").mockImplementation((warning) => void warnings.push(String(warning)));
});
afterEach(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  vi.restoreAllMocks();
});

/** A browser that speaks to the application over HTTP. */
async function overHttp(app: Hono<any>): Promise<Browser> {
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** A browser that asks `app.request()`, as the tests of an application do. */
function inProcess(app: Hono<any>): Browser {
  return new Browser("http://localhost", async (url, { method, headers, ...rest }) => {
    const response = await app.request(url, { method, headers: headers as Record<string, string>, ...rest });
    const { status, body } = response;
    return { status, headers: response.headers, body: body as any, text: () => response.text() } as any;
  });
}

/** What is Hono's own; what holds in every framework is in `frameworks/suite.ts`. */
describe.each([
  ["over HTTP", overHttp],
  ["asked by app.request()", inProcess],
] as const)("Hono %s", (_how, visit) => {
  let app: Hono<Env>;
  beforeEach(() => {
    app = new Hono<Env>();
    app.use(honoSessions(sessions));
  });

  it("keeps a session from one request to the next, through login and logout", async () => {
    app.post("/login", async (c) => {
      await c.var.session.login("ada");
      return c.redirect("/", 303);
    });
    app.post("/logout", async (c) => {
      await c.var.session.logout();
      return c.body(null, 204);
    });
    app.get("/", (c) => {
      c.var.session.data.visits = (c.var.session.data.visits ?? 0) + 1;
      return c.text(`${c.var.session.userId} ${c.var.session.data.visits}`);
    });
    const user = await visit(app);
    expect((await user.get("/")).body).toBe("undefined 1");
    expect((await user.post("/login")).setCookie).toHaveLength(1);
    expect((await user.get("/")).body).toBe("ada 2");
    await user.post("/logout");
    expect((await user.get("/")).body).toBe("undefined 1");
  });

  it("marks an answer only for which somebody has looked at the session", async () => {
    app.get("/plain", (c) => c.text("plain"));
    app.get("/looked", (c) => c.text(String(c.var.session.userId)));
    const user = await visit(app);
    expect((await user.get("/plain")).headers.get("vary")).toBeNull();
    expect((await user.get("/looked")).headers.get("vary")).toBe("Cookie");
  });

  it("gives what works as the session does", async () => {
    app.get("/", (c) => {
      const { session } = c.var;
      session.data = { replaced: true };
      const { data, isNew, toJSON } = session;
      expect(session).toBeInstanceOf(Session);
      expect(c.get("session").data).toBe(data);
      expect(() => Object.assign(session, { cart: [] })).toThrow("cart");
      return c.json({ data, isNew, id: toJSON().id === session.id });
    });
    const answer = await (await visit(app)).get("/");
    expect(JSON.parse(answer.body)).toEqual({ data: { replaced: true }, isNew: true, id: true });
    expect(store.lastData).toEqual({ replaced: true });
  });

  it("joins the cookies and headers of the answer, also of one that can't be changed", async () => {
    app.get("/", (c) => {
      c.var.session.data.a = 1;
      setCookie(c, "theme", "dark");
      return c.text("hello", 200, { Vary: "Accept" });
    });
    app.get("/redirect", (c) => {
      c.var.session.data.a = 2;
      return Response.redirect("http://localhost/there", 302);
    });
    const first = await (await visit(app)).get("/");
    expect(first.setCookie.map((line) => line.split("=")[0])).toEqual(["theme", "sid"]);
    expect(first.headers.get("vary")).toBe("Accept, Cookie");
    expect(await (await visit(app)).get("/redirect")).toMatchObject({
      status: 302,
      setCookie: [expect.any(String)],
    });
  });

  it("puts its headers on app.notFound", async () => {
    app.use(async (c, next) => {
      c.var.session.data.lost = true;
      await next();
    });
    app.notFound((c) => c.text("no such page", 404));
    const answer = await (await visit(app)).get("/nowhere");
    expect(answer).toMatchObject({ status: 404, body: "no such page", setCookie: [expect.any(String)] });
  });

  it("puts its headers on the answer to an HTTPException, by app.onError or Hono itself", async () => {
    app.get("/", (c) => {
      c.var.session.data.attempts = 1;
      throw new HTTPException(401, { message: "who are you?" });
    });
    const user = await visit(app);
    expect(await user.get("/")).toMatchObject({
      status: 401,
      body: "who are you?",
      setCookie: [expect.any(String)],
    });
    app.onError((_error, c) => c.text("an error page", 400));
    expect(await user.get("/")).toMatchObject({ status: 400, body: "an error page" });
  });

  describe("fails closed", () => {
    const answering = (c: Context<Env>) => {
      c.var.session.data.a = 1;
      c.header("Location", "/secret");
      c.header("X-Own", "1");
      setCookie(c, "theme", "dark");
      c.status(201);
      return c.json({ secret: true });
    };

    it("with what app.onError answers, to which nothing of the dropped answer is joined", async () => {
      app.onError((error: any, c) => c.text(error.code));
      app.get("/", answering);
      const user = await visit(app);
      store.fail();
      const { status, body, headers } = await user.get("/");
      expect({ status, body }).toEqual({ status: 503, body: "ERR_HOLDFAST_STORE" });
      expect(headers.get("location")).toBeNull();
      expect(headers.get("content-type")).toContain("text/plain");
      expect(user.cookies.has("sid")).toBe(false);
    });

    it("and leaves the headers of other middleware on the error page", async () => {
      app = new Hono();
      app.use(cors()).use(honoSessions(sessions));
      app.get("/", answering);
      const user = await visit(app);
      store.fail();
      const { status, headers } = await user.get("/");
      expect({ status, origin: headers.get("access-control-allow-origin") }).toEqual({
        status: 503,
        origin: "*",
      });
    });

    it.each<[string, (c: Context<Env>) => any]>([
      ["the session can't be stored", answering],
      ["a login can't be stored", async (c) => c.text(String(await c.var.session.login("ada")))],
    ])("with 503 where there is no app.onError, and tells the developer, when %s", async (_when, handler) => {
      app.get("/", handler);
      const user = await visit(app);
      store.fail();
      expect(await user.get("/")).toMatchObject({ status: 503, body: "Service Unavailable" });
      expect(user.cookies.has("sid")).toBe(false);
      expect(warnings).toEqual([expect.stringContaining("StoreError")]);
    });

    it("when the session can't be loaded: the handler doesn't run", async () => {
      const handler = vi.fn((c: Context<Env>) => {
        c.var.session.data.a = 1;
        return c.text("ran");
      });
      app.get("/", handler);
      const user = await visit(app);
      await user.get("/");
      store.fail();
      expect(await user.get("/")).toMatchObject({ status: 503, setCookie: [] });
      expect(handler).toHaveBeenCalledOnce();
    });

    it("and tells a stream, the answer of which is dropped, to stop", async () => {
      const aborted = withResolvers();
      app.get("/", (c) => {
        c.var.session.data.a = 1;
        return stream(c, async (out) => {
          out.onAbort(() => aborted.resolve());
          while (!out.aborted) await out.write("x".repeat(10_000));
        });
      });
      const user = await visit(app);
      store.fail();
      expect((await user.get("/")).status).toBe(503);
      await aborted.promise;
    });

    it("still tells the browser of a login that was stored before something else couldn't be", async () => {
      app.get("/login", async (c) => {
        await c.var.session.login("ada");
        c.var.session.data.at = new Date();
        return c.text("never sent");
      });
      app.get("/", (c) => c.text(c.var.session.userId ?? "nobody"));
      const user = await visit(app);
      expect(await user.get("/login")).toMatchObject({ status: 500, setCookie: [expect.any(String)] });
      expect((await user.get("/")).body).toBe("ada");
    });

    it("in a sub-application with its own onError", async () => {
      const sub = new Hono<Env>();
      sub.use(honoSessions(sessions));
      sub.onError((_error, c) => c.text("the sub-application's page", 503));
      sub.get("/", answering);
      app = new Hono();
      app.route("/sub", sub);
      const user = await visit(app);
      store.fail();
      const answer = await user.get("/sub");
      expect(answer).toMatchObject({ status: 503, body: "the sub-application's page" });
      expect(answer.headers.get("location")).toBeNull();
    });
  });

  describe("fits the framework", () => {
    it("works in sub-applications, and when used twice", async () => {
      const sub = new Hono<Env>();
      sub.use(honoSessions(sessions));
      sub.use(async (c, next) => {
        c.var.session.data.sub = true;
        await next();
      });
      sub.get("/", (c) => c.text("sub"));
      app.use(async (c, next) => {
        c.var.session.data.outer = true;
        await next();
      });
      app.route("/sub", sub);
      expect(await (await visit(app)).get("/sub")).toMatchObject({
        body: "sub",
        setCookie: [expect.any(String)],
      });
      expect(store.calls).toEqual(["create"]);
      expect(store.lastData).toEqual({ outer: true, sub: true });
    });

    it("refuses two different sessions on one request", async () => {
      app.onError((error: any, c) => c.text(error.code, 500));
      app.use(honoSessions(newSessions({ store: memoryStore() })));
      app.get("/", (c) => c.text("not reached"));
      expect((await (await visit(app)).get("/")).body).toBe("ERR_HOLDFAST_CONFIG");
    });

    it("works with the compress and etag that Hono comes with", async () => {
      app = new Hono();
      app
        .use(compress({ threshold: 0 }))
        .use(honoSessions(sessions))
        .use(etag());
      app.get("/", (c) => {
        c.var.session.data.at = Math.random();
        return c.text("done".repeat(1000));
      });
      app.get("/stream", (c) => {
        c.var.session.data.at = Math.random();
        return streamText(c, async (out) => {
          for (let n = 0; n < 10; n++) await out.write("done");
        });
      });
      const user = await visit(app);
      const gzip = { "accept-encoding": "gzip" };
      const { headers, body } = await user.open("GET", "/", { headers: gzip });
      expect(headers.get("content-encoding")).toBe("gzip");
      expect(headers.getSetCookie()).toHaveLength(1);
      const readable = "pipe" in body ? body : (await import("node:stream")).Readable.fromWeb(body as any);
      expect(await text(readable.pipe(createGunzip()))).toBe("done".repeat(1000));
      const tag = headers.get("etag")!;
      const other = await (await visit(app)).get("/", { "if-none-match": tag });
      expect(other).toMatchObject({ status: 304, body: "", setCookie: [expect.any(String)] });
      expect((await user.get("/stream")).body).toBe("done".repeat(10));
    });
  });

  it("stores later changes of a stored session by save and update, and refuses what would need a cookie", async () => {
    const outcome = withResolvers<string>();
    const reading = withResolvers();
    app.get("/", (c) => {
      const { session } = c.var;
      session.data.early = true;
      return stream(c, async (out) => {
        await out.write("first");
        await reading.promise;
        await session.update((data) => {
          data.updated = true;
        });
        session.data.saved = true;
        await session.save();
        outcome.resolve(await session.login("ada").catch((error) => error.code));
      });
    });
    const arrival = await (await visit(app)).open("GET", "/");
    reading.resolve();
    expect(await arrival.text()).toBe("first");
    expect(await outcome.promise).toBe("ERR_HOLDFAST_HEADERS_SENT");
    expect(store.lastData).toEqual({ early: true, updated: true, saved: true });
  });
});

describe("Hono on Node", () => {
  it("shares the session with an application that app.mount mounts, whose context is another", async () => {
    const inner = new Hono<Env>();
    inner.use(honoSessions(sessions));
    inner.get("/", (c) => {
      c.var.session.data.inner = true;
      return c.text("inner");
    });
    const app = new Hono<Env>();
    app.use(honoSessions(sessions));
    app.use(async (c, next) => {
      c.var.session.data.outer = true;
      await next();
    });
    app.mount("/inner", inner.fetch);
    expect(await (await overHttp(app)).get("/inner")).toMatchObject({
      body: "inner",
      setCookie: [expect.any(String)],
    });
    expect(store.lastData).toEqual({ outer: true, inner: true });
  });

  it("tells of what a middleware before it changes when the session is stored already", async () => {
    const dropped = withResolvers<unknown>();
    sessions.on("dropped-write", dropped.resolve);
    const app = new Hono<Env>();
    app.use(async (c, next) => {
      await next();
      c.var.session.data.late = true;
    });
    app.use(honoSessions(sessions));
    app.get("/", (c) => {
      c.var.session.data.early = true;
      return c.text("done");
    });
    expect((await (await overHttp(app)).get("/")).body).toBe("done");
    expect(await dropped.promise).toMatchObject({ reason: "headers-sent" });
    expect(store.lastData).toEqual({ early: true });
  });

  it("answers 503 where what is sent by c.env.outgoing can't be stored", async () => {
    const app = new Hono<Env & { Bindings: HttpBindings }>();
    app.use(honoSessions(sessions));
    app.get("/", (c) => {
      c.var.session.data.a = 1;
      c.env.outgoing.writeHead(200, { Location: "/secret" });
      c.env.outgoing.end();
      return RESPONSE_ALREADY_SENT;
    });
    const user = await overHttp(app);
    store.fail();
    const answer = await user.get("/");
    expect(answer).toMatchObject({ status: 503, body: "Service Unavailable", setCookie: [] });
    expect(answer.headers.get("location")).toBeNull();
  });

  it("keeps the cookie on a 304 of etag, though that comes before the sessions and removes it", async () => {
    const app = new Hono<Env>();
    app.use(etag()).use(honoSessions(sessions));
    app.get("/", (c) => {
      c.var.session.data.at = Math.random();
      return c.text("done");
    });
    const user = await overHttp(app);
    const tag = (await user.get("/")).headers.get("etag")!;
    const other = await overHttp(app);
    const answer = await other.get("/", { "if-none-match": tag });
    expect(answer).toMatchObject({ status: 304, body: "", setCookie: [expect.any(String)] });
  });

  it("knows the address of the connection: proxies are trusted by it, and it is what is remembered", async () => {
    const app = new Hono<Env>();
    app.use(honoSessions(newSessions({ rememberIp: true, trustProxy: ["127.0.0.1"] })));
    app.get("/", (c) => {
      c.var.session.data.a = 1;
      return c.text(String(c.var.session.client.ip));
    });
    const user = await overHttp(app);
    const forwarded = { "x-forwarded-proto": "https" };
    await user.get("/", forwarded);
    expect((await user.get("/", forwarded)).body).toBe("127.0.0.1");
    expect([...user.cookies.keys()]).toEqual(["__Host-sid"]);
  });
});

it("asked by app.request(), Hono gives a secure cookie to a URL of HTTPS", async () => {
  const app = new Hono<Env>();
  app.use(honoSessions(sessions));
  app.get("/", (c) => {
    c.var.session.data.a = 1;
    return c.text("hello");
  });
  const { headers } = await app.request("https://shop.example/");
  expect(headers.getSetCookie()).toEqual([expect.stringMatching(/^__Host-sid=.*; Secure;/)]);
});
