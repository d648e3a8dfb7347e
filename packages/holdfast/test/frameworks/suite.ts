import { afterEach, describe, expect, it, vi } from "vitest";
import type { Explanation } from "../../src/engine/explain/explanation.js";
import type { Answer, Browser } from "../support/browser.js";
import { requestWith } from "../support/exchange.js";
import { SECRET } from "../support/shop.js";
import { WRITES } from "../support/slow-store.js";
import { type Application, type ApplicationOptions, startApplication } from "./application.js";
import { ANSWER, CHUNKS, EVENTS, type Framework } from "./framework.js";

const SIGNED_TOKEN = "[\\w-]{43}\\.[\\w-]{43}";
const OVER_HTTP = new RegExp(`^sid=${SIGNED_TOKEN}; Path=/; HttpOnly; SameSite=Lax$`);
const OVER_HTTPS = new RegExp(`^__Host-sid=${SIGNED_TOKEN}; Path=/; HttpOnly; Secure; SameSite=Lax$`);
const DELETION = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
const FORWARDED = { "x-forwarded-proto": "https" };

/** How sessions behave in a framework, over real HTTP: the same in every one. See `Framework` for what a driver is. */
export function testFramework(framework: Framework): void {
  const { ways, lacks = [] } = framework;
  const started: Application[] = [];

  const start = async (options?: ApplicationOptions) => {
    const application = await startApplication(framework, options);
    started.push(application);
    return application;
  };

  afterEach(async () => {
    for (const application of started.splice(0)) await application.close();
    vi.restoreAllMocks();
  });

  const read = async (user: Browser) => JSON.parse((await user.get("/read")).body);

  /** Whether no part of an answer has come while whole other exchanges with the same server have come and gone. */
  const isHeldBack = async (answer: Promise<unknown>, { browser }: Application) => {
    let arrived = false;
    const note = () => {
      arrived = true;
    };
    answer.then(note, note);
    for (let n = 0; n < 3; n++) await browser().get("/plain");
    return !arrived;
  };

  describe(framework.name, () => {
    describe("makes nothing for nobody", () => {
      it("costs a request that doesn't look at the session nothing, and marks its answer with nothing", async () => {
        const { store, browser } = await start();
        const answer = await browser().get("/plain");
        expect(answer).toMatchObject({ status: 200, body: ANSWER, setCookie: [] });
        expect(answer.headers.get("vary")).toBeNull();
        expect(answer.headers.get("cache-control")).toBeNull();
        expect(store.calls).toEqual([]);
      });

      it("gives a reader no cookie and no session", async () => {
        const { store, browser } = await start();
        const user = browser();
        const answer = await user.get("/read");
        expect(answer.setCookie).toEqual([]);
        expect(answer.headers.get("vary")).toBe("Cookie");
        expect(JSON.parse(answer.body)).toEqual({ isNew: true, data: {} });
        expect(store.calls).toEqual([]);
      });

      it("asks the store once for a reader of a living session, and writes nothing", async () => {
        const { store, browser } = await start();
        const user = browser();
        await user.post("/set/a/1");
        store.calls.length = 0;
        const answer = await user.get("/read");
        expect(answer.setCookie).toEqual([]);
        expect(JSON.parse(answer.body)).toEqual({ isNew: false, data: { a: "1" } });
        expect(store.calls).toEqual(["load"]);
      });

      it("asks the store nothing for a cookie that doesn't verify", async () => {
        const { store, browser } = await start();
        const user = browser();
        await user.post("/set/a/1");
        const [token, signature] = user.cookies.get("sid")!.split(".");
        store.calls.length = 0;
        const values = ["", ".", "x", token, `${token}.`, `${signature}.${token}`, `${token}.${token}`];
        for (const value of [
          ...values,
          `${token}x.${signature}`,
          "%00",
          "s%3Aold.signature",
          "x".repeat(8000),
        ]) {
          const answer = await browser().get("/read", { cookie: `sid=${value}` });
          expect(answer).toMatchObject({ status: 200, setCookie: [] });
          expect(JSON.parse(answer.body)).toEqual({ isNew: true, data: {} });
        }
        expect(store.calls).toEqual([]);
      });
    });

    it("finds its cookie among others, on several lines", async () => {
      const { browser } = await start();
      const user = browser();
      await user.post("/set/a/1");
      const cookie = ["theme=dark", `lang=en; ${user.cookieHeader}`, "sidecar=1"];
      expect(JSON.parse((await browser().get("/read", { cookie })).body).data).toEqual({ a: "1" });
    });

    describe("holds the answer back until the session is stored", () => {
      it.each(Object.entries(ways))("that is given by %s", async (way, { status = 200, body = ANSWER }) => {
        const application = await start();
        const { store } = application;
        const user = application.browser();
        store.hold();
        const answer = user.open("GET", `/respond/${way}`);
        await store.asked();
        expect(await isHeldBack(answer, application)).toBe(true);
        store.release();
        const arrival = await answer;
        expect(arrival.status).toBe(status);
        expect(await arrival.text()).toBe(body);
        expect(arrival.headers.getSetCookie()).toEqual([expect.stringMatching(OVER_HTTP)]);
        expect(await read(user)).toEqual({ isNew: false, data: { written: true } });
      });

      it("in a session that exists as well, where no cookie is set", async () => {
        const application = await start();
        const { store } = application;
        const user = application.browser();
        await user.post("/set/a/1");
        store.hold(WRITES);
        const answer = user.post("/set/a/2");
        await store.asked();
        expect(await isHeldBack(answer, application)).toBe(true);
        store.release();
        expect(await answer).toMatchObject({ status: 200, body: ANSWER, setCookie: [] });
        expect((await read(user)).data).toEqual({ a: "2" });
      });

      it("so that the page after a login finds the user", async () => {
        const application = await start();
        const { store } = application;
        const user = application.browser();
        await user.post("/set/cart/apple");
        store.hold(WRITES);
        const login = user.post("/login/ada");
        await store.asked();
        expect(await isHeldBack(login, application)).toBe(true);
        store.release();
        const { status, headers, setCookie } = await login;
        expect({ status, location: headers.get("location") }).toEqual({ status: 303, location: "/read" });
        expect(setCookie).toHaveLength(1);
        expect(await read(user)).toEqual({ userId: "ada", isNew: false, data: { cart: "apple" } });
      });

      it("when it is server-sent events, of which the first then comes at once", async () => {
        const application = await start();
        const { store, barrier } = application;
        vi.spyOn(process, "emitWarning").mockImplementation(() => {});
        store.hold();
        const answer = application.browser().open("GET", "/sse");
        await store.asked();
        expect(await isHeldBack(answer, application)).toBe(true);
        store.release();
        const { headers, body } = await answer;
        expect(headers.get("content-type")).toContain("text/event-stream");
        expect(headers.getSetCookie()).toHaveLength(1);
        expect(store.lastData).toEqual({ written: true });
        const arriving = body.setEncoding("utf8")[Symbol.asyncIterator]();
        expect((await arriving.next()).value).toBe(EVENTS[0]);
        await barrier("sse").arrived();
        barrier("sse").open();
        expect((await arriving.next()).value).toBe(EVENTS[1]);
        expect((await arriving.next()).done).toBe(true);
      });

      it("when it is a large stream, which a slow client gets in order and whole", async () => {
        const application = await start();
        const { store } = application;
        store.hold();
        const answer = application.browser().open("GET", "/large");
        await store.asked();
        store.release();
        const { body, headers } = await answer;
        expect(headers.getSetCookie()).toHaveLength(1);
        // The client has not begun to read: what doesn't fit between here and there has to wait.
        for (let n = 0; n < 3; n++) await application.browser().get("/plain");
        let text = "";
        for await (const chunk of body.setEncoding("utf8")) {
          text += chunk;
          await new Promise((resolve) => setImmediate(resolve));
        }
        // Not `toBe`, which would print four megabytes.
        expect(text.length).toBe(CHUNKS.join("").length);
        expect(text === CHUNKS.join("")).toBe(true);
      });

      it("when it has no body: HEAD, and 304", async () => {
        const { browser } = await start();
        const head = await browser().head("/etag");
        expect(head).toMatchObject({ status: 200, body: "", setCookie: [expect.stringMatching(OVER_HTTP)] });
        const etag = (await browser().get("/etag")).headers.get("etag")!;
        const user = browser();
        expect(await user.get("/etag", { "if-none-match": etag })).toMatchObject({
          status: 304,
          body: "",
          setCookie: [expect.stringMatching(OVER_HTTP)],
        });
        expect((await read(user)).data).toEqual({ written: true });
      });

      it.each(["throw", "reject"])("when it is the error page of a handler that %ss", async (how) => {
        const application = await start();
        const { store } = application;
        const user = application.browser();
        store.hold();
        const answer = user.get(`/${how}`);
        await store.asked();
        expect(await isHeldBack(answer, application)).toBe(true);
        store.release();
        expect(await answer).toMatchObject({ status: 500, setCookie: [expect.stringMatching(OVER_HTTP)] });
        expect((await read(user)).data).toEqual({ written: true });
      });
    });

    describe("stores what was changed when the client goes away", () => {
      it("before it is answered", async () => {
        const { store, barrier, browser, over } = await start();
        const user = browser();
        await user.post("/set/a/1");
        const path = "/set/a/2?hold=gone";
        const client = new AbortController();
        const answer = user.open("POST", path, { signal: client.signal });
        await barrier("gone").arrived();
        client.abort();
        await expect(answer).rejects.toThrow();
        await over(path);
        const written = store.nextWrite();
        barrier("gone").open();
        await written;
        expect((await read(user)).data).toEqual({ a: "2" });
      });

      it("while the session is being stored", async () => {
        const { store, browser, over } = await start();
        const client = new AbortController();
        store.hold();
        const answer = browser().open("POST", "/set/a/1", { signal: client.signal });
        await store.asked();
        client.abort();
        await expect(answer).rejects.toThrow();
        await over("/set/a/1");
        const written = store.nextWrite();
        store.release();
        await written;
        expect(store.lastData).toEqual({ a: "1" });
        expect((await browser().get("/plain")).status).toBe(200);
      });

      it("in the middle of a stream", async () => {
        const { store, browser, over } = await start();
        const client = new AbortController();
        const { body } = await browser().open("GET", "/large", { signal: client.signal });
        await body[Symbol.asyncIterator]().next();
        client.abort();
        await over("/large");
        expect(store.lastData).toEqual({ written: true });
        expect((await browser().get("/plain")).status).toBe(200);
      });
    });

    describe("loses no update", () => {
      it("of a hundred requests that run together and write different keys", async () => {
        const { barrier, browser } = await start();
        const user = browser();
        await user.post("/set/first/0");
        const keys = Array.from({ length: 100 }, (_, n) => `key${n}`);
        const answers = keys.map((key) => user.post(`/set/${key}/1?hold=together`));
        await barrier("together").arrived(keys.length);
        barrier("together").open();
        for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200);
        expect((await read(user)).data).toEqual({
          first: "0",
          ...Object.fromEntries(keys.map((key) => [key, "1"])),
        });
      });

      it("of a hundred increments at once", async () => {
        const { barrier, browser } = await start();
        const user = browser();
        await user.post("/set/first/0");
        const answers = Array.from({ length: 100 }, () => user.post("/increment?hold=together"));
        await barrier("together").arrived(answers.length);
        barrier("together").open();
        expect(new Set((await Promise.all(answers)).map(({ body }) => body)).size).toBe(100);
        expect((await read(user)).data.counter).toBe(100);
      });
    });

    describe("brings no session back", () => {
      it("that was logged out while a slow request was working with it", async () => {
        const { barrier, browser, events } = await start();
        const user = browser();
        await user.post("/login/ada");
        const old = user.twin();
        const slow = old.post("/set/late/1?hold=slow");
        await barrier("slow").arrived();
        const { setCookie } = await user.post("/logout");
        expect(setCookie).toEqual([`sid=; ${DELETION}; Path=/; HttpOnly; SameSite=Lax`]);
        barrier("slow").open();
        expect(await slow).toMatchObject({ status: 200, setCookie: [] });
        expect(events).toContainEqual(expect.objectContaining({ name: "dropped-write", reason: "gone" }));
        for (const browserOfUser of [user, old]) {
          expect(await read(browserOfUser)).toEqual({ isNew: true, data: {} });
        }
      });

      it("whose token was rotated", async () => {
        const { barrier, browser } = await start();
        const user = browser();
        await user.post("/set/a/1");
        const old = user.twin();
        const slow = old.post("/set/late/1?hold=slow");
        await barrier("slow").arrived();
        expect((await user.post("/rotate")).setCookie).toEqual([expect.stringMatching(OVER_HTTP)]);
        barrier("slow").open();
        expect((await slow).setCookie).toEqual([]);
        expect(await read(old)).toEqual({ isNew: true, data: {} });
        expect(await read(user)).toEqual({ isNew: false, data: { a: "1" } });
      });
    });

    describe("fails closed", () => {
      /** Nothing of a handler's answer: its redirect and its validators neither. */
      const expectOnlyAnError = ({ status, headers, setCookie, body }: Answer, answer = ANSWER) => {
        expect({ status, setCookie }).toEqual({ status: 503, setCookie: [] });
        for (const name of ["location", "etag", "last-modified", "clear-site-data"]) {
          expect(headers.get(name), name).toBeNull();
        }
        if (answer !== "") expect(body).not.toContain(answer);
      };

      it("when the session can't be loaded: the handler doesn't run, and the browser keeps its cookie", async () => {
        const { store, barrier, browser, reached } = await start();
        const user = browser();
        await user.post("/login/ada");
        barrier("handler").open();
        store.fail();
        expectOnlyAnError(await user.get("/read?hold=handler"));
        expectOnlyAnError(await user.post("/set/a/1?hold=handler"));
        expect(reached).toEqual([]);
        store.recover();
        expect(await read(user)).toEqual({ userId: "ada", isNew: false, data: {} });
      });

      it.each(Object.entries(ways))(
        "when the session can't be stored, and %s has answered",
        async (way, { body }) => {
          const { store, browser } = await start();
          const user = browser();
          store.fail();
          expectOnlyAnError(await user.get(`/respond/${way}`), body);
          store.recover();
          expect(await read(user)).toEqual({ isNew: true, data: {} });
        },
      );

      it.each([
        ["/etag", ANSWER],
        ["/large", CHUNKS[0]],
        ["/sse", EVENTS[0]],
      ])("when the session can't be stored, and GET %s has answered", async (path, body) => {
        const { store, barrier, browser } = await start();
        store.fail();
        const user = browser();
        expectOnlyAnError(await user.get(path), body);
        // The handler goes on, into an answer that is not its own any more.
        barrier("sse").open();
        store.recover();
        expect(await read(user)).toEqual({ isNew: true, data: {} });
      });

      it("when a living session can't be stored, which then is as it was", async () => {
        const { store, browser } = await start();
        const user = browser();
        await user.post("/login/ada");
        store.fail(WRITES);
        expectOnlyAnError(await user.post("/set/a/1"));
        expectOnlyAnError(await user.get("/throw"));
        store.recover();
        expect(await read(user)).toEqual({ userId: "ada", isNew: false, data: {} });
      });

      it("when a login or a logout can't be stored: neither seems to have happened", async () => {
        const { store, browser } = await start();
        const [ada, visitor] = [browser(), browser()];
        await ada.post("/login/ada");
        store.fail(WRITES);
        expectOnlyAnError(await visitor.post("/login/grace"));
        expectOnlyAnError(await ada.post("/logout"));
        store.recover();
        expect(await read(visitor)).toEqual({ isNew: true, data: {} });
        expect((await read(ada)).userId).toBe("ada");
      });

      it("when the store hangs", async () => {
        const { store, browser } = await start({ sessions: { storeTimeout: 50 } });
        const user = browser();
        await user.post("/login/ada");
        store.hold();
        expectOnlyAnError(await user.get("/read"));
        expectOnlyAnError(await browser().post("/set/a/1"));
        store.release();
        expect((await read(user)).userId).toBe("ada");
      });
    });

    describe("writes the cookie, to the letter,", () => {
      /** The lines of a session's life. */
      const linesOf = async (user: Browser, headers: Record<string, string> = {}) => {
        const answers = [];
        for (const path of ["/set/a/1", "/login/ada", "/set/a/2", "/logout"])
          answers.push(await user.post(path, headers));
        return answers.map(({ setCookie }) => setCookie);
      };
      const overHttp = [[OVER_HTTP], [OVER_HTTP], [], [`sid=; ${DELETION}; Path=/; HttpOnly; SameSite=Lax`]];
      const overHttps = [
        [OVER_HTTPS],
        [OVER_HTTPS],
        [],
        [`__Host-sid=; ${DELETION}; Path=/; HttpOnly; Secure; SameSite=Lax`],
      ];
      const matching = (lines: Array<Array<RegExp | string>>) =>
        lines.map((each) =>
          each.map((line) => (line instanceof RegExp ? expect.stringMatching(line) : line)),
        );

      it("over HTTP on localhost", async () => {
        const { browser } = await start();
        expect(await linesOf(browser())).toEqual(matching(overHttp));
      });

      it("over HTTP though anybody says it were HTTPS, where no proxy is trusted", async () => {
        const { browser } = await start();
        const forwarded = { ...FORWARDED, forwarded: "proto=https", "x-forwarded-ssl": "on" };
        expect(await linesOf(browser(), forwarded)).toEqual(matching(overHttp));
      });

      const proxies = lacks.includes("peer address") ? true : ["127.0.0.1"];
      it("behind a proxy that ends TLS and that the sessions trust", async () => {
        const { browser } = await start({ sessions: { trustProxy: proxies } });
        expect(await linesOf(browser(), FORWARDED)).toEqual(matching(overHttps));
        expect(await linesOf(browser(), { "x-forwarded-proto": "http" })).toEqual(matching(overHttp));
      });

      it.skipIf(lacks.includes("peer address"))("unless another proxy is trusted than this one", async () => {
        const { browser } = await start({ sessions: { trustProxy: ["192.0.2.0/24"] } });
        expect(await linesOf(browser(), FORWARDED)).toEqual(matching(overHttp));
      });

      it.skipIf(lacks.includes("proxy setting"))("behind a proxy that the framework trusts", async () => {
        const { browser } = await start({ trustProxy: true });
        expect(await linesOf(browser(), FORWARDED)).toEqual(matching(overHttps));
        expect(await linesOf(browser(), { "x-forwarded-proto": "http" })).toEqual(matching(overHttp));
      });

      it("with Max-Age where it is persistent, which follows the idle deadline", async () => {
        const { browser, clock } = await start({ sessions: { cookie: { persistent: true } } });
        const user = browser();
        const persistent = new RegExp(`^sid=${SIGNED_TOKEN}; Max-Age=1800; Path=/; HttpOnly; SameSite=Lax$`);
        expect((await user.post("/set/a/1")).setCookie).toEqual([expect.stringMatching(persistent)]);
        expect((await user.get("/read")).setCookie).toEqual([]);
        clock.advance(10 * 60_000);
        expect((await user.get("/read")).setCookie).toEqual([expect.stringMatching(persistent)]);
      });

      it("anew where an older secret has signed it", async () => {
        const newer = `${SECRET} and newer`;
        const before = await start();
        const user = before.browser();
        await user.post("/set/a/1");
        const old = user.cookies.get("sid")!;

        const after = await start({ store: before.store, sessions: { secrets: [newer, SECRET] } });
        const returning = user.twin(after.url);
        expect((await returning.get("/read")).setCookie).toEqual([expect.stringMatching(OVER_HTTP)]);
        const signedAnew = returning.cookies.get("sid")!;
        expect(signedAnew.split(".")[0]).toBe(old.split(".")[0]);
        expect(signedAnew).not.toBe(old);
        expect((await returning.get("/read")).setCookie).toEqual([]);

        const last = await start({ store: before.store, sessions: { secrets: [newer] } });
        expect((await read(returning.twin(last.url))).data).toEqual({ a: "1" });
        expect((await read(user.twin(last.url))).isNew).toBe(true);
      });
    });

    describe("joins the application's own headers", () => {
      it("and lets no cache keep an answer that sets the cookie", async () => {
        const { browser } = await start();
        const user = browser();
        const { setCookie, headers, body } = await user.get("/own-headers/public");
        expect(body).toBe(ANSWER);
        expect(setCookie.map((line) => line.split(";", 1)[0]).sort()).toEqual([
          "lang=en",
          expect.stringMatching(`^sid=${SIGNED_TOKEN}$`),
          "theme=dark",
        ]);
        expect(headers.get("cache-control")).toBe("no-store");
        expect(headers.get("vary")).toBe("Accept-Language, Cookie");
      });

      it("and leaves an answer cacheable that is private, or that sets no cookie of the session", async () => {
        const { browser } = await start();
        const user = browser();
        const first = await user.get("/own-headers/private");
        expect(first.setCookie).toHaveLength(3);
        expect(first.headers.get("cache-control")).toBe("private, max-age=60");
        const second = await user.get("/own-headers/public");
        expect(second.setCookie).toHaveLength(2);
        expect(second.headers.get("cache-control")).toBe("public, max-age=60");
        expect(second.headers.get("vary")).toBe("Accept-Language, Cookie");
      });

      it("and says no-store where it has none", async () => {
        const { browser } = await start();
        const user = browser();
        for (const path of ["/set/a/1", "/login/ada", "/logout"]) {
          const { headers } = await user.post(path);
          expect(headers.get("cache-control"), path).toBe("no-store");
          // A framework may vary its redirects by more.
          expect(headers.get("vary"), path).toMatch(/\bCookie$/);
        }
      });
    });

    it.skipIf(lacks.includes("late changes"))(
      "tells of changes that come after the answer has begun",
      async () => {
        const { store, barrier, browser, events, over } = await start();
        const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
        const user = browser();
        const arrival = await user.open("GET", "/sse");
        const dropped = () => events.filter(({ name }) => name === "dropped-write");
        expect(dropped()).toEqual([]);
        barrier("sse").open();
        expect(await arrival.text()).toBe(EVENTS.join(""));
        await over("/sse");
        expect(dropped()).toEqual([expect.objectContaining({ reason: "headers-sent" })]);
        expect(warning).toHaveBeenCalledWith(
          expect.stringContaining("after the response's headers"),
          expect.anything(),
        );
        expect(store.lastData).toEqual({ written: true });
        expect((await read(user)).data).toEqual({ written: true });
      },
    );

    it("starts no session for a form of another site, for it would take the place of the user's", async () => {
      const { browser, events } = await start();
      const user = browser();
      await user.post("/login/ada");
      const form = browser();
      for (const path of ["/set/a/2", "/logout"]) {
        const { setCookie } = await form.post(path, { "sec-fetch-site": "cross-site" });
        expect(setCookie).toEqual([]);
      }
      expect(events.filter(({ name }) => name === "dropped-write")).toMatchObject([{ reason: "cross-site" }]);
      // Neither a page of ours nor a link from elsewhere is kept from one.
      for (const from of ["same-origin", "same-site", "none"]) {
        const { setCookie } = await browser().post("/set/a/2", { "sec-fetch-site": from });
        expect(setCookie).toHaveLength(1);
      }
      const { setCookie } = await form.post("/login/bob", { "sec-fetch-site": "cross-site" });
      expect(setCookie).toHaveLength(1);
    });

    describe("refuses what other origins make a browser send, with the option csrf,", () => {
      const ORIGIN = "https://shop.example";
      const guarded = { sessions: { csrf: { origins: [ORIGIN], exempt: ["/set/hook/1"] } } };

      it.each<[who: string, reason: string, headers: Record<string, string>]>([
        [
          "a page of another site",
          "cross-site",
          { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
        ],
        [
          "a sibling subdomain",
          "same-site",
          { "sec-fetch-site": "same-site", origin: "https://blog.shop.example" },
        ],
        ["a page of another site in an old browser", "foreign-origin", { origin: "https://evil.example" }],
        ["an old browser that hides its origin", "unknown-origin", { origin: "null" }],
        ["who says nothing", "no-origin", {}],
        [
          "who brings a wrong token",
          "wrong-token",
          { "x-csrf-token": `${"A".repeat(22)}.${"A".repeat(43)}` },
        ],
      ])(
        "as by %s: the handler doesn't run, and the session stays as it is",
        async (_who, reason, headers) => {
          const { barrier, browser, events, reached } = await start(guarded);
          const user = browser();
          await user.post("/set/a/1", { origin: ORIGIN });
          await user.post("/login/ada", { origin: ORIGIN });
          barrier("handler").open();
          const { status, setCookie } = await user.post("/set/a/2?hold=handler&secret=x", headers);
          expect({ status, setCookie, reached }).toEqual({ status: 403, setCookie: [], reached: [] });
          const { sessionId } = events.find(({ name }) => name === "login")!;
          expect(events.filter(({ name }) => name === "csrf-refused")).toEqual([
            { name: "csrf-refused", at: expect.any(Date), reason, method: "POST", sessionId },
          ]);
          expect(await read(user)).toEqual({ userId: "ada", isNew: false, data: { a: "1" } });
        },
      );

      it("and no request of its own pages, links from elsewhere, and what is exempt", async () => {
        const { browser, events } = await start(guarded);
        const own: Array<Record<string, string>> = [
          { "sec-fetch-site": "same-origin", origin: "null" },
          { "sec-fetch-site": "none" },
          { origin: ORIGIN },
        ];
        for (const headers of own)
          expect((await browser().post("/set/a/1", headers)).status, JSON.stringify(headers)).toBe(200);
        expect((await browser().get("/read", { "sec-fetch-site": "cross-site" })).status).toBe(200);
        expect((await browser().head("/read", { "sec-fetch-site": "cross-site" })).status).toBe(200);
        expect((await browser().post("/set/hook/1")).status).toBe(200);
        expect(events.filter(({ name }) => name === "csrf-refused")).toEqual([]);
      });

      it("and no old client that shows a token of the session", async () => {
        const { browser, sessions } = await start(guarded);
        const user = browser();
        await user.post("/login/ada", { origin: ORIGIN });
        const page = requestWith(user.cookieHeader, { host: "127.0.0.1" }, false);
        const { session } = await sessions.open({ ...page, remoteAddress: "127.0.0.1" });
        const token = session.csrfToken();
        expect((await user.post("/set/a/1", { "x-csrf-token": token })).status).toBe(200);
        expect((await read(user)).data).toEqual({ a: "1" });
        expect((await browser().post("/set/a/1", { "x-csrf-token": token })).status).toBe(403);
      });
    });

    it("leaves one explanation for each request, with the option explain", async () => {
      const told: string[] = [];
      const explain = ({ line }: Explanation) => told.push(line);
      const { browser, store } = await start({
        sessions: { explain, csrf: { origins: ["https://shop.example"] } },
      });
      const own = { origin: "https://shop.example" };
      const user = browser();
      await user.post("/set/a/1?secret=1", own);
      await user.get("/read");
      await user.get("/throw");
      await user.post("/logout", own);
      await user.post("/set/a/1", { "sec-fetch-site": "cross-site" });
      store.fail();
      await browser().post("/set/a/1", own);
      store.recover();
      await user.get("/skipped");
      const session = expect.stringMatching(
        / stored a new session [\w-]{8}…; set the cookie sid \(Path=\/; HttpOnly; SameSite=Lax\)$/,
      );
      const came = "the cookie sid came, of a living session";
      expect(told.slice(0, 6)).toEqual([
        session,
        `holdfast: GET /read: ${came}; nothing to save; set no cookie: the client has it`,
        expect.stringContaining(`holdfast: GET /throw: ${came}; stored the changes; `),
        `holdfast: POST /logout: ${came}; ended the session; deleted the cookie sid`,
        "holdfast: POST /set/a/1: refused by the CSRF guard (cross-site)",
        'holdfast: POST /set/a/1: the cookie sid did not come; the store "memory" failed to create (ERR_HOLDFAST_STORE)',
      ]);
      // Where routes that need no session are not wrapped, nobody is told of them.
      if (told.length > 6)
        expect(told.slice(6)).toEqual(["holdfast: GET /skipped: left out by the option `skip`"]);
    });

    it("explains a session that nobody opens, with the options explain and lazy", async () => {
      const told: string[] = [];
      const { browser } = await start({ lazy: true, sessions: { explain: ({ line }) => told.push(line) } });
      await browser().get("/lazy/plain");
      await browser().get("/lazy/read");
      expect(told).toEqual([
        "holdfast: GET /lazy/plain: nobody opened the session (lazy)",
        "holdfast: GET /lazy/read: the cookie sid did not come; nothing to save; set no cookie: there is no session",
      ]);
    });

    it.skipIf(lacks.includes("peer address"))(
      "answers 429 to who tries many tokens, with the option guessLimit, and lets living sessions pass",
      async () => {
        const { browser, clock, events, reached, barrier } = await start({
          sessions: { guessLimit: { max: 3 } },
        });
        barrier("handler").open();
        const user = browser();
        await user.post("/set/a/1");
        const guess = async (n: number) => {
          const cookie = `sid=${`${n}`.padEnd(43, "A")}.${"A".repeat(43)}`;
          return (await browser().get("/read?hold=handler", { cookie })).status;
        };
        expect([await guess(1), await guess(2), await guess(3)]).toEqual([200, 200, 200]);
        expect([await guess(4), await guess(5)]).toEqual([429, 429]);
        expect(reached).toHaveLength(3);
        expect((await read(user)).data).toEqual({ a: "1" });
        expect((await browser().get("/read")).status).toBe(200);
        expect(events.filter(({ name }) => name === "guess-limit")).toEqual([
          expect.objectContaining({ client: "127.0.0.1", guesses: 3 }),
        ]);
        clock.advance(60_000);
        expect(await guess(6)).toBe(200);
      },
    );

    it("leaves alone what the option skip says: no session, no store call, even while the store is down", async () => {
      const { store, browser } = await start();
      const user = browser();
      await user.post("/set/a/1");
      store.calls.length = 0;
      store.fail();
      const answer = await user.get("/skipped");
      expect(answer).toMatchObject({ status: 200, body: "undefined", setCookie: [] });
      expect(answer.headers.get("vary")).toBeNull();
      expect(store.calls).toEqual([]);
    });

    describe("asks the store only for who opens the session, with the option lazy,", () => {
      it("so nothing for a handler that doesn't, even while it is down", async () => {
        const { store, browser } = await start({ lazy: true });
        const user = browser();
        await user.post("/lazy/set/a/1");
        store.calls.length = 0;
        store.fail();
        const answer = await user.get("/lazy/plain");
        expect(answer).toMatchObject({ status: 200, body: ANSWER, setCookie: [] });
        expect(answer.headers.get("vary")).toBeNull();
        expect(store.calls).toEqual([]);
      });

      it("once for one that does, whose writes are stored before the answer leaves", async () => {
        const application = await start({ lazy: true });
        const { store } = application;
        const user = application.browser();
        store.hold(WRITES);
        const answer = user.post("/lazy/set/a/1");
        await store.asked();
        expect(await isHeldBack(answer, application)).toBe(true);
        store.release();
        expect((await answer).setCookie).toEqual([expect.stringMatching(OVER_HTTP)]);
        store.calls.length = 0;
        const reading = await user.get("/lazy/read");
        expect(JSON.parse(reading.body)).toEqual({ isNew: false, data: { a: "1" } });
        expect(reading.headers.get("vary")).toBe("Cookie");
        expect(store.calls).toEqual(["load"]);
      });

      it("and fails closed for it", async () => {
        const { store, browser } = await start({ lazy: true });
        const user = browser();
        await user.post("/lazy/set/a/1");
        store.fail();
        expect(await user.get("/lazy/read")).toMatchObject({ status: 503, setCookie: [] });
        store.recover();
        expect(JSON.parse((await user.get("/lazy/read")).body).data).toEqual({ a: "1" });
      });

      it.skipIf(lacks.includes("session property"))(
        "and says what to do where the session is used before",
        async () => {
          const { browser } = await start({ lazy: true });
          expect((await browser().get("/lazy/early")).body).toContain("openSession()");
        },
      );
    });
  });
}
