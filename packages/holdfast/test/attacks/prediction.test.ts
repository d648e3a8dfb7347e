import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import { memoryStore } from "../../src/stores/memory.js";
import { attack, browserWith, userOf } from "./attack.js";

/** The signature of express-session's cookies (the package cookie-signature). */
function signed(id: string, secret: string): string {
  const mac = createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "");
  return encodeURIComponent(`s:${id}.${mac}`);
}

describe("prediction", () => {
  let visitors = 0;

  attack(
    "ids that count, signed with a secret from the documentation, are guessed",
    async ({ url, browser }) => {
      visitors = 0;
      const victim = browser();
      await victim.post("/login/victim");
      const [name] = [...victim.cookies.keys()];
      for (let guess = 1; guess <= 20; guess++) {
        const value = signed(`${guess}`, "keyboard cat");
        // On the other site the attacker signs as it does, with the same secrets to try.
        const token = `${guess}`.padStart(43, "A");
        const mac = createHmac("sha256", "keyboard cat").update(token).digest("base64url");
        const forged = name === "connect.sid" ? value : `${token}.${mac}`;
        if ((await userOf(browserWith(url, name!, forged))) === "victim") return true;
      }
      return false;
    },
    { naive: { genid: () => String(++visitors) } },
  );

  it("a secret from the documentation is refused in production, and no option chooses ids", () => {
    const before = process.env.NODE_ENV;
    process.env.NODE_ENV = "production";
    try {
      expect(() => createSessions({ secrets: ["keyboard cat"], store: memoryStore() })).toThrow(
        /secrets\[0\]/,
      );
    } finally {
      process.env.NODE_ENV = before;
    }
    const options = { secrets: ["x"], store: memoryStore(), genid: () => "1" };
    expect(() => createSessions(options as any)).toThrow(/genid: is not an option/);
  });
});
