// @ts-check
/** What the shop answers to requests that a browser's user would not make. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createShop } from "./app.js";
import { startCompanyProvider } from "./company-provider/provider.js";
import { localPath } from "./security.js";

/** @type {string} */
let dataFolder;
/** @type {Awaited<ReturnType<typeof createShop>>} */
let shop;
/** @type {import("node:http").Server} */
let server;
/** @type {string} */
let url;
/** @type {Awaited<ReturnType<typeof startCompanyProvider>> | undefined} */
let company;

beforeEach(async () => {
  dataFolder = mkdtempSync(join(tmpdir(), "holdfast-shop-"));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await shop.close();
  await company?.close();
  company = undefined;
  rmSync(dataFolder, { recursive: true, force: true });
});

/** @param {Partial<import("./app.js").ShopOptions> & { withCompany?: boolean }} [options] */
async function open({ withCompany, ...options } = {}) {
  server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  url = `http://127.0.0.1:${port}`;
  if (withCompany) company = await startCompanyProvider({ shopUrl: url, port: 0, dataFolder });
  const secrets = [randomBytes(32).toString("base64url")];
  shop = await createShop({
    dataFolder,
    secrets,
    idleTimeout: "30m",
    origins: [url],
    companyLogin: company,
    ...options,
  });
  server.on("request", shop.app);
}

/** Requests that keep their cookies, as one browser's do. */
function visitor() {
  /** Shop and provider are one host, so a browser sends either the cookies of both. @type {Map<string, string>} */
  const cookies = new Map();
  return {
    cookies,
    /**
     * @param {string} path Or an address elsewhere.
     * @param {Record<string, string>} [form] Makes it a POST.
     * @param {Record<string, string>} [headers]
     */
    async ask(path, form, headers) {
      const body = form && new URLSearchParams(form);
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const address = new URL(path, url);
      const response = await fetch(address, {
        method: form ? "POST" : "GET",
        ...(body && { body }),
        // As the page would that has the form.
        headers: { cookie, ...(headers ?? (form && { Origin: address.origin })) },
        redirect: "manual",
      });
      for (const line of response.headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        if (value === "" || /expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(name);
        else cookies.set(name, value);
      }
      const text = await response.text();
      return {
        address,
        status: response.status,
        location: response.headers.get("location"),
        headers: response.headers,
        text,
      };
    },
    /**
     * The page that a request leads to in the end.
     *
     * @param {string} path
     * @param {Record<string, string>} [form]
     */
    async follow(path, form) {
      let answer = await this.ask(path, form);
      while (answer.location !== null) answer = await this.ask(new URL(answer.location, answer.address).href);
      return answer;
    },
  };
}

/** What a browser sends with a form of the page of devices. */
const fromDevices = () => ({ Origin: url, Accept: "text/html", Referer: `${url}/account/devices` });

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
  expect((await ask("/cart", form, {})).status).toBe(403);
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
  const refused = await ask("/account/devices/revoke-others", {}, fromDevices());
  expect(refused.location).toBe("/login/confirm?returnTo=%2Faccount%2Fdevices");
  expect((await ask(String(refused.location))).text).toContain("Enter the password of");
  const wrong = await ask("/login/confirm", { password: "guess", returnTo: "/account/devices" });
  expect(wrong.location).toBe("/login/confirm?returnTo=%2Faccount%2Fdevices");
  const right = await ask("/login/confirm", { password: ada.password, returnTo: "/account/devices" });
  expect(right.location).toBe("/account/devices");
  expect((await ask("/account/devices")).text).toContain("This device");
});

test("who wants to be remembered gets a cookie that outlives the browser, and others one that doesn't", async () => {
  await open();
  const line = async (/** @type {Record<string, string>} */ form) =>
    (await visitor().ask("/login", form)).headers.getSetCookie()[0];
  expect(await line(ada)).not.toContain("Max-Age");
  expect(await line({ ...ada, remember: "on" })).toMatch(/Max-Age=1209[56]\d\d/);
  const { ask } = visitor();
  await ask("/login", { ...ada, remember: "on" });
  // The password once more, before something delicate, changes nothing about that.
  const confirmed = await ask("/login/confirm", { password: ada.password });
  expect(confirmed.headers.getSetCookie()[0]).toMatch(/Max-Age=1209[56]\d\d/);
  expect((await ask("/account/devices")).text).toContain("and kept signed in");
});

test("beyond the limit of devices the oldest is signed out, and told why", async () => {
  await open({ maxDevices: 2 });
  const [first, second, third] = [visitor(), visitor(), visitor()];
  for (const { ask } of [first, second, third]) await ask("/login", ada);
  const { text } = await first.ask("/");
  expect(text).toContain("because you signed in on another device");
  for (const { ask } of [second, third]) expect((await ask("/account")).status).toBe(200);
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

/** Goes through a login with a company account. @param {ReturnType<typeof visitor>} browser @param {string} [path] */
async function companyLogin(browser, path = "/auth/login", person = "radia") {
  const question = await browser.follow(path);
  expect(question.text).toContain("Who are you?");
  return browser.follow(question.address.href, { person });
}

test("without a company the shop has no company accounts", async () => {
  await open();
  const { ask } = visitor();
  const { text, headers } = await ask("/login");
  expect(text).not.toContain("company");
  expect(headers.get("content-security-policy")).toContain("form-action 'self';");
  expect((await ask("/auth/login")).status).toBe(404);
  expect((await ask("/login/confirm/company")).status).toBe(404);
});

test("forms may lead to the company and nowhere else", async () => {
  await open({ withCompany: true });
  const { headers } = await visitor().ask("/");
  expect(headers.get("content-security-policy")).toContain(`form-action 'self' ${company?.issuer};`);
});

test("a company login takes the cart along, and leads to where the user was going", async () => {
  await open({ withCompany: true });
  const browser = visitor();
  await browser.ask("/cart", { product: "mug" });
  const before = [...browser.cookies.values()];
  const page = await companyLogin(browser, "/auth/login?returnTo=/checkout");
  expect(page.address.pathname).toBe("/checkout");
  expect(page.text).toContain("Welcome, Radia Perlman.");
  expect(page.text).toContain("Harbour mug");
  expect([...browser.cookies.values()]).not.toEqual(expect.arrayContaining(before));
  expect((await browser.ask("/account")).text).toContain("A company account, at");
  expect((await visitor().ask("/login", { login: "radia", password: "" })).location).toBe("/login");
});

test("a person has one account, whatever the browser", async () => {
  await open({ withCompany: true });
  const [first, second, other] = [visitor(), visitor(), visitor()];
  await companyLogin(first);
  await companyLogin(second);
  await companyLogin(other, undefined, "katherine");
  const account = /** @param {string} text */ (text) => /user (\d+)/.exec(text)?.[1];
  const [one, two, three] = await Promise.all(
    [first, second, other].map(async ({ ask }) => account((await ask("/account")).text)),
  );
  expect(one).toBeDefined();
  expect(two).toBe(one);
  expect(three).not.toBe(one);
});

test("signing in with a company account as somebody else takes nothing over", async () => {
  await open({ withCompany: true });
  const browser = visitor();
  await browser.ask("/login", ada);
  await browser.ask("/cart", { product: "mug" });
  const { text } = await companyLogin(browser);
  expect(text).toContain("Radia Perlman");
  expect((await browser.ask("/cart")).text).toContain("There is nothing in it yet.");
});

test("cancelling at the company leaves the visitor as they were", async () => {
  await open({ withCompany: true });
  const browser = visitor();
  await browser.ask("/cart", { product: "mug" });
  const question = await browser.follow("/auth/login");
  const { status, text } = await browser.follow(question.address.href, {});
  expect(status).toBe(403);
  expect(text).toContain("The company said no, or you changed your mind.");
  expect((await browser.ask("/cart")).text).toContain("Harbour mug");
});

test("signing out ends the login at the company, too", async () => {
  await open({ withCompany: true });
  const browser = visitor();
  await companyLogin(browser);
  const leaving = await browser.follow("/auth/login?returnTo=/cart");
  expect(leaving.address.pathname).toBe("/cart");

  const page = await browser.follow("/logout", {});
  expect(page.text).toContain("Signing out");
  const [, xsrf = ""] = /name="xsrf" value="([^"]+)"/.exec(page.text) ?? [];
  const home = await browser.follow(`${company?.issuer}/session/end/confirm`, { xsrf, logout: "yes" });
  expect(home.address.href).toBe(`${url}/`);
  expect(home.text).toContain("You are signed out.");
  await companyLogin(browser);
});

test("the company ends one of two logins, and nobody else does", async () => {
  await open({ withCompany: true });
  const [first, second] = [visitor(), visitor()];
  await companyLogin(first);
  await companyLogin(second);
  const { text } = await visitor().ask(`${company?.issuer}/`);
  const [uid] = [...text.matchAll(/name="uid" value="([^"]+)"/g)].map(([, each]) => each ?? "");
  const form = { uid: String(uid) };
  const foreign = { "Sec-Fetch-Site": "cross-site" };
  expect((await visitor().ask(`${company?.issuer}/logins/end`, form, foreign)).status).toBe(403);
  expect((await visitor().ask("/auth/backchannel-logout", { logout_token: "e30.e30.e30" })).status).toBe(400);
  const status = async () => [(await first.ask("/account")).status, (await second.ask("/account")).status];
  expect(await status()).toEqual([200, 200]);
  await visitor().ask(`${company?.issuer}/logins/end`, form);
  expect((await status()).toSorted()).toEqual([200, 303]);
});

test("whoever is signed in at the company is still asked before signing devices out", async () => {
  await open({ withCompany: true, reauthenticateAfter: 1500 });
  const browser = visitor();
  await companyLogin(browser);
  await vi.waitUntil(
    async () =>
      (await browser.ask("/account/devices/revoke-others", {}, fromDevices())).location !==
      "/account/devices",
    { timeout: 30_000, interval: 200 },
  );
  // A new login that asked nobody anything proves nothing.
  expect((await browser.follow("/auth/login?returnTo=/account")).status).toBe(200);
  const { location } = await browser.ask("/account/devices/revoke-others", {}, fromDevices());
  expect(location).toBe("/login/confirm?returnTo=%2Faccount%2Fdevices");
  expect((await browser.ask(String(location))).text).toContain("Sign in with your company account once more");
  const page = await companyLogin(browser, "/login/confirm/company?returnTo=/account/devices");
  expect(page.address.pathname).toBe("/account/devices");
});

test("the machine's other names lead to the one that a login comes back to", async () => {
  await open({ withCompany: true });
  const { port } = new URL(url);
  const get = /** @param {string} host */ (host) =>
    new Promise((resolve) => {
      request(`${url}/cart?a=b`, { headers: { host } }, (response) => {
        response.resume();
        resolve([response.statusCode, response.headers.location]);
      }).end();
    });
  expect(await get(`localhost:${port}`)).toEqual([302, `${url}/cart?a=b`]);
  expect(await get(`127.0.0.1:${port}`)).toEqual([200, undefined]);
  expect(await get("shop.example")).toEqual([200, undefined]);
});
