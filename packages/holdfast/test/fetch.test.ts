import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { isBuiltin } from "node:module";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { expectTypeOf } from "expect-type";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FetchSessions, fetchSessions, type OpenedSession } from "../src/adapters/fetch.js";
import {
  createSessions,
  type Session,
  type SessionRequest,
  type Sessions,
  StoreError,
} from "../src/index.js";
import { memoryStore } from "../src/stores/memory.js";
import { SlowStore } from "./support/slow-store.js";

/** What is special to the adapter for the Fetch standard; what it shares with the others is in frameworks/. */

interface Data {
  visits?: number;
  note?: string;
}

const secrets = ["9d1f6b0c-a secret for tests only-77e2"];
const page = "https://shop.example/";

let slow: SlowStore;
let sessions: Sessions<Data>;
let web: FetchSessions<Data>;

beforeEach(() => {
  slow = new SlowStore();
  sessions = createSessions<Data>({ secrets, store: slow.store });
  web = fetchSessions(sessions);
});

afterEach(() => sessions.close());

const visit = (cookie?: string, url = page) => new Request(url, cookie ? { headers: { cookie } } : {});

/** The name=value of the one cookie that a response sets; undefined where it sets none. */
function cookieOf({ headers }: { headers: Headers }): string | undefined {
  expect(headers.getSetCookie().length).toBeLessThanOrEqual(1);
  return headers.getSetCookie()[0]?.split(";", 1)[0];
}

/** The cookie of a session that is stored. */
async function storedSession(data: Data = { visits: 1 }): Promise<string> {
  const { session, commit } = await web.open(visit());
  session.data = data;
  return cookieOf(await commit(new Response()))!;
}

async function dataOf(cookie: string | undefined): Promise<Data> {
  return (await web.open(visit(cookie))).session.data;
}

describe("headers that can't be changed", () => {
  /** The response as it leaves, of a handler that has changed the session. */
  const write = (response: Response | Promise<Response>) =>
    web.handler((_request, session) => {
      session.data.visits = 1;
      return response;
    })(visit());

  it("Response.redirect gets the cookie", async () => {
    const response = await write(Response.redirect("https://shop.example/there", 303));
    expect(response.status).toBe(303);
    expect(response.headers.get("location")).toBe("https://shop.example/there");
    expect(await dataOf(cookieOf(response))).toEqual({ visits: 1 });
  });

  it("a response passed on from fetch() gets the cookie, and keeps its status, headers and body", async () => {
    const server = createServer((_request, response) => {
      response.writeHead(404, "Nothing Here", { "X-From": "upstream", "Set-Cookie": ["a=1", "b=2"] });
      response.end("no such page");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const response = await write(fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
      expect([response.status, response.statusText]).toEqual([404, "Nothing Here"]);
      expect(response.headers.get("x-from")).toBe("upstream");
      expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2", expect.stringMatching(/^__Host-sid=/)]);
      expect(await response.text()).toBe("no such page");
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("a response whose headers can be changed is the very one that the handler returned", async () => {
    const own = new Response("hello");
    expect(await write(own)).toBe(own);
    expect(cookieOf(own)).toBeDefined();
  });
});

describe("a thrown Response", () => {
  it("is committed and thrown on, as a redirect after login", async () => {
    const redirect = new Response(null, { status: 302, headers: { Location: "/account" } });
    const login = web.handler(async (_request, session) => {
      await session.login("ada");
      throw redirect;
    });
    const thrown = await login(visit()).catch((error) => error);
    expect(thrown).toBe(redirect);
    const { session } = await web.open(visit(cookieOf(thrown)));
    expect(session.userId).toBe("ada");
  });

  it("with headers that can't be changed is thrown as a copy with the cookie", async () => {
    const go = web.handler((_request, session) => {
      session.data.visits = 1;
      throw Response.redirect("https://shop.example/there", 302);
    });
    const thrown = await go(visit()).catch((error) => error);
    expect(thrown).toBeInstanceOf(Response);
    expect(thrown.status).toBe(302);
    expect(await dataOf(cookieOf(thrown))).toEqual({ visits: 1 });
  });

  it("is not thrown where the session can't be stored: that is a 503 like any other", async () => {
    const cookie = await storedSession();
    const go = web.handler((_request, session) => {
      session.data.visits = 2;
      throw Response.redirect("https://shop.example/there", 302);
    });
    slow.fail(["replace"]);
    const response = await go(visit(cookie));
    expect(response.status).toBe(503);
    expect(response.headers.get("location")).toBeNull();
  });
});

describe("a store that fails", () => {
  it.each(["load", "replace"] as const)("in %s is a plain 503 that sets no cookie", async (method) => {
    const cookie = await storedSession();
    slow.fail([method]);
    let ran = false;
    const response = await web.handler((_request, session) => {
      ran = true;
      session.data.visits = 2;
      return new Response("secret page", { headers: { "X-Page": "1" } });
    })(visit(cookie));
    expect(ran).toBe(method === "replace");
    expect(response.status).toBe(503);
    expect(await response.text()).toBe("Service Unavailable");
    expect(response.headers.get("x-page")).toBeNull();
    expect(cookieOf(response)).toBeUndefined();
    slow.recover();
    expect(await dataOf(cookie)).toEqual({ visits: 1 });
  });

  it("is asked once to store a session, not again for the error's answer", async () => {
    const cookie = await storedSession();
    slow.fail(["replace"]);
    slow.calls.length = 0;
    await web.handler((_request, session) => {
      session.data.visits = 2;
      return new Response();
    })(visit(cookie));
    expect(slow.calls).toEqual(["load", "replace"]);
  });

  it("throws from open, and from commit", async () => {
    const cookie = await storedSession();
    slow.fail(["load"]);
    await expect(web.open(visit(cookie))).rejects.toThrow(StoreError);
    slow.recover();
    const { session, commit } = await web.open(visit(cookie));
    session.data.visits = 2;
    slow.fail(["replace"]);
    await expect(commit(new Response())).rejects.toThrow(StoreError);
  });

  it("doesn't concern a visitor without a cookie who writes nothing", async () => {
    slow.fail();
    const response = await web.handler((_request, session) => Response.json(session.data))(visit());
    expect(response.status).toBe(200);
    expect(slow.calls).toEqual([]);
  });
});

describe("onError", () => {
  const onError = (error: unknown, request: Request, ...rest: unknown[]) =>
    new Response(`${(error as Error).name} on ${new URL(request.url).pathname} ${rest.join()}`, {
      status: 500,
    });

  it("makes the answer for the store's error, and gets what came with the request", async () => {
    const cookie = await storedSession();
    slow.fail(["load"]);
    const answer = web.handler((_request, _session, _id: number) => new Response(), { onError });
    const response = await answer(visit(cookie, "https://shop.example/cart"), 7);
    expect(response.status).toBe(500);
    expect(await response.text()).toBe("StoreError on /cart 7");
  });

  it("makes the answer for the handler's error, which carries a new session's cookie", async () => {
    const failing = web.handler(
      (_request, session) => {
        session.data.note = "an attempt";
        throw new RangeError("no");
      },
      { onError },
    );
    const response = await failing(visit());
    expect(await response.text()).toBe("RangeError on / ");
    expect(await dataOf(cookieOf(response))).toEqual({ note: "an attempt" });
  });

  it("may be asynchronous, and answer with headers that can't be changed", async () => {
    const failing = web.handler(
      async (_request, session) => {
        await session.login("ada");
        throw new Error("after the login");
      },
      { onError: async () => Response.redirect("https://shop.example/sorry", 302) },
    );
    const response = await failing(visit());
    expect(response.headers.get("location")).toBe("https://shop.example/sorry");
    expect((await web.open(visit(cookieOf(response)))).session.userId).toBe("ada");
  });

  it("is told of the store's error where the handler failed, and then the store", async () => {
    const cookie = await storedSession();
    slow.fail(["replace"]);
    const failing = web.handler(
      (_request, session) => {
        session.data.visits = 2;
        throw new RangeError("no");
      },
      { onError },
    );
    expect(await (await failing(visit(cookie))).text()).toBe("StoreError on / ");
  });
});

describe("a handler that throws after a change", () => {
  const fail = () =>
    web.handler((_request, session) => {
      session.data.note = "an attempt";
      throw new RangeError("no");
    });

  it("has it stored in a session that exists, and the error is thrown on", async () => {
    const cookie = await storedSession();
    await expect(fail()(visit(cookie))).rejects.toThrow(RangeError);
    expect(await dataOf(cookie)).toEqual({ visits: 1, note: "an attempt" });
  });

  it("makes no session for a new visitor: no response would carry its cookie", async () => {
    await expect(fail()(visit())).rejects.toThrow(RangeError);
    expect(slow.calls).toEqual([]);
  });
});

it("commit takes headers, for frameworks that make the response", async () => {
  const { session, commit } = await web.open(visit());
  session.data.visits = 1;
  const headers = new Headers({ "X-Mine": "1", Vary: "Accept" });
  expect(await commit(headers)).toBe(headers);
  expect(headers.get("x-mine")).toBe("1");
  expect(headers.get("vary")).toBe("Accept, Cookie");
  expect(headers.get("cache-control")).toBe("no-store");
  expect(await dataOf(cookieOf({ headers }))).toEqual({ visits: 1 });
});

it("the session is stored when commit resolves, and not before", async () => {
  const { session, commit } = await web.open(visit());
  session.data.visits = 1;
  slow.hold(["create"]);
  const response = new Response();
  const committing = commit(response);
  await slow.asked();
  expect(cookieOf(response)).toBeUndefined();
  slow.release();
  await committing;
  expect(cookieOf(response)).toBeDefined();
});

describe("a response that streams", () => {
  /** Runs `late` while the body is read, which is after the headers have left. */
  const stream = (late: (session: Session<Data>) => Promise<unknown>) =>
    web.handler((_request, session) => {
      session.data.visits ??= 1;
      const source = {
        async pull(controller: ReadableStreamDefaultController) {
          await late(session).then(
            () => controller.enqueue(new TextEncoder().encode("done")),
            (error) => controller.enqueue(new TextEncoder().encode(error.name)),
          );
          controller.close();
        },
      };
      // Not pulled before somebody reads.
      return new Response(new ReadableStream(source, { highWaterMark: 0 }));
    });

  it("has its session stored with the headers, and update and save work after them", async () => {
    const response = await stream(async (session) => {
      await session.update((data) => {
        data.note = "from the stream";
      });
      session.data.visits = 2;
      await session.save();
    })(visit());
    const cookie = cookieOf(response);
    expect(await response.text()).toBe("done");
    expect(await dataOf(cookie)).toEqual({ visits: 2, note: "from the stream" });
  });

  it("can log nobody in: the cookie would come too late", async () => {
    const cookie = await storedSession();
    const response = await stream((session) => session.login("ada"))(visit(cookie));
    expect(await response.text()).toBe("HeadersSentError");
    expect((await web.open(visit(cookie))).session.userId).toBeUndefined();
  });
});

describe("defer", () => {
  it("asks the store when the session is, once", async () => {
    const cookie = await storedSession();
    slow.calls.length = 0;
    const { openSession, commit } = web.defer(visit(cookie));
    expect(slow.calls).toEqual([]);
    const [session, again] = await Promise.all([openSession(), openSession()]);
    expect(again).toBe(session);
    expect(slow.calls).toEqual(["load"]);
    session.data.visits = 2;
    await commit(new Response());
    expect(await dataOf(cookie)).toEqual({ visits: 2 });
  });

  it("costs nothing where nobody asks", async () => {
    const cookie = await storedSession();
    slow.calls.length = 0;
    const response = await web.defer(visit(cookie)).commit(new Response());
    expect(slow.calls).toEqual([]);
    expect([...response.headers]).toEqual([]);
  });
});

describe("what the engine reads of a Request", () => {
  /** The engine's view of a request. */
  async function seen(request: Request, options?: Parameters<typeof fetchSessions>[1]) {
    let view!: SessionRequest;
    const spying = createSessions({
      secrets,
      store: memoryStore(),
      transport: (asked) => {
        view = asked;
        return "cookie";
      },
    });
    await fetchSessions(spying, options).open(request);
    await spying.close();
    return view;
  }

  it("HTTP/2's pseudo-headers are not there, which is no error", async () => {
    expect((await seen(visit())).header(":authority")).toBeUndefined();
  });

  it("a Request without a Host header has its URL's", async () => {
    expect((await seen(visit(undefined, "http://shop.example:8080/"))).header("host")).toBe(
      "shop.example:8080",
    );
    const behindProxy = new Request("http://10.0.0.7/", { headers: { host: "shop.example" } });
    expect((await seen(behindProxy)).header("host")).toBe("shop.example");
  });

  it("its URL tells whether the connection is encrypted", async () => {
    expect((await seen(visit(undefined, "https://shop.example/"))).encrypted).toBe(true);
    expect((await seen(visit(undefined, "http://shop.example/https:"))).encrypted).toBe(false);
  });

  it("the peer's address is the one that the platform told, not one of a header", async () => {
    const request = new Request(page, { headers: { "x-forwarded-for": "192.0.2.9" } });
    expect((await seen(request)).remoteAddress).toBeUndefined();
    expect((await seen(request, { remoteAddress: () => "192.0.2.1" })).remoteAddress).toBe("192.0.2.1");
  });
});

describe("the form of the cookie", () => {
  async function cookieAt(
    url: string,
    headers: Record<string, string> = {},
    remoteAddress: string | undefined = undefined,
  ): Promise<string> {
    const behindProxy = createSessions<Data>({ secrets, store: memoryStore(), trustProxy: ["127.0.0.1"] });
    const { session, commit } = await fetchSessions(behindProxy, { remoteAddress: () => remoteAddress }).open(
      new Request(url, { headers }),
    );
    session.data.visits = 1;
    const response = await commit(new Response());
    await behindProxy.close();
    return cookieOf(response)!.split("=", 1)[0]!;
  }

  it("is without Secure on plain-HTTP localhost alone", async () => {
    expect(await cookieAt("http://localhost:3000/")).toBe("sid");
    expect(await cookieAt("http://localhost:3000/", {}, "127.0.0.1")).toBe("sid");
    expect(await cookieAt("https://localhost:3000/")).toBe("__Host-sid");
    expect(await cookieAt("http://shop.example/")).toBe("__Host-sid");
    expect(await cookieAt("http://localhost:3000/", {}, "192.0.2.1")).toBe("__Host-sid");
  });

  it("follows a proxy that is trusted by its address, and no other", async () => {
    const https = { "x-forwarded-proto": "https" };
    expect(await cookieAt("http://localhost/", https, "127.0.0.1")).toBe("__Host-sid");
    expect(await cookieAt("http://localhost/", https, "::1")).toBe("sid");
    expect(await cookieAt("http://localhost/", https, undefined)).toBe("sid");
  });
});

it("types go through, without a cast", () => {
  expectTypeOf(web).toEqualTypeOf<FetchSessions<Data>>();
  const handle = web.handler((request, session, context: { params: Promise<{ id: string }> }, n: number) => {
    expectTypeOf(request).toEqualTypeOf<Request>();
    expectTypeOf(session).toEqualTypeOf<Session<Data>>();
    return Response.json([context, n, session.data.visits]);
  });
  expectTypeOf(handle).toEqualTypeOf<
    (request: Request, context: { params: Promise<{ id: string }> }, n: number) => Promise<Response>
  >();
  expectTypeOf(web.handler(() => new Response())).toEqualTypeOf<(request: Request) => Promise<Response>>();
  const committing = (opened: OpenedSession<Data>) => ({
    response: opened.commit(new Response()),
    headers: opened.commit(new Headers()),
  });
  expectTypeOf(committing).returns.toEqualTypeOf<{
    response: Promise<Response>;
    headers: Promise<Headers>;
  }>();
  // @ts-expect-error not in the data's type
  web.handler((_request, session) => Response.json(session.data.basket));
});

/** What a built file imports, directly and by other files of the package, but for those files. */
function importsOf(file: URL, visited = new Set<string>()): Set<string> {
  const outside = new Set<string>();
  if (visited.has(file.href)) return outside;
  visited.add(file.href);
  const source = readFileSync(file, "utf8").replace(/^\s*(?:\/\*\*|\*|\/\/).*$/gm, "");
  const specifiers = source.matchAll(/(?:\bfrom|\bimport|\bimport\(|\brequire\()\s*["']([^"']+)["']/g);
  for (const [, specifier = ""] of specifiers) {
    if (!specifier.startsWith(".")) outside.add(specifier);
    else for (const found of importsOf(new URL(specifier, file), visited)) outside.add(found);
  }
  return outside;
}

describe("the built package, on runtimes that are not Node", () => {
  const dist = new URL("../dist/", import.meta.url);

  it.each(["index", "adapters/fetch", "adapters/hono", "stores/memory", "stores/cookie"])(
    "%s imports node:crypto and bowser at most",
    (entry) => {
      const imports = [...importsOf(new URL(`${entry}.js`, dist))];
      expect(imports.filter((name) => !["node:crypto", "bowser"].includes(name))).toEqual([]);
    },
  );

  it("the walk finds what others import", () => {
    expect(fileURLToPath(dist)).toMatch(/dist/);
    expect(importsOf(new URL("index.js", dist))).toEqual(new Set(["node:crypto", "bowser"]));
    expect([...importsOf(new URL("adapters/express.js", dist))].filter(isBuiltin)).toContain("node:module");
  });
});
