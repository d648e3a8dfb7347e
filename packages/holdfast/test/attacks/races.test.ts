import { describe } from "vitest";
import { attack } from "./attack.js";

describe("races", () => {
  attack(
    "a coupon for one use is used twice by two requests at once",
    async ({ site, browser }) => {
      const attacker = browser();
      await attacker.post("/coupon");
      const uses = [attacker.post("/use"), attacker.post("/use")];
      await site.barrier.arrived(2);
      site.barrier.open();
      const answers = await Promise.all(uses);
      return answers.filter(({ body }) => body === "used").length === 2;
    },
    {
      routes({ app, barrier, data, session }) {
        app.post("/coupon", (req, res) => {
          data(req).coupon = true;
          res.send("here you are");
        });
        app.post("/use", async (req, res) => {
          const had = data(req).coupon === true;
          await barrier.wait();
          const take = (own: Record<string, any>) => {
            const has = own.coupon === true;
            delete own.coupon;
            return has;
          };
          // What each library has for it: the one changes what it read, the other has an atomic step.
          const used = (await session(req)?.update(take)) ?? (had && take(data(req)));
          res.send(used ? "used" : "no coupon");
        });
      },
    },
  );

  attack(
    "a lock that one request sets is lost under the write of another",
    async ({ site, browser }) => {
      const attacker = browser();
      await attacker.post("/note/x");
      const slow = attacker.post("/slow-write");
      await site.barrier.arrived();
      await attacker.post("/lock");
      site.barrier.open();
      await slow;
      return (await attacker.get("/locked")).body === "false";
    },
    {
      routes({ app, barrier, data }) {
        app.post("/slow-write", async (req, res) => {
          data(req).seen = true;
          await barrier.wait();
          res.send("done");
        });
        app.post("/lock", (req, res) => {
          data(req).locked = true;
          res.send("locked");
        });
        app.get("/locked", (req, res) => {
          res.send(String(data(req).locked === true));
        });
      },
    },
  );
});
