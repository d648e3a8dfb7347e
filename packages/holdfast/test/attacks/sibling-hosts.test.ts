import { describe } from "vitest";
import { anonymousCookie, attackInBrowser, BLOG, post, SHOP, visit } from "./in-a-browser.js";

describe("sibling hosts (cookie tossing)", () => {
  attackInBrowser(
    "a page of a sibling host plants its cookie before the login: fixation",
    async ({ victim, attacker, pages }) => {
      const page = await attacker();
      const { name, value } = await anonymousCookie(page);
      await victim.context().clearCookies();
      pages.blog = planting(name, value, "/");
      await victim.goto(BLOG);
      await victim.goto(`${SHOP}/`);
      await post(victim, "/login/victim");
      return (await visit(page)).user === "victim";
    },
  );

  attackInBrowser(
    "a cookie for one path comes before the victim's own, and what the victim writes there is the attacker's to read",
    async ({ victim, attacker, pages }) => {
      const page = await attacker();
      const { name, value } = await anonymousCookie(page);
      pages.blog = planting(name, value, "/note");
      await victim.goto(BLOG);
      await victim.goto(`${SHOP}/`);
      await post(victim, "/note/private");
      return (await visit(page)).note === "private";
    },
  );
});

function planting(name: string, value: string, path: string): string {
  const cookies = [name, name.replace("__Host-", "")].map(
    (planted) => `${planted}=${value}; Domain=shop.example; Path=${path}; Secure`,
  );
  return `<script>for (const cookie of ${JSON.stringify(cookies)}) document.cookie = cookie</script>`;
}
