import type { Server } from "node:net";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { type DeferredSession, fetchSessions } from "../../src/adapters/fetch.js";
import type { Session } from "../../src/engine/session.js";
import { ANSWER, CHUNKS, EVENTS, type Setup, type Ways } from "./framework.js";
import { testFramework } from "./suite.js";

const bytes = new TextEncoder().encode(ANSWER);

/** A stream with a turn of the event loop between its chunks, which are made when the client asks for them. */
function streamOf(chunks: Iterable<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const iterator = chunks[Symbol.iterator]();
  return new ReadableStream({
    async pull(controller) {
      await null;
      const { done, value } = iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
  });
}

const ways: Ways<() => Response | Promise<Response>> = {
  text: { respond: () => new Response(ANSWER) },
  bytes: { respond: () => new Response(bytes) },
  blob: { respond: () => new Response(new Blob([ANSWER])) },
  stream: { respond: () => new Response(streamOf(ANSWER)) },
  form: {
    respond: () => new Response(new URLSearchParams({ answer: ANSWER })),
    body: new URLSearchParams({ answer: ANSWER }).toString(),
  },
  json: { respond: () => Response.json({ answer: ANSWER }), body: JSON.stringify({ answer: ANSWER }) },
  redirect: { respond: () => Response.redirect("http://localhost/there", 303), status: 303, body: "" },
  empty: { respond: () => new Response(null, { status: 204 }), status: 204, body: "" },
  status: { respond: () => new Response(ANSWER, { status: 201, headers: { "X-Own": "1" } }), status: 201 },
  promise: { respond: async () => new Response(ANSWER) },
  // Its headers can't be changed, as those of every response from elsewhere.
  fetched: { respond: () => fetch(`data:text/plain,${encodeURIComponent(ANSWER)}`) },
  clone: { respond: () => new Response(ANSWER).clone() },
};

testFramework({
  name: "Fetch",
  ways,
  // What changes while a body streams, only the platform could see; and a session that isn't open yet is no property at all.
  lacks: ["proxy setting", "late changes", "session property"],
  serve: (setup) => createAdaptorServer({ fetch: application(setup) }) as Server,
});

type Handler = (request: Request, session: Session<any>, ...params: string[]) => unknown;

/** As users have it who bring a router of their own: it finds the handler, and the handler gets the session. */
function application({ sessions, hold, lazy }: Setup) {
  const sockets = new WeakMap<Request, HttpBindings>();
  const web = fetchSessions(sessions, {
    remoteAddress: (request) => sockets.get(request)?.incoming.socket.remoteAddress,
  });
  const routes = routesOf(hold);

  const answer = web.handler(
    async (request, session, handle: Handler, ...params: string[]) => {
      await hold(new URL(request.url).searchParams.get("hold"));
      return responseOf(await handle(request, session, ...params));
    },
    { onError: (error) => new Response("failed", { status: (error as { status?: number }).status ?? 500 }) },
  );

  return async (request: Request, env: unknown): Promise<Response> => {
    sockets.set(request, env as HttpBindings);
    const [first, ...params] = new URL(request.url).pathname.slice(1).split("/");
    // Routes that need no session are not wrapped.
    if (first === "skipped") return new Response(typeof undefined);
    if (first === "plain") return new Response(ANSWER);
    if (lazy) return lazyAnswer(web.defer(request), params);
    const method = request.method === "HEAD" ? "GET" : request.method;
    return answer(request, routes[`${method} ${first}`]!, ...params);
  };
}

const responseOf = (value: unknown) => (value instanceof Response ? value : new Response(String(value)));

const shown = ({ userId, isNew, data }: Session<any>) => Response.json({ userId, isNew, data });

async function lazyAnswer(
  { openSession, commit }: DeferredSession<any>,
  [route, key, value]: string[],
): Promise<Response> {
  try {
    if (route === "plain") return await commit(new Response(ANSWER));
    const session = await openSession();
    if (route === "read") return await commit(shown(session));
    session.data[key!] = value;
    return await commit(new Response(ANSWER));
  } catch (error) {
    return new Response("failed", { status: (error as { status?: number }).status ?? 500 });
  }
}

function routesOf(hold: Setup["hold"]): Record<string, Handler> {
  return {
    "GET read": (_request, session) => shown(session),
    "POST set": (_request, { data }, key, value) => {
      data[key!] = value;
      return ANSWER;
    },
    "POST increment": (_request, session) =>
      session.update((data) => (data.counter = (data.counter ?? 0) + 1)),
    "POST login": async (_request, session, user) => {
      await session.login(user!);
      return new Response(null, { status: 303, headers: { Location: "/read" } });
    },
    "POST logout": async (_request, session) => {
      await session.logout();
      return ANSWER;
    },
    "POST rotate": async (_request, session) => {
      await session.rotate();
      return ANSWER;
    },
    "GET respond": (_request, { data }, way) => {
      data.written = true;
      return ways[way!]!.respond();
    },
    "GET large": (_request, { data }) => {
      data.written = true;
      return new Response(streamOf(CHUNKS));
    },
    "GET sse": (_request, { data }) => {
      data.written = true;
      const encoder = new TextEncoder();
      const body = new ReadableStream({
        async start(controller) {
          controller.enqueue(encoder.encode(EVENTS[0]));
          await hold("sse");
          data.late = true;
          controller.enqueue(encoder.encode(EVENTS[1]));
          controller.close();
        },
      });
      return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    },
    "GET throw": (_request, { data }) => {
      data.written = true;
      throw new Error("thrown");
    },
    "GET reject": async (_request, { data }) => {
      data.written = true;
      await null;
      throw new Error("rejected");
    },
    "GET etag": ({ headers }, { data }) => {
      data.written = true;
      const etag = '"1"';
      const isKnown = headers.get("If-None-Match") === etag;
      return new Response(isKnown ? null : ANSWER, { status: isKnown ? 304 : 200, headers: { ETag: etag } });
    },
    "GET own-headers": (_request, { data }, kind) => {
      data.written = true;
      const headers = new Headers({ Vary: "Accept-Language", "Cache-Control": `${kind}, max-age=60` });
      headers.append("Set-Cookie", "theme=dark");
      headers.append("Set-Cookie", "lang=en");
      return new Response(ANSWER, { headers });
    },
  };
}
