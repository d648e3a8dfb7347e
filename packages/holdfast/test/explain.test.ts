import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Exchange } from "../src/engine/exchange.js";
import type { Explanation } from "../src/engine/explain/explanation.js";
import type { SessionRequest } from "../src/engine/request.js";
import type { Session } from "../src/engine/session.js";
import type { Sessions } from "../src/engine/sessions.js";
import { cookieStore } from "../src/stores/cookie.js";
import { memoryStore } from "../src/stores/memory.js";
import { finish, requestWith } from "./support/exchange.js";
import { Clock, SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

const HTTPS = "__Host-sid";
const PATH = "Path=/; HttpOnly; Secure; SameSite=Lax";

interface Visit {
  method?: string;
  target?: string;
  headers?: Record<string, string>;
  encrypted?: boolean;
  remoteAddress?: string;
}

const opened: Sessions<any>[] = [];
afterEach(async () => {
  for (const sessions of opened.splice(0)) await sessions.close();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** Sessions that explain, and a browser over HTTPS that keeps its cookie. */
function start(options: Partial<SessionsOptions<any>> = {}) {
  const clock = new Clock();
  const told: Explanation[] = [];
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    clock: clock.read,
    sweepInterval: false,
    explain: (explanation) => told.push(explanation),
    ...options,
  } as SessionsOptions<any>);
  opened.push(sessions);
  const jar = { cookie: undefined as string | undefined };

  const requestOf = ({ headers, encrypted = true, ...rest }: Visit, cookie = jar.cookie): SessionRequest => ({
    ...requestWith(cookie, headers, encrypted),
    ...rest,
  });
  const answered = async (exchange: Exchange<any>) => {
    const line = (await finish(exchange))["set-cookie"]?.[0];
    if (line !== undefined) jar.cookie = line.includes("Max-Age=0") ? undefined : line.split(";", 1)[0];
    return told.at(-1)!.line;
  };
  /** The line of one request. */
  const visit = async (
    what: Visit = {},
    handle: (session: Session<any>) => unknown = () => {},
    cookie = jar.cookie,
  ): Promise<string> => {
    const exchange = await sessions.open(requestOf(what, cookie));
    await handle(exchange.session);
    return answered(exchange);
  };
  const refused = async (what: Visit, cookie = jar.cookie): Promise<string> => {
    await expect(async () => sessions.open(requestOf(what, cookie))).rejects.toThrow();
    return told.at(-1)!.line;
  };
  return { sessions, clock, told, jar, visit, refused, requestOf, answered };
}

const write = (session: Session<any>) => {
  session.data.a = "written";
};
const login = (session: Session<any>) => session.login("ada");
const post: Visit = { method: "POST", target: "/cart?secret=1" };
const short = ({ told }: { told: Explanation[] }) => `${told.at(-1)!.sessionId!.slice(0, 8)}…`;

describe("a request is explained in one line", () => {
  it("where nothing came and nothing is done", async () => {
    expect(await start().visit({ target: "/?q=secret" })).toBe(
      `holdfast: GET /: the cookie ${HTTPS} did not come; nothing to save; set no cookie: there is no session`,
    );
  });

  it("where a session is made", async () => {
    const world = start();
    expect(await world.visit(post, write)).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} did not come; stored a new session ${short(world)}; ` +
        `set the cookie ${HTTPS} (${PATH})`,
    );
  });

  it("where a living session is read, changed, and touched", async () => {
    const world = start();
    await world.visit(post, write);
    expect(await world.visit()).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a living session; nothing to save; set no cookie: the client has it`,
    );
    expect(await world.visit(post, (session) => session.flash("note", "x"))).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} came, of a living session; stored the changes; ` +
        "set no cookie: the client has it",
    );
    world.clock.advance(10 * 60_000);
    expect(await world.visit()).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a living session; moved the idle deadline; ` +
        "set no cookie: the client has it",
    );
  });

  it("where somebody logs in, gets another token, and logs out", async () => {
    const world = start();
    await world.visit(post, write);
    expect(await world.visit(post, login)).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} came, of a living session; logged in, session ${short(world)}; ` +
        `set the cookie ${HTTPS} (${PATH})`,
    );
    expect(await world.visit(post, (session) => session.rotate())).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} came, of a living session; gave the session another token, session ` +
        `${short(world)}; set the cookie ${HTTPS} (${PATH})`,
    );
    expect(await world.visit(post, (session) => session.logout())).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} came, of a living session; ended the session; deleted the cookie ${HTTPS}`,
    );
  });

  it("where the token is renewed, and where a request in flight still has the one before", async () => {
    const world = start({ idleTimeout: "4h" });
    await world.visit(post, write);
    const old = world.jar.cookie;
    world.clock.advance(2 * 3_600_000);
    expect(await world.visit()).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a living session; renewed the token, session ${short(world)}; ` +
        `set the cookie ${HTTPS} (${PATH})`,
    );
    expect(await world.visit({}, undefined, old)).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a living session; nothing to save; ` +
        "set no cookie: the request that renewed it brings the new one",
    );
    await world.visit(post, write);
    world.clock.advance(60_000);
    expect(await world.visit({}, undefined, old)).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came with a token that a renewal had replaced, long ago: an old copy of it; ` +
        "nothing to save; set no cookie: there is no session",
    );
  });

  const REJECTED = "nothing to save; set no cookie: there is no session";
  it.each([
    ["malformed", "came, but hasn't the shape of a signed token", `${HTTPS}=x`],
    [
      "forged",
      "came, but its signature fits none of the secrets: one was dropped, another application uses this name, or somebody guesses",
      `${HTTPS}=${"A".repeat(43)}.${"A".repeat(43)}`,
    ],
    ["too-many", "came more often than is looked at", Array(6).fill(`${HTTPS}=x`).join("; ")],
  ])("where the cookie doesn't verify: %s", async (reason, text, cookie) => {
    const world = start();
    expect(await world.visit({}, undefined, cookie)).toBe(
      `holdfast: GET /: the cookie ${HTTPS} ${text}; ${REJECTED}`,
    );
    expect(world.told.at(-1)).toMatchObject({
      reason,
      sessionId: undefined,
      remarks: [{ code: reason }, {}, {}],
    });
  });

  it("where several cookies lead to living sessions", async () => {
    const [world, other] = [start(), start()];
    await world.visit(post, write);
    const first = world.jar.cookie;
    world.jar.cookie = undefined;
    await world.visit(post, write);
    expect(other).toBeDefined();
    expect(await world.visit({}, undefined, `${first}; ${world.jar.cookie}`)).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came several times, for different living sessions, so none is used: somebody may ` +
        `have planted one; ${REJECTED}`,
    );
  });

  it("where the store knows no such session", async () => {
    const [world, other] = [start(), start()];
    await other.visit(post, write);
    expect(await world.visit({}, undefined, other.jar.cookie)).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came well signed, but the store has no such session: it expired and was swept, ` +
        `ended long ago, or is in another store; ${REJECTED}`,
    );
  });

  it.each([
    ["idle-timeout", "had reached its idle timeout", 31],
    ["absolute-timeout", "had reached its absolute timeout", 121],
  ])("where the session has expired: %s", async (_reason, text, minutes) => {
    const world = start({ idleTimeout: minutes === 31 ? "30m" : "2h", absoluteTimeout: "2h" });
    await world.visit(post, write);
    world.clock.advance(minutes * 60_000);
    expect(await world.visit()).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a session that ${text}; ${REJECTED}`,
    );
  });

  it("where the session was logged out, rotated or revoked", async () => {
    const world = start();
    const old = async (end: (session: Session<any>) => unknown) => {
      world.jar.cookie = undefined;
      await world.visit(post, login);
      const { cookie } = world.jar;
      await world.visit(post, end);
      return world.visit({}, undefined, cookie);
    };
    const late = "nothing to save; set no cookie: a late request must not overwrite a newer one";
    expect(await old((session) => session.logout())).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a session that was logged out or destroyed; ${late}`,
    );
    expect(await old((session) => session.rotate())).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a session to which a login or \`rotate\` had given another token; ${late}`,
    );
    expect(await old((session) => world.sessions.ofUser("ada").revoke(session.id))).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a session that was revoked from outside; ${REJECTED}`,
    );
    for (const [reason, text] of [
      ["password-changed", "was ended for its user's password was changed"],
      ["account-disabled", "was ended for its user's account was disabled"],
      ["app:moved", "was ended (app:moved)"],
    ] as const)
      expect(await old((session) => world.sessions.ofUser("ada").revoke(session.id, { reason }))).toBe(
        `holdfast: GET /: the cookie ${HTTPS} came, of a session that ${text}; ${REJECTED}`,
      );
  });

  it("where its user had too many", async () => {
    const world = start({ maxSessionsPerUser: 1 });
    await world.visit(post, login);
    const { cookie } = world.jar;
    world.jar.cookie = undefined;
    await world.visit(post, login);
    expect(await world.visit({}, undefined, cookie)).toBe(
      `holdfast: GET /: the cookie ${HTTPS} came, of a session that was ended for its user had more than ` +
        `\`maxSessionsPerUser\`; ${REJECTED}`,
    );
  });

  it("where changes came too late: the session ended, or the token had been replaced", async () => {
    const world = start();
    await world.visit(post, login);
    const { cookie } = world.jar;
    const slow = await world.sessions.open(world.requestOf(post));
    slow.session.data.late = true;
    await world.visit(post, (session) => session.logout());
    expect(await world.answered(slow)).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} came, of a living session; dropped the changes, for the session ended ` +
        "meanwhile; set no cookie: the client has it",
    );
    expect(await world.visit(post, write, cookie)).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} came, of a session that was logged out or destroyed; dropped the changes, for ` +
        "the request came with a token that had just been replaced or ended; set no cookie: a late request must not " +
        "overwrite a newer one",
    );
  });

  it("where the browser withheld the cookie, for another site sent the request", async () => {
    const crossSite = {
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document",
    };
    const withheld = "another site sent the request, and browsers withhold a SameSite=Lax cookie then";
    expect(await start().visit({ ...post, headers: crossSite })).toContain(`did not come; ${withheld}; `);
    expect(await start().visit({ headers: { ...crossSite, "sec-fetch-dest": "iframe" } })).toContain(
      withheld,
    );
    expect(await start().visit({ headers: crossSite })).not.toContain("another site");
    const strict = start({ cookie: { sameSite: "strict" } });
    expect(await strict.visit({ headers: crossSite })).toContain("withhold a SameSite=Strict cookie then");
    const none = start({ cookie: { sameSite: "none" } });
    expect(await none.visit({ ...post, headers: crossSite })).not.toContain("another site");
    expect(await start().visit({ ...post, headers: crossSite }, write)).toContain(
      `did not come; ${withheld}; dropped the changes, for a session of its own would take the place of the user's; set no ` +
        "cookie: it would overwrite one that the browser may have",
    );
    const fetched = { ...post, headers: { ...crossSite, "sec-fetch-mode": "no-cors" } };
    expect(await start().visit(fetched, (session) => session.login("ada"))).toContain(
      "; another site sent the request, and browsers don't keep a SameSite=Lax cookie then",
    );
  });

  describe("where the request looks like plain HTTP, for a Secure cookie", () => {
    const plain: Visit = { encrypted: false, remoteAddress: "10.0.0.7" };
    const SENDS = "browsers send a Secure cookie over HTTPS only, and this request looks like plain HTTP:";

    it("and no header says anything else", async () => {
      expect(await start().visit(plain)).toBe(
        `holdfast: GET /: the cookie ${HTTPS} did not come; ${SENDS} neither X-Forwarded-Proto nor Forwarded came; ${REJECTED}`,
      );
    });

    it("and the proxy isn't trusted", async () => {
      expect(await start().visit({ ...plain, headers: { "x-forwarded-proto": "https" } })).toContain(
        `${SENDS} X-Forwarded-Proto came from 10.0.0.7, which \`trustProxy\` doesn't trust; `,
      );
    });

    it("and the trusted proxy says so", async () => {
      const world = start({ trustProxy: ["10.0.0.0/8"] });
      expect(await world.visit({ ...plain, headers: { forwarded: "proto=http" } })).toContain(
        `${SENDS} Forwarded of the trusted proxy 10.0.0.7 doesn't say https; `,
      );
    });

    it("and SameSite=None is why it is Secure", async () => {
      const world = start({ cookie: { sameSite: "none", name: "sid" } });
      const local = { headers: { host: "localhost" }, encrypted: false, remoteAddress: "127.0.0.1" };
      expect(await world.visit(local)).toContain("nor Forwarded came (SameSite=None needs Secure)");
    });

    it("and the cookie that is set will be ignored", async () => {
      const world = start();
      await world.visit(post, write);
      expect(await world.visit({ ...plain, ...post }, login)).toContain(
        `set the cookie ${HTTPS} (${PATH}); browsers ignore a Secure cookie from plain HTTP, and this request looks like ` +
          "plain HTTP: neither X-Forwarded-Proto nor Forwarded came",
      );
    });

    it("and the cookie came under the name that it has otherwise", async () => {
      const local = { headers: { host: "localhost" }, encrypted: false, remoteAddress: "127.0.0.1" };
      expect(await start().visit(local, undefined, `${HTTPS}=x`)).toBe(
        `holdfast: GET /: the cookie sid did not come; ${HTTPS} came, its name over HTTPS; ${REJECTED}`,
      );
      expect(await start().visit({}, undefined, "sid=x")).toContain(
        `the cookie ${HTTPS} did not come; sid came, its name over plain HTTP; `,
      );
    });
  });

  it("where the store fails, at the beginning and at the end", async () => {
    const store = new SlowStore();
    const world = start({ store: store.store });
    await world.visit(post, write);
    store.fail();
    expect(await world.refused(post)).toBe(
      'holdfast: POST /cart: the store "memory" failed to load (ERR_HOLDFAST_STORE)',
    );
    store.recover();
    const exchange = await world.sessions.open(world.requestOf(post));
    exchange.session.data.b = 1;
    store.fail(["replace"]);
    await expect(exchange.commit()).rejects.toThrow();
    exchange.writeHeaders({ get: () => undefined, set() {}, append() {} });
    expect(world.told.at(-1)!.line).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} came, of a living session; the store "memory" failed to replace ` +
        "(ERR_HOLDFAST_STORE)",
    );
  });

  it("where the data can't be stored", async () => {
    const { sessions, told, requestOf } = start();
    const exchange = await sessions.open(requestOf(post));
    exchange.session.data.at = new Date();
    expect(() => exchange.commit()).toThrow();
    exchange.writeHeaders({ get: () => undefined, set() {}, append() {} });
    expect(told.map(({ line }) => line)).toEqual([
      `holdfast: POST /cart: the cookie ${HTTPS} did not come; failed (ERR_HOLDFAST_NOT_SERIALIZABLE)`,
    ]);
  });

  it("where the cookie is too large", async () => {
    const cookies = start({ store: cookieStore() as any });
    const large = await cookies.sessions.open(cookies.requestOf(post));
    large.session.data.a = "x".repeat(40_000);
    await expect(async () => large.commit()).rejects.toThrow();
    large.writeHeaders({ get: () => undefined, set() {}, append() {} });
    expect(cookies.told.at(-1)!.line).toBe(
      `holdfast: POST /cart: the cookie ${HTTPS} did not come; the session is larger than a cookie can be, so it is not stored`,
    );
  });

  it("where the headers had left: before the session's, before a login, and before a change", async () => {
    const world = start();
    await world.visit(post, write);
    const sent = await world.sessions.open(world.requestOf(post));
    await sent.commit();
    sent.headersWereSent();
    const came = `holdfast: POST /cart: the cookie ${HTTPS} came, of a living session`;
    expect(world.told.at(-1)!.line).toBe(
      `${came}; nothing to save; the response's headers had left already, so no cookie could join them`,
    );
    const late = await world.sessions.open(world.requestOf(post));
    await world.answered(late);
    const before = world.told.length;
    await expect(late.session.login("ada")).rejects.toThrow("session.login()");
    expect(world.told.pop()!.line).toBe(
      "holdfast: POST /cart: session.login() came after the response's headers had left, so it is not done",
    );
    late.session.data.late = true;
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    late.reportLateChanges();
    expect(world.told.slice(before).map(({ line }) => line)).toEqual([
      "holdfast: POST /cart: changed after the response's headers had left, so the change is not stored: call `session.save()`",
    ]);
  });

  it("where the CSRF guard, or the limit of guesses, refuses", async () => {
    const world = start({ csrf: true, guessLimit: { max: 1 } });
    expect(await world.refused({ ...post, headers: { "sec-fetch-site": "same-site" } })).toBe(
      "holdfast: POST /cart: refused by the CSRF guard (same-site)",
    );
    await world.visit({}, undefined, `${HTTPS}=x`);
    expect(await world.refused({}, `${HTTPS}=y`)).toBe(
      "holdfast: GET /: refused, for the client has tried too many tokens that don't verify",
    );
  });

  it("where nobody opens it, it is left out, or is an upgrade", async () => {
    const world = start();
    expect(await world.answered(world.sessions.defer(world.requestOf({})))).toBe(
      "holdfast: GET /: nobody opened the session (lazy)",
    );
    world.sessions.skipped!(world.requestOf({ target: "/style.css?v=1" }));
    expect(world.told.at(-1)!.line).toBe("holdfast: GET /style.css: left out by the option `skip`");
    (await world.sessions.open(world.requestOf({}))).withoutResponse();
    expect(world.told.at(-1)!.line).toBe(
      `holdfast: GET /: the cookie ${HTTPS} did not come; nothing to save; no response carries a cookie`,
    );
  });

  it("of a bearer session", async () => {
    const world = start({ transport: "bearer" });
    expect(await world.visit(post, write)).toBe(
      `holdfast: POST /cart: the bearer token did not come; stored a new session ${short(world)}; ` +
        "sent the token in Session-Token",
    );
  });

  it("and gives the same reason to the application", async () => {
    const world = start();
    await world.visit(
      {},
      (session) => expect(session.reason).toBe("forged"),
      `${HTTPS}=${"A".repeat(43)}.${"A".repeat(43)}`,
    );
    expect(world.told.at(-1)!.reason).toBe("forged");
  });
});

it("no token, data, secret or query is in an explanation, whatever comes", async () => {
  const world = start({ csrf: { origins: ["https://shop.example"] }, trustProxy: true });
  await world.visit({ ...post, headers: { origin: "https://shop.example" } }, (session) => {
    session.data.a = "the data";
  });
  const signed = world.jar.cookie!.slice(HTTPS.length + 1);
  const [token = "", mac = ""] = signed.split(".");
  const secret = fc.constantFrom(signed, token, mac, SECRET, "the data");
  const text = fc.oneof(
    secret,
    fc.string(),
    fc.constantFrom("https", "cross-site", "same-origin", "\u001b[2Jx\nholdfast: forged line"),
  );
  const header = fc.constantFrom(
    "cookie",
    "origin",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "x-forwarded-proto",
    "forwarded",
    "x-csrf-token",
    "authorization",
    "x-forwarded-for",
    "host",
    "content-type",
    "x-http-method-override",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(header, text),
      fc.constantFrom("GET", "POST", "OPTIONS"),
      fc.array(
        fc.oneof(fc.constantFrom(token, signed, "\u001b[2J\nx\u2028"), fc.stringMatching(/^[\w%~.-]{0,50}$/)),
        {
          maxLength: 4,
        },
      ),
      text,
      async (headers, method, segments, query) => {
        const before = world.told.length;
        const cookie = headers.cookie?.startsWith("_")
          ? headers.cookie
          : `${HTTPS}=${headers.cookie ?? signed}`;
        const target = `/${segments.join("/")}?q=${encodeURIComponent(query)}&token=${signed}`;
        const { cookie: _, ...others } = headers;
        try {
          const exchange = await world.sessions.open(
            world.requestOf({ method, target, headers: others }, cookie),
          );
          exchange.session.data.a = "the data";
          await finish(exchange);
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_HOLDFAST_CSRF" });
        }
        const all = JSON.stringify(world.told.slice(before));
        expect(world.told.length).toBe(before + 1);
        for (const each of [token, mac, SECRET, "the data", "?", "forged line", "\\u001b", "\\n", "\u2028"])
          expect(all).not.toContain(each);
      },
    ),
    { numRuns: 500 },
  );
});

describe("the option explain", () => {
  const lineOf = async (options: Partial<SessionsOptions<any>>) => {
    const write = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
    const world = start({ explain: undefined, ...options });
    await finish(await world.sessions.open(world.requestOf({})));
    const lines = write.mock.calls
      .map(([line]) => String(line))
      .filter((line) => line.startsWith("holdfast:"));
    write.mockRestore();
    return lines;
  };
  const LINE = `holdfast: GET /: the cookie ${HTTPS} did not come; nothing to save; set no cookie: there is no session\n`;

  it("is off by default, and writes to stderr where it is true", async () => {
    expect(await lineOf({})).toEqual([]);
    expect(await lineOf({ explain: true })).toEqual([LINE]);
  });

  it.each(["holdfast", "holdfast:*", "*", "express:*,holdfast", "a holdfast b", "hold*", "holdfast:explain"])(
    "is on by DEBUG=%s",
    async (debug) => {
      vi.stubEnv("DEBUG", debug);
      expect(await lineOf({})).toEqual([LINE]);
      expect(await lineOf({ explain: false })).toEqual([]);
    },
  );

  it.each([
    "",
    "express:*",
    "holdfas",
    "holdfast-cli",
    "*,-holdfast",
    "holdfast,-hold*",
    "holdfast.",
    "(",
    "-*",
  ])("is off with DEBUG=%s", async (debug) => {
    vi.stubEnv("DEBUG", debug);
    expect(await lineOf({})).toEqual([]);
  });

  it("warns in production", async () => {
    vi.stubEnv("NODE_ENV", "production");
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    start();
    expect(warning).toHaveBeenCalledWith(
      expect.stringContaining("in production"),
      expect.objectContaining({ code: "HOLDFAST_EXPLAIN" }),
    );
  });

  it("is refused where it is something else, and survives a function that throws", async () => {
    expect(() => start({ explain: "yes" as any })).toThrow("explain: expected true, false or a function");
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const world = start({
      explain() {
        throw new Error("the application's");
      },
    });
    await finish(await world.sessions.open(world.requestOf({})));
    expect(warning).toHaveBeenCalledWith(expect.stringContaining("`explain` threw"), expect.anything());
  });

  it("keeps the last fifty for the application", async () => {
    const world = start();
    expect(world.sessions.explanations()).toEqual([]);
    for (let n = 0; n < 60; n++) await world.visit({ target: `/${n}` });
    expect(world.sessions.explanations().map(({ path }) => path)).toEqual(
      Array.from({ length: 50 }, (_, n) => `/${n + 10}`),
    );
    expect(start({ explain: false }).sessions.explanations()).toEqual([]);
  });
});
