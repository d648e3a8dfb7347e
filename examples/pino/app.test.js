// @ts-check
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { drive } from "../story.js";

/** @type {import("node:http").Server} */
let server;
let url = "";
let written = "";
const out = new PassThrough().on("data", (chunk) => {
  written += chunk;
});

beforeAll(async () => {
  vi.stubEnv("SESSION_SECRET", "a secret for tests only, 32 bytes or more");
  const { start } = await import("./server.js");
  server = await start(0, pino({ name: "shop" }, out));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  url = `http://127.0.0.1:${port}`;
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, "close");
});

/** The lines that are written by now, each of them JSON. */
const lines = () =>
  written
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("visits survive the login, which gives a new cookie, and logout ends the session", async () => {
  await drive(url);
  const events = lines().map(({ event }) => event);
  expect(events).toContain("authn_login_success:ada");
  expect(events).toContain("session_expired:ada,logout");
  // The cookies from before the login, and from before the logout, come once more.
  expect(events).toContain("session_use_after_expire:ended");
});

test("each line is one event, in pino's levels, with what is known of its request", async () => {
  written = "";
  await fetch(url, {
    headers: { Cookie: "__Host-session=x.y; session=forged.nonsense", "User-Agent": "Probe/1.0" },
  });
  const response = await fetch(`${url}/login`, {
    method: "POST",
    body: new URLSearchParams({ name: "grace" }),
    redirect: "manual",
  });
  const cookie = response.headers.getSetCookie()[0] ?? "";
  const login = lines().find(({ event }) => event === "authn_login_success:grace");
  expect(login).toMatchObject({
    level: 30,
    name: "shop",
    kind: "login",
    msg: "A user logged in",
    appid: "shop",
    userid: "grace",
    source_ip: "127.0.0.1",
    request_method: "POST",
  });
  const token = cookie.slice(cookie.indexOf("=") + 1, cookie.indexOf(";"));
  expect(token.length).toBeGreaterThan(40);
  expect(written).not.toContain(token.split(".")[0]);
});
