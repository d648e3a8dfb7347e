// @ts-check
/** What the shop answers to requests that a browser's user would not make. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createShop } from "./app.js";
import { localPath } from "./security.js";

/** @type {string} */
let dataFolder;
/** @type {Awaited<ReturnType<typeof createShop>>} */
let shop;
/** @type {import("node:http").Server} */
let server;
/** @type {string} */
let url;

beforeEach(async () => {
  dataFolder = mkdtempSync(join(tmpdir(), "holdfast-shop-"));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await shop.close();
  rmSync(dataFolder, { recursive: true, force: true });
});

/** @param {Partial<import("./app.js").ShopOptions>} [options] */
async function open(options) {
  const secret = randomBytes(32).toString("base64url");
  shop = await createShop({ dataFolder, secret, idleTimeout: "30m", ...options });
  await new Promise((resolve) => {
    server = shop.app.listen(0, "127.0.0.1", () => resolve(undefined));
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  url = `http://127.0.0.1:${port}`;
}

/** Requests that keep their cookie, as one browser's do. */
function visitor() {
  let cookie = "";
  return {
    /**
     * @param {string} path
     * @param {Record<string, string>} [form] Makes it a POST.
     * @param {Record<string, string>} [headers]
     */
    async ask(path, form, headers) {
      const body = form && new URLSearchParams(form);
      const response = await fetch(url + path, {
        method: form ? "POST" : "GET",
        ...(body && { body }),
        headers: { cookie, ...headers },
        redirect: "manual",
      });
      cookie = response.headers.getSetCookie().at(-1)?.split(";")[0] ?? cookie;
      const text = await response.text();
      return {
        status: response.status,
        location: response.headers.get("location"),
        headers: response.headers,
        text,
      };
    },
  };
}

const ada = { login: "ada", password: "lovelace-1815" };
const grace = { login: "grace", password: "hopper-1906" };

test("forms that another site sends are refused", async () => {
  await open();
  const { ask } = visitor();
  const form = { product: "mug" };
  expect((await ask("/cart", form, { "Sec-Fetch-Site": "cross-site" })).status).toBe(403);
  expect((await ask("/cart", form, { "Sec-Fetch-Site": "same-site" })).status).toBe(403);
  expect((await ask("/cart", form, { Origin: "https://evil.example" })).status).toBe(403);
  expect((await ask("/cart", form, { Origin: "null" })).status).toBe(403);
  expect((await ask("/cart", form, { Origin: url })).status).toBe(303);
  expect((await ask("/cart", form, { "Sec-Fetch-Site": "same-origin" })).status).toBe(303);
});

test("pages are not kept, and carry the security headers", async () => {
  await open();
  const { headers } = await visitor().ask("/");
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(headers.get("content-security-policy")).not.toContain("unsafe");
  expect(headers.getSetCookie()).toEqual([]);
});

test("a login leads back into the shop and nowhere else", async () => {
  await open();
  expect(localPath("/checkout?a=b")).toBe("/checkout?a=b");
  const elsewhere = [
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "/.//evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "",
    undefined,
    ["/"],
  ];
  for (const returnTo of elsewhere) expect(localPath(returnTo), String(returnTo)).toBeUndefined();

  const answer = await visitor().ask("/login", { ...ada, returnTo: "//evil.example" });
  expect(answer.location).toBe("/account");
});

test("what a form sent comes back as text, not as markup", async () => {
  await open();
  const { text } = await visitor().ask(`/login?returnTo=${encodeURIComponent('/"><script>x</script>')}`);
  expect(text).not.toContain("<script>x");
});

test("signing a device out asks for the password when the login is old", async () => {
  await open({ reauthenticateAfter: 0 });
  const { ask } = visitor();
  await ask("/login", ada);
  const refused = await ask("/account/devices/revoke-others", {});
  expect(refused.location).toBe("/login/confirm?returnTo=%2Faccount%2Fdevices");
  expect((await ask(String(refused.location))).text).toContain("enter your password once more");
  const wrong = await ask("/login/confirm", { password: "guess", returnTo: "/account/devices" });
  expect(wrong.location).toBe("/login/confirm?returnTo=%2Faccount%2Fdevices");
  const right = await ask("/login/confirm", { password: ada.password, returnTo: "/account/devices" });
  expect(right.location).toBe("/account/devices");
  expect((await ask("/account/devices")).text).toContain("This device");
});

test("signing out everywhere else leaves this device alone", async () => {
  await open();
  const [here, there] = [visitor(), visitor()];
  await here.ask("/login", ada);
  await there.ask("/login", ada);
  await here.ask("/account/devices/revoke-others", {});
  expect((await here.ask("/account")).status).toBe(200);
  expect((await there.ask("/account")).location).toBe("/login?returnTo=%2Faccount");
});

test("nobody sees or ends what is another's", async () => {
  await open();
  const [first, second] = [visitor(), visitor()];
  await first.ask("/login", ada);
  await first.ask("/cart", { product: "mug" });
  expect((await first.ask("/checkout", {})).location).toBe("/account/orders/1");
  const [device] = await shop.sessions.ofUser("1").list();

  await second.ask("/login", grace);
  expect((await second.ask("/account/orders/1")).status).toBe(404);
  await second.ask("/account/devices/revoke", { id: String(device?.id) });
  expect((await first.ask("/account")).status).toBe(200);
  expect((await second.ask("/")).text).not.toContain(device?.id);
});

test("signing in as somebody else takes nothing over", async () => {
  await open();
  const { ask } = visitor();
  await ask("/login", ada);
  await ask("/cart", { product: "mug" });
  await ask("/login", grace);
  expect((await ask("/cart")).text).toContain("There is nothing in it yet.");
  expect((await ask("/account")).text).toContain("Grace Hopper");
});

test("an order form that is sent twice at once orders once", async () => {
  await open();
  const { ask } = visitor();
  await ask("/login", ada);
  await ask("/cart", { product: "mug" });
  const answers = await Promise.all([ask("/checkout", {}), ask("/checkout", {})]);
  expect(answers.map(({ location }) => location).toSorted()).toEqual(["/account", "/account/orders/1"]);
});

test("a store that fails gives a page that says to come back, and logs nobody out", async () => {
  await open();
  const { ask } = visitor();
  await ask("/login", ada);
  const database = new Database(join(dataFolder, "sessions.db"));
  database.exec("DROP TABLE holdfast_sessions");
  database.close();
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  const { status, headers, text } = await ask("/account");
  logged.mockRestore();
  expect(status).toBe(503);
  expect(headers.get("retry-after")).toBe("5");
  expect(headers.getSetCookie()).toEqual([]);
  expect(text).toContain("You are still signed in");
});

test("an address that is not there gives a page", async () => {
  await open();
  const { status, text } = await visitor().ask("/nowhere");
  expect(status).toBe(404);
  expect(text).toContain("This page drifted off");
});
