import { describe } from "vitest";
import { Browser, listen } from "../support/browser.js";
import { attack, userOf } from "./attack.js";

/** A shared cache that keeps what it may (RFC 9111 3): a response that is public and not no-store, cookies and all. */
async function cacheBefore(origin: string): Promise<{ url: string; close(): Promise<void> }> {
  const kept = new Map<string, { status: number; headers: [string, string][]; body: string }>();
  return listen(async (req, res) => {
    const key = `${req.method} ${req.url}`;
    let answer = req.method === "GET" ? kept.get(key) : undefined;
    if (answer === undefined) {
      const { cookie } = req.headers;
      const response = await fetch(origin + req.url, {
        method: req.method!,
        headers: cookie ? { cookie } : {},
      });
      const control = response.headers.get("cache-control") ?? "";
      answer = { status: response.status, headers: [...response.headers], body: await response.text() };
      if (/\bpublic\b/.test(control) && !/no-store|private/.test(control)) kept.set(key, answer);
    }
    for (const [name, value] of answer.headers) {
      if (!/^(connection|content-length|keep-alive|transfer-encoding)$/.test(name))
        res.appendHeader(name, value);
    }
    res.writeHead(answer.status).end(answer.body);
  });
}

describe("shared caches", () => {
  attack(
    "a page that the application calls public hands the first visitor's cookie to all others",
    async ({ url }) => {
      const cache = await cacheBefore(url);
      try {
        const [victim, attacker] = [new Browser(cache.url), new Browser(cache.url)];
        await victim.get("/welcome");
        await victim.post("/note/victim");
        await attacker.get("/welcome");
        const { note } = JSON.parse((await attacker.get("/")).body);
        return note === "victim" || (await userOf(attacker)) === "victim";
      } finally {
        await cache.close();
      }
    },
    {
      routes({ app, data }) {
        app.get("/welcome", (req, res) => {
          data(req).welcomed = true;
          res.set("Cache-Control", "public, max-age=600").send("welcome");
        });
      },
    },
  );
});
