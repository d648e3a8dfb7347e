// @ts-check
/** What a server of this example must do on every runtime, over real HTTP. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { drive } from "../../story.js";

const folder = fileURLToPath(new URL("..", import.meta.url));

/**
 * Runs a server in a process of its own: visits, a login, a logout; then its store fails, and somebody who is logged in gets
 * a 503; then it ends by itself at SIGTERM. Throws where something else happens.
 *
 * @param {string} command The runtime.
 * @param {string[]} options Options of the runtime.
 * @param {string} server One of the servers' files.
 */
export async function tellStory(command, options, server) {
  const running = spawn(command, [...options, "test/with-failing-store.js", server], {
    cwd: folder,
    env: { ...process.env, PORT: "0", SESSION_SECRET: "a secret for tests only, 32 bytes or more" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(running, "exit");
  const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
  const impatience = setTimeout(() => running.kill("SIGKILL"), 40_000);
  try {
    const { value: greeting } = await lines.next();
    const [url] = /http:\S+/.exec(greeting) ?? [];
    assert.ok(url, `${command} ${server} does not listen: ${greeting}`);

    await drive(url);

    const login = await ask(`${url}/login`, "", {
      method: "POST",
      body: new URLSearchParams({ name: "grace" }),
    });
    const [cookie = ""] = login.headers.getSetCookie();
    assert.match(cookie, /^sid=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
    running.kill("SIGUSR2");
    await lines.next();
    const failed = await ask(`${url}/account`, cookie.split(";", 1)[0] ?? "");
    assert.deepEqual(
      [failed.status, await failed.text(), failed.headers.getSetCookie()],
      [503, "Service Unavailable", []],
    );

    running.kill("SIGTERM");
    const [code, signal] = await ended;
    assert.deepEqual([code, signal], [0, null], "SIGTERM ends it by itself");
  } finally {
    clearTimeout(impatience);
    running.kill("SIGKILL");
  }
}

/** @param {string} url @param {string} cookie @param {RequestInit} [init] */
const ask = (url, cookie, init) =>
  // A connection that is kept open would keep the server from ending.
  fetch(url, { ...init, headers: { cookie, connection: "close" }, redirect: "manual" });
