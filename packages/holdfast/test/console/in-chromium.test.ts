import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { SessionsOptions } from "../../src/engine/create-sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { memoryStore } from "../../src/stores/memory.js";
import { chromiumArgs, findChromium } from "../support/chromium.js";
import { requestWith } from "../support/exchange.js";
import { Clock } from "../support/shop.js";
import { SlowStore } from "../support/slow-store.js";
import { type ConsoleApp, openConsoleApp } from "./console-app.js";

/** The console in a real browser. How it looks is kept in artifacts/console. */

const executablePath = findChromium();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = fileURLToPath(new URL("../../../../artifacts/console/", import.meta.url));
mkdirSync(folder, { recursive: true });

const LOOKS = [
  { look: "desktop-light", viewport: { width: 1280, height: 860 }, colorScheme: "light" },
  { look: "desktop-dark", viewport: { width: 1280, height: 860 }, colorScheme: "dark" },
  { look: "phone-dark", viewport: { width: 320, height: 640 }, colorScheme: "dark" },
  { look: "phone-light", viewport: { width: 320, height: 640 }, colorScheme: "light" },
] as const;

const HOSTILE = [
  `<img src=x onerror="window.hacked=1">`,
  `"><script>window.hacked=1</script>`,
  `' onmouseover='window.hacked=1`,
  `</title></textarea></style><svg onload=window.hacked=1>`,
  `javascript:window.hacked=1`,
  "\u202eevil\u2066",
  `{{constructor.constructor('window.hacked=1')()}}`,
  `${"long".repeat(60)}`,
  "&lt;b&gt;&amp;quot;",
  "../../revoke?confirmed=yes#",
];

/** How the console writes what nobody would see. */
const written = (userId: string) => userId.replace("\u202e", "\\u{202e}").replace("\u2066", "\\u{2066}");

describe.skipIf(executablePath === undefined)("the console in Chromium", () => {
  let browser: Browser;
  let app: ConsoleApp;
  const contexts: BrowserContext[] = [];
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath!, args: chromiumArgs });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
    await app?.close();
  });

  /** An administrator's browser, what went wrong in it, and what it asked of others. */
  async function open(
    store?: Store,
    options: { javaScriptEnabled?: boolean } = {},
    settings: Partial<SessionsOptions<any>> = {},
  ) {
    app = await openConsoleApp(store, settings);
    const context = await browser.newContext({ baseURL: app.url, ...options });
    contexts.push(context);
    const problems: string[] = [];
    const elsewhere: string[] = [];
    context.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    context.on("weberror", (error) => problems.push(String(error.error())));
    context.on("request", (request) => {
      if (!request.url().startsWith(app.url) && !request.url().startsWith("data:"))
        elsewhere.push(request.url());
    });
    const page = await context.newPage();
    await page.goto("/login/admin");
    return { page, context, problems, elsewhere };
  }

  /** Looks at a page in each way: kept as pictures, accessible (axe, with AA contrast), and without scrolling sideways. */
  async function look(page: Page, step: string) {
    for (const { look: name, viewport, colorScheme } of LOOKS) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: `${folder}${step}-${name}.png`, fullPage: true });
      const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      expect(overflow, `${step} ${name} is wider than the screen`).toBeLessThanOrEqual(0);
      await page.evaluate(axe);
      const found = (await page.evaluate(
        "axe.run(document, { runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice'] })",
      )) as { violations: Array<{ id: string; nodes: Array<{ html: string; failureSummary: string }> }> };
      const told = found.violations.map(
        ({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`,
      );
      expect(told, `${step} ${name}`).toEqual([]);
    }
    await page.setViewportSize({ width: 1280, height: 860 });
    await page.emulateMedia({ colorScheme: "light" });
  }

  it("shows who is here, a session, and ends some after asking", async () => {
    const { page, problems, elsewhere } = await open();
    await app.people("ada", "ada", "grace", "linus");
    await page.goto("/admin/sessions");
    await page.getByText("5 sessions.").waitFor();
    await page.getByText("5 now").waitFor();
    await look(page, "01-list");

    // By keyboard: to the search, a user, one of their sessions.
    await page.getByLabel("User id or session id").focus();
    await page.keyboard.type("ada");
    await page.keyboard.press("Enter");
    await page.getByText("2 sessions found.").waitFor();
    await look(page, "02-found");
    await page
      .getByRole("link", { name: /^Details of session .* of ada$/ })
      .first()
      .click();
    await page.getByRole("heading", { level: 1, name: /^Session / }).waitFor();
    await page.getByText("Ends at the latest").waitFor();
    await look(page, "03-details");

    await page.getByRole("button", { name: "End this session…" }).click();
    await page.getByRole("heading", { name: "End this session?" }).waitFor();
    expect(await app.sessions.ofUser("ada").list()).toHaveLength(2);
    await look(page, "04-confirm");
    await page.getByRole("button", { name: "End this session" }).click();
    await page.getByText("One session was ended.").waitFor();
    expect(await app.sessions.ofUser("ada").list()).toHaveLength(1);

    // Several, by their boxes.
    for (const name of ["grace", "linus"])
      await page.getByLabel(new RegExp(`Select the session .* of ${name}$`)).check();
    await page.getByRole("button", { name: "End selected sessions…" }).click();
    await page.getByRole("button", { name: "End these 2 sessions" }).click();
    await page.getByText("2 sessions were ended.").waitFor();
    expect(await app.sessions.ofUser("grace").list()).toEqual([]);

    // All that are on the page, and none again.
    await page.getByRole("button", { name: "Select all on this page" }).click();
    expect(await page.locator("input[name=id]:checked").count()).toBe(2);
    await page.getByRole("button", { name: "Select all on this page" }).click();
    expect(await page.locator("input[name=id]:checked").count()).toBe(0);

    // All of a user's.
    await app.people("ada", "ada");
    await page.goto("/admin/sessions?q=ada");
    await page.getByRole("button", { name: "End all sessions of ada…" }).click();
    await page.getByRole("button", { name: "End all sessions of ada" }).click();
    await page.getByText("3 sessions were ended.").waitFor();
    expect(await app.sessions.ofUser("ada").list()).toEqual([]);
    const revoked = app.events.filter(({ name }) => name === "revoked");
    expect(revoked.map(({ actor }) => actor)).toEqual(Array.from({ length: 6 }, () => "admin:root"));
    expect(problems).toEqual([]);
    expect(elsewhere).toEqual([]);
  });

  it("refreshes by itself, and keeps what was selected, open and focused", async () => {
    const { page, problems } = await open();
    await app.people("ada", "grace");
    await page.goto("/admin/sessions");
    const box = page.getByLabel(/Select the session .* of ada$/);
    await box.check();
    await box.focus();
    await page.locator("#live-charts summary").first().click();
    await box.focus();
    await app.people("linus");
    await page.getByText("4 sessions.").waitFor();
    await page
      .getByText("of linus")
      .or(page.getByRole("link", { name: "linus", exact: true }))
      .first()
      .waitFor();
    expect(await box.isChecked()).toBe(true);
    expect(await box.evaluate("document.activeElement.getAttribute('aria-label')")).toContain("of ada");
    expect(await page.locator("#live-charts details").first().getAttribute("open")).toBe("");

    // Paused, nothing changes, not even when it is asked.
    await page.getByRole("button", { name: "Pause" }).click();
    await app.people("ken");
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    expect(await page.getByText("4 sessions.").count()).toBe(1);
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByText("5 sessions.").waitFor();

    // Somebody ended the administrator's own session: it says so, and asks no more.
    await app.sessions.ofUser("admin").revokeAll();
    await page.getByText("You may not see this any more.").waitFor();
    expect(problems.filter((problem) => !problem.includes("404"))).toEqual([]);
  });

  it("runs nothing that a user id says", async () => {
    const { page, problems } = await open();
    await app.people(...HOSTILE);
    await page.goto("/admin/sessions");
    await page.getByText(`${HOSTILE.length + 1} sessions.`).waitFor();
    await look(page, "05-hostile");
    // Once more by the script.
    await app.people("ada");
    await page.getByText(`${HOSTILE.length + 2} sessions.`).waitFor();
    for (const userId of HOSTILE) {
      await page.goto(`/admin/sessions?q=${encodeURIComponent(userId)}`);
      await page.getByText("1 session found.").waitFor();
      expect(await page.getByRole("table").locator("bdi").textContent()).toBe(written(userId));
      await page.getByRole("link", { name: /^Details of session/ }).click();
      await page.getByText("Ends at the latest").waitFor();
      expect(await page.locator("dd bdi").textContent()).toBe(written(userId));
      await page.goBack();
      await page.getByRole("button", { name: /^End all sessions of/ }).click();
      await page.getByRole("button", { name: /^End all sessions of/ }).click();
      await page.getByText("One session was ended.").waitFor();
    }
    // A search that is a script, too.
    await page.goto(`/admin/sessions?q=${encodeURIComponent(HOSTILE[1]!)}&page=<script>&ended=<script>`);
    await page.getByText("No session found").waitFor();
    expect(await page.evaluate("window.hacked")).toBeUndefined();
    expect(problems).toEqual([]);
  });

  it("draws the last hour", async () => {
    const clock = new Clock();
    const { page, problems } = await open(memoryStore(), {}, { clock: clock.read });
    await page.goto("/admin/sessions");
    await page.getByText("1 now").waitFor();
    for (let step = 0; step < 119; step++) {
      clock.advance(30_000);
      // The administrator stays.
      if (step % 10 === 0) await app.people("admin");
      await app.people(
        ...Array.from({ length: Math.round(3 + 3 * Math.sin(step / 9)) }, (_, n) => `user-${n}`),
      );
      if (step % 3 === 0) await app.sessions.ofUser("user-0").revokeAll();
      if (step > 60) await app.sessions.open(requestWith(`__Host-sid=${"x".repeat(step)}`));
    }
    await page.goto("/login/admin");
    await page.goto("/admin/sessions");
    await page.getByText(/^5[89] refused cookies/).waitFor();
    expect(
      (await page.locator("#live-charts polyline").first().getAttribute("points"))!.split(" "),
    ).toHaveLength(120);
    expect(await page.locator("#live-charts rect").count()).toBeGreaterThan(150);
    await look(page, "09-last-hour");
    for (const summary of await page.locator("#live-charts summary").all()) await summary.click();
    await look(page, "10-figures");
    expect(problems).toEqual([]);
  });

  it("says that nobody is here, and what a search did not find", async () => {
    const { page, problems } = await open();
    await page.goto("/admin/sessions");
    await app.sessions.ofUser("admin").list();
    await page.goto("/admin/sessions?q=nobody-of-that-name");
    await page.getByText("No session found").waitFor();
    await look(page, "06-empty");
    expect(problems).toEqual([]);
  });

  it("says that the store is down, keeps what it shows, and goes on by itself", async () => {
    const slow = new SlowStore();
    const { page, problems } = await open(slow.store);
    await app.people("ada");
    await page.goto("/admin/sessions");
    await page.getByText("2 sessions.").waitFor();
    const { scan } = slow.store;
    slow.store.scan = () => Promise.reject(new Error("down"));
    await page.getByRole("alert").getByText("The session store doesn’t answer").waitFor();
    expect(await page.getByText("2 sessions.").count()).toBe(1);
    await look(page, "07-store-down-while-open");
    await page.goto("/admin/sessions");
    await page.getByText("The session store doesn’t answer").first().waitFor();
    await look(page, "08-store-down");
    slow.store.scan = scan!;
    await page.getByText("2 sessions.").waitFor();
    expect(problems.filter((problem) => !problem.includes("503"))).toEqual([]);
  });

  it("does the main things without JavaScript", async () => {
    const { page } = await open(memoryStore(), { javaScriptEnabled: false });
    await app.people("ada", "grace");
    await page.goto("/admin/sessions");
    await page.getByText("3 sessions.").waitFor();
    for (const name of ["Pause", "Select all on this page"])
      expect(await page.getByRole("button", { name }).count()).toBe(0);
    await page.getByLabel(/Select the session .* of ada$/).check();
    await page.getByRole("button", { name: "End selected sessions…" }).click();
    await page.getByRole("button", { name: "End this session" }).click();
    await page.getByText("One session was ended.").waitFor();
    expect(await app.sessions.ofUser("ada").list()).toEqual([]);
    await page.getByLabel("User id or session id").fill("grace");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("1 session found.").waitFor();
  });
});
