// @ts-check
import { afterAll, beforeAll, test, vi } from "vitest";
import { drive } from "../story.js";

/** @type {import("fastify").FastifyInstance} */
let app;

beforeAll(async () => {
  vi.stubEnv("SESSION_SECRET", "a secret for tests only, 32 bytes or more");
  const { start } = await import("./server.js");
  app = await start(0);
});

afterAll(() => app.close());

test("visits survive the login, which gives a new cookie, and logout ends the session", async () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (app.server.address());
  await drive(`http://127.0.0.1:${port}`);
});
