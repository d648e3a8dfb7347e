import { afterEach, beforeEach, describe, vi } from "vitest";
import { attack, userOf } from "./attack.js";

const DAY = 86_400_000;

// Before the sites are made: they take the clock that is there.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("after the end of a session", () => {
  attack(
    "a logout leaves the id good: what the thief writes is there when the victim comes again",
    async ({ browser }) => {
      const victim = browser();
      await victim.post("/login/victim");
      const thief = victim.twin();
      await victim.post("/logout");
      await thief.post("/note/planted");
      await victim.post("/login/victim");
      const { note } = JSON.parse((await victim.get("/")).body);
      return note === "planted";
    },
  );

  attack(
    "a request that was under way brings the session back after the logout",
    async ({ site, browser }) => {
      const victim = browser();
      await victim.post("/login/victim");
      const thief = victim.twin();
      const underWay = thief.post("/slow");
      await site.barrier.arrived();
      await victim.post("/logout");
      site.barrier.open();
      await underWay;
      return (await userOf(thief)) === "victim";
    },
    {
      routes({ app, data, barrier }) {
        app.post("/slow", async (req, res) => {
          data(req).seen = true;
          await barrier.wait();
          res.send("done");
        });
      },
    },
  );

  attack("a stolen cookie is still good a year later", async ({ browser }) => {
    const victim = browser();
    await victim.post("/login/victim");
    const thief = victim.twin();
    vi.setSystemTime(Date.now() + 365 * DAY);
    return (await userOf(thief)) === "victim";
  });

  attack("a thief keeps a stolen session alive for ever by using it", async ({ browser }) => {
    const victim = browser();
    await victim.post("/login/victim");
    const thief = victim.twin();
    for (let hour = 0; hour < 14; hour += 0.25) {
      vi.setSystemTime(Date.now() + 900_000);
      await thief.get("/");
    }
    return (await userOf(thief)) === "victim";
  });
});
