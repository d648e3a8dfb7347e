import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Browser } from "../support/browser.js";

/**
 * "Quiet" (promise 11): after a load of all kinds over real HTTP, no token, secret or session data is in anything that the process
 * wrote, whatever way it was told, and none of an ended session is left in its memory. A shop that leaks on purpose shows that
 * this test can fail.
 */

const WORKER = fileURLToPath(new URL("../workers/loud-shop.mjs", import.meta.url));
const SECRET = "loud-shop-secret-8f1c7a52d9e04b63";
const folder = mkdtempSync(join(tmpdir(), "holdfast-leaks-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A shop in a process of its own, what it wrote, and what nobody may find there. */
class LoudShop {
  readonly #child: ChildProcess;
  #url = "";
  written = "";
  /** Every token that a browser got, and every forged one that came. */
  readonly tokens = new Set<string>();
  /** What was put into sessions. */
  readonly markers = new Set<string>();
  #statuses: number[] = [];

  constructor(plant?: string) {
    const env = {
      ...process.env,
      SECRET,
      NODE_ENV: "test",
      DEBUG: "holdfast",
      ...(plant && { PLANT: plant }),
    };
    this.#child = fork(WORKER, { env, stdio: ["ignore", "pipe", "pipe", "ipc"] });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.setEncoding("utf8").on("data", (text) => {
        this.written += text;
      });
  }

  async start(): Promise<this> {
    const [{ port }] = await once(this.#child, "message");
    this.#url = `http://127.0.0.1:${port}`;
    return this;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill();
    await exited;
  }

  async ask(ask: "tell" | "heap", path?: string): Promise<Record<string, unknown>> {
    this.#child.send({ ask, path });
    const [answer] = await once(this.#child, "message");
    return answer;
  }

  #marker(): string {
    const marker = `payload${this.markers.size}marker${Math.random().toString(36).slice(2)}`;
    this.markers.add(marker);
    return marker;
  }

  async #post(browser: Browser, path: string): Promise<number> {
    // In a header: a path may well be in a log.
    const { status } = await browser.post(path, { "x-marker": this.#marker() });
    this.#statuses.push(status);
    this.#note(browser);
    return status;
  }

  #note(browser: Browser): void {
    for (const value of browser.cookies.values()) {
      // The token, its signature, and both.
      for (const part of [value, ...value.split(".")]) if (part.length > 15) this.tokens.add(part);
    }
  }

  async load(): Promise<void> {
    const open = () => new Browser(this.#url);
    for (let user = 0; user < 10; user++) {
      const browser = open();
      await this.#post(browser, `/write`);
      await this.#post(browser, `/login/user-${user}`);
      await this.#post(browser, `/write`);
      await browser.get("/read");
      await this.#post(browser, "/rotate");
      const stale = browser.twin();
      if (user % 2 === 0) await this.#post(browser, "/logout");
      else await this.#post(browser, `/bad`);
      await this.#post(stale, `/write`);
    }
    const ada = open();
    await this.#post(ada, "/login/ada");
    await this.#post(ada, `/huge`);
    await this.#post(ada, `/late`);
    await this.#post(ada, "/login/grace");
    for (let other = 0; other < 4; other++) await this.#post(open(), "/login/ada");

    // A conflict: one waits while the other writes.
    const bob = open();
    await this.#post(bob, "/login/bob");
    const slow = this.#post(bob.twin(), `/write?wait=1&key=b`);
    await this.#post(bob, `/write?key=c`);
    await this.#post(open(), "/release");
    await slow;

    for (const value of this.#forgeries(bob)) {
      const forger = open();
      for (const name of bob.cookies.keys()) forger.cookies.set(name, value);
      await this.#post(forger, `/write`);
    }

    await this.#post(open(), "/fail/on");
    expect(await this.#post(bob, `/write`)).toBe(503);
    expect(await this.#post(open(), `/write`)).toBe(503);
    await this.#post(open(), "/fail/off");

    await this.#post(open(), "/revoke/bob");
    await bob.get("/read");
    // Renewed, then expired.
    const carol = open();
    await this.#post(carol, "/login/carol");
    for (let step = 0; step < 4; step++) {
      await this.#post(open(), "/sleep/20");
      await this.#post(carol, `/write`);
    }
    await this.#post(open(), "/sleep/31");
    await carol.get("/read");
    await this.ask("tell");
  }

  #forgeries(browser: Browser): string[] {
    const [value = ""] = browser.cookies.values();
    const forged = [
      `${value.slice(0, -3)}AAA`,
      `forgedtoken${"x".repeat(40)}`,
      `${"y".repeat(43)}.${"z".repeat(43)}`,
      "%0d%0aSet-Cookie:forged",
    ];
    for (const one of forged) this.tokens.add(one);
    return forged;
  }

  /** What of the tokens, the secret and the data is in a text. */
  found(text: string): string[] {
    return [...this.tokens, ...this.markers, SECRET].filter((needle) => text.includes(needle));
  }
}

let shop: LoudShop | undefined;
afterEach(async () => {
  await shop?.stop();
});

describe("a shop under load", () => {
  let loud: LoudShop;
  beforeAll(async () => {
    loud = await new LoudShop().start();
    await loud.load();
  });
  afterAll(() => loud.stop());

  it("has been told of everything that can happen", () => {
    const events =
      "created renewed rotated login logout revoked expired conflict rejected-cookie store-error dropped-write";
    for (const event of events.split(" ")) expect(loud.written, event).toContain(`event ${event} `);
    const told =
      "NotSerializableError PayloadTooLargeError UserMismatchError StoreError HOLDFAST_LATE_CHANGE READONLY channel audit metrics span";
    for (const one of told.split(" ")) expect(loud.written, one).toContain(one);
    // Explain mode has its say on every request.
    expect(loud.written.match(/^holdfast: (?:GET|POST) /gm)!.length).toBeGreaterThan(100);
    expect(loud.tokens.size).toBeGreaterThan(100);
    expect(loud.markers.size).toBeGreaterThan(30);
  });

  it("writes no token, no secret and no data: in no log line, error, event, message, metric and span", () => {
    expect(loud.found(loud.written)).toEqual([]);
  });

  it("keeps no token and no data of ended sessions in its memory", async () => {
    const path = join(folder, "quiet.heapsnapshot");
    await loud.ask("heap", path);
    const heap = readFileSync(path, "utf8");
    // The strings are in the snapshot as they are: one that must be there is.
    expect(heap).toContain("READONLY You can't write against a read only replica.");
    // The application keeps its own secret, and the keyring its keys.
    expect(loud.found(heap).filter((found) => found !== SECRET)).toEqual([]);
  });
});

describe("a shop that leaks on purpose is found out", () => {
  it.each(["log-token", "log-payload", "span-token"])("by what it writes: %s", async (plant) => {
    shop = await new LoudShop(plant).start();
    await shop.load();
    expect(shop.found(shop.written).length).toBeGreaterThan(10);
  });

  it.each(["heap-token", "heap-payload"])("by its memory: %s", async (plant) => {
    shop = await new LoudShop(plant).start();
    await shop.load();
    expect(shop.found(shop.written)).toEqual([]);
    const path = join(folder, `${plant}.heapsnapshot`);
    await shop.ask("heap", path);
    expect(shop.found(readFileSync(path, "utf8")).length).toBeGreaterThan(10);
  });
});
