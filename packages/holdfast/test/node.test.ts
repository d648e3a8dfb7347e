import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  createSecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
} from "node:http2";
import { type AddressInfo, connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import connect, { type NextFunction } from "connect";
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import { nodeSessions, type WithSession } from "../src/adapters/node.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import type { Sessions } from "../src/engine/sessions.js";
import { Browser, listen } from "./support/browser.js";
import { SECRET } from "./support/shop.js";
import { SlowStore } from "./support/slow-store.js";

/** What is special to Node's own servers and Connect; what holds in every framework is in `frameworks/suite.ts`. */

let store: SlowStore;
let sessions: Sessions<any>;
let emitWarning: MockInstance<typeof process.emitWarning>;
const closing: Array<() => Promise<void>> = [];

function makeSessions(options: Partial<SessionsOptions<any>> = {}): Sessions<any> {
  return createSessions<any>({
    secrets: [SECRET],
    store: store.store,
    sweepInterval: false,
    ...options,
  }) as Sessions<any>;
}

beforeEach(() => {
  store = new SlowStore();
  sessions = makeSessions();
  emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  vi.restoreAllMocks();
});

async function serve(listener: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = await listen(listener);
  closing.push(server.close);
  return server.url;
}

const writing = ({ session }: WithSession<any>, response: ServerResponse, body = "written") => {
  session.data.visits = (session.data.visits ?? 0) + 1;
  response.end(body);
};

describe("Connect", () => {
  const application = async (...layers: Array<(app: connect.Server) => void>) => {
    const app = connect();
    app.use(nodeSessions(sessions));
    for (const layer of layers) layer(app);
    return new Browser(await serve(app));
  };

  it("gives requests their session", async () => {
    const user = await application((app) =>
      app.use((request: any, response: ServerResponse) => writing(request, response)),
    );
    expect(await user.get("/")).toMatchObject({ body: "written", setCookie: [expect.any(String)] });
    await user.get("/");
    expect(store.lastData).toEqual({ visits: 2 });
  });

  it("gives its error middleware a store that fails, reading or writing", async () => {
    const handled = vi.fn();
    const user = await application(
      (app) => app.use((request: any, response: ServerResponse) => writing(request, response)),
      (app) =>
        app.use((error: any, _request: IncomingMessage, response: ServerResponse, _next: NextFunction) => {
          handled(error.operation);
          response.statusCode = error.status;
          response.end(error.code);
        }),
    );
    store.fail();
    expect(await user.get("/")).toMatchObject({ status: 503, body: "ERR_HOLDFAST_STORE", setCookie: [] });
    store.recover();
    await user.get("/");
    store.fail(["load"]);
    expect(await user.get("/")).toMatchObject({ status: 503, setCookie: [] });
    expect(handled.mock.calls).toEqual([["create"], ["load"]]);
  });

  it("answers 503 by itself where it has none", async () => {
    const user = await application((app) =>
      app.use((request: any, response: ServerResponse) => writing(request, response)),
    );
    store.fail();
    expect(await user.get("/")).toMatchObject({ status: 503, setCookie: [] });
  });

  it("takes the same sessions twice for once, and refuses two different ones", async () => {
    const user = await application(
      (app) => app.use("/twice", nodeSessions(sessions)),
      (app) => app.use("/other", nodeSessions(makeSessions())),
      (app) => app.use((request: any, response: ServerResponse) => writing(request, response)),
    );
    expect((await user.get("/twice")).body).toBe("written");
    expect((await user.get("/other")).status).toBe(500);
  });
});

describe("handler()", () => {
  const failing = async (error: unknown, before: (response: ServerResponse) => void = () => {}) => {
    const { handler } = nodeSessions(sessions);
    return new Browser(
      await serve(
        handler((_request, response) => {
          before(response);
          throw error;
        }),
      ),
    );
  };

  it.each([
    [new Error("private words"), 500, "Internal Server Error"],
    [Object.assign(new Error("private words"), { status: 404 }), 404, "Not Found"],
    [Object.assign(new Error("private words"), { statusCode: 403 }), 403, "Forbidden"],
    [Object.assign(new Error("private words"), { status: 200 }), 500, "Internal Server Error"],
    [Object.assign(new Error("private words"), { status: 999 }), 500, "Internal Server Error"],
    [Object.assign(new Error("private words"), { status: "404\r\nx: y" }), 500, "Internal Server Error"],
    ["private words", 500, "Internal Server Error"],
    [undefined, 500, "Internal Server Error"],
    [null, 500, "Internal Server Error"],
  ])("answers %o with its status alone, and warns of it", async (error, status, body) => {
    const answer = await (await failing(error)).get("/");
    expect(answer).toMatchObject({ status, body });
    expect(JSON.stringify([...answer.headers])).not.toContain("private");
    expect(emitWarning).toHaveBeenCalledWith(
      expect.any(String),
      expect.objectContaining({ code: "HOLDFAST_HANDLER" }),
    );
  });

  it("leaves nothing of what described the answer that was not to be", async () => {
    const user = await failing(new Error(), (response) => {
      response.setHeader("Content-Length", 1000);
      response.setHeader("Content-Encoding", "gzip");
      response.setHeader("ETag", '"1"');
      response.setHeader("X-Kept", "1");
    });
    const { headers, body } = await user.get("/");
    expect(body).toBe("Internal Server Error");
    expect(headers.get("content-length")).toBe(String(body.length));
    expect(headers.get("content-encoding")).toBeNull();
    expect(headers.get("etag")).toBeNull();
    expect(headers.get("x-kept")).toBe("1");
  });

  it.each([
    ["when nothing is to be stored", false],
    ["while the session is stored", true],
  ])("lets a whole answer stand, and cuts off half of one, %s", async (_when, writes) => {
    const { handler } = nodeSessions(sessions);
    const url = await serve(
      handler(({ session, url }, response) => {
        if (writes) session.data.written = true;
        if (url === "/whole") response.end("whole");
        else response.write("half");
        throw new Error("afterwards");
      }),
    );
    expect(await new Browser(url).get("/whole")).toMatchObject({ status: 200, body: "whole" });
    await expect(new Browser(url).get("/half")).rejects.toThrow();
  });

  it("sends the page of a failed commit once, when the handler then fails as well", async () => {
    const { handler } = nodeSessions(sessions);
    const url = await serve(
      handler(async ({ session }, response) => {
        session.data.written = true;
        response.end("fine");
        await new Promise((resolve) => setTimeout(resolve, 10));
        throw new Error("afterwards");
      }),
    );
    store.fail();
    expect(await new Browser(url).get("/")).toMatchObject({ status: 503, body: "Service Unavailable" });
    await vi.waitFor(() => expect(emitWarning).toHaveBeenCalledTimes(2));
  });
});

describe("HTTP/1", () => {
  /** Sends these bytes, and gives what comes back until the server closes. */
  const exchange = async (url: string, bytes: string) => {
    const { port } = new URL(url);
    const socket = connectSocket(Number(port), "127.0.0.1");
    socket.write(bytes);
    return (await text(socket)).split("\r\n");
  };
  const cookies = (lines: string[]) => lines.filter((line) => line.startsWith("Set-Cookie: sid="));

  it("1.0 without Host, which closes", async () => {
    const secure = makeSessions({ cookie: { secure: false } });
    const url = await serve(nodeSessions(secure).handler((req, res) => writing(req, res)));
    const lines = await exchange(url, "GET / HTTP/1.0\r\n\r\n");
    expect(lines[0]).toBe("HTTP/1.1 200 OK");
    expect(cookies(lines)).toHaveLength(1);
    expect(lines.at(-1)).toBe("written");
  });

  it("1.0 with keep-alive", async () => {
    const request = (connection: string) =>
      `GET / HTTP/1.0\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`;
    const url = await serve(
      nodeSessions(sessions).handler((request, response) => {
        // Node keeps a connection of 1.0 only where this is set.
        response.setHeader("Content-Length", 7);
        writing(request, response);
      }),
    );
    const lines = await exchange(url, request("keep-alive") + request("close"));
    expect(cookies(lines)).toHaveLength(2);
  });

  it("pipelining: answers come in order, each with its own cookie, whichever commit is first", async () => {
    const { handler } = nodeSessions(sessions);
    const url = await serve(
      handler(({ session, url }, response) => {
        if (url === "/slow") session.data.slow = true;
        response.end(url);
      }),
    );
    const request = (path: string, connection: string) =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`;
    store.hold();
    const answers = exchange(
      url,
      request("/slow", "keep-alive") + request("/fast", "keep-alive") + request("/slow", "close"),
    );
    await store.asked();
    store.release();
    const lines = await answers;
    expect(lines.filter((line) => /^\/\w+/.test(line)).map((line) => line.replace(/HTTP.*/, ""))).toEqual([
      "/slow",
      "/fast",
      "/slow",
    ]);
    expect(cookies(lines)).toHaveLength(2);
    expect(new Set(cookies(lines)).size).toBe(2);
  });

  it("Expect: 100-continue, a body, and early hints pass as without sessions", async () => {
    const { handler } = nodeSessions(sessions);
    const url = await serve(
      handler(async (request, response) => {
        response.writeEarlyHints({ link: "</style.css>; rel=preload; as=style" });
        writing(request, response, `got ${await text(request)}`);
      }),
    );
    const informed: string[] = [];
    const answer = await new Promise<IncomingMessage>((resolve) => {
      const request = httpRequest(url, { method: "POST", headers: { Expect: "100-continue" } });
      request.on("continue", () => {
        informed.push("continue");
        request.end("the body");
      });
      request.on("information", ({ statusCode, headers }) => {
        if (statusCode === 103) informed.push(String(headers.link), String(headers["set-cookie"]));
      });
      request.on("response", resolve);
      request.flushHeaders();
    });
    expect(await text(answer)).toBe("got the body");
    expect(informed).toEqual(["continue", "</style.css>; rel=preload; as=style", "undefined"]);
    expect(answer.headers["set-cookie"]).toHaveLength(1);
  });

  it("trailers come after a body that was held", async () => {
    const { handler } = nodeSessions(sessions);
    const url = await serve(
      handler(({ session }, response) => {
        session.data.written = true;
        response.writeHead(200, { Trailer: "X-End" });
        response.write("text");
        response.addTrailers({ "X-End": "end" });
        response.end();
      }),
    );
    const { body, headers } = await new Browser(url).open("GET", "/");
    expect(headers.getSetCookie()).toHaveLength(1);
    for await (const _ of body);
    expect((body as IncomingMessage).trailers).toEqual({ "x-end": "end" });
  });

  it("HEAD keeps the length of the answer that it stands for", async () => {
    const url = await serve(
      nodeSessions(sessions).handler((request, response) => {
        response.setHeader("Content-Length", 7);
        writing(request, response);
      }),
    );
    const { headers, body, setCookie } = await new Browser(url).head("/");
    expect({ length: headers.get("content-length"), body }).toEqual({ length: "7", body: "" });
    expect(setCookie).toHaveLength(1);
  });
});

describe("HTTP/2", () => {
  type Request = Http2ServerRequest & WithSession<any>;
  const handle = (request: Request, response: Http2ServerResponse) => writing(request, response as never);

  /** One exchange by a client that would take pushed streams, too. */
  const ask = async (origin: string, headers: Record<string, string>, ca?: Buffer) => {
    const client = connectHttp2(origin, { ...(ca && { ca }) });
    const pushed = vi.fn();
    client.on("stream", pushed);
    try {
      const stream = client.request(headers);
      const arrived = new Promise<IncomingHttpHeaders & { ":status"?: number }>((resolve, reject) => {
        stream.on("response", resolve);
        for (const each of [stream, client]) each.on("error", reject);
      });
      const received = await arrived;
      return { status: received[":status"], received, body: await text(stream), pushed };
    } finally {
      client.close();
    }
  };

  const serveHttp2 = async (server: Http2Server) => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => new Promise((resolve) => server.close(() => resolve())));
    return (server.address() as AddressInfo).port;
  };

  const open = (handler = handle) =>
    serveHttp2(
      createHttp2Server(nodeSessions(sessions).handler<Http2ServerRequest, Http2ServerResponse>(handler)),
    );

  it("warns of nothing that it lacks: no status message is read or written, held or failed", async () => {
    const port = await open(({ session }, response) => {
      session.data.written = true;
      response.writeHead(201, { "X-Own": "1" });
      response.write("wri");
      response.end("tten");
    });
    expect(await ask(`http://127.0.0.1:${port}`, {})).toMatchObject({ status: 201, body: "written" });
    expect(emitWarning).not.toHaveBeenCalled();
    store.fail();
    const { status, body, received } = await ask(`http://127.0.0.1:${port}`, {});
    expect({ status, body }).toEqual({ status: 503, body: "Service Unavailable" });
    expect(received["set-cookie"]).toBeUndefined();
    const codes = emitWarning.mock.calls.map(([, options]) => (options as { code?: string }).code ?? options);
    expect(codes).toEqual(["HOLDFAST_HANDLER"]);
  });

  it("pushes nothing", async () => {
    const port = await open();
    const { pushed, received } = await ask(`http://127.0.0.1:${port}`, {});
    expect(received["set-cookie"]).toHaveLength(1);
    expect(pushed).not.toHaveBeenCalled();
  });

  it("knows localhost by :authority, and nothing else for it", async () => {
    const port = await open();
    const cookieFor = async (authority: string) => {
      const { received } = await ask(`http://127.0.0.1:${port}`, { ":authority": authority });
      return received["set-cookie"]?.[0]?.replace(/=.*/, "");
    };
    expect(await cookieFor(`localhost:${port}`)).toBe("sid");
    expect(await cookieFor("app.localhost")).toBe("sid");
    expect(await cookieFor(`127.0.0.1:${port}`)).toBe("sid");
    expect(await cookieFor("shop.example")).toBe("__Host-sid");
    expect(await cookieFor("localhost.example")).toBe("__Host-sid");
  });

  it("cuts off half an answer whose handler throws, and lets a whole one stand", async () => {
    const port = await open(({ session, url }, response) => {
      session.data.written = true;
      if (url === "/whole") response.end("whole");
      else response.write("half");
      throw new Error("afterwards");
    });
    expect(await ask(`http://127.0.0.1:${port}`, { ":path": "/whole" })).toMatchObject({ body: "whole" });
    await expect(ask(`http://127.0.0.1:${port}`, { ":path": "/half" })).rejects.toThrow("INTERNAL_ERROR");
  });

  const certificate = selfSigned();
  it.skipIf(certificate === undefined)(
    "over TLS (needs openssl) has the Secure cookie, and so has HTTP/1.1 on the same port",
    async () => {
      const handler = nodeSessions(sessions).handler<Http2ServerRequest, Http2ServerResponse>(handle);
      const server = createSecureServer({ allowHTTP1: true, ...certificate! }, handler);
      const port = await serveHttp2(server as Http2Server);
      const { received, body } = await ask(`https://localhost:${port}`, {}, certificate!.cert);
      expect(body).toBe("written");
      expect(received["set-cookie"]).toEqual([expect.stringMatching(/^__Host-sid=.*; Secure;/)]);

      const { get } = await import("node:https");
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        get(`https://localhost:${port}`, { ca: certificate!.cert, agent: false }, resolve).on(
          "error",
          reject,
        );
      });
      expect(await text(answer)).toBe("written");
      expect(answer.headers["set-cookie"]).toEqual([expect.stringMatching(/^__Host-sid=.*; Secure;/)]);
    },
  );
});

/** A key and a certificate for localhost, made by the program `openssl`; undefined where there is none. */
function selfSigned(): { key: Buffer; cert: Buffer } | undefined {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  try {
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    execFileSync(
      "openssl",
      ["req", "-x509", "-nodes", ...curve, "-days", "1", ...subject, "-keyout", key, "-out", cert],
      { stdio: "ignore" },
    );
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
