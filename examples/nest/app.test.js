// @ts-check
/** The example, built and asked over HTTP, on both of Nest's platforms. */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Logger } from "@nestjs/common";
import { memoryStore } from "holdfast";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

const here = dirname(fileURLToPath(import.meta.url));

/** @type {(options: { platform: string, port: number, store: object }) => Promise<import("@nestjs/common").INestApplication>} */
let start;

beforeAll(async () => {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve("typescript/package.json");
  const tsc = join(dirname(manifest), require(manifest).bin.tsc);
  execFileSync(process.execPath, [tsc, "-p", "."], { cwd: here, stdio: "inherit" });
  ({ start } = await import(/* @vite-ignore */ new URL("dist/start.js", import.meta.url).href));
  Logger.overrideLogger(false);
});

describe.each(["express", "fastify"])("NestJS on %s", (platform) => {
  const ada = { name: "ada", password: "difference engine" };
  /** @type {import("@nestjs/common").INestApplication} */
  let app;
  /** @type {ReturnType<typeof memoryStore>} */
  let store;
  /** @type {string} */
  let url;
  /** @type {string} */
  let cookie;

  beforeEach(async () => {
    vi.stubEnv("SESSION_SECRET", "a secret for tests only, 32 bytes or more");
    cookie = "";
    store = memoryStore();
    app = await start({ platform, port: 0, store });
    url = await app.getUrl();
  });

  afterEach(async () => {
    await app.close();
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  /** A browser's request: the cookie that the answer sets goes with the next one. */
  async function ask(/** @type {string} */ path, /** @type {object | undefined} */ body = undefined) {
    const sent = body && { method: "POST", body: JSON.stringify(body) };
    const headers = { cookie, connection: "close", ...(body && { "content-type": "application/json" }) };
    const response = await fetch(url + path, { ...sent, headers });
    const [setCookie] = response.headers.getSetCookie();
    if (setCookie !== undefined) cookie = setCookie.split(";")[0] ?? "";
    const text = await response.text();
    return { status: response.status, body: text && JSON.parse(text), setCookie };
  }

  const failing = () => {
    throw new Error("the disk is gone");
  };

  test("a session lives from the first write through login to logout", async () => {
    const anonymous = await ask("/account");
    expect(anonymous.status).toBe(401);
    expect(anonymous.setCookie).toBeUndefined();

    const first = await ask("/");
    expect(first.body).toEqual({ visits: 1, user: null });
    expect(first.setCookie).toMatch(/^sid=.*; HttpOnly; SameSite=Lax$/);
    expect((await ask("/")).body).toEqual({ visits: 2, user: null });

    const wrong = await ask("/login", { ...ada, password: "analytical engine" });
    expect(wrong.status).toBe(401);
    expect((await ask("/login", {})).status).toBe(401);

    const before = cookie;
    expect((await ask("/login", ada)).status).toBe(204);
    expect(cookie).not.toBe(before);
    expect((await ask("/")).body).toEqual({ visits: 3, user: "ada" });
    const account = await ask("/account");
    expect(account.body).toMatchObject({ user: "ada", devices: [{ authenticatedAt: expect.any(String) }] });

    const loggedIn = cookie;
    cookie = before;
    expect((await ask("/account")).status).toBe(401);

    cookie = loggedIn;
    expect((await ask("/logout", {})).status).toBe(204);
    expect(cookie).toBe("sid=");
    cookie = loggedIn;
    expect((await ask("/account")).status).toBe(401);
  });

  test("a login while logged in ends the session before", async () => {
    await ask("/login", ada);
    const first = cookie;
    expect((await ask("/login", ada)).status).toBe(204);
    const { body } = await ask("/account");
    expect(body.devices).toHaveLength(1);
    cookie = first;
    expect((await ask("/account")).status).toBe(401);
  });

  test("a store that can't be read answers 503, with the session left as it is", async () => {
    await ask("/login", ada);
    vi.spyOn(store, "load").mockImplementation(failing);
    for (const path of ["/", "/account"]) {
      const failed = await ask(path);
      expect(failed).toEqual({
        status: 503,
        body: { statusCode: 503, message: "Service Unavailable" },
        setCookie: undefined,
      });
    }
    vi.restoreAllMocks();
    expect((await ask("/account")).status).toBe(200);
  });

  test("a store that can't be written to answers 503, and nothing of the route's answer", async () => {
    await ask("/login", ada);
    vi.spyOn(store, "replace").mockImplementation(failing);
    expect((await ask("/")).body).toEqual({ statusCode: 503, message: "Service Unavailable" });
    // Of the route, rather than on the way out.
    expect((await ask("/logout", {})).status).toBe(503);
    vi.restoreAllMocks();
    expect((await ask("/")).body).toEqual({ visits: 1, user: "ada" });
  });

  test("a route that isn't there is Nest's 404", async () => {
    expect((await ask("/nowhere")).status).toBe(404);
  });

  test("app.close() lets a request in flight end, then closes the sessions", async () => {
    await ask("/");
    /** @type {string[]} */
    const order = [];
    const { load, replace } = store;
    /** @type {() => void} */
    let release = () => {};
    const asked = new Promise((resolve) => {
      vi.spyOn(store, "load").mockImplementation(async (...args) => {
        resolve(undefined);
        await new Promise((goOn) => {
          release = () => goOn(undefined);
        });
        return load(...args);
      });
    });
    vi.spyOn(store, "replace").mockImplementation((...args) => {
      order.push("stored");
      return replace(...args);
    });
    vi.spyOn(store, "close").mockImplementation(() => void order.push("closed"));
    const answering = ask("/");
    await asked;
    const closing = app.close();
    // Long enough for a close that doesn't wait.
    await new Promise((resolve) => setTimeout(resolve, 50));
    release();
    expect((await answering).body).toEqual({ visits: 2, user: null });
    await closing;
    expect(order).toEqual(["stored", "closed"]);
  });
});
