import { createReadStream, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import { setCookie } from "hono/cookie";
import { etag } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { stream, streamSSE, streamText } from "hono/streaming";
import { honoSessions, type SessionEnv } from "../../src/adapters/hono.js";
import { ANSWER, CHUNKS, EVENTS, type Framework, type Setup, type Ways } from "./framework.js";
import { testFramework } from "./suite.js";

const FILE = fileURLToPath(import.meta.url);
const fileText = readFileSync(FILE, "utf8");

type Env = { Bindings: HttpBindings } & SessionEnv<any>;
type C = Context<Env, any>;

const bytes = new TextEncoder().encode(ANSWER);

const ways: Ways<(c: C) => Response | Promise<Response>> = {
  text: { respond: (c) => c.text(ANSWER) },
  "text-with-headers": { respond: (c) => c.text(ANSWER, 201, { "X-Own": "1" }), status: 201 },
  json: { respond: (c) => c.json({ answer: ANSWER }), body: JSON.stringify({ answer: ANSWER }) },
  html: { respond: (c) => c.html(ANSWER) },
  body: { respond: (c) => c.body(ANSWER) },
  "body-of-bytes": { respond: (c) => c.body(bytes) },
  "body-of-a-stream": { respond: (c) => c.body(new Blob([bytes]).stream()) },
  "body-null": { respond: (c) => c.body(null, 204), status: 204, body: "" },
  newResponse: { respond: (c) => c.newResponse(ANSWER, { status: 202 }), status: 202 },
  redirect: { respond: (c) => c.redirect("/there"), status: 302, body: "" },
  notFound: { respond: (c) => c.notFound(), status: 404, body: "404 Not Found" },
  render: { respond: (c) => c.render(ANSWER) },
  HTTPException: {
    respond() {
      throw new HTTPException(418, { message: ANSWER });
    },
    status: 418,
  },
  "new-Response": { respond: () => new Response(ANSWER) },
  "new-Response-of-a-blob": { respond: () => new Response(new Blob([ANSWER])) },
  "new-Response-of-a-file": {
    respond: () => new Response(Readable.toWeb(createReadStream(FILE)) as ReadableStream),
    body: fileText,
  },
  "Response.redirect": {
    respond: () => Response.redirect("http://127.0.0.1/there", 303),
    status: 303,
    body: "",
  },
  "Response.json": { respond: () => Response.json([ANSWER]), body: JSON.stringify([ANSWER]) },
  fetch: {
    respond({ env }) {
      const { port } = env.incoming.socket.address() as AddressInfo;
      return fetch(`http://127.0.0.1:${port}/plain`);
    },
  },
  "fetch-of-a-data-URL": { respond: () => fetch(`data:text/plain,${ANSWER}`) },
  serveStatic: {
    async respond(c) {
      const response = await serveStatic({ path: FILE })(c, async () => {});
      return response as Response;
    },
    body: fileText,
  },
  stream: {
    respond: (c) =>
      stream(c, async (out) => {
        await out.write(ANSWER);
      }),
  },
  "stream-by-and-by": {
    respond: (c) =>
      stream(c, async (out) => {
        for (const letter of ANSWER) {
          await out.write(letter);
          await null;
        }
      }),
  },
  "stream-of-a-pipe": { respond: (c) => stream(c, (out) => out.pipe(new Blob([ANSWER]).stream())) },
  streamText: { respond: (c) => streamText(c, async (out) => void (await out.write(ANSWER))) },
  streamSSE: {
    respond: (c) => streamSSE(c, (out) => out.writeSSE({ data: ANSWER })),
    body: `data: ${ANSWER}\n\n`,
  },
  "outgoing-end": {
    respond({ env: { outgoing } }) {
      (outgoing as { end(text: string): void }).end(ANSWER);
      return RESPONSE_ALREADY_SENT;
    },
  },
  "outgoing-later": {
    respond({ env: { outgoing } }) {
      setImmediate(() => (outgoing as { end(text: string): void }).end(ANSWER));
      return RESPONSE_ALREADY_SENT;
    },
  },
};

const hono: Framework = {
  name: "Hono on @hono/node-server",
  ways,
  lacks: ["proxy setting"],
  serve: (setup) =>
    createAdaptorServer({ fetch: application(setup).fetch }) as ReturnType<Framework["serve"]>,
};
testFramework(hono);

function application({ sessions, hold, lazy }: Setup) {
  const app = new Hono<Env>();
  app.onError((error, c) => {
    if (error instanceof HTTPException) return error.getResponse();
    return c.text("an error page", ((error as { status?: number }).status ?? 500) as 500);
  });
  app.use(honoSessions(sessions, { lazy, skip: ({ req }) => req.path === "/skipped" }));
  app.use(async (c, next) => {
    await hold(c.req.query("hold"));
    await next();
  });

  app.get("/plain", (c) => c.text(ANSWER));
  app.get("/read", (c) => {
    const { userId, isNew, data } = c.var.session;
    return c.json({ userId, isNew, data });
  });
  app.post("/set/:key/:value", (c) => {
    const { key, value } = c.req.param();
    c.var.session.data[key] = value;
    return c.text(ANSWER);
  });
  app.post("/increment", async (c) =>
    c.json(await c.var.session.update((data) => (data.counter = (data.counter ?? 0) + 1))),
  );
  app.post("/login/:user", async (c) => {
    await c.var.session.login(c.req.param("user"));
    return c.redirect("/read", 303);
  });
  app.post("/logout", async (c) => {
    await c.var.session.logout();
    return c.text(ANSWER);
  });
  app.post("/rotate", async (c) => {
    await c.var.session.rotate();
    return c.text(ANSWER);
  });
  app.get("/respond/:way", (c) => {
    c.var.session.data.written = true;
    return ways[c.req.param("way")]!.respond(c);
  });
  app.get("/large", (c) => {
    c.var.session.data.written = true;
    return stream(c, async (out) => {
      for (const chunk of CHUNKS) await out.write(chunk);
    });
  });
  app.get("/sse", (c) => {
    c.var.session.data.written = true;
    return streamSSE(c, async (out) => {
      await out.writeSSE({ data: "first" });
      await hold("sse");
      c.var.session.data.late = true;
      await out.write(EVENTS[1]);
    });
  });
  app.get("/throw", (c) => {
    c.var.session.data.written = true;
    throw new Error("thrown");
  });
  app.get("/reject", async (c) => {
    c.var.session.data.written = true;
    await null;
    throw new Error("rejected");
  });
  app.get("/etag", etag(), (c) => {
    c.var.session.data.written = true;
    return c.text(ANSWER);
  });
  app.get("/own-headers/:kind", (c) => {
    c.var.session.data.written = true;
    setCookie(c, "theme", "dark");
    setCookie(c, "lang", "en");
    c.header("Vary", "Accept-Language");
    c.header("Cache-Control", `${c.req.param("kind")}, max-age=60`);
    return c.text(ANSWER);
  });
  app.get("/skipped", (c) => c.text(typeof c.var.session));

  app.get("/lazy/plain", (c) => c.text(ANSWER));
  app.get("/lazy/read", async (c) => {
    const { userId, isNew, data } = await c.var.openSession();
    return c.json({ userId, isNew, data });
  });
  app.post("/lazy/set/:key/:value", async (c) => {
    const { key, value } = c.req.param();
    (await c.var.openSession()).data[key] = value;
    return c.text(ANSWER);
  });
  app.get("/lazy/early", (c) => {
    try {
      return c.text(String(c.var.session.isNew));
    } catch (error) {
      return c.text((error as Error).message);
    }
  });
  return app;
}
