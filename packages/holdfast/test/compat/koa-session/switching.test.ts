import { afterEach, describe, expect, it } from "vitest";
import type { Browser } from "../../support/browser.js";
import {
  COOKIE,
  DROP_IN,
  type Handler,
  ORIGINAL,
  type Served,
  STORE,
  type Subject,
  serve,
  VERSIONS,
} from "./subject.js";

/** An application that changes its import and nothing else, with the browsers that it has. */

const shop: Handler = async (ctx) => {
  if (ctx.path === "/login") {
    await ctx.session.regenerate();
    ctx.session.user = "ada";
  }
  if (ctx.path === "/add") ctx.session.cart = [...(ctx.session.cart ?? []), ctx.query.item];
  if (ctx.path === "/stay") ctx.session.maxAge = 90_000_000;
  if (ctx.path === "/logout") ctx.session = null;
  ctx.body = ctx.session ?? {};
};

let opened: Served[] = [];
afterEach(async () => {
  for (const { close } of opened) await close();
  opened = [];
});

const DIRECTIONS: Array<{ from: Subject; to: Subject }> = [
  { from: ORIGINAL, to: DROP_IN },
  { from: DROP_IN, to: ORIGINAL },
];

describe.each(VERSIONS)("$name", (version) => {
  describe.each(DIRECTIONS)("from $from.name to $to.name", ({ from, to }) => {
    describe.each([COOKIE, STORE])("with sessions $name", (place) => {
      const applications = async (extra: Record<string, unknown> = {}) => {
        const shared = place.options();
        // UUIDs, for two applications that count would choose the same keys.
        const options = () => ({ ...shared, genid: undefined, ...extra });
        const before = await serve(from, version, options(), shop);
        const after = await serve(to, version, options(), shop);
        opened.push(before, after);
        return { before: before.browser(), moved: (browser: Browser) => browser.twin(after.url) };
      };

      it.each<[string, Record<string, unknown>]>([
        ["the default options", {}],
        ["rolling", { rolling: true, maxAge: 60_000 }],
        ["renew", { renew: true }],
        ["sessions that end with the browser", { maxAge: "session" }],
        ["unsigned cookies", { signed: false }],
        ["another name", { key: "koa:sess" }],
      ])("a browser stays logged in, goes on, and can log out: %s", async (_what, options) => {
        const { before, moved } = await applications(options);
        await before.get("/login");
        await before.get("/add?item=tea");
        const browser = moved(before);
        expect(JSON.parse((await browser.get("/")).body)).toEqual({ user: "ada", cart: ["tea"] });
        await browser.get("/add?item=cup");
        expect(JSON.parse((await browser.get("/")).body)).toEqual({ user: "ada", cart: ["tea", "cup"] });
        expect(JSON.parse((await browser.get("/logout")).body)).toEqual({});
        expect(browser.cookies.size).toBe(0);
      });

      it("a session keeps a lifetime of its own", async () => {
        const { before, moved } = await applications();
        await before.get("/stay");
        const [line] = (await moved(before).get("/add?item=tea")).setCookie;
        const [, expires = ""] = /expires=([^;]+)/.exec(line!) ?? [];
        expect(Date.parse(expires) - Date.now()).toBeGreaterThan(86_400_000);
      });

      it("both may run side by side, as while servers are restarted one after the other", async () => {
        const { before, moved } = await applications();
        await before.get("/login");
        let browser = before;
        for (const item of ["a", "b", "c", "d"]) {
          const other = item === "a" || item === "c" ? moved(browser) : back(browser, before);
          await other.get(`/add?item=${item}`);
          browser = other;
        }
        const { cart } = JSON.parse((await browser.get("/")).body);
        expect(cart).toEqual(["a", "b", "c", "d"]);
      });
    });
  });
});

/** A browser at the first application again, with the cookies that it has by now. */
function back(browser: Browser, first: Browser): Browser {
  const returned = first.twin();
  returned.cookies.clear();
  for (const [name, value] of browser.cookies) returned.cookies.set(name, value);
  return returned;
}
