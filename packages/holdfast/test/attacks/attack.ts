import { expect, it } from "vitest";
import { Browser, listen } from "../support/browser.js";
import { holdfastSite, naiveSite, type Site, type SiteOptions } from "./site.js";

/** What an attack over HTTP has before it: the site, its address, and browsers, the victim's and the attacker's own. */
export interface Ground {
  readonly site: Site;
  readonly url: string;
  browser(): Browser;
}

/**
 * A test of one attack, on both sites: it has to succeed on the naive one, so that it is known to be an attack, and to fail
 * on Holdfast's. `attempt` says whether it has succeeded.
 */
export function attack(
  title: string,
  attempt: (ground: Ground) => Promise<boolean>,
  options: SiteOptions = {},
): void {
  it(title, () =>
    tryOnBoth(options, async (site) => {
      const { url, close } = await listen(site.app);
      try {
        return await attempt({ site, url, browser: () => new Browser(url) });
      } finally {
        await close();
      }
    }),
  );
}

export async function tryOnBoth(
  options: SiteOptions,
  attempt: (site: Site) => Promise<boolean>,
): Promise<void> {
  const succeeded: Record<string, boolean> = {};
  for (const site of [naiveSite(options), holdfastSite(options)]) {
    try {
      succeeded[site.name] = await attempt(site);
    } finally {
      await site.close();
    }
  }
  expect(succeeded).toEqual({ "express-session as tutorials set it up": true, "Holdfast by default": false });
}

/** Who the site takes a browser for; null for nobody. */
export async function userOf(browser: Browser): Promise<string | null> {
  const { status, body } = await browser.get("/");
  return status === 200 ? JSON.parse(body).user : null;
}

/** The attacker's browser with a cookie that was stolen, or made up. */
export function browserWith(url: string, name: string, value: string): Browser {
  const browser = new Browser(url);
  browser.cookies.set(name, value);
  return browser;
}
