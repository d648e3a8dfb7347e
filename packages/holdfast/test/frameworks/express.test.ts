import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { pipeline, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import express5, { type NextFunction, type Request, type Response } from "express";
import { expressSessions } from "../../src/adapters/express.js";
import { ANSWER, CHUNKS, EVENTS, type Setup, type Ways } from "./framework.js";
import { testFramework } from "./suite.js";

const { default: express4 } = (await import("express4" as string)) as { default: typeof express5 };

const FILE = fileURLToPath(import.meta.url);
const fileText = readFileSync(FILE, "utf8");

const ways: Ways<(res: Response) => unknown> = {
  end: { respond: (res) => res.end(ANSWER) },
  "end-with-callback": { respond: (res) => res.end(ANSWER, () => {}) },
  "end-empty": { respond: (res) => res.status(204).end(), status: 204, body: "" },
  send: { respond: (res) => res.send(ANSWER) },
  "send-bytes": { respond: (res) => res.send(Buffer.from(ANSWER)) },
  json: { respond: (res) => res.json({ answer: ANSWER }), body: JSON.stringify({ answer: ANSWER }) },
  jsonp: { respond: (res) => res.jsonp([ANSWER]), body: JSON.stringify([ANSWER]) },
  format: { respond: (res) => res.format({ text: () => res.send(ANSWER) }) },
  redirect: {
    respond: (res) => res.redirect("/there"),
    status: 302,
    body: "Found. Redirecting to /there",
  },
  sendStatus: { respond: (res) => res.sendStatus(202), status: 202, body: "Accepted" },
  sendFile: { respond: (res) => res.sendFile(FILE), body: fileText },
  download: { respond: (res) => res.download(FILE), body: fileText },
  write: { respond: (res) => [...ANSWER].map((letter) => res.write(letter)) && res.end() },
  "write-by-and-by": {
    async respond(res) {
      for (const letter of ANSWER) {
        res.write(letter);
        await null;
      }
      res.end();
    },
  },
  pipe: { respond: (res) => Readable.from([...ANSWER]).pipe(res) },
  pipeline: { respond: (res) => pipeline(Readable.from([...ANSWER]), res, () => {}) },
  writeHead: { respond: (res) => res.writeHead(201, { "X-Own": "1" }).end(ANSWER), status: 201 },
  "writeHead-with-list": { respond: (res) => res.writeHead(200, "Fine", ["X-Own", "1"]).end(ANSWER) },
  flushHeaders: {
    respond(res) {
      res.flushHeaders();
      res.end(ANSWER);
    },
  },
  later: { respond: (res) => setImmediate(() => res.send(ANSWER)) },
};

for (const [name, express] of [
  ["Express 5", express5],
  ["Express 4", express4],
] as const) {
  testFramework({ name, ways, serve: (setup) => createServer(application(express, setup)) });
}

function application(express: typeof express5, { sessions, hold, trustProxy, lazy }: Setup) {
  const app = express();
  app.set("trust proxy", trustProxy && "loopback");
  app.use(expressSessions(sessions, { lazy, skip: ({ path }) => path === "/skipped" }));
  app.use(
    handler(async (req, _res, next) => {
      await hold(req.query.hold);
      next();
    }),
  );

  app.get("/plain", (_req, res) => {
    res.send(ANSWER);
  });
  app.get("/read", ({ session: { userId, isNew, data } }, res) => {
    res.json({ userId, isNew, data });
  });
  app.post("/set/:key/:value", ({ session, params }, res) => {
    session.data[params.key] = params.value;
    res.send(ANSWER);
  });
  app.post(
    "/increment",
    handler(async ({ session }, res) => {
      res.json(await session.update((data) => (data.counter = (data.counter ?? 0) + 1)));
    }),
  );
  app.post(
    "/login/:user",
    handler(async ({ session, params }, res) => {
      await session.login(params.user as string);
      res.redirect(303, "/read");
    }),
  );
  app.post(
    "/logout",
    handler(async ({ session }, res) => {
      await session.logout();
      res.send(ANSWER);
    }),
  );
  app.post(
    "/rotate",
    handler(async ({ session }, res) => {
      await session.rotate();
      res.send(ANSWER);
    }),
  );
  app.get(
    "/respond/:way",
    handler(async ({ session, params }, res) => {
      session.data.written = true;
      await ways[params.way as string]!.respond(res);
    }),
  );
  app.get("/large", ({ session }, res) => {
    session.data.written = true;
    Readable.from(CHUNKS).pipe(res);
  });
  app.get(
    "/sse",
    handler(async ({ session }, res) => {
      session.data.written = true;
      res.type("text/event-stream").write(EVENTS[0]);
      await hold("sse");
      session.data.late = true;
      res.end(EVENTS[1]);
    }),
  );
  app.get("/throw", ({ session }) => {
    session.data.written = true;
    throw new Error("thrown");
  });
  app.get(
    "/reject",
    handler(async ({ session }) => {
      session.data.written = true;
      await null;
      throw new Error("rejected");
    }),
  );
  app.get("/etag", ({ session }, res) => {
    session.data.written = true;
    res.send(ANSWER);
  });
  app.get("/own-headers/:kind", ({ session, params }, res) => {
    session.data.written = true;
    res.cookie("theme", "dark").cookie("lang", "en").vary("Accept-Language");
    res.set("Cache-Control", `${params.kind}, max-age=60`).send(ANSWER);
  });
  app.get("/skipped", (req, res) => {
    res.send(typeof req.session);
  });

  app.get("/lazy/plain", (_req, res) => {
    res.send(ANSWER);
  });
  app.get(
    "/lazy/read",
    handler(async (req, res) => {
      const { userId, isNew, data } = await req.openSession();
      res.json({ userId, isNew, data });
    }),
  );
  app.post(
    "/lazy/set/:key/:value",
    handler(async (req, res) => {
      const { data } = await req.openSession();
      data[req.params.key as string] = req.params.value;
      res.send(ANSWER);
    }),
  );
  app.get("/lazy/early", (req, res) => {
    try {
      res.send(typeof req.session);
    } catch (error) {
      res.send((error as Error).message);
    }
  });
  return app;
}

/** Express 4 doesn't see promises: what one rejects with goes to `next` by hand, as everybody does it there. */
function handler(handle: (req: Request, res: Response, next: NextFunction) => Promise<void>) {
  return (req: Request, res: Response, next: NextFunction) => {
    handle(req, res, next).catch(next);
  };
}
