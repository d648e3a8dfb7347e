import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { provideMongodb } from "../../packages/holdfast/test/services/mongodb.js";
import { startMysql } from "../../packages/holdfast/test/services/mysql.js";
import { startPostgres } from "../../packages/holdfast/test/services/postgres.js";
import { redisProgram, startRedis } from "../../packages/holdfast/test/services/redis.js";
import { startShop } from "./test/shop-process.js";

/** The shop on every kind of store, chosen by SESSION_STORE alone. */

async function provideRedis() {
  const program = await redisProgram();
  if (program === undefined) return undefined;
  const { url, stop } = await startRedis(program);
  return { url, close: () => stop() };
}

const SERVERS = [
  { scheme: "redis", provide: provideRedis },
  { scheme: "postgres", provide: startPostgres },
  { scheme: "mysql", provide: startMysql },
  { scheme: "mongodb", provide: provideMongodb },
];

const folder = mkdtempSync(join(tmpdir(), "holdfast-shop-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(SERVERS)("SESSION_STORE=$scheme://…", ({ scheme, provide }) => {
  it("keeps a cart through login and a restart, and ends the session on logout", async ({ skip }) => {
    const server = await provide();
    if (server === undefined) return skip(`there is no server for ${scheme}://`);
    const options = { dataFolder: folder, sessionStore: server.url };
    let shop = await startShop(options);
    try {
      const visitor = new Visitor(shop.url);
      await visitor.post("/cart", { product: "mug" });
      expect(await visitor.get("/cart")).toContain("Harbour mug");
      await visitor.post("/login", { login: "ada", password: "lovelace-1815" });
      expect(await visitor.get("/account")).toContain("Ada Lovelace");

      await shop.stop("SIGKILL");
      shop = await startShop({ ...options, port: shop.port });
      expect(await visitor.get("/account")).toContain("Ada Lovelace");
      expect(await visitor.get("/cart")).toContain("Harbour mug");
      expect(await visitor.get("/account/devices")).toContain("This device");

      const old = visitor.twin();
      await visitor.post("/logout", {});
      expect(await old.get("/cart")).not.toContain("Harbour mug");
      expect(await shop.stop()).toBe(0);
    } finally {
      await shop.stop();
      await server.close();
    }
  }, 180_000);
});

/** A browser's cookies and forms, without the browser. */
class Visitor {
  #url;
  #cookie = "";

  /** @param {string} url */
  constructor(url) {
    this.#url = url;
  }

  twin() {
    const twin = new Visitor(this.#url);
    twin.#cookie = this.#cookie;
    return twin;
  }

  /** @param {string} path */
  get(path) {
    return this.#send(path, { headers: { cookie: this.#cookie } });
  }

  /**
   * @param {string} path
   * @param {Record<string, string>} fields
   */
  post(path, fields) {
    const headers = { cookie: this.#cookie, origin: this.#url };
    return this.#send(path, {
      method: "POST",
      headers,
      body: new URLSearchParams(fields),
      redirect: "manual",
    });
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async #send(path, init) {
    const response = await fetch(this.#url + path, init);
    if (response.status >= 400) throw new Error(`${path} answered ${response.status}`);
    const [line] = response.headers.getSetCookie();
    if (line !== undefined) this.#cookie = line.slice(0, line.indexOf(";"));
    return response.text();
  }
}
