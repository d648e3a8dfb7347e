import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { createGunzip } from "node:zlib";
import compression from "compression";
import express5 from "express";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { expressSessions } from "../src/adapters/express.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Sessions } from "../src/engine/sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { Browser, listen } from "./support/browser.js";
import { withResolvers } from "./support/resolvers.js";
import { SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

const { default: express4 } = (await import("express4" as string)) as { default: typeof express5 };

const VERSIONS = [
  { version: "Express 4", express: express4 },
  { version: "Express 5", express: express5 },
];

/** What is Express's own; what holds in every framework is in `frameworks/suite.ts`. */
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

  it("keeps the answer that was given, whatever happens to status and headers meanwhile", async () => {
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

  it("joins the headers that writeHead was given, which replace what was set before", async () => {
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
          const answer = await visitor.open("GET", "/", { headers: { "accept-encoding": "gzip" } });
          expect(answer.headers.get("content-encoding")).toBe("gzip");
          expect(await text(answer.body.pipe(createGunzip()))).toBe("done".repeat(1000));
          expect(answer.headers.getSetCookie()).toHaveLength(n === 0 ? 1 : 0);
        }
        await server.close();
      },
    );
  });

  it("stores later changes of a stored session by save and update, and refuses what would need a cookie", async () => {
    const outcome = withResolvers<string>();
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
    expect(store.lastData).toEqual({ early: true, updated: true, saved: true });
  });

  describe("fails closed", () => {
    it("turns an answer into the error page when the session can't be stored", async () => {
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.status(201).set("x-kept", "1").location("/secret").json({ fine: true });
      });
      app.use((error: any, _req: any, res: any, _next: any) => {
        res.status(error.status).send(error.code);
      });
      store.fail();
      const { status, body, headers, setCookie } = await user.get("/");
      expect({ status, body, setCookie }).toEqual({ status: 503, body: "ERR_HOLDFAST_STORE", setCookie: [] });
      expect(headers.get("location")).toBeNull();
      expect(headers.get("content-type")).toContain("text/html");
    });

    it("answers 503 by itself where the application has no error handler, without inner details in production", async () => {
      vi.stubEnv("NODE_ENV", "production");
      app.set("env", "production");
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.end("ok");
      });
      store.fail();
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
      expect(store.lastData).toEqual({ sub: true, through: true });
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
      expect(store.lastData).toEqual({ sub: true });
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
  });

  it.each(["unless-set", "off"] as const)(
    "lets the application decide about caching with %s",
    async (cacheControl) => {
      await close();
      await start({ cacheControl });
      app.get("/", (req, res) => {
        req.session.data.a = 1;
        res.set("Cache-Control", "public").end();
      });
      expect((await user.get("/")).headers.get("cache-control")).toBe("public");
    },
  );

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

/** Lets the event loop turn, so that what would happen without waiting has happened. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}
