import { createReadStream, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline, Readable } from "node:stream";
import { pipeline as pipelineOfPromise } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { nodeSessions, type WithSession } from "../../src/adapters/node.js";
import { ANSWER, CHUNKS, EVENTS, type Setup, type Ways } from "./framework.js";

const FILE = fileURLToPath(import.meta.url);

/** Those that `node:http` and the compatibility API of `node:http2` have in common. */
export const nodeWays: Ways<(response: ServerResponse) => unknown> = {
  end: { respond: (response) => response.end(ANSWER) },
  "end-bytes": { respond: (response) => response.end(Buffer.from(ANSWER)) },
  "end-with-callback": { respond: (response) => response.end(ANSWER, () => {}) },
  "end-with-encoding": { respond: (response) => response.end(ANSWER, "latin1") },
  "end-empty": {
    respond(response) {
      response.statusCode = 204;
      response.end();
    },
    status: 204,
    body: "",
  },
  redirect: {
    respond: (response) => response.writeHead(303, { Location: "/there" }).end(),
    status: 303,
    body: "",
  },
  write: { respond: (response) => [...ANSWER].map((letter) => response.write(letter)) && response.end() },
  "write-with-callback": {
    respond: (response) => response.write(ANSWER, () => response.end()),
  },
  "write-by-and-by": {
    async respond(response) {
      for (const letter of ANSWER) {
        response.write(letter);
        await null;
      }
      response.end();
    },
  },
  pipe: { respond: (response) => Readable.from([...ANSWER]).pipe(response) },
  "pipe-file": {
    respond: (response) => createReadStream(FILE).pipe(response),
    body: readFileSync(FILE, "utf8"),
  },
  pipeline: { respond: (response) => pipeline(Readable.from([...ANSWER]), response, () => {}) },
  "pipeline-of-promise": {
    // What it rejects with is told to the client already.
    respond: (response) => pipelineOfPromise(Readable.from([...ANSWER]), response).catch(() => {}),
  },
  writeHead: { respond: (response) => response.writeHead(201, { "X-Own": "1" }).end(ANSWER), status: 201 },
  "writeHead-and-write": {
    respond(response) {
      response.writeHead(201, { "Content-Type": "text/plain" });
      response.write(ANSWER.slice(0, 5));
      response.end(ANSWER.slice(5));
    },
    status: 201,
  },
  flushHeaders: {
    respond(response) {
      response.flushHeaders();
      response.end(ANSWER);
    },
  },
  later: { respond: (response) => setImmediate(() => response.end(ANSWER)) },
};

type Request = IncomingMessage & WithSession<any>;
type Route = (request: Request, response: ServerResponse, ...params: string[]) => unknown;

/** The application of the suite, as a listener for `createServer` of `node:http`, and of `node:http2` as well. */
export function nodeApplication({ sessions, hold, lazy }: Setup, ways: typeof nodeWays) {
  const { handler } = nodeSessions(sessions, { lazy, skip: ({ url }) => url!.startsWith("/skipped") });
  const routes = routesOf(ways, hold);

  return handler<IncomingMessage, ServerResponse>(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, "http://localhost");
    await hold(searchParams.get("hold"));
    const [name = "", ...params] = pathname.slice(1).replace("lazy/", "lazy-").split("/");
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = routes[`${method} ${name}`];
    if (route === undefined) return response.writeHead(404).end();
    return route(request, response, ...params);
  });
}

function routesOf(ways: typeof nodeWays, hold: Setup["hold"]): Record<string, Route> {
  const json = (response: ServerResponse, value: unknown) => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(value));
  };
  return {
    "GET plain": (_request, response) => response.end(ANSWER),
    "GET read": ({ session: { userId, isNew, data } }, response) => json(response, { userId, isNew, data }),
    "POST set": ({ session }, response, key, value) => {
      session.data[key!] = value;
      response.end(ANSWER);
    },
    "POST increment": async ({ session }, response) => {
      json(response, await session.update((data) => (data.counter = (data.counter ?? 0) + 1)));
    },
    "POST login": async ({ session }, response, user) => {
      await session.login(user!);
      response.writeHead(303, { Location: "/read" }).end();
    },
    "POST logout": async ({ session }, response) => {
      await session.logout();
      response.end(ANSWER);
    },
    "POST rotate": async ({ session }, response) => {
      await session.rotate();
      response.end(ANSWER);
    },
    "GET respond": ({ session }, response, way) => {
      session.data.written = true;
      return ways[way!]!.respond(response);
    },
    "GET large": ({ session }, response) => {
      session.data.written = true;
      Readable.from(CHUNKS).pipe(response);
    },
    "GET sse": async ({ session }, response) => {
      session.data.written = true;
      response.writeHead(200, { "Content-Type": "text/event-stream" }).write(EVENTS[0]);
      await hold("sse");
      session.data.late = true;
      response.end(EVENTS[1]);
    },
    "GET throw": ({ session }) => {
      session.data.written = true;
      throw new Error("thrown");
    },
    "GET reject": async ({ session }) => {
      session.data.written = true;
      await null;
      throw new Error("rejected");
    },
    "GET etag": ({ session, headers }, response) => {
      session.data.written = true;
      const etag = '"1"';
      response.setHeader("ETag", etag);
      response.statusCode = headers["if-none-match"] === etag ? 304 : 200;
      response.end(response.statusCode === 304 ? undefined : ANSWER);
    },
    "GET own-headers": ({ session }, response, kind) => {
      session.data.written = true;
      response.setHeader("Set-Cookie", ["theme=dark", "lang=en"]);
      response.setHeader("Vary", "Accept-Language");
      response.setHeader("Cache-Control", `${kind}, max-age=60`);
      response.end(ANSWER);
    },
    "GET skipped": ({ session }, response) => response.end(typeof session),

    "GET lazy-plain": (_request, response) => response.end(ANSWER),
    "GET lazy-read": async (request, response) => {
      const { userId, isNew, data } = await request.openSession();
      json(response, { userId, isNew, data });
    },
    "POST lazy-set": async (request, response, key, value) => {
      const { data } = await request.openSession();
      data[key!] = value;
      response.end(ANSWER);
    },
    "GET lazy-early": (request, response) => {
      try {
        response.end(typeof request.session);
      } catch (error) {
        response.end((error as Error).message);
      }
    },
  };
}
