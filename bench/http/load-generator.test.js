import { createServer } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startLoadGenerator } from "./processes.js";

/** The load generator speaks HTTP by itself, so what it takes for an answer is tested on a real server. */
describe("the load generator", () => {
  let generator;
  let server;
  let port;
  let answer;
  let requests;
  beforeAll(async () => {
    generator = startLoadGenerator();
    server = createServer((request, response) => {
      requests.push(request);
      answer(request, response);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    ({ port } = server.address());
  });
  beforeEach(async () => {
    requests = [];
    await generator.browsers({ group: "test", count: 3 });
  });
  afterAll(async () => {
    await generator.stop();
    server.close();
  });

  const once = (settings) => generator.once({ group: "test", port, method: "GET", path: "/", ...settings });
  const load = (settings) =>
    generator.load({
      group: "test",
      port,
      method: "GET",
      path: "/",
      connections: 2,
      seconds: 0.1,
      answer: '{"name":"Ada"',
      ...settings,
    });

  it("takes bodies by their length and in chunks, and in pieces", async () => {
    for (const write of [
      (response) => response.setHeader("Content-Length", 14).end('{"name":"Ada"}'),
      (response) => {
        response.write('{"name":');
        setImmediate(() => response.end('"Ada"}'));
      },
    ]) {
      answer = (_request, response) => write(response);
      const bodies = (await once()).map(({ body }) => body);
      expect(bodies).toEqual(Array(3).fill('{"name":"Ada"}'));
      const { requests: made, p50, p99 } = await load();
      expect(made).toBeGreaterThan(0);
      expect(made).toBe(requests.length - 3);
      expect(p99).toBeGreaterThanOrEqual(p50);
      requests = [];
    }
  });

  it("keeps cookies as a browser does, each browser its own", async () => {
    let issued = 0;
    answer = (request, response) => {
      if (request.url === "/end") response.setHeader("Set-Cookie", ["a=; Max-Age=0", "b=2; Path=/"]);
      else if (request.headers.cookie === undefined)
        response.setHeader("Set-Cookie", `a=${++issued}; HttpOnly`);
      response.end('{"name":"Ada"}');
    };
    const cookiesSent = async (path) => {
      requests = [];
      await once({ path });
      return requests.map(({ headers }) => headers.cookie).sort();
    };
    expect(await cookiesSent("/")).toEqual([undefined, undefined, undefined]);
    expect(await cookiesSent("/")).toEqual(["a=1", "a=2", "a=3"]);
    await once({ path: "/end" });
    expect(await cookiesSent("/")).toEqual(["b=2", "b=2", "b=2"]);
  });

  it("counts the writes that each browser was told of", async () => {
    answer = (_request, response) => response.end('{"name":"Ada","count":1}');
    const { requests: made } = await load({ method: "POST", path: "/write" });
    const writes = (await once()).map(({ writes }) => writes);
    expect(writes.reduce((sum, count) => sum + count)).toBe(made);
  });

  it.each([
    ["another answer", (response) => response.end('{"name":"nobody"}')],
    ["another status", (response) => response.writeHead(503).end('{"name":"Ada"}')],
    ["a closed connection", (response) => response.destroy()],
  ])("fails for %s, also where thousands before were good", async (_title, fail) => {
    let good = 2000;
    answer = (_request, response) =>
      good-- > 0 ? response.setHeader("Content-Length", 14).end('{"name":"Ada"}') : fail(response);
    await expect(load({ seconds: 30 })).rejects.toThrow();
  });
});
