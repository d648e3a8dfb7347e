import { createReadStream } from "node:fs";
import { Readable, Transform } from "node:stream";
import { fileURLToPath } from "node:url";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyServerOptions } from "fastify";
import { afterEach, describe, expect, it, vi } from "vitest";
import { fastifySessions } from "../src/adapters/fastify.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Sessions } from "../src/engine/sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { Browser } from "./support/browser.js";
import { SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

/** What is Fastify's own; what holds in every framework is in `frameworks/suite.ts`. */

const opened: FastifyInstance[] = [];

afterEach(async () => {
  for (const app of opened.splice(0)) await app.close();
  vi.restoreAllMocks();
});

function sessionsWith(options: Partial<SessionsOptions<any>> = {}): Sessions<any> {
  return createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    sweepInterval: false,
    ...options,
  }) as Sessions<any>;
}

function create(options: FastifyServerOptions = {}): FastifyInstance {
  const app = fastify({ forceCloseConnections: true, ...options }) as FastifyInstance;
  opened.push(app);
  return app;
}

/** An application with sessions in a store that can be held and made to fail. */
async function createWithSessions(options?: FastifyServerOptions) {
  const store = new SlowStore();
  const sessions = sessionsWith({ store: store.store });
  const app = create(options);
  await app.register(fastifySessions, { sessions });
  return { app, store, sessions };
}

const browse = async (app: FastifyInstance) => new Browser(await app.listen({ port: 0, host: "127.0.0.1" }));

const cookieOf = (line: unknown) => String(line).split(";")[0]!;

describe("registration", () => {
  it("without sessions fails at start-up, naming the option", async () => {
    const app = create();
    app.register(fastifySessions, {} as any);
    await expect(app.ready()).rejects.toThrow("sessions: expected what createSessions() gave");
  });

  it("with what is no session source, too", async () => {
    const app = create();
    app.register(fastifySessions, { sessions: memoryStore() as any });
    await expect(app.ready()).rejects.toMatchObject({ code: "ERR_HOLDFAST_CONFIG", option: "sessions" });
  });

  it("decorates the instance that it is for, and is known there by its name", async () => {
    const { app } = await createWithSessions();
    expect(app.hasRequestDecorator("session")).toBe(true);
    expect(app.hasRequestDecorator("openSession")).toBe(true);
    expect(app.hasPlugin("holdfast")).toBe(true);
  });

  it("can be what another plugin depends on", async () => {
    const { app } = await createWithSessions();
    const guard = Object.assign(async () => {}, {
      [Symbol.for("plugin-meta")]: {
        name: "guard",
        dependencies: ["holdfast"],
        decorators: { request: ["session"] },
      },
    });
    app.register(guard);
    await expect(app.ready()).resolves.toBeDefined();
  });
});

describe("encapsulation", () => {
  it("gives a session to the scope that it is registered in and those within, and to no other", async () => {
    const app = create();
    const sessions = sessionsWith();
    const typeOfSession = async ({ session }: { session: unknown }) => typeof session;
    app.register(async (scope) => {
      await scope.register(fastifySessions, { sessions });
      scope.get("/in", typeOfSession);
      scope.register(async (inner) => {
        inner.get("/within", typeOfSession);
      });
    });
    app.register(async (sibling) => {
      sibling.get("/beside", typeOfSession);
    });
    app.get("/out", typeOfSession);
    const bodies = async (...paths: string[]) =>
      Promise.all(paths.map(async (path) => (await app.inject(path)).body));
    expect(await bodies("/in", "/within")).toEqual(["object", "object"]);
    expect(await bodies("/beside", "/out")).toEqual(["undefined", "undefined"]);
    expect(app.hasRequestDecorator("session")).toBe(false);
  });

  it("lets sibling scopes have sessions of their own", async () => {
    const app = create();
    for (const name of ["shop", "admin"]) {
      app.register(
        async (scope) => {
          await scope.register(fastifySessions, { sessions: sessionsWith({ cookie: { name } }) });
          scope.get("/", async ({ session }) => {
            session.data.visits = (session.data.visits ?? 0) + 1;
            return session.data;
          });
        },
        { prefix: `/${name}` },
      );
    }
    const user = await browse(app);
    expect((await user.get("/shop")).body).toBe('{"visits":1}');
    expect((await user.get("/admin")).body).toBe('{"visits":1}');
    expect((await user.get("/shop")).body).toBe('{"visits":2}');
    expect([...user.cookies.keys()]).toEqual(["shop", "admin"]);
  });

  it("takes the same sessions twice on the way of a request for once", async () => {
    const { app, sessions, store } = await createWithSessions();
    app.register(async (scope) => {
      await scope.register(fastifySessions, { sessions });
      scope.get("/", async ({ session }) => {
        session.data.a = 1;
        return "twice";
      });
    });
    const answer = await app.inject("/");
    expect(answer.body).toBe("twice");
    expect(answer.headers["set-cookie"]).toEqual(expect.stringMatching(/^sid=/));
    expect(store.calls).toEqual(["create"]);
  });

  it("refuses two different ones", async () => {
    const { app } = await createWithSessions();
    app.register(async (scope) => {
      await scope.register(fastifySessions, { sessions: sessionsWith() });
      scope.get("/", async () => "never");
    });
    const answer = await app.inject("/");
    expect(answer.statusCode).toBe(500);
    expect(answer.json().message).toContain("another createSessions()");
  });
});

describe("a commit that fails", () => {
  it("goes to setErrorHandler with status 503, whose answer leaves without what described the handler's", async () => {
    const { app, store } = await createWithSessions();
    app.setErrorHandler((error: any, _request, reply) =>
      reply.code(error.status).type("text/html").header("Retry-After", "5").send(`<p>${error.code}`),
    );
    app.get("/", async ({ session }, reply) => {
      session.data.a = 1;
      reply.headers({ etag: '"1"', location: "/secret", "content-disposition": "attachment", "x-kept": "1" });
      return { fine: true };
    });
    store.fail();
    const { statusCode, body, headers } = await app.inject("/");
    expect({ statusCode, body }).toEqual({ statusCode: 503, body: "<p>ERR_HOLDFAST_STORE" });
    expect(headers).toMatchObject({
      "content-type": "text/html",
      "content-length": String(body.length),
      "retry-after": "5",
      "x-kept": "1",
    });
    for (const name of ["etag", "location", "content-disposition", "set-cookie"]) {
      expect(headers, name).not.toHaveProperty(name);
    }
  });

  it("is a 503 where an error handler sets no status", async () => {
    const { app, store } = await createWithSessions();
    app.setErrorHandler((_error, _request, reply) => reply.send({ error: "try again" }));
    app.get("/", async ({ session }) => {
      session.data.a = 1;
      return "fine";
    });
    store.fail();
    const answer = await app.inject("/");
    expect({ status: answer.statusCode, body: answer.body }).toEqual({
      status: 503,
      body: '{"error":"try again"}',
    });
  });

  it("can be answered with a stream", async () => {
    const { app, store } = await createWithSessions();
    app.setErrorHandler((_error, _request, reply) => reply.send(Readable.from(["try ", "again"])));
    app.get("/", async ({ session }) => {
      session.data.a = 1;
      return "fine";
    });
    store.fail();
    expect(await (await browse(app)).get("/")).toMatchObject({ status: 503, body: "try again" });
  });

  it("tells of a value that can't be stored, by its path", async () => {
    const { app } = await createWithSessions();
    app.get("/", async ({ session }) => {
      session.data.at = new Date() as any;
      return "fine";
    });
    const answer = await app.inject("/");
    expect(answer.statusCode).toBe(500);
    expect(answer.json()).toMatchObject({ code: "ERR_HOLDFAST_NOT_SERIALIZABLE" });
  });

  it.each([
    ["a stream", (end: () => void) => Readable.from(endless()).on("close", end)],
    ["a stream of the web", (end: () => void) => new ReadableStream({ cancel: end })],
    ["a Response", (end: () => void) => new Response(new ReadableStream({ cancel: end }))],
  ])("closes %s that was to be sent", async (_kind, make) => {
    const { app, store } = await createWithSessions();
    const end = vi.fn();
    app.get("/", ({ session }, reply) => {
      session.data.a = 1;
      reply.send(make(end));
    });
    store.fail();
    expect((await app.inject("/")).statusCode).toBe(503);
    await vi.waitFor(() => expect(end).toHaveBeenCalledOnce());
  });

  it("answers a hijacked reply with 503 and nothing else", async () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { app, store } = await createWithSessions();
    app.setErrorHandler(() => expect.unreachable("Fastify is out of it"));
    app.get("/", ({ session }, reply) => {
      session.data.a = 1;
      reply.hijack();
      reply.raw.writeHead(200, { "Content-Type": "text/csv", ETag: '"1"' });
      reply.raw.write("a,b");
      setImmediate(() => reply.raw.end("\n"));
    });
    store.fail();
    const { status, body, headers } = await (await browse(app)).get("/");
    expect({ status, body, type: headers.get("content-type"), etag: headers.get("etag") }).toEqual({
      status: 503,
      body: "Service Unavailable",
      type: "text/plain; charset=utf-8",
      etag: null,
    });
    expect(warning).toHaveBeenCalledWith(expect.stringContaining("StoreError"), expect.anything());
  });
});

describe("while the session is being stored", () => {
  it("a stream that fails is answered as an error, and ends nothing but its request", async () => {
    const { app, store } = await createWithSessions();
    app.get("/", ({ session }, reply) => {
      session.data.a = 1;
      reply.send(createReadStream("/no/such/file"));
    });
    const user = await browse(app);
    store.hold();
    const answer = user.get("/");
    await store.asked();
    await new Promise((resolve) => setTimeout(resolve, 20));
    store.release();
    expect(await answer).toMatchObject({ status: 500, setCookie: [expect.stringMatching(/^sid=/)] });
  });

  it("what Fastify can't send is an error of its own, and not of the process", async () => {
    const { app } = await createWithSessions();
    app.get("/", async ({ session }, reply) => {
      session.data.a = 1;
      return reply.type("text/plain").send({ not: "text" });
    });
    const answer = await app.inject("/");
    expect(answer.statusCode).toBe(500);
    expect(answer.json().code).toBe("FST_ERR_REP_INVALID_PAYLOAD_TYPE");
  });

  it("a second answer is ignored, as Fastify does it with one that comes after the first has left", async () => {
    const { app } = await createWithSessions();
    app.get("/", async ({ session }, reply) => {
      session.data.a = 1;
      reply.send("first");
      return "second";
    });
    const failed = vi.fn();
    app.addHook("onError", async () => failed());
    expect((await app.inject("/")).body).toBe("first");
    expect(failed).not.toHaveBeenCalled();
  });

  it("an answer that was begun past Fastify is cut off where its handler throws", async () => {
    const { app } = await createWithSessions();
    app.get("/", async ({ session }, { raw }) => {
      session.data.a = 1;
      raw.write("the first half");
      throw new Error("no second half");
    });
    const user = await browse(app);
    await expect(user.get("/")).rejects.toThrow();
  });
});

describe("hooks", () => {
  it("of other plugins may change the payload, before the sessions and after", async () => {
    const app = create();
    const around = (mark: string) => async (_request: unknown, _reply: unknown, payload: unknown) =>
      `${mark}${payload}${mark}`;
    app.addHook("onSend", around("-"));
    await app.register(fastifySessions, { sessions: sessionsWith() });
    app.addHook("onSend", around("+"));
    app.get("/", async ({ session }) => {
      session.data.a = 1;
      return "text";
    });
    const answer = await app.inject("/");
    expect(answer.body).toBe("+-text-+");
    expect(answer.headers["content-length"]).toBe("8");
    expect(answer.headers["set-cookie"]).toEqual(expect.stringMatching(/^sid=/));
  });

  it("may turn the payload into a stream", async () => {
    const { app } = await createWithSessions();
    app.addHook("onSend", async (_request, _reply, payload) =>
      Readable.from([payload]).pipe(
        new Transform({
          transform: (chunk, _encoding, callback) => callback(null, String(chunk).toUpperCase()),
        }),
      ),
    );
    app.get("/", async ({ session }) => {
      session.data.a = 1;
      return "text";
    });
    expect(await (await browse(app)).get("/")).toMatchObject({
      body: "TEXT",
      setCookie: [expect.any(String)],
    });
  });

  it("that fail after the session was stored give an error page, which tells the browser of its session", async () => {
    const { app } = await createWithSessions();
    app.addHook("onSend", async (request) => {
      if (request.url === "/in") throw new Error("after");
    });
    app.get("/in", async ({ session }) => {
      await session.login("ada");
      return "in";
    });
    app.get("/", async ({ session }) => session.userId ?? "nobody");
    const user = await browse(app);
    expect(await user.get("/in")).toMatchObject({ status: 500, setCookie: [expect.any(String)] });
    expect((await user.get("/")).body).toBe("ada");
  });

  it("that guard routes find the session, and may answer in the handler's place", async () => {
    const { app } = await createWithSessions();
    app.post("/login", async ({ session }) => {
      await session.login("ada");
      return "in";
    });
    app.register(async (scope) => {
      scope.addHook("preHandler", async ({ session }, reply) => {
        if (session.userId !== undefined) return;
        session.flash("notice", "Log in first");
        return reply.redirect("/login", 303);
      });
      scope.get("/account", async ({ session }) => ({
        user: session.userId,
        notice: session.flash("notice"),
      }));
    });
    const user = await browse(app);
    expect(await user.get("/account")).toMatchObject({ status: 303, setCookie: [expect.any(String)] });
    await user.post("/login");
    expect(JSON.parse((await user.get("/account")).body)).toEqual({ user: "ada", notice: ["Log in first"] });
  });

  it("onRequest, preValidation, preSerialization and onError may change the session; a later onSend is too late", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { app, store, sessions } = await createWithSessions();
    const dropped = vi.fn();
    sessions.on("dropped-write", dropped);
    for (const hook of ["onRequest", "preValidation", "preSerialization", "onError", "onSend"] as const) {
      app.addHook(hook as "onRequest", async ({ session }) => {
        session.data[hook] = true;
      });
    }
    app.get("/", async () => ({}));
    app.get("/throw", async () => {
      throw new Error("thrown");
    });
    await app.inject("/");
    expect(store.lastData).toEqual({ onRequest: true, preValidation: true, preSerialization: true });
    await vi.waitFor(() => expect(dropped).toHaveBeenCalledOnce());
    await app.inject("/throw");
    expect(store.lastData).toEqual({ onRequest: true, preValidation: true, onError: true });
  });
});

describe("fits the framework:", () => {
  it("the 404 handler and the error page of a body that can't be parsed have the session", async () => {
    const { app } = await createWithSessions();
    app.setNotFoundHandler(({ session }, reply) => {
      session.data.lost = true;
      reply.code(404).send("nothing here");
    });
    app.setErrorHandler((error: any, { session }, reply) =>
      reply.code(error.statusCode).send(typeof session.data.lost),
    );
    app.post("/", async () => "never");
    const user = await browse(app);
    expect(await user.get("/nowhere")).toMatchObject({ status: 404, setCookie: [expect.any(String)] });
    const answer = await app.inject({
      method: "POST",
      url: "/",
      payload: "{",
      headers: { "content-type": "application/json", cookie: user.cookieHeader, host: "localhost" },
    });
    expect({ status: answer.statusCode, body: answer.body }).toEqual({ status: 400, body: "boolean" });
  });

  it("inject() has sessions and cookies", async () => {
    const { app } = await createWithSessions();
    app.get("/", async ({ session }) => {
      session.data.visits = (session.data.visits ?? 0) + 1;
      return session.data;
    });
    const first = await app.inject("/");
    expect(first.cookies).toEqual([
      { name: "sid", value: expect.any(String), path: "/", httpOnly: true, sameSite: "Lax" },
    ]);
    const second = await app.inject({ url: "/", cookies: { sid: first.cookies[0]!.value } });
    expect(second.json()).toEqual({ visits: 2 });
  });

  it("trustProxy decides on HTTPS and on the client's address", async () => {
    const app = create({ trustProxy: "127.0.0.1" });
    await app.register(fastifySessions, { sessions: sessionsWith({ rememberIp: true }) });
    app.get("/", async ({ session, protocol }) => {
      session.data.protocol = protocol;
      return "";
    });
    app.get("/client", async ({ session }) => ({ ...session.client, protocol: session.data.protocol }));
    const user = await browse(app);
    const forwarded = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9" };
    const { setCookie } = await user.get("/", forwarded);
    expect(setCookie).toEqual([expect.stringMatching(/^__Host-sid=.*; Secure;/)]);
    const client = JSON.parse((await user.get("/client", forwarded)).body);
    expect(client).toMatchObject({ ip: "203.0.113.9", protocol: "https" });

    const distrusting = await createWithSessions();
    distrusting.app.get("/", async ({ session }) => {
      session.data.a = 1;
      return "";
    });
    const answer = await (await browse(distrusting.app)).get("/", forwarded);
    expect(answer.setCookie).toEqual([expect.stringMatching(/^sid=/)]);
  });

  it("HEAD of a GET route has its headers, the session's among them, and no body", async () => {
    const { app } = await createWithSessions();
    app.get("/", async ({ session }) => {
      session.data.a = 1;
      return "four";
    });
    app.get("/stream", async ({ session }) => {
      session.data.a = 1;
      return createReadStream(fileURLToPath(import.meta.url));
    });
    const user = await browse(app);
    const head = await user.head("/");
    expect(head).toMatchObject({ status: 200, body: "", setCookie: [expect.any(String)] });
    expect(head.headers.get("content-length")).toBe("4");
    expect(await user.twin().head("/stream")).toMatchObject({ status: 200, body: "" });
  });

  it("trailers leave as they do without sessions", async () => {
    const { app } = await createWithSessions();
    app.get("/", async ({ session }, reply) => {
      session.data.a = 1;
      reply.trailer("x-end", async () => "end");
      return "text";
    });
    const user = await browse(app);
    const { headers, body } = await user.open("GET", "/");
    expect(headers.getSetCookie()).toHaveLength(1);
    expect(headers.get("trailer")).toBe("x-end");
    for await (const _ of body);
    expect((body as unknown as { trailers: object }).trailers).toEqual({ "x-end": "end" });
  });

  it("a decorated method of a reply may log in", async () => {
    const { app } = await createWithSessions();
    app.decorateReply("welcome", async function (this: FastifyReply, user: string) {
      await this.request.session.login(user);
      return this.redirect("/", 303);
    } as never);
    app.get("/in", (_request, reply) => (reply as any).welcome("ada"));
    app.get("/", async ({ session }) => session.userId);
    const user = await browse(app);
    expect((await user.get("/in")).status).toBe(303);
    expect((await user.get("/")).body).toBe("ada");
  });

  it("no log line holds a token, a secret or session data", async () => {
    const lines: string[] = [];
    const { app, store } = await createWithSessions({
      logger: { level: "trace", stream: { write: (line: string) => void lines.push(line) } },
    });
    app.get("/", async ({ session, log }) => {
      session.data.private = "private words";
      log.child({ session }).info({ session }, "handled");
      return "";
    });
    const first = await app.inject("/");
    const cookie = cookieOf(first.headers["set-cookie"]);
    store.fail();
    expect((await app.inject({ url: "/", headers: { cookie } })).statusCode).toBe(503);
    const log = lines.join("");
    expect(log).toContain("handled");
    expect(log).toContain("ERR_HOLDFAST_STORE");
    const [token, signature] = cookie.slice("sid=".length).split(".");
    for (const secret of [token, signature, SECRET, "private words"]) expect(log).not.toContain(secret);
  });
});

async function* endless() {
  for (;;) yield "more";
}
