import { describe } from "vitest";
import { attack, userOf } from "./attack.js";

describe("fixation", () => {
  attack(
    "an id that the attacker had before the victim's login is the victim's after it",
    async ({ browser }) => {
      const attacker = browser();
      await attacker.post("/note/mine");
      // Planted by a sibling domain, by a hole for scripts, or over plain HTTP: see the other files here.
      const victim = attacker.twin();
      await victim.post("/login/victim");
      return (await userOf(attacker)) === "victim";
    },
  );

  attack("an id of before the login still works for who had read it then", async ({ browser }) => {
    const victim = browser();
    await victim.post("/note/anonymous");
    const thief = victim.twin();
    await victim.post("/login/victim");
    return (await userOf(thief)) === "victim";
  });

  attack("an id that was stolen before a second login lives on after it", async ({ browser }) => {
    const victim = browser();
    await victim.post("/login/victim");
    const thief = victim.twin();
    await victim.post("/login/victim");
    return (await userOf(thief)) === "victim";
  });
});
