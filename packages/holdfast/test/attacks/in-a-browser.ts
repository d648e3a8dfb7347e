import type { RequestListener } from "node:http";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, it } from "vitest";
import { chromiumArgs, findChromium } from "../support/chromium.js";
import { tryOnBoth } from "./attack.js";
import { type Network, networkOf } from "./network.js";
import type { Site, SiteOptions } from "./site.js";

export const SHOP = "https://shop.example";
export const PLAIN_SHOP = "http://shop.example";
/** Another host of the same site: it may set cookies for all of it. */
export const BLOG = "https://blog.shop.example";
export const EVIL = "https://evil.test";

/** What an attack in a real browser has before it. */
export interface Scene {
  readonly site: Site;
  readonly network: Network;
  /** The victim's browser, which is logged in as "victim". */
  readonly victim: Page;
  /** A browser of the attacker's. */
  attacker(): Promise<Page>;
  /** What the pages at `BLOG` and `EVIL` say, as HTML. */
  readonly pages: { blog: string; evil: string };
  /** The query of each request that came to `EVIL`. */
  readonly heard: string[];
}

/** `attack` in real Chromium: the shop over HTTPS and plain HTTP, a sibling host of it, a site of the attacker's. */
export function attackInBrowser(
  title: string,
  attempt: (scene: Scene) => Promise<boolean>,
  options: SiteOptions = {},
): void {
  it.skipIf(path === undefined)(title, () => tryOnBoth(options, (site) => play(site, attempt)));
}

async function play(site: Site, attempt: (scene: Scene) => Promise<boolean>): Promise<boolean> {
  const pages = { blog: "", evil: "" };
  const heard: string[] = [];
  const blog: RequestListener = (_request, response) => answer(response, pages.blog);
  const evil: RequestListener = (request, response) => {
    const [, query = ""] = request.url!.split("?");
    if (query !== "") heard.push(decodeURIComponent(query));
    answer(response, pages.evil);
  };
  const network = await networkOf({
    "shop.example": site.app,
    "blog.shop.example": blog,
    "evil.test": evil,
  });
  const contexts: BrowserContext[] = [];
  const open = async () => {
    const context = await chrome!.newContext({
      ignoreHTTPSErrors: true,
      proxy: { server: network.proxy },
    });
    contexts.push(context);
    return context.newPage();
  };
  try {
    const victim = await open();
    await victim.goto(`${SHOP}/`);
    await post(victim, "/login/victim");
    return await attempt({ site, network, victim, attacker: open, pages, heard });
  } finally {
    for (const context of contexts) await context.close();
    await network.close();
  }
}

function answer(response: Parameters<RequestListener>[1], html: string): void {
  response.writeHead(200, { "Content-Type": "text/html" }).end(`<!doctype html><title>-</title>${html}`);
}

/** Sends a request of the page that is open, and waits for the answer. */
export async function post(page: Page, path: string): Promise<void> {
  await page.evaluate((to) => fetch(to, { method: "POST" }).then((answer) => answer.text()), path);
}

/** What the shop says to a browser: who it is taken for, and its note. */
export async function visit(page: Page): Promise<{ user: string | null; note: string | null }> {
  return (await page.goto(`${SHOP}/`))!.json();
}

/** The session cookie of a browser that is made to have one, without a login. */
export async function anonymousCookie(page: Page): Promise<{ name: string; value: string }> {
  await page.goto(`${SHOP}/`);
  await post(page, "/note/mine");
  const [cookie] = await page.context().cookies(`${SHOP}/`);
  return cookie!;
}

/** Whether the shop takes a new browser with these cookies, as a `Cookie` header has them, for the victim. */
export async function opensTheVictims(cookies: string | undefined, attacker: Page): Promise<boolean> {
  for (const pair of cookies ? cookies.split("; ") : []) {
    const [name = "", ...value] = pair.split("=");
    await attacker.context().addCookies([{ name, value: value.join("="), url: `${SHOP}/`, secure: true }]);
  }
  return (await visit(attacker)).user === "victim";
}

const path = findChromium();
let chrome: Browser | undefined;

beforeAll(async () => {
  if (path !== undefined) chrome = await chromium.launch({ executablePath: path, args: chromiumArgs });
});
afterAll(async () => {
  await chrome?.close();
});
