import type { RequestListener } from "node:http";
import express from "express";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { checkCsrfToken } from "../src/adapters/binding.js";
import { expressSessions } from "../src/adapters/express.js";
import { createSessions, type SessionsOptions } from "../src/engine/create-sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { type Network, networkOf } from "./attacks/network.js";
import { chromiumArgs, findChromium } from "./support/chromium.js";
import { SECRET } from "./support/shop.js";

/** The CSRF guard against what a real Chromium sends, over HTTPS and plain HTTP, under real names. */

const SHOP = "https://shop.example";
const BLOG = "https://blog.shop.example";
const EVIL = "https://evil.test";

interface ShopOptions {
  readonly sessions?: Partial<SessionsOptions<any>>;
  /** As a browser of before Fetch Metadata and Origin sends them: without. */
  readonly oldClient?: boolean;
  readonly referrerPolicy?: string;
}

const path = findChromium();
let chrome: Browser | undefined;
let context: BrowserContext | undefined;
let network: Network | undefined;

beforeAll(async () => {
  if (path !== undefined) chrome = await chromium.launch({ executablePath: path, args: chromiumArgs });
});
afterAll(async () => {
  await chrome?.close();
});
afterEach(async () => {
  await context?.close();
  await network?.close();
});

/** A shop that ada is logged in to, and pays with by a form; a sibling host of it; a site of an attacker's. */
async function start({ sessions: options = {}, oldClient = false, referrerPolicy }: ShopOptions = {}) {
  const payments: string[] = [];
  const refusals: string[] = [];
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    sweepInterval: false,
    trustProxy: true,
    // So that the browser sends the cookie with what other sites make it send: the guard is on its own here.
    cookie: { sameSite: "none" },
    ...options,
  });
  sessions.on("csrf-refused", ({ reason }) => refusals.push(reason));
  const app = express();
  app.use((req, _res, next) => {
    if (oldClient)
      for (const name of Object.keys(req.headers))
        if (name === "origin" || name.startsWith("sec-fetch-")) delete req.headers[name];
    next();
  });
  app.use(expressSessions(sessions), express.urlencoded({ extended: false }));
  app.get("/", ({ session }, res) => {
    if (referrerPolicy !== undefined) res.set("Referrer-Policy", referrerPolicy);
    const field = session.userId === undefined ? "" : `<input name="_csrf" value="${session.csrfToken()}">`;
    res.send(
      `<p>${session.userId ?? "nobody"}</p><form method="post" action="/pay">${field}<button>Pay</button></form>`,
    );
  });
  app.get("/enter", async ({ session }, res) => {
    await session.login("ada");
    res.redirect("/");
  });
  app.post("/login", async ({ session, body }, res) => {
    await session.login(body.user);
    res.redirect("/");
  });
  app.post("/pay", async (req, res) => {
    await checkCsrfToken(req, req.body?._csrf);
    payments.push(req.session.userId ?? "nobody");
    res.send("<p>paid</p>");
  });
  app.use(((error, _req, res, _next) => {
    res.status(error.status ?? 500).send(`<p>${error.code}</p>`);
  }) as express.ErrorRequestHandler);

  const pages = { blog: "", evil: "" };
  const says =
    (site: "blog" | "evil"): RequestListener =>
    (_request, response) => {
      response
        .writeHead(200, { "Content-Type": "text/html" })
        .end(`<!doctype html><title>-</title>${pages[site]}`);
    };
  network = await networkOf({
    "shop.example": app as RequestListener,
    "blog.shop.example": says("blog"),
    "evil.test": says("evil"),
  });
  context = await chrome!.newContext({ ignoreHTTPSErrors: true, proxy: { server: network.proxy } });
  const page = await context.newPage();
  const text = () => page.textContent("p");
  return { page, pages, payments, refusals, text, sessions };
}

const formTo = (address: string, fields = "") =>
  `<form method="post" action="${address}">${fields}<button>Click here</button></form>`;
const click = async (page: Page) => {
  await page.click("button");
  await page.waitForLoadState();
};

describe.skipIf(path === undefined)("in Chromium, the CSRF guard", () => {
  const guarded = { sessions: { csrf: { origins: [SHOP] } } };

  it("lets the shop's own forms and scripts pass", async () => {
    const { page, payments, text, refusals } = await start(guarded);
    await page.goto(`${SHOP}/enter`);
    await click(page);
    expect(await text()).toBe("paid");
    await page.evaluate(() => fetch("/pay", { method: "POST" }));
    expect([payments, refusals]).toEqual([["ada", "ada"], []]);
  });

  it("lets them pass also where the page's policy hides its origin", async () => {
    const { page, payments, text } = await start({ ...guarded, referrerPolicy: "no-referrer" });
    await page.goto(`${SHOP}/enter`);
    const sent = page.waitForRequest((request) => request.method() === "POST");
    await click(page);
    expect((await (await sent).allHeaders()).origin).toBe("null");
    expect([await text(), payments]).toEqual(["paid", ["ada"]]);
  });

  it.each([
    ["refuses a form of another site", guarded, [], ["cross-site"]],
    ["is what it takes: without it, the form of another site is taken for ada's", {}, ["ada"], []],
  ])("%s", async (_what, options, paid, refused) => {
    const { page, pages, payments, refusals } = await start(options);
    await page.goto(`${SHOP}/enter`);
    pages.evil = formTo(`${SHOP}/pay`);
    await page.goto(EVIL);
    await click(page);
    expect([payments, refusals]).toEqual([paid, refused]);
  });

  it("refuses what a script of another site sends with the cookie, and a frame", async () => {
    const { page, pages, payments, refusals } = await start(guarded);
    await page.goto(`${SHOP}/enter`);
    await page.goto(EVIL);
    await page.evaluate(
      (to) => fetch(to, { method: "POST", mode: "no-cors", credentials: "include" }).catch(() => {}),
      `${SHOP}/pay`,
    );
    pages.evil = `<iframe name="hidden"></iframe>${formTo(`${SHOP}/pay`).replace("<form", '<form target="hidden"')}`;
    await page.goto(EVIL);
    const answered = page.waitForResponse(`${SHOP}/pay`);
    await page.click("button");
    expect((await answered).status()).toBe(403);
    expect([payments, refusals]).toEqual([[], ["cross-site", "cross-site"]]);
  });

  it("refuses a sandboxed page, whose origin is null", async () => {
    const { page, pages, payments, refusals } = await start(guarded);
    await page.goto(`${SHOP}/enter`);
    const inner = formTo(`${SHOP}/pay`).replaceAll('"', "&quot;");
    pages.evil = `<iframe sandbox="allow-forms" srcdoc="${inner}"></iframe>`;
    await page.goto(EVIL);
    const answered = page.waitForResponse(`${SHOP}/pay`);
    await page.frameLocator("iframe").locator("button").click();
    expect((await answered).status()).toBe(403);
    expect([payments, refusals]).toEqual([[], ["cross-site"]]);
  });

  it("refuses a sibling host, which SameSite=Lax doesn't stop, unless its origin is named", async () => {
    const lax = { cookie: { sameSite: "lax" } } as const;
    for (const [csrf, paid, refused] of [
      [{ origins: [SHOP] }, [], ["same-site"]],
      [{ origins: [SHOP, BLOG] }, ["ada"], []],
      [false, ["ada"], []],
    ] as const) {
      const { page, pages, payments, refusals } = await start({ sessions: { ...lax, csrf } });
      await page.goto(`${SHOP}/enter`);
      pages.blog = formTo(`${SHOP}/pay`);
      await page.goto(BLOG);
      await click(page);
      expect([payments, refusals]).toEqual([paid, refused]);
      await context!.close();
      await network!.close();
    }
  });

  it("refuses to have a visitor logged in as somebody else", async () => {
    const { page, pages, text, refusals } = await start(guarded);
    pages.evil = formTo(`${SHOP}/login`, '<input name="user" value="eve">');
    await page.goto(EVIL);
    await click(page);
    await page.goto(SHOP);
    expect([await text(), refusals]).toEqual(["nobody", ["cross-site"]]);
  });

  it("lets a link from another site open a page, as who the visitor is", async () => {
    const { page, pages, text } = await start(guarded);
    await page.goto(`${SHOP}/enter`);
    pages.evil = `<a href="${SHOP}/">Look</a>`;
    await page.goto(EVIL);
    await page.click("a");
    await page.waitForURL(`${SHOP}/`);
    expect(await text()).toBe("ada");
  });

  it("goes by Origin over plain HTTP, where no Fetch Metadata is sent", async () => {
    const plain = "http://shop.example";
    const { page, pages, payments, text, refusals } = await start({
      sessions: { csrf: { origins: [plain] }, cookie: { secure: false } },
    });
    await page.goto(`${plain}/enter`);
    const sent = page.waitForRequest((request) => request.method() === "POST");
    await click(page);
    const headers = await (await sent).allHeaders();
    expect([headers["sec-fetch-site"], headers.origin]).toEqual([undefined, plain]);
    expect(await text()).toBe("paid");
    pages.evil = formTo(`${plain}/pay`);
    await page.goto("http://evil.test");
    await click(page);
    expect([payments, refusals]).toEqual([["ada"], ["foreign-origin"]]);
  });

  it("goes by the token of the session for a client that sends neither", async () => {
    const { page, pages, payments, text, refusals } = await start({
      oldClient: true,
      sessions: { csrf: { formTokens: true } },
    });
    await page.goto(`${SHOP}/enter`);
    await click(page);
    expect(await text()).toBe("paid");
    pages.evil = formTo(`${SHOP}/pay`, '<input name="_csrf" value="x">');
    await page.goto(EVIL);
    await click(page);
    expect([payments, refusals]).toEqual([["ada"], ["wrong-token"]]);
  });
});
