import { describe } from "vitest";
import { attack } from "./attack.js";

describe("store outage", () => {
  attack(
    "while the store is down, who is banned by what the session says is served as anybody",
    async ({ site, browser }) => {
      const attacker = browser();
      await attacker.post("/ban");
      site.cutStore();
      const { status, body } = await attacker.get("/secret");
      return status === 200 && body === "the secret";
    },
    {
      routes({ app, data }) {
        app.post("/ban", (req, res) => {
          data(req).banned = true;
          res.send("banned");
        });
        app.get("/secret", (req, res) => {
          if (data(req)?.banned) res.sendStatus(403);
          else res.send("the secret");
        });
      },
    },
  );

  attack(
    "while the store is down, a user is served a page for nobody",
    async ({ site, browser }) => {
      const victim = browser();
      await victim.post("/login/victim");
      site.cutStore();
      const { status, setCookie } = await victim.get("/public");
      return status === 200 || setCookie.length > 0;
    },
    {
      routes({ app, data }) {
        app.get("/public", (req, res) => {
          res.send(`for ${data(req)?.user ?? "nobody"}`);
        });
      },
    },
  );
});
