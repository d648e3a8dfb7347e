import { createReadStream, readFileSync } from "node:fs";
import type { Server } from "node:net";
import { pipeline, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { fastifySessions } from "../../src/adapters/fastify.js";
import { ANSWER, CHUNKS, EVENTS, type Setup, type Ways } from "./framework.js";
import { testFramework } from "./suite.js";

const FILE = fileURLToPath(import.meta.url);

/** What is given back is the handler's: undefined from a callback handler, the payload or the reply from an async one. */
type Respond = (reply: FastifyReply) => unknown;

/** Of handlers that answer by `reply.send`, and give nothing back. */
const callbackWays: Ways<Respond> = {
  send: { respond: (reply) => void reply.send(ANSWER) },
  "send-bytes": { respond: (reply) => void reply.send(Buffer.from(ANSWER)) },
  "send-typed-array": { respond: (reply) => void reply.send(new TextEncoder().encode(ANSWER)) },
  "send-object": {
    respond: (reply) => void reply.send({ answer: ANSWER }),
    body: JSON.stringify({ answer: ANSWER }),
  },
  "send-nothing": { respond: (reply) => void reply.code(204).send(), status: 204, body: "" },
  "send-stream": { respond: (reply) => void reply.send(Readable.from([...ANSWER])) },
  "send-file": {
    respond: (reply) => void reply.type("text/plain").send(createReadStream(FILE)),
    body: readFileSync(FILE, "utf8"),
  },
  "send-web-stream": { respond: (reply) => void reply.send(new Blob([ANSWER]).stream()) },
  "send-Response": {
    respond: (reply) => void reply.send(new Response(ANSWER, { status: 201, headers: { "X-Own": "1" } })),
    status: 201,
  },
  "send-error": {
    respond: (reply) => void reply.send(Object.assign(new Error(ANSWER), { statusCode: 418 })),
    status: 418,
    body: JSON.stringify({ statusCode: 418, error: "I'm a Teapot", message: ANSWER }),
  },
  serializer: {
    respond: (reply) => void reply.serializer(() => ANSWER).send({ any: "thing" }),
  },
  redirect: { respond: (reply) => void reply.redirect("/there"), status: 302, body: "" },
  callNotFound: { respond: (reply) => void reply.callNotFound(), status: 404 },
  later: { respond: (reply) => void setImmediate(() => reply.send(ANSWER)) },
  "raw-end": { respond: (reply) => void reply.hijack().raw.end(ANSWER) },
  "raw-write": {
    respond({ raw }) {
      for (const letter of ANSWER) raw.write(letter);
      raw.end();
    },
  },
  "raw-writeHead": {
    respond: (reply) => void reply.hijack().raw.writeHead(201, { "X-Own": "1" }).end(ANSWER),
    status: 201,
  },
  "raw-flushHeaders": {
    respond(reply) {
      reply.hijack().raw.flushHeaders();
      reply.raw.end(ANSWER);
    },
  },
  "raw-pipe": { respond: (reply) => void Readable.from([...ANSWER]).pipe(reply.hijack().raw) },
  "raw-pipeline": {
    respond: (reply) => void pipeline(Readable.from([...ANSWER]), reply.hijack().raw, () => {}),
  },
};

/** Of asynchronous handlers. */
const asyncWays: Ways<Respond> = {
  return: { respond: () => ANSWER },
  "return-object": { respond: () => ({ answer: ANSWER }), body: JSON.stringify({ answer: ANSWER }) },
  "return-stream": { respond: () => Readable.from([...ANSWER]) },
  "return-Response": { respond: () => new Response(ANSWER) },
  "return-reply": { respond: (reply) => reply.code(202).send(ANSWER), status: 202 },
  "return-reply-sent-later": {
    respond(reply) {
      setImmediate(() => reply.send(ANSWER));
      return reply;
    },
  },
  "send-and-return-nothing": {
    async respond(reply) {
      reply.send(ANSWER);
    },
  },
  "raw-end-and-return-nothing": {
    async respond({ raw }) {
      raw.end(ANSWER);
    },
  },
  "raw-write-and-return-nothing": {
    async respond({ raw }) {
      raw.write(ANSWER.slice(0, 5));
      setTimeout(() => raw.end(ANSWER.slice(5)), 5);
    },
  },
  "await-reply": {
    async respond(reply) {
      await reply.send(ANSWER);
    },
  },
  "hijack-and-write-by-and-by": {
    async respond(reply) {
      const { raw } = reply.hijack();
      for (const letter of ANSWER) {
        raw.write(letter);
        await null;
      }
      raw.end();
    },
  },
};

const ways: Ways<Respond> = { ...callbackWays, ...asyncWays };

testFramework({
  name: "Fastify 5",
  ways,
  serve: (setup) => application(fastify({ trustProxy: setup.trustProxy && "loopback" }), setup),
});

testFramework({
  name: "Fastify 5 over HTTP/2",
  http2: true,
  ways,
  serve: (setup) =>
    application(fastify({ http2: true, trustProxy: setup.trustProxy && "loopback" }) as any, setup),
});

async function application(app: FastifyInstance, { sessions, hold, lazy }: Setup): Promise<Server> {
  app.register(fastifySessions, {
    sessions,
    lazy,
    skip: ({ url }) => url.startsWith("/skipped"),
  });
  app.addHook("preHandler", ({ query }) => hold((query as { hold?: string }).hold));
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(ANSWER));

  app.get("/plain", async () => ANSWER);
  app.get("/read", async ({ session: { userId, isNew, data } }) => ({ userId, isNew, data }));
  app.post<{ Params: { key: string; value: string } }>("/set/:key/:value", async ({ session, params }) => {
    session.data[params.key] = params.value;
    return ANSWER;
  });
  app.post("/increment", ({ session }) =>
    session.update((data) => (data.counter = (data.counter ?? 0) + 1)).then(String),
  );
  app.post<{ Params: { user: string } }>("/login/:user", async ({ session, params }, reply) => {
    await session.login(params.user);
    return reply.redirect("/read", 303);
  });
  app.post("/logout", async ({ session }) => {
    await session.logout();
    return ANSWER;
  });
  app.post("/rotate", async ({ session }) => {
    await session.rotate();
    return ANSWER;
  });
  for (const [way, { respond }] of Object.entries(callbackWays)) {
    app.get(`/respond/${way}`, ({ session }, reply) => {
      session.data.written = true;
      respond(reply);
    });
  }
  for (const [way, { respond }] of Object.entries(asyncWays)) {
    app.get(`/respond/${way}`, async ({ session }, reply) => {
      session.data.written = true;
      return respond(reply);
    });
  }
  app.get("/large", async ({ session }) => {
    session.data.written = true;
    return Readable.from(CHUNKS);
  });
  app.get("/sse", ({ session }, reply) => {
    session.data.written = true;
    async function* events() {
      yield EVENTS[0];
      await hold("sse");
      session.data.late = true;
      yield EVENTS[1];
    }
    reply.type("text/event-stream").send(Readable.from(events()));
  });
  app.get("/throw", ({ session }) => {
    session.data.written = true;
    throw new Error("thrown");
  });
  app.get("/reject", async ({ session }) => {
    session.data.written = true;
    await null;
    throw new Error("rejected");
  });
  app.get("/etag", async ({ session, headers }, reply) => {
    session.data.written = true;
    const etag = '"1"';
    reply.header("ETag", etag);
    return headers["if-none-match"] === etag ? reply.code(304).send() : ANSWER;
  });
  app.get<{ Params: { kind: string } }>("/own-headers/:kind", async ({ session, params }, reply) => {
    session.data.written = true;
    reply.header("Set-Cookie", "theme=dark").header("Set-Cookie", "lang=en");
    reply.header("Vary", "Accept-Language").header("Cache-Control", `${params.kind}, max-age=60`);
    return ANSWER;
  });
  app.get("/skipped", async ({ session }) => typeof session);

  app.get("/lazy/plain", async () => ANSWER);
  app.get("/lazy/read", async (request) => {
    const { userId, isNew, data } = await request.openSession();
    return { userId, isNew, data };
  });
  app.post<{ Params: { key: string; value: string } }>("/lazy/set/:key/:value", async (request) => {
    const { data } = await request.openSession();
    data[request.params.key] = request.params.value;
    return ANSWER;
  });
  app.get("/lazy/early", async (request) => {
    try {
      return typeof request.session;
    } catch (error) {
      return (error as Error).message;
    }
  });
  await app.ready();
  return app.server;
}
