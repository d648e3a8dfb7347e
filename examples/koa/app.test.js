// @ts-check
import { afterAll, beforeAll, test, vi } from "vitest";
import { drive } from "../story.js";

/** @type {import("node:http").Server} */
let server;

beforeAll(async () => {
  vi.stubEnv("SESSION_SECRET", "a secret for tests only, 32 bytes or more");
  const { start } = await import("./server.js");
  server = /** @type {import("node:http").Server} */ (await start(0));
});

afterAll(() => {
  server.close();
  server.closeAllConnections();
});

test("visits survive the login, which gives a new cookie, and logout ends the session", async () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  await drive(`http://127.0.0.1:${port}`);
});
