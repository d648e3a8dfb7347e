// @ts-check
/** Drives the shop in a real browser, against a real server process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumArgs, findChromium } from "./test/chromium.js";
import { screenshots } from "./test/screenshots.js";
import { startShop } from "./test/shop-process.js";

const executablePath = findChromium();
/** Milliseconds for everything that is waited for: nothing is asserted about how long it takes. */
const PATIENCE = 60_000;

describe.skipIf(executablePath === undefined)("the shop in Chromium", { timeout: 4 * PATIENCE }, () => {
  /** @type {import("playwright-core").Browser} */
  let browser;
  /** @type {string[]} */
  const folders = [];
  /** @type {import("./test/shop-process.js").ShopProcess[]} */
  const shops = [];

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: chromiumArgs, timeout: PATIENCE });
  }, PATIENCE);

  afterAll(async () => {
    await browser?.close();
    await Promise.all(shops.map((shop) => shop.stop("SIGKILL")));
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }, PATIENCE);

  function newFolder() {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-shop-"));
    folders.push(folder);
    return folder;
  }

  /** @param {Parameters<typeof startShop>[0]} options */
  async function openShop(options) {
    const shop = await startShop(options);
    shops.push(shop);
    return shop;
  }

  /**
   * A browser profile of its own, and what goes wrong in it: errors and refusals of the Content Security Policy.
   *
   * @param {string} baseURL
   * @param {import("playwright-core").BrowserContextOptions} [options]
   */
  async function newProfile(baseURL, options) {
    const context = await browser.newContext({ baseURL, reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(PATIENCE);
    /** @type {string[]} */
    const problems = [];
    context.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    context.on("weberror", (error) => problems.push(String(error.error())));
    const page = await context.newPage();
    return { context, page, problems };
  }

  test("a cart and a login outlive all that happens to them", async () => {
    const dataFolder = newFolder();
    const shop = await openShop({ dataFolder });
    const first = await newProfile(shop.url);
    const { page } = first;

    // Looking around stores nothing.
    await page.goto("/");
    await screenshots(page, "01-catalogue");
    expect(await first.context.cookies()).toEqual([]);

    // An anonymous cart.
    await page.getByRole("button", { name: "Add to cart Storm lantern" }).click();
    await page.getByText("Storm lantern is in your cart.").waitFor();
    await page.getByRole("button", { name: "Add to cart Harbour mug" }).click();
    await page.getByText("Harbour mug is in your cart.").waitFor();
    await page.locator(".session-panel summary").click();
    await screenshots(page, "02-flash-and-panel");
    await page.goto("/cart");
    await page.getByLabel("Quantity of Harbour mug").fill("3");
    await page
      .getByRole("listitem")
      .filter({ hasText: "Harbour mug" })
      .getByRole("button", { name: "Change" })
      .click();
    await page.getByText("Harbour mug: quantity changed.").waitFor();
    expect(await page.getByLabel("Quantity of Harbour mug").inputValue()).toBe("3");
    await screenshots(page, "03-cart");

    // Checking out needs a login; a wrong password is told.
    const anonymousCookie = await cookieHeader(first.context);
    await page.getByRole("link", { name: "Check out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await signIn(page, "ada", "not her password");
    await page.getByText("don’t go together").waitFor();
    await screenshots(page, "04-wrong-password");
    await signIn(page, "ada", "lovelace-1815");

    // It goes on where it was, with the cart, under a new token. The old one is dead.
    await page.getByRole("heading", { name: "Check out" }).waitFor();
    expect(new URL(page.url()).pathname).toBe("/checkout");
    expect(await page.locator("main").textContent()).toContain("Harbour mug");
    await screenshots(page, "05-checkout");
    expect(await cookieHeader(first.context)).not.toBe(anonymousCookie);
    expect(await cartPage(shop.url, anonymousCookie)).toContain("There is nothing in it yet.");
    expect(await cartPage(shop.url, await cookieHeader(first.context))).toContain("Harbour mug");

    // A second browser signs in, and the first signs it out.
    const second = await newProfile(shop.url);
    await second.page.goto("/login");
    await screenshots(second.page, "06-sign-in");
    await signIn(second.page, "ada", "lovelace-1815");
    await second.page.getByRole("heading", { name: "Ada Lovelace" }).waitFor();
    await page.goto("/account/devices");
    expect(await page.locator(".devices li").count()).toBe(2);
    expect(await page.locator(".devices .this-device").count()).toBe(1);
    expect(await page.locator(".devices").textContent()).toMatch(/Chrom\w+ on Linux/);
    await screenshots(page, "07-devices");
    await page.locator(".devices li:not(.this-device)").getByRole("button").click();
    await page.getByText("That device is signed out.").waitFor();
    expect(await page.locator(".devices li").count()).toBe(1);
    await second.page.goto("/account");
    await second.page.getByRole("heading", { name: "Sign in" }).waitFor();
    await second.page.getByText("You were signed out here from another of your devices.").waitFor();
    await screenshots(second.page, "17-signed-out-because");

    // The server dies without a word and comes back: still signed in, the cart still there.
    await shop.stop("SIGKILL");
    await openShop({ dataFolder, port: shop.port });
    await page.goto("/cart");
    expect(await page.getByRole("navigation").textContent()).toContain("Ada");
    expect(await page.getByLabel("Quantity of Harbour mug").inputValue()).toBe("3");

    // Twenty changes at once.
    await page.goto("/lab");
    await page.getByRole("button", { name: "Fire twenty changes" }).click();
    await page.getByText("20 of 20 arrived. Stickers in your cart: 0 before, 20 now.").waitFor();
    expect(await page.locator(".chips .arrived").count()).toBe(20);
    await screenshots(page, "08-lab");
    await page.goto("/cart");
    expect(await page.getByLabel("Quantity of Kelp sticker").inputValue()).toBe("20");

    // The order empties the cart.
    await page.getByRole("link", { name: "Check out" }).click();
    await page.getByRole("button", { name: "Place order" }).click();
    await page.getByRole("heading", { name: "Order 1" }).waitFor();
    await screenshots(page, "09-order");
    await page.goto("/cart");
    await page.getByText("There is nothing in it yet.").waitFor();
    await page.goto("/account");
    await page.getByRole("link", { name: "Order 1" }).waitFor();
    await screenshots(page, "10-account");

    // Signing out.
    const signedInCookie = await cookieHeader(first.context);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    expect(await accountStatus(shop.url, signedInCookie)).toBe(303);

    await page.goto("/session/ended");
    expect([...first.problems, ...second.problems]).toEqual([]);
    await Promise.all([first.context.close(), second.context.close()]);
  });

  test("a company account: in with the cart, out on both sides", async () => {
    const dataFolder = newFolder();
    let shop = await openShop({ dataFolder });
    const { port, companyUrl } = shop;
    const first = await newProfile(shop.url);
    const { page } = first;
    await page.goto("/");
    await page.getByRole("button", { name: "Add to cart Harbour mug" }).click();
    await page.getByText("Harbour mug is in your cart.").waitFor();
    const anonymousCookie = await cookieHeader(first.context);

    // In, with the cart, under a new token.
    await page.goto("/checkout");
    await page.getByRole("link", { name: "Sign in with your company account" }).click();
    await page.getByRole("heading", { name: "Who are you?" }).waitFor();
    expect(new URL(page.url()).origin).toBe(companyUrl);
    await screenshots(page, "13-company-login");
    await page.getByRole("button", { name: "Margaret Hamilton" }).click();
    await page.getByRole("heading", { name: "Check out" }).waitFor();
    await page.getByText("Welcome, Margaret Hamilton.").waitFor();
    expect(new URL(page.url()).pathname).toBe("/checkout");
    expect(await page.locator("main").textContent()).toContain("Harbour mug");
    expect(await cartPage(shop.url, anonymousCookie)).toContain("There is nothing in it yet.");
    await page.goto("/account");
    await page.getByText("A company account, at").waitFor();
    await screenshots(page, "14-company-account");

    // Two tabs of a second browser at once: both get where they were going, in one session.
    const second = await newProfile(shop.url);
    const tabs = [second.page, await second.context.newPage()];
    for (const tab of tabs) {
      await tab.goto("/login");
      await tab.getByRole("link", { name: "Sign in with your company account" }).click();
      await tab.getByRole("heading", { name: "Who are you?" }).waitFor();
    }
    for (const tab of tabs) {
      await tab.getByRole("button", { name: "Margaret Hamilton" }).click();
      await tab.getByRole("heading", { name: "Margaret Hamilton" }).waitFor();
    }
    await page.goto("/account/devices");
    expect(await page.locator(".devices li").count()).toBe(2);

    // The company ends the second browser's login: its session here is over at once, the first one's goes on.
    const cookies = [await cookieHeader(first.context), await cookieHeader(second.context)];
    const office = await newProfile(companyUrl);
    await office.page.goto("/");
    await screenshots(office.page, "15-company-logins");
    expect(await office.page.locator(".devices li").count()).toBe(2);
    await office.page.getByRole("button", { name: "End this login" }).first().click();
    await office.page.locator(".devices li").nth(1).waitFor({ state: "detached" });
    expect(await Promise.all(cookies.map((cookie) => accountStatus(shop.url, cookie)))).toEqual([200, 303]);
    await second.page.goto("/account");
    await second.page.getByRole("heading", { name: "Sign in" }).waitFor();

    // Out here is out there: the company asks again who it is.
    await page.getByRole("button", { name: "Sign out" }).first().click();
    await page.getByText("You are signed out.").waitFor();
    expect(page.url()).toBe(`${shop.url}/`);
    expect(await accountStatus(shop.url, cookies[0] ?? "")).toBe(303);
    await page.goto("/login");
    await page.getByRole("link", { name: "Sign in with your company account" }).click();
    await page.getByRole("button", { name: "Margaret Hamilton" }).click();
    await page.getByText("Welcome, Margaret Hamilton.").waitFor();

    // Out there is out here.
    await page.goto(`${companyUrl}/session/end`);
    await page.getByRole("heading", { name: "Signed out" }).waitFor();
    await page.goto("/account");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();

    // Shop and provider start anew: who was signed in still is, and can sign out, though the provider has forgotten.
    await page.getByRole("link", { name: "Sign in with your company account" }).click();
    await page.getByRole("button", { name: "Margaret Hamilton" }).click();
    await page.getByText("Welcome, Margaret Hamilton.").waitFor();
    expect(await shop.stop()).toBe(0);
    expect(shop.complaints()).toBe("");
    shop = await openShop({ dataFolder, port, companyPort: new URL(companyUrl).port });
    await page.goto("/account");
    await page.getByText("A company account, at").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();

    // Who cancels stays who they were.
    await page.goto("/login");
    await page.getByRole("link", { name: "Sign in with your company account" }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("The company said no, or you changed your mind.").waitFor();
    await screenshots(page, "16-company-cancelled");
    await page.getByRole("link", { name: "To the shop" }).click();
    expect(shop.complaints()).toBe("");
    const refusals = /status of 403/;
    const problems = [...first.problems, ...second.problems, ...office.problems];
    expect(problems.filter((problem) => !refusals.test(problem))).toEqual([]);
    await Promise.all([first, second, office].map(({ context }) => context.close()));
  });

  test("an idle session warns, goes on when asked, and ends; open tabs don't keep it alive", async () => {
    const shop = await openShop({ dataFolder: newFolder(), idleTimeout: "20s" });
    const { context, page, problems } = await newProfile(shop.url);
    await page.goto("/login");
    await signIn(page, "grace", "hopper-1906");
    await page.getByRole("heading", { name: "Grace Hopper" }).waitFor();
    const otherTab = await context.newPage();
    await otherTab.goto("/cart");

    const dialog = page.getByRole("alertdialog", { name: "Are you still there?" });
    await dialog.waitFor();
    const before = await expiresAt(page);
    await dialog.getByRole("button", { name: "Keep me here" }).click();
    await dialog.waitFor({ state: "hidden" });
    expect(await expiresAt(page)).toBeGreaterThan(before);
    const cookie = await cookieHeader(context);
    expect(await accountStatus(shop.url, cookie)).toBe(200);

    await dialog.waitFor();
    await screenshots(page, "11-expiry-warning");
    await page.waitForURL("**/session/ended");
    await otherTab.waitForURL("**/session/ended");
    await screenshots(page, "12-session-ended");
    expect(await accountStatus(shop.url, cookie)).toBe(303);
    await page.goto("/account");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(problems).toEqual([]);
    await context.close();
  });

  test("remembered on one device, signed out by the limit on another, asked again before what is delicate", async () => {
    const shop = await openShop({ dataFolder: newFolder(), maxDevices: 2, reauthenticateAfter: 8 });
    const [first, second, third] = [
      await newProfile(shop.url),
      await newProfile(shop.url),
      await newProfile(shop.url),
    ];
    await first.page.goto("/login");
    await signIn(first.page, "ada", "lovelace-1815");
    await first.page.getByRole("heading", { name: "Ada Lovelace" }).waitFor();
    expect((await first.context.cookies()).map(({ expires }) => expires)).toEqual([-1]);
    await second.page.goto("/login");
    await second.page.getByLabel("Keep me signed in").check();
    await screenshots(second.page, "18-keep-me-signed-in");
    await signIn(second.page, "ada", "lovelace-1815");
    await second.page.getByRole("heading", { name: "Ada Lovelace" }).waitFor();
    const [cookie] = await second.context.cookies();
    expect(cookie?.expires).toBeGreaterThan(Date.now() / 1000 + 13 * 86_400);

    await third.page.goto("/login");
    await signIn(third.page, "ada", "lovelace-1815");
    await third.page.getByRole("heading", { name: "Ada Lovelace" }).waitFor();
    await first.page.goto("/account");
    await first.page.getByText("because you signed in on another device").waitFor();
    await first.page.getByRole("heading", { name: "Sign in" }).waitFor();
    await screenshots(first.page, "19-signed-out-by-the-limit");

    // Once the login is too long ago, signing a device out asks for the password, and then does it.
    const { page } = third;
    await expect
      .poll(() => revokeNothing(shop.url, third.context), { timeout: PATIENCE, interval: 500 })
      .toContain("/login/confirm");
    // The first visit shows what the questions before have left.
    for (let visit = 0; visit < 2; visit++) await page.goto("/account/devices");
    await screenshots(page, "20-devices-kept-signed-in");
    const signOut = page.locator(".devices li:not(.this-device)").getByRole("button");
    const asked = page.getByRole("heading", { name: "Is it you?" });
    const done = page.getByText("That device is signed out.");
    await signOut.click();
    await asked.waitFor();
    await screenshots(page, "21-is-it-you");
    // On a machine that is busy the eight seconds may be over again.
    while (!(await done.isVisible())) {
      if (await asked.isVisible()) {
        await page.getByLabel("Password").fill("lovelace-1815");
        await page.getByRole("button", { name: "Go on" }).click();
        await page.getByRole("heading", { name: "Your devices" }).waitFor();
      }
      await signOut.click();
      await asked.or(done).waitFor();
    }
    await second.page.goto("/account");
    await second.page.getByText("You were signed out here from another of your devices.").waitFor();
    expect([...first.problems, ...second.problems, ...third.problems]).toEqual([]);
    await Promise.all([first, second, third].map(({ context }) => context.close()));
  });

  test("without JavaScript one can shop, sign in and order", async () => {
    const shop = await openShop({ dataFolder: newFolder() });
    const { context, page } = await newProfile(shop.url, { javaScriptEnabled: false });
    await page.goto("/");
    await page.getByRole("button", { name: "Add to cart Pocket compass" }).click();
    await page.getByText("Pocket compass is in your cart.").waitFor();
    await page.getByRole("button", { name: "Add to cart Door buoy" }).click();
    await page.getByRole("link", { name: "View cart" }).click();
    await page.getByRole("button", { name: "Remove Door buoy" }).click();
    await page.getByText("Door buoy removed.").waitFor();
    await page.getByRole("link", { name: "Check out" }).click();
    await signIn(page, "grace", "hopper-1906");
    await page.locator(".session-panel summary").click();
    await page.getByRole("button", { name: "Extend" }).click();
    await page.getByText("Your session goes on.").waitFor();
    expect(new URL(page.url()).pathname).toBe("/checkout");
    await page.getByRole("button", { name: "Place order" }).click();
    await page.getByText("Thank you! Order 1 is on its way.").waitFor();
    await page.goto("/lab");
    expect(await page.locator("noscript").textContent()).toContain("This one needs JavaScript");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    await context.close();
    expect(await shop.stop()).toBe(0);
    expect(shop.complaints()).toBe("");
  });
});

/**
 * @param {import("playwright-core").Page} page
 * @param {string} login
 * @param {string} password
 */
async function signIn(page, login, password) {
  await page.getByLabel("Name").fill(login);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
}

/** What the browser would send. @param {import("playwright-core").BrowserContext} context */
async function cookieHeader(context) {
  const cookies = await context.cookies();
  return cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
}

/** The server's answer to a cookie from anywhere. @param {string} url @param {string} cookie */
async function cartPage(url, cookie) {
  return (await fetch(`${url}/cart`, { headers: { cookie } })).text();
}

/** 200 for somebody who is signed in, else 303 to the login page. @param {string} url @param {string} cookie */
async function accountStatus(url, cookie) {
  return (await fetch(`${url}/account`, { headers: { cookie }, redirect: "manual" })).status;
}

/** Where signing out a device that isn't there leads to. @param {string} url @param {import("playwright-core").BrowserContext} context */
async function revokeNothing(url, context) {
  const headers = { cookie: await cookieHeader(context), accept: "text/html", origin: url };
  const sending = {
    method: "POST",
    headers,
    redirect: /** @type {const} */ ("manual"),
    body: new URLSearchParams({ id: "none" }),
  };
  return (await fetch(`${url}/account/devices/revoke`, sending)).headers.get("location") ?? "";
}

/** When the session ends, as the server sees it; asking doesn't change it. @param {import("playwright-core").Page} page */
function expiresAt(page) {
  return page.evaluate(async () => {
    const status = /** @type {{ expiresAt: string }} */ (await (await fetch("/session/status")).json());
    return Date.parse(status.expiresAt);
  });
}
