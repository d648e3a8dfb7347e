import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import compression from "compression";
import express5 from "express";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { expressSessions } from "../src/adapters/express.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Sessions } from "../src/engine/sessions.js";
import type { Awaitable, Store } from "../src/stores/contract.js";
import { memoryStore } from "../src/stores/memory.js";
import { Browser, listen } from "./support/browser.js";
import { SECRET } from "./support/shop.js";

const { default: express4 } = (await import("express4" as string)) as { default: typeof express5 };

const VERSIONS = [
  { version: "Express 4", express: express4 },
  { version: "Express 5", express: express5 },
];

const FILE = fileURLToPath(import.meta.url);

describe.each(VERSIONS)("$version", ({ express }) => {
  let app: ReturnType<typeof express>;
  let store: SlowStore;
  let sessions: Sessions<any>;
  let user: Browser;
  let url: string;
  let close: () => Promise<void>;

  const start = async (options: Partial<SessionsOptions<any>> = {}) => {
    store = new SlowStore();
    sessions = createSessions<any>({
      secrets: [SECRET],
      store: store.store,
      sweepInterval: false,
      ...options,
    });
    app = express();
    app.use(expressSessions(sessions));
    ({ url, close } = await listen(app));
    user = new Browser(url);
  };
  beforeEach(() => start());
  afterEach(async () => {
    await close();
    vi.restoreAllMocks();
  });

  const lastWrite = () => JSON.parse(store.payloads.at(-1)!.split("\n")[1]!);

  describe("holds the headers back until the session is stored", () => {
    const ways: Array<[string, (req: any, res: any) => unknown, string]> = [
      ["end", (_req, res) => res.end("done"), "done"],
      ["end with a callback", (_req, res) => res.end("done", () => {}), "done"],
      ["send", (_req, res) => res.send("done"), "done"],
      ["json", (_req, res) => res.json({ done: true }), '{"done":true}'],
      ["redirect", (_req, res) => res.redirect("/there"), "Found. Redirecting to /there"],
      ["sendStatus", (_req, res) => res.sendStatus(202), "Accepted"],
      ["writeHead", (_req, res) => res.writeHead(200, { "x-own": "1" }).end("done"), "done"],
      [
        "writeHead with a list",
        (_req, res) => res.writeHead(200, "Fine", ["x-own", "1"]).end("done"),
        "done",
      ],
      [
        "several writes",
        (_req, res) => {
          res.write("do");
          res.write("n");
          res.end("e");
        },
        "done",
      ],
      [
        "flushHeaders",
        (_req, res) => {
          res.flushHeaders();
          res.end("done");
        },
        "done",
      ],
      ["a piped stream", (_req, res) => Readable.from(["do", "ne"]).pipe(res), "done"],
      ["sendFile", (_req, res) => res.sendFile(FILE), readFileSync(FILE, "utf8")],
    ];

    it.each(ways)("with %s", async (_way, respond, body) => {
      app.get("/", (req, res) => {
        req.session.data.written = true;
        respond(req, res);
      });
      store.hold();
      let answered = false;
      const answer = user.get("/").finally(() => {
        answered = true;
      });
      await store.asked();
      await turns(20);
      expect(answered).toBe(false);
      store.release();
      expect(await answer).toMatchObject({ body, setCookie: [expect.stringMatching(/^sid=/)] });
      expect(lastWrite()).toEqual({ written: true });
    });

    it("with a large stream, in order and whole, though the client reads slowly", async () => {
      const chunks = Array.from({ length: 200 }, (_, n) => `${n}`.padStart(20_000, "."));
      app.get("/", (req, res) => {
        req.session.data.written = true;
        Readable.from(chunks).pipe(res);
      });
      store.hold();
      const answer = user.get("/");
      await store.asked();
      store.release();
      expect((await answer).body).toBe(chunks.join(""));
    });

    it("for HEAD and for 304, which set the cookie as well", async () => {
      app.get("/", (req, res) => {
        req.session.data.written = (req.session.data.written ?? 0) + 1;
        res.send("done");
      });
      const head = await fetch(url, { method: "HEAD" });
      expect(head.headers.getSetCookie()).toHaveLength(1);
      const etag = head.headers.get("etag")!;
      // Not with fetch, which asks caches to be left out where it is given a condition.
      const notModified = await new Promise<IncomingMessage>((resolve) => {
        request(url, { headers: { "if-none-match": etag } }, (response) => resolve(response.resume())).end();
      });
      expect(notModified.statusCode).toBe(304);
      expect(notModified.headers["set-cookie"]).toHaveLength(1);
    });

    it("and keeps the answer that was given, whatever happens to status and headers meanwhile", async () => {
      app.get("/", (req, res) => {
        req.session.data.written = true;
        res.status(201).set("x-given", "1").send("given");
        throw new Error("after the answer");
      });
      app.use((_error: unknown, _req: any, res: any, _next: any) => {
        res.status(500).set("x-given", "2").set("x-error", "1").send("an error page that comes too late");
      });
      store.hold();
      const answer = user.get("/");
      await store.asked();
      await turns(5);
      store.release();
      const { status, body, headers } = await answer;
      expect({ status, body, given: headers.get("x-given"), error: headers.get("x-error") }).toEqual({
        status: 201,
        body: "given",
        given: "1",
        error: null,
      });
    });

    it("and stores what was changed before an error, which the error handler answers", async () => {
      app.get("/", (req) => {
        req.session.data.written = true;
        throw new Error("thrown");
      });
      app.use((error: Error, _req: any, res: any, _next: any) => res.status(500).send(error.message));
      expect(await user.get("/")).toMatchObject({
        status: 500,
        body: "thrown",
        setCookie: [expect.any(String)],
      });
      expect(lastWrite()).toEqual({ written: true });
    });

    it("and stores what was changed when the client has gone away", async () => {
      const gone = resolvers();
      app.get("/", (req, res) => {
        req.session.data.written = true;
        req.on("close", async () => {
          await turns(2);
          res.end("nobody reads this");
          gone.resolve();
        });
      });
      const { port } = new URL(url);
      const socket = connect(Number(port), "127.0.0.1");
      socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      setTimeout(() => socket.destroy(), 50);
      await gone.promise;
      await turns(10);
      expect(lastWrite()).toEqual({ written: true });
    });

    it("and joins the cookies and headers that the application set", async () => {
      app.get("/", (req, res) => {
        req.session.data.written = true;
        res.cookie("theme", "dark");
        res.writeHead(200, { "Set-Cookie": ["lang=en"], Vary: "Accept" });
        res.end();
      });
      const { setCookie, headers } = await user.get("/");
      expect(setCookie.map((line) => line.split("=")[0])).toEqual(["lang", "sid"]);
      expect(headers.get("vary")).toBe("Accept, Cookie");
    });
  });

  describe("with middleware that wraps the response", () => {
    const responders: Array<[string, (res: any) => unknown]> = [
      ["send", (res) => res.send("done".repeat(1000))],
      ["write and end", (res) => [res.write("done".repeat(500)), res.end("done".repeat(500))]],
      ["several writes", (res) => [res.write("done".repeat(500)), res.write("done".repeat(500)), res.end()]],
      ["writeHead and end", (res) => res.writeHead(200, { "x-own": "1" }).end("done".repeat(1000))],
      ["a pipe", (res) => Readable.from(Array.from({ length: 1000 }, () => "done")).pipe(res)],
    ];
    const orders = ["before", "after"] as const;

    it.each(orders.flatMap((order) => responders.map(([way, respond]) => [order, way, respond] as const)))(
      "compression %s the sessions, answering with %s, from the first request on",
      async (order, _way, respond) => {
        // A copy of Express that has served no request yet, as in a process that has just started.
        vi.resetModules();
        const fresh = createRequire(import.meta.url);
        const name = express === express4 ? "express4" : "express";
        for (const id of Object.keys(fresh.cache))
          if (/node_modules.express4?.lib/.test(id)) delete fresh.cache[id];
        const app = (fresh(name) as typeof express5)();
        if (order === "before") app.use(compression({ threshold: 0 }));
        app.use(expressSessions(sessions));
        if (order === "after") app.use(compression({ threshold: 0 }));
        app.get("/", (req, res) => {
          req.session.data.written = Math.random();
          res.type("text/plain");
          respond(res);
        });
        const server = await listen(app);
        const visitor = new Browser(server.url);
        for (let n = 0; n < 3; n++) {
          const answer = await visitor.get("/");
          expect(answer.body).toBe("done".repeat(1000));
          expect(answer.headers.get("content-encoding")).toMatch(/gzip|br/);
          expect(answer.setCookie).toHaveLength(n === 0 ? 1 : 0);
        }
        await server.close();
      },
    );
  });

  describe("server-sent events", () => {
    it("commits before the first byte, and tells of changes that come later", async () => {
      const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const dropped: unknown[] = [];
      sessions.on("dropped-write", (event) => dropped.push(event));
      const go = resolvers();
      app.get("/", async (req, res) => {
        req.session.data.early = true;
        res.writeHead(200, { "Content-Type": "text/event-stream" });
        res.write("data: first\n\n");
        await go.promise;
        req.session.data.late = true;
        res.end("data: last\n\n");
      });
      const response = await fetch(url);
      expect(response.headers.getSetCookie()).toHaveLength(1);
      expect(lastWrite()).toEqual({ early: true });
      go.resolve();
      expect(await response.text()).toBe("data: first\n\ndata: last\n\n");
      expect(dropped).toEqual([expect.objectContaining({ reason: "headers-sent" })]);
      expect(warning).toHaveBeenCalledWith(
        expect.stringContaining("after the response's headers"),
        expect.anything(),
      );
      expect(lastWrite()).toEqual({ early: true });
    });

    it("stores later changes of a stored session by save and update, and refuses what would need a cookie", async () => {
      const outcome = resolvers<string>();
      app.get("/", async (req, res) => {
        req.session.data.early = true;
        res.write("data: first\n\n");
        await req.session.update((data) => {
          data.updated = true;
        });
        req.session.data.saved = true;
        await req.session.save();
        const refused = await req.session.login("ada").catch((error) => error.code);
        res.end();
        outcome.resolve(refused);
      });
      await user.get("/");
      expect(await outcome.promise).toBe("ERR_HOLDFAST_HEADERS_SENT");
      expect(lastWrite()).toEqual({ early: true, updated: true, saved: true });
    });
  });

  describe("fails closed", () => {
    it("goes to the error handler when the session can't be loaded, and the handler doesn't run", async () => {
      const handler = vi.fn();
      app.get("/write", (req, res) => {
        req.session.data.a = 1;
        res.end();
      });
      app.get("/", handler);
      await user.get("/write");
      store.failWith = new Error("the disk is gone");
      const answer = await user.get("/");
      expect(answer.status).toBe(503);
      expect(answer.setCookie).toEqual([]);
      expect(handler).not.toHaveBeenCalled();
    });

    it("turns an answer into the error page when the session can't be stored", async () => {
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.status(201).set("x-kept", "1").location("/secret").json({ fine: true });
      });
      app.use((error: any, _req: any, res: any, _next: any) => {
        res.status(error.status).send(error.code);
      });
      store.failWith = new Error("the disk is gone");
      const { status, body, headers, setCookie } = await user.get("/");
      expect({ status, body, setCookie }).toEqual({ status: 503, body: "ERR_HOLDFAST_STORE", setCookie: [] });
      expect(headers.get("location")).toBeNull();
      expect(headers.get("content-type")).toContain("text/html");
    });

    it("does the same for a stream, with nothing of the stream in the page", async () => {
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        Readable.from(["secret", "secret"]).pipe(res);
      });
      store.failWith = new Error("the disk is gone");
      const answer = await user.get("/");
      expect(answer.status).toBe(503);
      expect(answer.body).not.toContain("secret");
    });

    it("answers 503 by itself where the application has no error handler, without inner details in production", async () => {
      vi.stubEnv("NODE_ENV", "production");
      app.set("env", "production");
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.end("ok");
      });
      store.failWith = new Error("the disk is gone");
      const answer = await user.get("/");
      expect(answer.status).toBe(503);
      expect(answer.body).not.toContain("disk");
      vi.unstubAllEnvs();
    });

    it("still tells the browser of a login that was stored before something else couldn't be", async () => {
      app.get("/login", async (req) => {
        await req.session.login("ada");
        req.session.data.at = new Date() as any;
        (req as any).res.end("never sent");
      });
      app.get("/", (req, res) => {
        res.send(req.session.userId ?? "nobody");
      });
      const answer = await user.get("/login");
      expect(answer).toMatchObject({ status: 500, setCookie: [expect.any(String)] });
      expect((await user.get("/")).body).toBe("ada");
    });

    it("names the value that can't be stored, and answers (where others hang for ever)", async () => {
      app.get("/:kind", (req, res) => {
        const values: Record<string, unknown> = {
          bigint: 1n,
          date: new Date(),
          map: new Map(),
          fn: () => {},
        };
        req.session.data.cart = [{ at: values[req.params.kind!] }];
        res.end("ok");
      });
      app.use((error: any, _req: any, res: any, _next: any) =>
        res.status(error.status).send(`${error.code} ${error.path}`),
      );
      for (const kind of ["bigint", "date", "map", "fn"]) {
        expect(await user.get(`/${kind}`)).toMatchObject({
          status: 500,
          body: "ERR_HOLDFAST_NOT_SERIALIZABLE data.cart[0].at",
          setCookie: [],
        });
      }
    });
  });

  describe("fits the framework", () => {
    it("works in a router, in a mounted application, and when used twice", async () => {
      const router = express.Router();
      const sub = express();
      sub.use(expressSessions(sessions));
      sub.get("/in", (req, res) => {
        req.session.data.sub = true;
        res.send(String(req.session.isNew));
      });
      sub.get("/through", (req, _res, next) => {
        req.session.data.through = true;
        next();
      });
      router.use("/sub", sub);
      app.use(router);
      app.get("/sub/through", (_req, res) => {
        res.send("answered by the parent");
      });
      expect((await user.get("/sub/in")).setCookie).toHaveLength(1);
      expect((await user.get("/sub/through")).body).toBe("answered by the parent");
      expect(lastWrite()).toEqual({ sub: true, through: true });
    });

    it("works when only a mounted application uses it, and the parent answers", async () => {
      const parent = express();
      const sub = express();
      sub.use(expressSessions(sessions));
      sub.get("/x", (req, _res, next) => {
        req.session.data.sub = true;
        next();
      });
      parent.use("/sub", sub);
      parent.get("/sub/x", (_req, res) => {
        res.send("parent");
      });
      const server = await listen(parent);
      const answer = await new Browser(server.url).get("/sub/x");
      expect(answer).toMatchObject({ body: "parent", setCookie: [expect.any(String)] });
      expect(lastWrite()).toEqual({ sub: true });
      await server.close();
    });

    it("refuses two different sessions on one request", async () => {
      app.use(
        expressSessions(createSessions({ secrets: [SECRET], store: memoryStore(), sweepInterval: false })),
      );
      app.get("/", (_req, res) => {
        res.end();
      });
      expect((await user.get("/")).status).toBe(500);
    });

    it("tells what to do where req.session is assigned", async () => {
      app.get("/", (req, res) => {
        try {
          (req as any).session = null;
        } catch (error) {
          res.send((error as Error).message);
        }
      });
      expect((await user.get("/")).body).toContain("req.session.destroy()");
    });

    it("takes the client's address from Express, by the proxies that it trusts, where it is to be remembered", async () => {
      await close();
      await start({ rememberIp: true });
      app.set("trust proxy", "loopback");
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.end();
      });
      app.get("/client", (req, res) => {
        res.json(req.session.client);
      });
      await user.get("/", { "x-forwarded-for": "203.0.113.9" });
      expect(JSON.parse((await user.get("/client")).body)).toMatchObject({ ip: "203.0.113.9" });
    });

    it("throws where data is put on the session instead of into its data", async () => {
      app.get("/", (req, res) => {
        try {
          (req.session as any).cart = [];
        } catch (error) {
          res.send((error as Error).message);
        }
      });
      expect((await user.get("/")).body).toContain("cart");
    });

    it("leaves requests without it alone: another library may set req.session", async () => {
      const other = express();
      other.get("/", (req, res) => {
        (req as any).session = { other: true };
        res.json(req.session);
      });
      const server = await listen(other);
      expect((await new Browser(server.url).get("/")).body).toBe('{"other":true}');
      await server.close();
    });

    it("knows HTTPS from Express's own trust in proxies, and from nobody else's word", async () => {
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.end();
      });
      const forwarded = { "x-forwarded-proto": "https" };
      expect((await user.get("/", forwarded)).setCookie[0]).toMatch(
        /^sid=.*; Path=\/; HttpOnly; SameSite=Lax$/,
      );
      app.set("trust proxy", "loopback");
      expect((await new Browser(url).get("/", forwarded)).setCookie[0]).toMatch(
        /^__Host-sid=.*; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      );
    });
  });

  describe("caching", () => {
    it("makes responses that set the cookie no-store, unless the application's are private already", async () => {
      app.get("/:cache", (req, res) => {
        req.session.data.a = Math.random();
        if (req.params.cache !== "none") res.set("Cache-Control", req.params.cache!);
        res.end();
      });
      const cacheOf = async (path: string) => (await new Browser(url).get(path)).headers.get("cache-control");
      expect(await cacheOf("/none")).toBe("no-store");
      expect(await cacheOf("/public, max-age=60")).toBe("no-store");
      expect(await cacheOf("/private, max-age=60")).toBe("private, max-age=60");
      await user.get("/none");
      expect((await user.get("/public, max-age=60")).headers.get("cache-control")).toBe("public, max-age=60");
    });

    it("adds Vary: Cookie where the session was looked at, and only there", async () => {
      app.get("/read", (req, res) => {
        res.json(req.session.isNew);
      });
      app.get("/plain", (_req, res) => {
        res.end();
      });
      expect((await user.get("/read")).headers.get("vary")).toBe("Cookie");
      expect((await user.get("/plain")).headers.get("vary")).toBeNull();
    });

    it.each(["unless-set", "off"] as const)("lets the application decide with %s", async (cacheControl) => {
      await close();
      await start({ cacheControl });
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.set("Cache-Control", "public").end();
      });
      expect((await user.get("/")).headers.get("cache-control")).toBe("public");
    });
  });

  it("logout clears the cookie with the very attributes that set it, and can clear the site's data", async () => {
    await close();
    await start({ cookie: { path: "/app", priority: "high", persistent: true } });
    app.get("/app/in", async (req, res) => {
      await req.session.login("ada");
      res.end();
    });
    app.get("/app/out", async (req, res) => {
      await req.session.logout({ clearSiteData: true });
      res.end();
    });
    const [set] = (await user.get("/app/in")).setCookie;
    const answer = await user.get("/app/out");
    const [cleared] = answer.setCookie;
    const attributes = (line: string) =>
      line.split("; ").filter((part) => !/^(?:sid=|Max-Age|Expires)/.test(part));
    expect(attributes(cleared!)).toEqual(attributes(set!));
    expect(cleared).toMatch(/^sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT;/);
    expect(answer.headers.get("clear-site-data")).toBe('"cache", "cookies", "storage"');
  });

  it("starts a new session where something is written after the logout", async () => {
    app.get("/in", async (req, res) => {
      await req.session.login("ada");
      req.session.data.private = true;
      res.end();
    });
    app.get("/out", async (req, res) => {
      await req.session.logout();
      req.session.flash("notice", "Good bye");
      res.end();
    });
    app.get("/", (req, res) => {
      res.json({ flash: req.session.flash("notice"), data: req.session.data, userId: req.session.userId });
    });
    await user.get("/in");
    expect((await user.get("/out")).setCookie).toHaveLength(1);
    expect(JSON.parse((await user.get("/")).body)).toEqual({ flash: ["Good bye"], data: {} });
  });
});

/** A memory store whose calls can be held back or made to fail. */
class SlowStore {
  readonly payloads: string[] = [];
  readonly store: Store;
  failWith: Error | undefined;
  #gate = resolvers();
  #asked = resolvers();

  constructor() {
    this.#gate.resolve();
    const memory = memoryStore();
    const slow = async <T>(work: () => Awaitable<T>): Promise<T> => {
      this.#asked.resolve();
      await this.#gate.promise;
      if (this.failWith) throw this.failWith;
      return work();
    };
    this.store = {
      ...memory,
      load: (...args) => slow(() => memory.load(...args)),
      create: (id, record, call) => {
        this.payloads.push(record.payload);
        return slow(() => memory.create(id, record, call));
      },
      replace: (id, version, record, call) => {
        this.payloads.push(record.payload);
        return slow(() => memory.replace(id, version, record, call));
      },
    };
  }

  hold(): void {
    this.#gate = resolvers();
    this.#asked = resolvers();
  }

  asked(): Promise<void> {
    return this.#asked.promise;
  }

  release(): void {
    this.#gate.resolve();
  }
}

function resolvers<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Lets the event loop turn, so that what would happen without waiting has happened. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}
