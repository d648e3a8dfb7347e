import { describe } from "vitest";
import {
  anonymousCookie,
  attackInBrowser,
  opensTheVictims,
  PLAIN_SHOP,
  post,
  SHOP,
  visit,
} from "./in-a-browser.js";

describe("sniffing", () => {
  attackInBrowser(
    "whoever reads along takes the cookie from the one request that goes over plain HTTP",
    async ({ victim, attacker, network }) => {
      // The address typed without https, or an old link.
      await victim.goto(`${PLAIN_SHOP}/`);
      return opensTheVictims(network.seen.at(-1)!.cookie, await attacker());
    },
  );
});

describe("man in the middle", () => {
  attackInBrowser(
    "whoever answers over plain HTTP plants a cookie, and the login over HTTPS is the attacker's, too",
    async ({ victim, attacker, network }) => {
      const page = await attacker();
      const { name, value } = await anonymousCookie(page);
      await victim.context().clearCookies();
      network.tamper = (_request, response) => {
        // With its prefix, and under the name of plain HTTP.
        for (const planted of new Set([name, name.replace("__Host-", "")])) {
          response.appendHeader("Set-Cookie", `${planted}=${value}; Path=/`);
        }
        response.end("welcome");
      };
      await victim.goto(`${PLAIN_SHOP}/`);
      network.tamper = undefined;
      await victim.goto(`${SHOP}/`);
      await post(victim, "/login/victim");
      return (await visit(page)).user === "victim";
    },
  );

  attackInBrowser(
    "whoever stands between the site and its proxy makes it believe in HTTPS, and the cookie goes out in the clear",
    async ({ victim, attacker, network }) => {
      network.tamper = (request) => {
        request.headers["x-forwarded-proto"] = "https";
      };
      await victim.context().clearCookies();
      await victim.goto(`${PLAIN_SHOP}/`);
      await post(victim, "/login/victim");
      await victim.goto(`${PLAIN_SHOP}/`);
      return opensTheVictims(network.seen.at(-1)!.cookie, await attacker());
    },
  );
});
