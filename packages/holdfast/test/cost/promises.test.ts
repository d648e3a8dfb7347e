import { createHook } from "node:async_hooks";
import type { RequestListener } from "node:http";
import express from "express";
import Fastify from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expressSessions } from "../../src/adapters/express.js";
import { fastifySessions } from "../../src/adapters/fastify.js";
import { nodeSessions } from "../../src/adapters/node.js";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Exchange } from "../../src/engine/exchange.js";
import type { Sessions } from "../../src/engine/sessions.js";
import { memoryStore } from "../../src/stores/memory.js";
import { Browser, listen } from "../support/browser.js";
import { finishedCookie, requestWith } from "../support/exchange.js";
import { SECRET } from "../support/shop.js";

/**
 * A store that answers at once costs a request no promise: each is memory, and a turn of the microtask queue. Counted by
 * async_hooks while the work runs, which is all of it where there is no promise.
 */

let promises = 0;
const hook = createHook({
  init(_id, type) {
    if (type === "PROMISE") promises++;
  },
});

function promisesOf(work: () => unknown): number {
  promises = 0;
  hook.enable();
  try {
    work();
  } finally {
    hook.disable();
  }
  return promises;
}

const open = () => createSessions<any>({ secrets: [SECRET], store: memoryStore(), sweepInterval: false });

describe("promises that the engine makes for", () => {
  let sessions: Sessions<any>;
  let cookie: string;
  beforeAll(async () => {
    sessions = open();
    const exchange = await sessions.open(requestWith(undefined));
    exchange.session.data.name = "Ada";
    cookie = (await finishedCookie(exchange))!;
  });
  afterAll(() => sessions.close());

  const request = (sent: string | undefined, look: (exchange: Exchange<any>) => unknown) => () => {
    const exchange = sessions.open(requestWith(sent)) as Exchange<any>;
    look(exchange);
    exchange.commit();
    exchange.writeHeaders({ get: () => undefined, set() {}, append() {} });
  };
  const readName = ({ session }: Exchange<any>) => session.data.name;

  it.each([
    ["an anonymous reader", () => request(undefined, readName)],
    ["a forged cookie", () => request(`${cookie.slice(0, -5)}AAAAA`, readName)],
    ["a read of an existing session", () => request(cookie, readName)],
    ["a request that never looks at its session", () => request(cookie, () => {})],
    [
      "a write of what is there already",
      () => request(cookie, ({ session }) => Object.assign(session.data, { name: "Ada" })),
    ],
  ])("%s: none", (_title, work) => {
    expect(promisesOf(work())).toBe(0);
  });

  it("a write: none", () => {
    const rename = (name: string) =>
      request(cookie, ({ session }) => Object.assign(session.data, { name, first: name }));
    expect(promisesOf(rename("Grace"))).toBe(0);
    const another = sessions.open(requestWith(cookie)) as Exchange<any>;
    expect(another.session.data.name).toBe("Grace");
  });

  it("`session.update`, which gives one: some, so this test counts them", () => {
    const update = ({ session }: Exchange<any>) => session.update((data) => data.name);
    expect(promisesOf(request(cookie, update))).toBeGreaterThan(0);
  });
});

/** A small application with one route that writes and one that reads, as a listener. */
const ADAPTERS: Array<{ name: string; listener(sessions: Sessions<any>): Promise<RequestListener> }> = [
  {
    name: "Express",
    async listener(sessions) {
      const app = express();
      app.use(expressSessions(sessions));
      app.post("/name", (req, res) => {
        req.session.data.name = "Ada";
        res.json("stored");
      });
      app.get("/name", (req, res) => {
        res.json(req.session.data.name ?? "nobody");
      });
      return app;
    },
  },
  {
    name: "Fastify",
    async listener(sessions) {
      const app = Fastify();
      await app.register(fastifySessions, { sessions });
      app.post("/name", (request, reply) => {
        request.session.data.name = "Ada";
        reply.send('"stored"');
      });
      app.get("/name", (request, reply) => {
        reply.send(JSON.stringify(request.session.data.name ?? "nobody"));
      });
      await app.ready();
      return app.routing;
    },
  },
  {
    name: "node:http",
    async listener(sessions) {
      const middleware = nodeSessions(sessions);
      return (request, response) =>
        middleware(request, response, () => {
          const { session } = request as unknown as { session: { data: { name?: string } } };
          if (request.method === "POST") session.data.name = "Ada";
          response.end(JSON.stringify(session.data.name ?? "nobody"));
        });
    },
  },
];

describe.each(ADAPTERS)("promises that $name makes, over HTTP, for", ({ listener }) => {
  let sessions: Sessions<any>;
  let server: Awaited<ReturnType<typeof listen>>;
  let made: number[];
  beforeAll(async () => {
    sessions = open();
    const answer = await listener(sessions);
    server = await listen((request, response) => {
      made.push(promisesOf(() => answer(request, response)));
    });
  });
  afterAll(async () => {
    await server.close();
    await sessions.close();
  });

  it("an anonymous reader, a write, and a read of an existing session: none", async () => {
    made = [];
    const browser = new Browser(server.url);
    expect((await browser.get("/name")).body).toBe('"nobody"');
    await browser.post("/name");
    expect((await browser.get("/name")).body).toBe('"Ada"');
    const [anonymous, write, read] = made;
    expect({ anonymous, write, read }).toEqual({ anonymous: 0, write: 0, read: 0 });
  });
});
