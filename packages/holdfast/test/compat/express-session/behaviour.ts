import { createSecretKey } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Browser } from "../../support/browser.js";
import {
  called,
  cookieOf,
  type Framework,
  type Handler,
  SECRET,
  type Served,
  type Subject,
  sendJson,
  serve,
  signedId,
} from "./subject.js";

/**
 * What express-session's documentation says, and what applications have come to rely on, as seen from outside: the same cases
 * run against the npm package and the drop-in. What only a store sees is in `store-calls.ts`.
 */

const NOW = new Date("2030-01-01T00:00:00Z");
const MINUTE = 60_000;

export function describeBehaviour(subject: Subject, framework: Framework): void {
  const { session } = subject;

  describe(`${subject.name} on ${framework.name}`, () => {
    let served: Served;
    let browser: Browser;
    const start = async (
      options: Record<string, any>,
      handler: Handler,
      around?: Parameters<typeof serve>[4],
    ) => {
      served = await serve(subject, framework, options, handler, around);
      browser = served.browser();
    };
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ["Date"], now: NOW });
    });
    afterEach(async () => {
      vi.useRealTimers();
      await served?.close();
    });

    /** Counts visits; the shortest application that uses a session. */
    const countVisits: Handler = (req, res) => {
      req.session.views = (req.session.views ?? 0) + 1;
      res.end(String(req.session.views));
    };
    /** Answers with the session's data, without changing it. */
    const show: Handler = (req, res) => sendJson(res, { id: req.sessionID, ...req.session });

    const firstCookie = async (
      options: Record<string, any>,
      headers: Record<string, string> = {},
      handler = countVisits,
    ): Promise<string[]> => {
      await start(options, handler);
      return (await browser.get("/", headers)).setCookie;
    };
    const VALUE = `connect.sid=${signedId("id-1")}`;

    describe("cookie", () => {
      it.each<[string, Record<string, any>, string]>([
        ["nothing", {}, "; Path=/; HttpOnly"],
        ["domain", { domain: "example.com" }, "; Domain=example.com; Path=/; HttpOnly"],
        [
          "expires",
          { expires: new Date(NOW.valueOf() + MINUTE) },
          "; Path=/; Expires=Tue, 01 Jan 2030 00:01:00 GMT; HttpOnly",
        ],
        ["expires: null", { expires: null }, "; Path=/; HttpOnly"],
        ["httpOnly: true", { httpOnly: true }, "; Path=/; HttpOnly"],
        ["httpOnly: false", { httpOnly: false }, "; Path=/"],
        ["maxAge", { maxAge: MINUTE }, "; Path=/; Expires=Tue, 01 Jan 2030 00:01:00 GMT; HttpOnly"],
        ["maxAge: null", { maxAge: null }, "; Path=/; HttpOnly"],
        [
          "maxAge, then expires",
          { maxAge: MINUTE, expires: new Date(NOW.valueOf() + 2 * MINUTE) },
          "; Path=/; Expires=Tue, 01 Jan 2030 00:02:00 GMT; HttpOnly",
        ],
        [
          "expires, then maxAge",
          { expires: new Date(NOW.valueOf() + 2 * MINUTE), maxAge: MINUTE },
          "; Path=/; Expires=Tue, 01 Jan 2030 00:01:00 GMT; HttpOnly",
        ],
        ["partitioned: true", { partitioned: true }, "; Path=/; HttpOnly; Partitioned"],
        ["partitioned: false", { partitioned: false }, "; Path=/; HttpOnly"],
        ["path", { path: "/" }, "; Path=/; HttpOnly"],
        ["path: null", { path: null }, "; HttpOnly"],
        ["priority: low", { priority: "low" }, "; Path=/; HttpOnly; Priority=Low"],
        ["priority: medium", { priority: "medium" }, "; Path=/; HttpOnly; Priority=Medium"],
        ["priority: high", { priority: "high" }, "; Path=/; HttpOnly; Priority=High"],
        ["priority: HIGH", { priority: "HIGH" }, "; Path=/; HttpOnly; Priority=High"],
        ["sameSite: true", { sameSite: true }, "; Path=/; HttpOnly; SameSite=Strict"],
        ["sameSite: false", { sameSite: false }, "; Path=/; HttpOnly"],
        ["sameSite: lax", { sameSite: "lax" }, "; Path=/; HttpOnly; SameSite=Lax"],
        ["sameSite: none", { sameSite: "none" }, "; Path=/; HttpOnly; SameSite=None"],
        ["sameSite: strict", { sameSite: "strict" }, "; Path=/; HttpOnly; SameSite=Strict"],
        ["sameSite: Lax", { sameSite: "Lax" }, "; Path=/; HttpOnly; SameSite=Lax"],
        ["sameSite: auto, over HTTP", { sameSite: "auto" }, "; Path=/; HttpOnly; SameSite=Lax"],
        ["secure: false", { secure: false }, "; Path=/; HttpOnly"],
        ["secure: auto, over HTTP", { secure: "auto" }, "; Path=/; HttpOnly"],
        ["something unknown", { colour: "red" }, "; Path=/; HttpOnly"],
        [
          "all",
          {
            domain: ".example.com",
            path: "/",
            maxAge: MINUTE,
            httpOnly: true,
            partitioned: true,
            priority: "low",
            sameSite: "lax",
          },
          "; Domain=.example.com; Path=/; Expires=Tue, 01 Jan 2030 00:01:00 GMT; HttpOnly; Partitioned; Priority=Low; SameSite=Lax",
        ],
      ])("with %s", async (_name, cookie, attributes) => {
        expect(await firstCookie({ cookie })).toEqual([VALUE + attributes]);
      });

      it.each<[string, Record<string, any>, string]>([
        ["secure: true", { secure: true }, "; Path=/; HttpOnly; Secure"],
        ["secure: auto", { secure: "auto" }, "; Path=/; HttpOnly; Secure"],
        ["sameSite: auto", { sameSite: "auto" }, "; Path=/; HttpOnly; SameSite=None"],
        ["both auto", { secure: "auto", sameSite: "auto" }, "; Path=/; HttpOnly; Secure; SameSite=None"],
        [
          "both auto, partitioned",
          { secure: "auto", sameSite: "auto", partitioned: true },
          "; Path=/; HttpOnly; Secure; Partitioned; SameSite=None",
        ],
      ])("over HTTPS, with %s", async (_name, cookie, attributes) => {
        const lines = await firstCookie({ cookie, proxy: true }, { "x-forwarded-proto": "https" });
        expect(lines).toEqual([VALUE + attributes]);
      });

      it("is not set over HTTP where it is secure", async () => {
        expect(await firstCookie({ cookie: { secure: true } })).toEqual([]);
      });

      it("may be null, or left out", async () => {
        expect(await firstCookie({ cookie: null })).toEqual([`${VALUE}; Path=/; HttpOnly`]);
      });

      it("as a function is asked with the request", async () => {
        const cookie = (req: any) => ({ path: `/${req.url.split("/")[1]}`, maxAge: MINUTE });
        await start({ cookie }, countVisits);
        expect((await browser.get("/shop/cart")).setCookie).toEqual([
          `${VALUE}; Path=/shop; Expires=Tue, 01 Jan 2030 00:01:00 GMT; HttpOnly`,
        ]);
      });

      it("as a function is asked twice for a new session, and once for one that is found", async () => {
        let asked = 0;
        const cookie = () => {
          asked++;
          return {};
        };
        await start({ cookie }, countVisits);
        await browser.get("/");
        expect(asked).toBe(2);
        await browser.get("/");
        expect(asked).toBe(3);
      });

      it("as a function that throws is an error of the request", async () => {
        const cookie = () => {
          throw new Error("no cookie");
        };
        await start({ cookie }, countVisits);
        expect(await browser.get("/")).toMatchObject({ status: 500, body: "error: no cookie" });
      });

      it.each([
        ["/shop", "/shop", true],
        ["/shop", "/shop/cart?all=1", true],
        ["/shop", "/shopping", true],
        ["/shop", "/", false],
        ["/shop", "/?/shop", false],
        ["/", "/anything", true],
      ])("path %s: a request of %s has a session: %s", async (path, url, expected) => {
        await start({ cookie: { path } }, (req, res) => sendJson(res, req.session !== undefined));
        expect((await browser.get(url)).body).toBe(String(expected));
      });

      it("path: counts from the root, in a mounted application too", async () => {
        await start({ cookie: { path: "/admin" } }, (req, res) => sendJson(res, req.session !== undefined), {
          before: [
            (req, _res, next) => {
              req.originalUrl = "/admin/page";
              next();
            },
          ],
        });
        expect((await browser.get("/page")).body).toBe("true");
      });

      it("joins cookies that are set already", async () => {
        await start({}, (req, res) => {
          req.session.a = 1;
          res.setHeader("Set-Cookie", "theme=dark");
          res.end();
        });
        expect((await browser.get("/")).setCookie).toEqual(["theme=dark", `${VALUE}; Path=/; HttpOnly`]);
        await served.close();
        await start({}, (req, res) => {
          req.session.a = 1;
          res.setHeader("Set-Cookie", ["theme=dark", "lang=en"]);
          res.end();
        });
        expect((await browser.get("/")).setCookie).toHaveLength(3);
      });
    });

    describe("genid", () => {
      it("by default makes 32 characters that fit into a URL, another each time", async () => {
        await start({ genid: undefined, saveUninitialized: true }, (req, res) => res.end(req.sessionID));
        const ids = [(await browser.get("/")).body, (await served.browser().get("/")).body];
        for (const id of ids) expect(id).toMatch(/^[\w-]{32}$/);
        expect(ids[0]).not.toBe(ids[1]);
      });

      it("is given the request", async () => {
        const genid = (req: any) => `of-${req.headers["x-user"]}`;
        await start({ genid }, (req, res) => res.end(req.sessionID));
        expect((await browser.get("/", { "x-user": "ada" })).body).toBe("of-ada");
      });

      it("writes ids with other characters as they are", async () => {
        await start({ genid: () => "a/b c;d=é.x" }, countVisits);
        await browser.get("/");
        expect(browser.cookieHeader).toBe(`connect.sid=${signedId("a/b c;d=é.x")}`);
        expect((await browser.get("/")).body).toBe("2");
      });

      it("has to be a function", () => {
        expect(() =>
          session({ secret: SECRET, resave: false, saveUninitialized: false, genid: "id" }),
        ).toThrow(new TypeError("genid option must be a function"));
      });

      it("that throws is an error of the request", async () => {
        const genid = () => {
          throw new Error("no more ids");
        };
        await start({ genid }, countVisits);
        expect(await browser.get("/")).toMatchObject({ status: 500, body: "error: no more ids" });
      });

      it("that answers with no text makes a session that isn't kept", async () => {
        await start({ genid: () => undefined, saveUninitialized: true }, countVisits);
        expect(await browser.get("/")).toMatchObject({ status: 200, body: "1", setCookie: [] });
      });
    });

    describe("name", () => {
      it("names the cookie, to set and to read", async () => {
        await start({ name: "shop" }, countVisits);
        expect((await browser.get("/")).setCookie).toEqual([`shop=${signedId("id-1")}; Path=/; HttpOnly`]);
        expect((await browser.get("/")).body).toBe("2");
        const [, value] = browser.cookieHeader.split("=");
        expect((await served.browser().get("/", { cookie: `connect.sid=${value}` })).body).toBe("1");
      });

      it("may be given as key", async () => {
        await start({ key: "old" }, countVisits);
        expect((await browser.get("/")).setCookie[0]).toMatch(/^old=/);
      });

      it("keeps two sessions apart", async () => {
        const usual = { secret: SECRET, resave: false, saveUninitialized: false };
        await start({ name: "one" }, countVisits);
        const other = await serve(subject, framework, { ...usual, name: "two" }, countVisits);
        await browser.get("/");
        const twin = browser.twin(other.url);
        expect((await twin.get("/")).body).toBe("1");
        expect([...twin.cookies.keys()]).toEqual(["one", "two"]);
        await other.close();
      });
    });

    describe("proxy", () => {
      const secureCookie = { cookie: { secure: true } };

      it.each([
        ["https", true],
        ["HTTPS", true],
        ["https, http", true],
        [" https ", true],
        ["http", false],
        ["http, https", false],
        ["", false],
      ])("true believes X-Forwarded-Proto: %s is secure: %s", async (header, expected) => {
        const lines = await firstCookie({ ...secureCookie, proxy: true }, { "x-forwarded-proto": header });
        expect(lines).toHaveLength(expected ? 1 : 0);
      });

      it("true without the header is not secure", async () => {
        expect(await firstCookie({ ...secureCookie, proxy: true })).toEqual([]);
      });

      it("false believes no header, whatever the framework trusts", async () => {
        await start({ ...secureCookie, proxy: false }, countVisits, {
          prepare: (app) => app.set?.("trust proxy", true),
        });
        expect((await browser.get("/", { "x-forwarded-proto": "https" })).setCookie).toEqual([]);
      });

      it("undefined goes by the framework's trust in the proxy", async () => {
        const trust = (app: any) => app.set?.("trust proxy", true);
        await start(secureCookie, countVisits, { prepare: trust });
        const lines = (await browser.get("/", { "x-forwarded-proto": "https" })).setCookie;
        // Connect trusts nobody.
        expect(lines).toHaveLength(framework.name === "Connect" ? 0 : 1);
      });

      it("undefined goes by req.secure", async () => {
        const secure: Handler = (req, _res, next) => {
          Object.defineProperty(req, "secure", { value: true });
          next();
        };
        await start(secureCookie, countVisits, { before: [secure] });
        expect((await browser.get("/")).setCookie).toHaveLength(1);
      });

      it.each([true, false, undefined])("%s: a TLS connection is secure", async (proxy) => {
        const encrypt: Handler = (req, _res, next) => {
          Object.defineProperty(req.socket, "encrypted", { configurable: true, value: true });
          next();
        };
        await start({ ...secureCookie, proxy }, countVisits, { before: [encrypt] });
        expect((await browser.get("/")).setCookie).toHaveLength(1);
      });
    });

    describe("rolling", () => {
      it("false: a session that is found and not changed sets no cookie", async () => {
        await start({ cookie: { maxAge: MINUTE } }, (req, res) => {
          req.session.user ??= "ada";
          res.end();
        });
        await browser.get("/");
        expect((await browser.get("/")).setCookie).toEqual([]);
      });

      it("false: a change sets the cookie again where it has an expiry, and only there", async () => {
        await start({ cookie: { maxAge: MINUTE } }, countVisits);
        await browser.get("/");
        vi.setSystemTime(NOW.valueOf() + 30_000);
        expect((await browser.get("/")).setCookie).toEqual([
          `${VALUE}; Path=/; Expires=Tue, 01 Jan 2030 00:01:30 GMT; HttpOnly`,
        ]);
        await served.close();
        await start({}, countVisits);
        await browser.get("/");
        expect((await browser.get("/")).setCookie).toEqual([]);
      });

      it("true: sets the cookie on every response, with the lifetime begun anew", async () => {
        await start({ rolling: true, cookie: { maxAge: MINUTE } }, (req, res) => {
          req.session.user ??= "ada";
          res.end();
        });
        await browser.get("/");
        vi.setSystemTime(NOW.valueOf() + 59_000);
        expect((await browser.get("/")).setCookie).toEqual([
          `${VALUE}; Path=/; Expires=Tue, 01 Jan 2030 00:01:59 GMT; HttpOnly`,
        ]);
        await served.close();
        await start({ rolling: true }, (req, res) => {
          req.session.user ??= "ada";
          res.end();
        });
        await browser.get("/");
        expect((await browser.get("/")).setCookie).toEqual([`${VALUE}; Path=/; HttpOnly`]);
      });

      it("true: sets no cookie for a session that is uninitialized", async () => {
        await start({ rolling: true }, show);
        expect((await browser.get("/")).setCookie).toEqual([]);
      });
    });

    describe("saveUninitialized", () => {
      it("false: nothing is kept of a session that nobody changed", async () => {
        await start({}, show);
        expect((await browser.get("/")).setCookie).toEqual([]);
        expect((await browser.get("/", cookieOf("id-1"))).body).toContain('"id":"id-2"');
      });

      it("true: every visitor has a session", async () => {
        await start({ saveUninitialized: true }, show);
        expect((await browser.get("/")).setCookie).toHaveLength(1);
        const answer = await browser.get("/");
        expect(answer.setCookie).toEqual([]);
        expect(answer.body).toContain('"id":"id-1"');
      });

      it("false: keeps what was changed, and no more of what was changed back", async () => {
        await start({}, (req, res) => {
          req.session.a = 1;
          delete req.session.a;
          res.end();
        });
        expect((await browser.get("/")).setCookie).toEqual([]);
      });

      it("false: a change of the cookie alone is none", async () => {
        await start({}, (req, res) => {
          req.session.cookie.maxAge = MINUTE;
          res.end();
        });
        expect((await browser.get("/")).setCookie).toEqual([]);
      });
    });

    describe("secret", () => {
      it.each([
        ["text", SECRET],
        ["a Buffer", Buffer.from("0123456789abcdef0123456789abcdef")],
        ["a KeyObject", createSecretKey(Buffer.from("0123456789abcdef0123456789abcdef"))],
      ])("may be %s", async (_name, secret) => {
        await start({ secret }, countVisits);
        await browser.get("/");
        expect(browser.cookieHeader).toBe(`connect.sid=${signedId("id-1", secret as string)}`);
        expect((await browser.get("/")).body).toBe("2");
      });

      it("may be a list: the first signs, all verify", async () => {
        await start({ secret: ["new", Buffer.from("old")] }, countVisits);
        await browser.get("/");
        expect(browser.cookieHeader).toBe(`connect.sid=${signedId("id-1", "new")}`);
        expect((await served.browser().get("/", cookieOf("id-1", "old"))).body).toBe("2");
        expect((await served.browser().get("/", cookieOf("id-1", "older"))).body).toBe("1");
      });

      it("an older one is good, and the cookie is not set again for it", async () => {
        await start({ secret: ["new", "old"] }, countVisits);
        await browser.get("/");
        expect((await served.browser().get("/", cookieOf("id-1", "old"))).setCookie).toEqual([]);
      });

      it("changed, ends every session", async () => {
        await start({ secret: "changed" }, countVisits);
        await browser.get("/");
        expect((await served.browser().get("/", cookieOf("id-1", SECRET))).body).toBe("1");
      });

      it("list may not be empty", () => {
        expect(() => session({ secret: [], resave: false, saveUninitialized: false })).toThrow(
          new TypeError("secret option array must contain one or more strings"),
        );
      });

      it("may be missing while req.secret is there", async () => {
        await start({ secret: undefined }, countVisits, {
          before: [
            (req, _res, next) => {
              req.secret = "of the parser";
              next();
            },
          ],
        });
        await browser.get("/");
        expect(browser.cookieHeader).toBe(`connect.sid=${signedId("id-1", "of the parser")}`);
      });

      it("missing is an error of each request", async () => {
        await start({ secret: "" }, countVisits);
        expect(await browser.get("/")).toMatchObject({
          status: 500,
          body: "error: secret option required for sessions",
        });
      });
    });

    describe("unset", () => {
      const unsetting =
        (unset: (req: any) => void): Handler =>
        (req, res) => {
          if (req.url === "/unset") {
            unset(req);
            res.end("unset");
          } else countVisits(req, res, () => {});
        };

      it.each<[string, (req: any) => void]>([
        ["null", (req) => (req.session = null)],
        ["undefined", (req) => (req.session = undefined)],
        ["delete", (req) => delete req.session],
      ])("keep, by %s: what is stored stays, changes of the request don't", async (_way, unset) => {
        const changing = (req: any) => {
          req.session.views = 100;
          unset(req);
        };
        await start({}, unsetting(changing));
        await browser.get("/");
        expect(await browser.get("/unset")).toMatchObject({ status: 200, body: "unset", setCookie: [] });
        expect((await browser.get("/")).body).toBe("2");
      });

      it.each<[string, (req: any) => void]>([
        ["null", (req) => (req.session = null)],
        ["undefined", (req) => (req.session = undefined)],
        ["delete", (req) => delete req.session],
      ])("destroy, by %s: the session ends with the response", async (_way, unset) => {
        await start({ unset: "destroy" }, unsetting(unset));
        await browser.get("/");
        expect(await browser.get("/unset")).toMatchObject({ status: 200, body: "unset", setCookie: [] });
        expect((await browser.get("/")).body).toBe("1");
      });

      it("destroy: a value that is neither null nor undefined ends nothing", async () => {
        await start(
          { unset: "destroy" },
          unsetting((req) => (req.session = false)),
        );
        await browser.get("/");
        await browser.get("/unset");
        expect((await browser.get("/")).body).toBe("2");
      });

      it('has to be "destroy" or "keep"', () => {
        expect(() =>
          session({ secret: SECRET, resave: false, saveUninitialized: false, unset: "forget" }),
        ).toThrow(new TypeError('unset option must be "destroy" or "keep"'));
      });
    });

    describe("req.session", () => {
      const ROUTES: Record<string, Handler> = {};
      const routed: Handler = (req, res, next) => {
        const route = ROUTES[req.url!.split("?")[0]!];
        if (route === undefined) countVisits(req, res, next);
        else route(req, res, next);
      };
      const on = (path: string, handler: Handler) => {
        ROUTES[path] = handler;
      };
      afterEach(() => {
        for (const path of Object.keys(ROUTES)) delete ROUTES[path];
      });

      it("keeps what JSON keeps", async () => {
        const data = {
          text: "é\u2028",
          list: [1, null, { deep: true }],
          date: new Date(0),
          none: undefined,
          nan: Number.NaN,
        };
        on("/set", (req, res) => {
          Object.assign(req.session, data);
          res.end();
        });
        on("/show", show);
        await start({}, routed);
        await browser.get("/set");
        const { id: _, cookie: __, ...kept } = JSON.parse((await browser.get("/show")).body);
        expect(kept).toEqual(JSON.parse(JSON.stringify(data)));
      });

      it("finds a change deep inside", async () => {
        on("/set", (req, res) => {
          req.session.cart = { items: [] };
          res.end();
        });
        on("/push", (req, res) => {
          req.session.cart.items.push("book");
          res.end();
        });
        on("/show", show);
        await start({}, routed);
        await browser.get("/set");
        await browser.get("/push");
        expect(JSON.parse((await browser.get("/show")).body).cart).toEqual({ items: ["book"] });
      });

      it("shows its data and cookie, and nothing else", async () => {
        on("/", (req, res) => {
          req.session.a = 1;
          sendJson(res, {
            keys: Object.keys(req.session),
            seen: (() => {
              const seen = [];
              for (const key in req.session) seen.push(key);
              return seen;
            })(),
            isSession: req.session instanceof session.Session,
            isCookie: req.session.cookie instanceof session.Cookie,
            ownsStore: req.sessionStore !== undefined && req.session.req === req,
          });
        });
        await start({}, routed);
        expect(JSON.parse((await browser.get("/")).body)).toEqual({
          keys: ["cookie", "a"],
          seen: ["cookie", "a"],
          isSession: true,
          isCookie: true,
          ownsStore: true,
        });
      });

      it("id is the request's sessionID and can't be changed", async () => {
        on("/id", (req, res) => {
          let refused = false;
          try {
            req.session.id = "other";
          } catch {
            refused = true;
          }
          sendJson(res, [req.session.id, req.sessionID, refused]);
        });
        await start({}, routed);
        expect(JSON.parse((await browser.get("/id")).body)).toEqual(["id-1", "id-1", true]);
      });

      it("regenerate: a new id and an empty session in its place, and the old one is gone", async () => {
        on("/regenerate", async (req, res) => {
          const before = req.session;
          const error = await called((done) => req.session.regenerate(done));
          const { id, views } = req.session;
          sendJson(res, {
            error: error ?? null,
            id,
            views,
            isNew: req.session !== before,
            sessionID: req.sessionID,
          });
        });
        await start({ cookie: { maxAge: MINUTE } }, routed);
        await browser.get("/");
        const old = browser.twin();
        const answer = await browser.get("/regenerate");
        expect(JSON.parse(answer.body)).toEqual({ error: null, id: "id-2", isNew: true, sessionID: "id-2" });
        expect(answer.setCookie).toEqual([
          `connect.sid=${signedId("id-2")}; Path=/; Expires=Tue, 01 Jan 2030 00:01:00 GMT; HttpOnly`,
        ]);
        expect((await browser.get("/")).body).toBe("1");
        expect((await old.get("/")).setCookie[0]).toContain("id-3");
      });

      it("regenerate, then data: kept under the new id", async () => {
        on("/login", async (req, res) => {
          await called((done) => req.session.regenerate(done));
          req.session.views = 41;
          await called((done) => req.session.save(done));
          res.end();
        });
        await start({}, routed);
        await browser.get("/");
        await browser.get("/login");
        expect((await browser.get("/")).body).toBe("42");
      });

      it("destroy: req.session is gone at once, and the session from the store", async () => {
        on("/destroy", async (req, res) => {
          const ended = called((done) => req.session.destroy(done));
          const goneAtOnce = req.session === undefined;
          const error = await ended;
          sendJson(res, { goneAtOnce, error: error ?? null, sessionID: req.sessionID, still: req.session });
        });
        await start({}, routed);
        await browser.get("/");
        const answer = await browser.get("/destroy");
        expect(JSON.parse(answer.body)).toEqual({ goneAtOnce: true, error: null, sessionID: "id-1" });
        expect(answer.setCookie).toEqual([]);
        expect(await browser.get("/")).toMatchObject({
          body: "1",
          setCookie: [expect.stringContaining("id-2")],
        });
      });

      it("reload: what the store has, in a new object", async () => {
        on("/reload", async (req, res) => {
          const before = req.session;
          req.session.views = 1000;
          const error = await called((done) => req.session.reload(done));
          sendJson(res, {
            error: error ?? null,
            views: req.session.views,
            isNew: req.session !== before,
            id: req.session.id,
          });
        });
        await start({}, routed);
        await browser.get("/");
        expect(JSON.parse((await browser.get("/reload")).body)).toEqual({
          error: null,
          views: 1,
          isNew: true,
          id: "id-1",
        });
        expect((await browser.get("/")).body).toBe("2");
      });

      it("reload: an error where the session isn't stored", async () => {
        on("/reload", async (req, res) => {
          const error = (await called((done) => req.session.reload(done))) as Error;
          res.end(error.message);
        });
        await start({}, routed);
        expect((await browser.get("/reload")).body).toBe("failed to load session");
      });

      it("reload: leaves what is to be saved to the session that was loaded", async () => {
        on("/reload", async (req, res) => {
          await called((done) => req.session.reload(done));
          req.session.views = 10;
          await called((done) => req.session.save(done));
          await called((done) => req.session.reload(done));
          req.session.views += 10;
          res.end();
        });
        await start({}, routed);
        await browser.get("/");
        await browser.get("/reload");
        expect((await browser.get("/")).body).toBe("21");
      });

      it("save: stored by the time of the callback, before the response", async () => {
        let stored: any;
        on("/save", async (req, res) => {
          req.session.saved = true;
          const error = await called((done) => req.session.save(done));
          stored = await new Promise((resolve) =>
            req.sessionStore.get(req.sessionID, (_error: unknown, data: unknown) => resolve(data)),
          );
          sendJson(res, error ?? null);
        });
        await start({}, routed);
        expect(await browser.get("/save")).toMatchObject({ body: "null", setCookie: [expect.any(String)] });
        expect(stored).toMatchObject({ saved: true });
      });

      it("save: without a callback too", async () => {
        on("/save", (req, res) => {
          req.session.saved = true;
          req.session.save();
          res.end();
        });
        on("/show", show);
        await start({}, routed);
        await browser.get("/save");
        expect(JSON.parse((await browser.get("/show")).body)).toMatchObject({ saved: true });
      });

      it("save, then a change: both are kept", async () => {
        on("/save", async (req, res) => {
          req.session.a = 1;
          await called((done) => req.session.save(done));
          req.session.b = 2;
          res.end();
        });
        on("/show", show);
        await start({}, routed);
        await browser.get("/save");
        expect(JSON.parse((await browser.get("/show")).body)).toMatchObject({ a: 1, b: 2 });
      });

      it("touch and resetMaxAge: begin the lifetime anew, and give the session", async () => {
        on("/touch", (req, res) => {
          vi.setSystemTime(NOW.valueOf() + 30_000);
          const left = req.session.cookie.maxAge;
          const chained = req.session.touch() === req.session && req.session.resetMaxAge() === req.session;
          sendJson(res, { left, after: req.session.cookie.maxAge, chained });
        });
        await start({ cookie: { maxAge: MINUTE } }, routed);
        expect(JSON.parse((await browser.get("/touch")).body)).toEqual({
          left: 30_000,
          after: MINUTE,
          chained: true,
        });
      });

      it("expires on the server after maxAge without a request, and not sooner", async () => {
        on("/show", show);
        await start({ cookie: { maxAge: MINUTE } }, routed);
        await browser.get("/");
        vi.setSystemTime(NOW.valueOf() + 50_000);
        await browser.get("/show");
        vi.setSystemTime(NOW.valueOf() + 100_000);
        expect((await browser.get("/show")).body).toContain('"id":"id-1"');
        vi.setSystemTime(NOW.valueOf() + 160_001);
        expect((await browser.get("/show")).body).toContain('"id":"id-2"');
      });

      it("cookie.maxAge counts down, and originalMaxAge stays", async () => {
        on("/age", (req, res) =>
          sendJson(res, [req.session.cookie.maxAge, req.session.cookie.originalMaxAge]),
        );
        await start({ cookie: { maxAge: MINUTE } }, routed);
        await browser.get("/");
        vi.setSystemTime(NOW.valueOf() + 30_000);
        expect(JSON.parse((await browser.get("/age")).body)).toEqual([30_000, MINUTE]);
        expect(JSON.parse((await browser.get("/age")).body)).toEqual([MINUTE, MINUTE]);
      });

      it.each<[string, (cookie: any) => void]>([
        ["maxAge", (cookie) => (cookie.maxAge = 3_600_000)],
        ["expires", (cookie) => (cookie.expires = new Date(Date.now() + 3_600_000))],
      ])("cookie.%s set for one visitor stays with the session", async (_name, change) => {
        on("/remember", (req, res) => {
          change(req.session.cookie);
          req.session.remembered = true;
          res.end();
        });
        on("/show", show);
        await start({ cookie: { maxAge: MINUTE } }, routed);
        await browser.get("/");
        expect((await browser.get("/remember")).setCookie).toEqual([
          `${VALUE}; Path=/; Expires=Tue, 01 Jan 2030 01:00:00 GMT; HttpOnly`,
        ]);
        vi.setSystemTime(NOW.valueOf() + 50 * MINUTE);
        expect(JSON.parse((await browser.get("/show")).body)).toMatchObject({
          id: "id-1",
          remembered: true,
          cookie: { originalMaxAge: 3_600_000 },
        });
      });

      it("a change of the cookie alone is kept as well", async () => {
        on("/longer", (req, res) => {
          req.session.cookie.maxAge = 60 * MINUTE;
          res.end();
        });
        on("/shorter", (req, res) => {
          req.session.cookie.maxAge = 5 * MINUTE;
          res.end();
        });
        on("/age", (req, res) => sendJson(res, req.session.cookie.originalMaxAge));
        await start({ cookie: { maxAge: MINUTE } }, routed);
        await browser.get("/");
        await browser.get("/longer");
        expect((await browser.get("/age")).body).toBe(String(60 * MINUTE));
        await browser.get("/shorter");
        expect((await browser.get("/age")).body).toBe(String(5 * MINUTE));
        vi.setSystemTime(NOW.valueOf() + 6 * MINUTE);
        expect((await browser.get("/")).body).toBe("1");
      });

      it("cookie.expires = false: for as long as the browser is open", async () => {
        on("/forget", (req, res) => {
          req.session.cookie.expires = false;
          req.session.remembered = false;
          res.end();
        });
        await start({ cookie: { maxAge: MINUTE } }, routed);
        await browser.get("/");
        expect((await browser.get("/forget")).setCookie).toEqual([`${VALUE}; Path=/; HttpOnly`]);
      });

      it("cookie.path and the rest may be set for one visitor", async () => {
        on("/set", (req, res) => {
          Object.assign(req.session.cookie, {
            path: "/shop",
            httpOnly: false,
            domain: "example.com",
            sameSite: "lax",
          });
          req.session.a = 1;
          res.end();
        });
        await start({}, routed);
        expect((await browser.get("/set")).setCookie).toEqual([
          `${VALUE}; Domain=example.com; Path=/shop; SameSite=Lax`,
        ]);
      });

      it("is left alone where there is one already", async () => {
        const other = { mine: true };
        await start({}, (req, res) => sendJson(res, req.session === other), {
          before: [
            (req, _res, next) => {
              req.session = other;
              next();
            },
          ],
        });
        expect(await browser.get("/")).toMatchObject({ body: "true", setCookie: [] });
      });

      it("data under the name of a method is left out of the session", async () => {
        on("/poison", async (req, res) => {
          await called((done) =>
            req.sessionStore.set(req.sessionID, { cookie: {}, save: "no function", views: 1 }, done),
          );
          res.end();
        });
        on("/show", (req, res) => res.end(`${req.session.views} ${typeof req.session.save}`));
        await start({ saveUninitialized: true }, routed);
        await browser.get("/other");
        expect((await browser.get("/poison")).status).toBe(200);
        expect((await browser.get("/show")).body).toBe("1 function");
      });
    });

    describe("a cookie that comes", () => {
      const unknown: Array<[string, string]> = [
        ["an unknown id", `connect.sid=${signedId("unknown")}`],
        ["a signature of another secret", `connect.sid=${signedId("id-1", "other")}`],
        ["a signature that was cut", `connect.sid=${signedId("id-1").slice(0, -1)}`],
        ["no signature", "connect.sid=s%3Aid-1"],
        ["no mark", "connect.sid=id-1"],
        ["an empty value", "connect.sid="],
        ["an empty id", `connect.sid=${signedId("")}`],
        ["broken escapes", "connect.sid=s%3Aid-1%E0%A4%A.x"],
        ["another name", `connect.sidx=${signedId("id-1")}`],
        ["no equals sign", "connect.sid"],
      ];
      it.each(unknown)("with %s begins a new session", async (_name, cookie) => {
        await start({}, show);
        const answer = await served.browser().get("/", { cookie });
        expect(JSON.parse(answer.body).id).toBe("id-1");
        expect(answer.status).toBe(200);
      });

      const known: Array<[string, (value: string) => string]> = [
        ["as it was set", (value) => `connect.sid=${value}`],
        ["in quotes", (value) => `connect.sid="${value}"`],
        ["not escaped", (value) => `connect.sid=${decodeURIComponent(value)}`],
        ["among others", (value) => `a=1; connect.sid=${value}; b=2`],
        ["twice, the first good", (value) => `connect.sid=${value}; connect.sid=x`],
      ];
      it.each(known)("%s is found", async (_name, headerOf) => {
        await start({}, countVisits);
        await browser.get("/");
        const cookie = headerOf(signedId("id-1"));
        expect((await served.browser().get("/", { cookie })).body).toBe("2");
      });

      it("twice, the first forged, is not looked for further", async () => {
        await start({}, countVisits);
        await browser.get("/");
        const cookie = `connect.sid=x; connect.sid=${signedId("id-1")}`;
        expect((await served.browser().get("/", { cookie })).body).toBe("1");
      });

      it.each<[string, (req: any) => void]>([
        ["req.signedCookies", (req) => (req.signedCookies = { "connect.sid": "id-1" })],
        ["req.cookies", (req) => (req.cookies = { "connect.sid": decodeURIComponent(signedId("id-1")) })],
      ])("may be in %s, as cookie-parser has left it", async (_where, parse) => {
        const parsing: Handler = (req, _res, next) => {
          if (req.headers["x-parsed"]) parse(req);
          next();
        };
        await start({}, countVisits, { before: [parsing] });
        await browser.get("/");
        expect((await served.browser().get("/", { "x-parsed": "1" })).body).toBe("2");
      });

      it.each<[string, (req: any) => void]>([
        ["req.signedCookies with false", (req) => (req.signedCookies = { "connect.sid": false })],
        ["req.cookies with a forged one", (req) => (req.cookies = { "connect.sid": "s:id-1.forged" })],
        ["req.cookies with an unsigned one", (req) => (req.cookies = { "connect.sid": "id-1" })],
      ])("in %s is none", async (_where, parse) => {
        const parsing: Handler = (req, _res, next) => {
          if (req.headers["x-parsed"]) parse(req);
          next();
        };
        await start({}, countVisits, { before: [parsing] });
        await browser.get("/");
        expect((await served.browser().get("/", { "x-parsed": "1" })).body).toBe("1");
      });
    });

    describe("a response", () => {
      const ways: Array<[string, Handler, string]> = [
        ["end", (_req, res) => res.end(), ""],
        ["end with text", (_req, res) => res.end("héllo"), "héllo"],
        ["end with an encoding", (_req, res) => res.end("6869", "hex"), "hi"],
        ["end with bytes", (_req, res) => res.end(Buffer.from("bytes")), "bytes"],
        ["one byte", (_req, res) => res.end("x"), "x"],
        ["a Content-Length", (_req, res) => [res.setHeader("Content-Length", 5), res.end("whole")], "whole"],
        [
          "a Content-Length in bytes",
          (_req, res) => [res.setHeader("Content-Length", 6), res.end("héllo")],
          "héllo",
        ],
        ["writeHead", (_req, res) => [res.writeHead(202, { "x-own": "1" }), res.end("head")], "head"],
        ["writes", (_req, res) => [res.write("one "), res.write("two "), res.end("three")], "one two three"],
        ["a write and an empty end", (_req, res) => [res.write("all"), res.end()], "all"],
        ["a second end", (_req, res) => [res.end("first"), res.end("second")], "first"],
        ["an end that comes late", (_req, res) => setTimeout(() => res.end("late"), 5), "late"],
      ];
      it.each(ways)("by %s arrives whole, with its cookie", async (_way, respond, body) => {
        await start({}, (req, res, next) => {
          req.session.a = 1;
          respond(req, res, next);
        });
        expect(await browser.get("/")).toMatchObject({ body, setCookie: [`${VALUE}; Path=/; HttpOnly`] });
      });

      it("to HEAD has its cookie and no body", async () => {
        await start({}, countVisits);
        expect(await browser.head("/")).toMatchObject({ body: "", setCookie: [expect.any(String)] });
        expect((await browser.get("/")).body).toBe("2");
      });

      it.each([204, 304])("of %s has its cookie and no body", async (status) => {
        await start({}, (req, res) => {
          req.session.a = 1;
          res.statusCode = status;
          res.end();
        });
        expect(await browser.get("/")).toMatchObject({ status, body: "", setCookie: [expect.any(String)] });
      });

      it("keeps its status, message and headers", async () => {
        await start({}, (req, res) => {
          req.session.a = 1;
          res.statusCode = 418;
          res.setHeader("X-Own", "kept");
          res.setHeader("Content-Type", "text/plain");
          res.end("teapot");
        });
        const { status, headers, body } = await browser.get("/");
        expect([status, headers.get("x-own"), headers.get("content-type"), body]).toEqual([
          418,
          "kept",
          "text/plain",
          "teapot",
        ]);
      });

      it("of an error of the handler keeps what was changed before", async () => {
        await start({}, (req, res, next) => {
          if (req.url !== "/fail") return countVisits(req, res, next);
          req.session.views = 10;
          throw new Error("broken");
        });
        await browser.get("/");
        expect(await browser.get("/fail")).toMatchObject({ status: 500, body: "error: broken" });
        expect((await browser.get("/")).body).toBe("11");
      });

      it("of a handler that nobody wrote has its session", async () => {
        await start({ saveUninitialized: true }, (_req, _res, next) => next());
        expect(await browser.get("/")).toMatchObject({ status: 404, setCookie: [expect.any(String)] });
      });
    });
  });
}
