import type { Page } from "playwright-core";
import { describe } from "vitest";
import { attack } from "./attack.js";
import { attackInBrowser, BLOG, EVIL, SHOP, visit } from "./in-a-browser.js";

/** A page that sends a form as soon as it is opened. */
function formTo(path: string): string {
  return `<form action="${SHOP}${path}" method="post"></form><script>document.forms[0].submit()</script>`;
}

/** Opens a page that sends a form, and waits for the answer to it. */
async function lure(victim: Page, page: string): Promise<void> {
  await victim.goto(page, { waitUntil: "commit" });
  await victim.waitForURL(`${SHOP}/**`);
}

describe("requests of other sites (CSRF)", () => {
  attackInBrowser("a page of another site sends a form in the victim's name", async ({ victim, pages }) => {
    pages.evil = formTo("/note/planted");
    await lure(victim, EVIL);
    const { user, note } = await visit(victim);
    // Without the cookie, a new session would take the place of the victim's: with the note, and without the login.
    return note === "planted" || user !== "victim";
  });

  attackInBrowser("a page of another site logs the victim out", async ({ victim, pages }) => {
    pages.evil = formTo("/logout");
    await lure(victim, EVIL);
    return (await visit(victim)).user !== "victim";
  });

  attackInBrowser(
    "a page of another site logs the victim in as the attacker, who then reads along",
    async ({ victim, pages }) => {
      pages.evil = formTo("/login/attacker");
      await lure(victim, EVIL);
      return (await visit(victim)).user === "attacker";
    },
    { holdfast: { csrf: true } },
  );

  attackInBrowser(
    "a page of a sibling host, to which SameSite doesn't apply, sends a form in the victim's name",
    async ({ victim, pages }) => {
      pages.blog = formTo("/note/planted");
      await lure(victim, BLOG);
      return (await visit(victim)).note === "planted";
    },
    { holdfast: { csrf: true } },
  );

  attack(
    "a browser without SameSite and Fetch Metadata sends what a page of another site has made",
    async ({ browser }) => {
      const victim = browser();
      await victim.post("/login/victim", { origin: SHOP });
      await victim.post("/note/planted", { origin: EVIL });
      const { user, note } = JSON.parse((await victim.get("/")).body);
      return user === "victim" && note === "planted";
    },
    { holdfast: { csrf: { origins: [SHOP] } } },
  );
});
