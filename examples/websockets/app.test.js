// @ts-check
/** Drives the example over HTTP and sockets, as two people in two browsers do. */
import { once } from "node:events";
import { chromium } from "playwright-core";
import { io } from "socket.io-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { chromiumArgs, findChromium } from "../shop/test/chromium.js";
import { start } from "./server.js";

/** @type {Awaited<ReturnType<typeof start>>} */
let example;
beforeAll(async () => {
  example = await start(0);
});
afterAll(() => example.close());

/** @param {string} path @param {string} [cookie] @param {Record<string, string>} [form] */
async function post(path, cookie = "", form = {}) {
  const response = await fetch(example.url + path, {
    method: "POST",
    headers: { cookie },
    body: new URLSearchParams(form),
    redirect: "manual",
  });
  return {
    status: response.status,
    cookie: response.headers
      .getSetCookie()
      .map((line) => line.split(";", 1)[0])
      .join("; "),
  };
}

/** @param {string} name */
async function login(name) {
  return (await post("/login", "", { name })).cookie;
}

/** @param {string} cookie @param {string} [origin] */
async function openChat(cookie, origin = example.url) {
  const ws = new WebSocket(`${example.url.replace("http", "ws")}/chat`, { headers: { cookie, origin } });
  await once(ws, "open");
  return ws;
}

/** @param {WebSocket} ws */
async function nextMessage(ws) {
  const [data] = await once(ws, "message");
  return JSON.parse(String(data));
}

describe("the chat, over ws", () => {
  test("says who wrote, counts in the session, and closes at once on logout", async () => {
    const [ada, grace] = [await login("ada"), await login("grace")];
    const [hers, other] = [await openChat(ada), await openChat(grace)];
    for (const count of [1, 2]) {
      const heard = nextMessage(other);
      hers.send("hello");
      expect(await heard).toEqual({ from: "ada", text: "hello", count });
    }
    const closed = once(hers, "close");
    await post("/logout", ada);
    const [code, reason] = await closed;
    expect([code, String(reason)]).toEqual([4401, "logout"]);
    expect(other.readyState).toBe(WebSocket.OPEN);
    other.close();
  });

  test("logging out everywhere closes it on all devices", async () => {
    const [laptop, phone] = [await login("ada"), await login("ada")];
    const closes = [await openChat(laptop), await openChat(phone)].map((ws) => once(ws, "close"));
    await post("/logout-everywhere", phone);
    for (const [code, reason] of await Promise.all(closes))
      expect([code, String(reason)]).toEqual([4401, "revoked"]);
  });

  test("what a client writes that ignores the close is not heard", async () => {
    const cookie = await login("ada");
    const [deaf, grace] = [await openChat(cookie), await openChat(await login("grace"))];
    /** @type {string[]} */
    const heard = [];
    grace.on("message", (data) => heard.push(JSON.parse(String(data)).text));
    deaf.pause();
    await post("/logout", cookie);
    deaf.send("still here");
    grace.send("alone");
    await once(grace, "message");
    expect(heard).toEqual(["alone"]);
    grace.close();
    deaf.terminate();
  });

  test("refuses strangers, pages of other sites, and other paths", async () => {
    await expect(once(new WebSocket(example.url.replace("http", "ws")), "open")).rejects.toThrow("404");
    await expect(openChat("")).rejects.toThrow("401");
    await expect(openChat("sid=forged")).rejects.toThrow("401");
    await expect(openChat(await login("ada"), "https://evil.example")).rejects.toThrow("403");
  });
});

describe("who is here, over Socket.IO", () => {
  /** @param {string} cookie @param {string} [origin] */
  const connect = (cookie, origin = example.url) =>
    io(example.url, { forceNew: true, reconnection: false, extraHeaders: { cookie, origin } });

  /** @param {import("socket.io-client").Socket} socket @param {string} event @returns {Promise<any>} */
  const next = (socket, event) => new Promise((resolve) => socket.once(event, resolve));

  test("is told, and a logout takes its user off the list", async () => {
    const cookie = await login("ada");
    const hers = connect(cookie);
    expect(await next(hers, "present")).toEqual(["ada"]);
    const other = connect(await login("grace"));
    expect(await next(other, "present")).toEqual(["ada", "grace"]);

    const [left, disconnected] = [next(other, "present"), next(hers, "disconnect")];
    await post("/logout", cookie);
    expect(await left).toEqual(["grace"]);
    expect(await disconnected).toBe("io server disconnect");
    other.disconnect();
  });

  test("is not for strangers and pages of other sites", async () => {
    expect((await next(connect(""), "connect_error")).message).toBe("log in first");
    const foreign = connect(await login("ada"), "https://evil.example");
    expect((await next(foreign, "connect_error")).message).toBe("not now");
  });
});

const executablePath = findChromium();

test.skipIf(executablePath === undefined)("in Chromium, with two tabs", async () => {
  const browser = await chromium.launch({ executablePath, args: chromiumArgs });
  const context = await browser.newContext({ baseURL: example.url });
  /** @type {string[]} */
  const problems = [];
  context.on("console", (message) => {
    // Browsers ask for an icon, and this example has none.
    if (message.type() === "error" && !message.location().url.endsWith("favicon.ico"))
      problems.push(message.text());
  });
  context.on("weberror", (error) => problems.push(String(error.error())));
  const first = await context.newPage();
  await first.goto("/");
  await first.getByLabel("Name").fill("ada");
  await first.getByRole("button", { name: "Log in" }).click();
  await first.getByText("Connected.").waitFor();
  const second = await context.newPage();
  await second.goto("/");
  await second.getByText("Connected.").waitFor();

  await first.getByLabel("Message").fill("<b>hello</b>");
  await first.getByRole("button", { name: "Send" }).click();
  await second.getByText("ada: <b>hello</b>").waitFor();
  await second.getByText("Here: ada").waitFor();

  await first.getByRole("button", { name: "Log out", exact: true }).click();
  await first.getByText("Who are you?").waitFor();
  await second.getByText("Your session has ended (logout).").waitFor();
  await browser.close();
  expect(problems).toEqual([]);
});
