import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Exchange } from "../src/engine/exchange.js";
import { addBackchannel } from "../src/engine/guard/backchannel.js";
import type { CsrfOptions } from "../src/engine/guard/csrf.js";
import type { SessionRequest } from "../src/engine/request.js";
import type { Session } from "../src/engine/session.js";
import type { Sessions } from "../src/engine/sessions.js";
import { type CsrfError, HeadersSentError } from "../src/errors.js";
import { cookieStore } from "../src/stores/cookie.js";
import { finish, requestWith } from "./support/exchange.js";
import { Clock, SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

const OWN = "https://shop.example";
const EVIL = "https://evil.example";
const WRONG = `${"A".repeat(22)}.${"A".repeat(43)}`;

const opened: Sessions<any>[] = [];
afterEach(async () => {
  for (const sessions of opened.splice(0)) await sessions.close();
});

interface Sent {
  method?: string;
  target?: string;
  headers?: Record<string, string>;
}

function start(
  csrf: boolean | CsrfOptions = { origins: [OWN] },
  options: Partial<SessionsOptions<any>> = {},
) {
  const clock = new Clock();
  const store = new SlowStore();
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: store.store,
    clock: clock.read,
    sweepInterval: false,
    csrf,
    ...options,
  } as SessionsOptions<any>);
  opened.push(sessions);
  const refusals: unknown[] = [];
  sessions.on("csrf-refused", (event) => refusals.push(event));
  let cookie: string | undefined;

  const requestOf = ({ method = "POST", target = "/pay?secret=1", headers = {} }: Sent): SessionRequest => ({
    ...requestWith(cookie, headers),
    method,
    target,
  });
  const answer = async (exchange: Exchange<any>) => {
    const line = (await finish(exchange))["set-cookie"]?.[0];
    if (line !== undefined) cookie = line.includes("Max-Age=0") ? undefined : line.split(";", 1)[0];
  };
  /** A page of the application: what its handler gives. */
  const page = async <T>(handle: (session: Session<any>) => T): Promise<Awaited<T>> => {
    const exchange = await sessions.open(requestOf({ headers: { "sec-fetch-site": "same-origin" } }));
    const given = await handle(exchange.session);
    await answer(exchange);
    return given;
  };
  /** Whether a request passes: "passes", or the rule by which it is refused. */
  const send = async (sent: Sent): Promise<string> => {
    try {
      const exchange = await sessions.open(requestOf(sent));
      void exchange.session;
      await answer(exchange);
      return "passes";
    } catch (error) {
      expect(error).toMatchObject({ name: "CsrfError", code: "ERR_HOLDFAST_CSRF", status: 403 });
      return (error as CsrfError).rule;
    }
  };
  const withToken = (token: string) => send({ headers: { "x-csrf-token": token } });
  return {
    sessions,
    store,
    clock,
    refusals,
    requestOf,
    page,
    send,
    withToken,
    hasCookie: () => cookie !== undefined,
  };
}

describe("the CSRF guard", () => {
  it.each([
    [{ "sec-fetch-site": "same-origin" }, "passes"],
    [{ "sec-fetch-site": "same-origin", origin: "null" }, "passes"],
    [{ "sec-fetch-site": "none" }, "passes"],
    [{ "sec-fetch-site": "same-site" }, "same-site"],
    [{ "sec-fetch-site": "cross-site" }, "cross-site"],
    [
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
      "cross-site",
    ],
    [{ "sec-fetch-site": "something new" }, "cross-site"],
    [{ "sec-fetch-site": "same-origin, cross-site" }, "cross-site"],
    [{ "sec-fetch-site": "cross-site", origin: OWN }, "passes"],
    [{ "sec-fetch-site": "same-site", origin: EVIL }, "same-site"],
    [{ origin: OWN }, "passes"],
    [{ origin: EVIL }, "foreign-origin"],
    [{ origin: "http://shop.example" }, "foreign-origin"],
    [{ origin: `${OWN}:8443` }, "foreign-origin"],
    [{ origin: `${OWN}.evil.example` }, "foreign-origin"],
    [{ origin: `${OWN}/` }, "foreign-origin"],
    [{ origin: "HTTPS://SHOP.EXAMPLE" }, "foreign-origin"],
    [{ origin: "null" }, "unknown-origin"],
    [{ origin: "" }, "no-origin"],
    [{}, "no-origin"],
    [{ referer: `${OWN}/cart` }, "no-origin"],
    [{ "sec-fetch-site": "cross-site", "x-csrf-token": WRONG }, "cross-site"],
    [{ "x-csrf-token": WRONG }, "wrong-token"],
    [{ "x-csrf-token": "" }, "wrong-token"],
  ] as Array<[Record<string, string>, string]>)("judges %j: %s", async (headers, verdict) => {
    const world = start();
    await world.page((session) => session.login("ada"));
    expect(await world.send({ headers })).toBe(verdict);
    expect(world.refusals).toHaveLength(verdict === "passes" ? 0 : 1);
  });

  it("derives no origin from Host", async () => {
    for (const csrf of [true, { origins: [OWN] }]) {
      const { send } = start(csrf);
      const verdict = csrf === true ? "unknown-origin" : "foreign-origin";
      expect(await send({ headers: { host: "evil.example", origin: EVIL } })).toBe(verdict);
    }
  });

  it("lets safe methods pass, wherever they come from, but not as another method", async () => {
    const { send } = start();
    const headers = { "sec-fetch-site": "cross-site", origin: EVIL };
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"])
      expect(await send({ method, headers })).toBe("passes");
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "get", "CONNECT", ""])
      expect(await send({ method, headers })).toBe("cross-site");
    for (const override of ["x-http-method-override", "x-http-method", "x-method-override"]) {
      expect(await send({ method: "GET", headers: { ...headers, [override]: "delete" } })).toBe("cross-site");
      expect(await send({ method: "GET", headers: { ...headers, [override]: "head" } })).toBe("passes");
      expect(await send({ method: "POST", headers: { ...headers, [override]: "GET" } })).toBe("cross-site");
    }
  });

  it("asks the store nothing for what it refuses, and tells who it was without a query or a token", async () => {
    const world = start();
    const id = await world.page(async (session) => {
      await session.login("ada");
      return session.id;
    });
    world.store.calls.length = 0;
    await world.send({ headers: { origin: EVIL, "x-csrf-token": WRONG } });
    expect(world.store.calls).toEqual([]);
    expect(world.refusals).toEqual([
      { at: new Date(world.clock.time), reason: "foreign-origin", method: "POST", sessionId: id },
    ]);
  });

  it("refuses before a lazy session is opened", () => {
    const { sessions, requestOf, store } = start();
    expect(() => sessions.defer(requestOf({ headers: { origin: EVIL } }))).toThrow("foreign-origin");
    expect(store.calls).toEqual([]);
  });

  it("leaves bearer sessions alone: no browser adds a token to Authorization by itself", async () => {
    expect(await start(true, { transport: "bearer" }).send({})).toBe("passes");
    const both = start(true, {
      transport: (request) => (request.header("authorization") ? "bearer" : "cookie"),
    });
    expect(await both.send({ headers: { authorization: "Bearer x" } })).toBe("passes");
    expect(await both.send({})).toBe("no-origin");
  });

  it("guards sessions that live in their cookie", async () => {
    const world = start(true, { store: cookieStore() as any });
    const token = await world.page((session) => session.csrfToken());
    expect(world.hasCookie()).toBe(true);
    expect(await world.send({ headers: { "sec-fetch-site": "cross-site" } })).toBe("cross-site");
    expect(await world.withToken(token)).toBe("passes");
    expect(await world.withToken(WRONG)).toBe("wrong-token");
  });

  it("exempts paths by name, and nothing that only looks like them", async () => {
    const { send } = start({ exempt: ["/hooks/pay", "/webhooks/*"] });
    for (const target of ["/hooks/pay", "/hooks/pay?x=1", "/webhooks/a", "/webhooks/a/b", "/webhooks/"])
      expect(await send({ target }), target).toBe("passes");
    for (const target of [
      "/hooks/pay/",
      "/hooks/payment",
      "/hooks",
      "/webhooks",
      "/webhooksx",
      "/x/webhooks/a",
      "/webhooks/../pay",
      "/webhooks/%2e%2E/pay",
      "/webhooks/%2e./pay",
      "/webhooks/..%2fpay",
      "/webhooks/%2Fpay",
      "/webhooks/..\\pay",
      "/webhooks/%5c..%5cpay",
      "/webhooks//pay",
      "//webhooks/a",
      "https://shop.example/webhooks/a",
      "*",
      "",
    ])
      expect(await send({ target }), target).toBe("no-origin");
  });

  it("exempts where another server posts to a login, and only without a cookie", async () => {
    addBackchannel("/auth/backchannel-logout");
    const world = start();
    const target = "/auth/backchannel-logout?x=1";
    expect(await world.send({ target })).toBe("passes");
    await world.page((session) => session.login("ada"));
    expect(await world.send({ target })).toBe("no-origin");
    expect(await start().send({ target: "/auth/backchannel-logout/" })).toBe("no-origin");
  });

  it("exempts what a function says yes to, and nothing for a promise of it", async () => {
    const byFunction = start({ exempt: ({ target }) => target === "/hook" });
    expect(await byFunction.send({ target: "/hook" })).toBe("passes");
    expect(await byFunction.send({ target: "/pay" })).toBe("no-origin");
    const asynchronous = start({ exempt: (async () => true) as unknown as () => boolean });
    expect(await asynchronous.send({})).toBe("no-origin");
  });

  it("never throws anything else, and lets pass exactly what the rules say, whatever comes", async () => {
    const world = start();
    const site = fc.option(
      fc.oneof(fc.constantFrom("same-origin", "none", "same-site", "cross-site", ""), fc.string()),
    );
    const origin = fc.option(fc.oneof(fc.constantFrom(OWN, EVIL, "null", ""), fc.string(), fc.webUrl()));
    const method = fc.oneof(
      fc.constantFrom("GET", "HEAD", "POST", "DELETE", "__proto__", "constructor"),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(
        method,
        site,
        origin,
        fc.string(),
        fc.option(fc.string()),
        async (m, s, o, target, t) => {
          const headers = {
            ...(s !== null && { "sec-fetch-site": s }),
            ...(o !== null && { origin: o }),
            ...(t !== null && { "x-csrf-token": t }),
          };
          const passes =
            ["GET", "HEAD", "OPTIONS", "TRACE"].includes(m) ||
            o === OWN ||
            s === "same-origin" ||
            s === "none";
          expect((await world.send({ method: m, target, headers })) === "passes").toBe(passes);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it.each<[unknown, string]>([
    ["yes", "csrf: expected true, false or an object"],
    [{ origin: OWN }, "csrf.origin: is not an option"],
    [{ origins: OWN }, "csrf.origins: expected a list of origins"],
    [{ origins: ["shop.example"] }, 'csrf.origins: "shop.example" is no origin'],
    [{ origins: ["https://*.shop.example"] }, "is no origin"],
    [{ origins: [`${OWN}/`] }, "is no origin"],
    [{ origins: ["null"] }, "is no origin"],
    [{ origins: ["https://Shop.example"] }, 'browsers send "https://Shop.example" as "https://shop.example"'],
    [{ origins: [`${OWN}:443`] }, `browsers send "${OWN}:443" as "${OWN}"`],
    [{ exempt: "/hook" }, "csrf.exempt: expected a list of paths or a function"],
    [{ exempt: ["hook"] }, 'csrf.exempt: "hook" is no path'],
    [{ exempt: ["/*"] }, 'csrf.exempt: "/*" is no path'],
    [{ exempt: ["/a*"] }, "is no path"],
    [{ exempt: ["/*/a"] }, "is no path"],
    [{ exempt: ["/a?b"] }, "is no path"],
    [{ tokenHeader: "X CSRF" }, "csrf.tokenHeader"],
    [{ formTokens: "yes" }, "csrf.formTokens"],
  ])("refuses the option %j at the start", (csrf, message) => {
    expect(() => start(csrf as CsrfOptions)).toThrow(message);
  });
});

describe("a CSRF token", () => {
  it("stores the session of a visitor who gets one, and nothing is stored for anybody else", async () => {
    const world = start(true);
    await world.page(() => {});
    expect(world.hasCookie()).toBe(false);
    const token = await world.page((session) => session.csrfToken());
    expect(world.hasCookie()).toBe(true);
    expect(world.store.calls).toEqual(["create"]);
    expect(await world.withToken(token)).toBe("passes");
  });

  it("comes too late for a new session once the headers have left", async () => {
    const { sessions, requestOf } = start(true);
    const exchange = await sessions.open(requestOf({ method: "GET" }));
    await exchange.commit();
    expect(() => exchange.session.csrfToken()).toThrow(HeadersSentError);
  });

  it("is another each time, and all are good", async () => {
    const world = start(true);
    const tokens = await world.page((session) => [
      session.csrfToken(),
      session.csrfToken(),
      session.csrfToken(),
    ]);
    expect(new Set(tokens).size).toBe(3);
    // Nothing that a compressed page could give away is in two of them.
    expect(new Set(tokens.flatMap((token) => token.split("."))).size).toBe(6);
    for (const token of tokens) expect(await world.withToken(token)).toBe("passes");
  });

  it("is good as long as the session, over renewals, and ends with every change of privileges", async () => {
    const world = start(true, { idleTimeout: "10h", absoluteTimeout: "100h" });
    const first = await world.page((session) => session.csrfToken());
    const ids = new Set<string>();
    for (let n = 0; n < 4; n++) {
      world.clock.advance(2 * 3_600_000);
      expect(await world.withToken(first)).toBe("passes");
      ids.add(await world.page((session) => session.id));
    }
    expect(ids.size).toBe(4);

    await world.page((session) => session.login("ada"));
    expect(await world.withToken(first)).toBe("wrong-token");
    const second = await world.page((session) => session.csrfToken());
    world.clock.advance(2 * 3_600_000);
    expect(await world.withToken(second)).toBe("passes");
    await world.page((session) => session.rotate());
    expect(await world.withToken(second)).toBe("wrong-token");
    const third = await world.page((session) => session.csrfToken());
    await world.page((session) => session.logout());
    expect(await world.withToken(third)).toBe("wrong-token");
    for (const token of [first, second, third])
      expect(await world.page((session) => session.hasCsrfToken(token))).toBe(false);
  });

  it("of another session, another secret, or of nobody is refused", async () => {
    const [ada, eve] = [start(true), start(true, { secrets: [`${SECRET} of others`] })];
    const token = await ada.page((session) => session.csrfToken());
    await ada.page((session) => session.destroy());
    await ada.page((session) => session.csrfToken());
    expect(await ada.withToken(token)).toBe("wrong-token");
    expect(await eve.withToken(token)).toBe("wrong-token");
    const foreign = await eve.page((session) => session.csrfToken());
    expect(await ada.withToken(foreign)).toBe("wrong-token");
  });

  it("outlives a change of the secret as the session does", async () => {
    const world = start(true);
    const token = await world.page((session) => session.csrfToken());
    const later = createSessions<any>({
      secrets: [`${SECRET} and newer`, SECRET],
      store: world.store.store,
      clock: world.clock.read,
      sweepInterval: false,
      csrf: true,
    });
    const request = world.requestOf({ headers: { "x-csrf-token": token } });
    expect((await later.open(request)).session.isNew).toBe(false);
  });

  it("of any other kind is refused, and never throws", async () => {
    const world = start(true);
    const good = await world.page((session) => session.csrfToken());
    const session = await world.page((each) => each);
    expect(session.hasCsrfToken(good)).toBe(true);
    for (const bad of [
      undefined,
      null,
      1,
      {},
      [good],
      "",
      ".",
      `${good} `,
      good.slice(1),
      good.replace(".", "-"),
      `${good}A`,
    ])
      expect(session.hasCsrfToken(bad)).toBe(false);
    fc.assert(
      fc.property(fc.anything(), (any) => !session.hasCsrfToken(any)),
      { numRuns: 500 },
    );
  });

  it("comes in the header that the option names", async () => {
    const world = start({ tokenHeader: "X-XSRF-Token" });
    const token = await world.page((session) => session.csrfToken());
    expect(await world.send({ headers: { "x-xsrf-token": token } })).toBe("passes");
    expect(await world.withToken(token)).toBe("no-origin");
  });

  it("in a form has the session wait for it, where the option says so", async () => {
    const world = start({ formTokens: true });
    const token = await world.page((session) => session.csrfToken());
    const form = { headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" } };
    const exchange = await world.sessions.open(world.requestOf(form));
    expect(() => exchange.session).toThrow("no-origin");
    await expect(exchange.openSession()).rejects.toThrow("no-origin");
    expect(() => exchange.confirm(WRONG)).toThrow("wrong-token");
    expect(() => exchange.session).toThrow("no-origin");
    exchange.confirm(token);
    expect(exchange.session.isNew).toBe(false);
    expect(await world.send({ headers: { "content-type": "application/json" } })).toBe("no-origin");
    expect(await world.send({ headers: { ...form.headers, origin: EVIL } })).toBe("unknown-origin");
    expect(await world.send({ headers: { ...form.headers, "sec-fetch-site": "cross-site" } })).toBe(
      "cross-site",
    );
  });
});
