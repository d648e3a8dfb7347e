// @ts-check
/** The shop's administrator and the console, in a real browser, against a real server process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumArgs, findChromium } from "./test/chromium.js";
import { screenshots } from "./test/screenshots.js";
import { startShop } from "./test/shop-process.js";

const executablePath = findChromium();

describe.skipIf(executablePath === undefined)("the console of the shop", () => {
  const dataFolder = mkdtempSync(join(tmpdir(), "holdfast-shop-"));
  /** @type {import("playwright-core").Browser} */
  let browser;
  /** @type {import("./test/shop-process.js").ShopProcess} */
  let shop;

  beforeAll(async () => {
    shop = await startShop({ dataFolder });
    browser = await chromium.launch({ executablePath, args: chromiumArgs });
  });
  afterAll(async () => {
    await browser?.close();
    await shop?.stop("SIGKILL");
    rmSync(dataFolder, { recursive: true, force: true });
  });

  /** @param {string} login @param {string} password */
  async function signIn(login, password) {
    const page = await browser.newPage({ baseURL: shop.url, reducedMotion: "reduce" });
    await page.goto("/login");
    await page.getByLabel("Name").fill(login);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByText("Welcome,").waitFor();
    return page;
  }

  test("is for the administrator only, who ends a customer's session there", async () => {
    const ada = await signIn("ada", "lovelace-1815");
    expect(await ada.getByRole("link", { name: "Sessions", exact: true }).count()).toBe(0);
    expect((await ada.goto("/admin/sessions"))?.status()).toBe(404);
    const nobody = await browser.newPage({ baseURL: shop.url });
    expect((await nobody.goto("/admin/sessions"))?.status()).toBe(404);

    const marina = await signIn("marina", "lighthouse-1611");
    await marina.getByRole("link", { name: "Sessions", exact: true }).click();
    await marina.getByText("2 sessions.").waitFor();
    await screenshots(marina, "console");
    // Users are rows of the shop's table, so ada is number 1.
    await marina.getByLabel(/^Select the session .* of 1$/).check();
    await marina.getByRole("button", { name: "End selected sessions…" }).click();
    await marina.getByRole("button", { name: "End this session" }).click();
    await marina.getByText("One session was ended.").waitFor();

    await ada.goto("/account");
    await ada.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(shop.complaints()).toBe("");
  });
});
