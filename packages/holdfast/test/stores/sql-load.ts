import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { ServerControl } from "../services/postgres.js";
import type { Browser } from "../support/browser.js";
import { checkManyLogins } from "../support/many-logins.js";
import { openShop } from "../support/shop.js";
import { newId, type SqlBackend, startSilencer, startWorker, until } from "../support/sql.js";

/** Several processes on one database, many requests at once, and a server that goes away under load. */
export function testLoad(title: string, backend: SqlBackend, control: ServerControl | undefined): void {
  describe(`${title}: several processes`, () => {
    it("migrate at the same time, and again", async () => {
      const table = `at_once_${process.pid}`;
      const migrating = Array.from({ length: 4 }, () => startWorker(backend.url, table));
      await Promise.all(migrating.map(({ step }) => step("open")));
      await Promise.all(migrating.map(({ step }) => step("migrate")));
      for (const { step } of migrating) {
        await step("set", "a", 1);
        expect(await step("commit")).toHaveLength(1);
        await step("migrate");
        await step("close");
      }
    });

    it("lose none of 5,000 increments", async () => {
      const workers = Array.from({ length: 4 }, () => startWorker(backend.url));
      await workers[0]!.step("open");
      await workers[0]!.step("set", "counter", 0);
      const [line] = await workers[0]!.step("commit");
      const cookie = line.split(";", 1)[0];
      // Each has its connection before any begins.
      await Promise.all(workers.map(({ step }) => step("open", cookie)));
      const done: number[][] = await Promise.all(workers.map(({ step }) => step("increment", 1250)));
      expect(new Set(done.flat()).size).toBe(5000);
      expect((await workers[0]!.step("open", cookie)).data).toEqual({ counter: 5000 });
      await Promise.all(workers.map(({ step }) => step("close")));
    });

    it.each([
      [1, "end-oldest"],
      [3, "end-oldest"],
      [3, "refuse"],
    ] as const)("twenty logins of one user at once leave %i (%s)", (most, atLimit) =>
      checkManyLogins(backend.url, backend.open(), most, atLimit),
    );

    it("a slow writer in one brings nothing back after a logout in another", async () => {
      const [slow, other] = [startWorker(backend.url), startWorker(backend.url)];
      await slow.step("open");
      await slow.step("set", "a", 1);
      const cookie = (await slow.step("commit"))[0].split(";", 1)[0];
      await slow.step("open", cookie);
      await slow.step("set", "late", true);
      expect((await other.step("open", cookie)).isNew).toBe(false);
      await other.step("logout");
      await other.step("commit");
      expect(await slow.step("commit")).toEqual([]);
      for (const { step } of [slow, other]) {
        expect(await step("open", cookie)).toEqual({ isNew: true, data: {} });
        await step("close");
      }
    });
  });

  describe(`${title}: requests over HTTP`, () => {
    it("keeps what two hundred overlapping requests of one session each add", async () => {
      const shop = await openShop(backend.open());
      const user = shop.browser();
      await user.post("/set/first/0");
      const answers = Array.from({ length: 200 }, (_, n) => user.post(`/set/key${n}/${n}?hold=all`));
      await shop.barrier("all").arrived(200);
      shop.barrier("all").open();
      for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
      const { data } = JSON.parse((await user.get("/session")).body);
      expect(Object.keys(data)).toHaveLength(201);
      for (let n = 0; n < 200; n++) expect(data[`key${n}`]).toBe(String(n));
      await shop.close();
    });

    it("connections that fall silent fail in time, and leave the pool for others", async () => {
      const silencer = await startSilencer(backend.url);
      const shop = await openShop(backend.open(silencer.url), { storeTimeout: "1s" });
      const users = Array.from({ length: 15 }, () => shop.browser());
      const everybody = async () => {
        const answers = await Promise.all(users.map((user) => user.post("/increment")));
        return answers.map(({ status }) => status);
      };
      expect(new Set(await everybody())).toEqual(new Set([200]));
      silencer.silence();
      expect(new Set(await everybody())).toEqual(new Set([503]));
      const errors = shop.events.filter(({ name }) => name === "store-error");
      for (const { error } of errors) expect(error.code).toBe("ERR_HOLDFAST_STORE_TIMEOUT");
      // Nothing tells the driver that they are dead but the deadline of the statements on them.
      await until(async () => (await everybody()).every((status) => status === 200));
      await shop.close();
      silencer.close();
    });

    it.skipIf(control === undefined)(
      "a server that is stopped, started, killed and started: 503s meanwhile, and nothing lost or swapped",
      async () => {
        const shop = await openShop(backend.open(), { storeTimeout: "2s" });
        const visitors = Array.from({ length: 12 }, () => new Visitor(shop.browser()));
        await Promise.all(visitors.map((visitor) => visitor.begin()));
        let going = true;
        const visits = visitors.map((visitor) => visitor.visit(() => going));
        const everybody = (seen: "successes" | "failures", more: number) => {
          const goals = visitors.map((visitor) => visitor[seen] + more);
          return until(() => visitors.every((visitor, n) => visitor[seen] >= goals[n]!));
        };

        for (const how of ["fast", "kill"] as const) {
          await everybody("successes", 5);
          await control!.stop(how);
          await everybody("failures", 3);
          await control!.start();
        }
        await everybody("successes", 5);
        going = false;
        await Promise.all(visits);
        for (const visitor of visitors) await visitor.check();
        const errors = shop.events.filter(({ name }) => name === "store-error");
        console.log(
          `${title}: while stopped: ${[...new Set(errors.map(({ error }) => causeOf(error)))].join(" | ")}`,
        );
        await shop.close();
      },
    );
  });
}

function causeOf(error: any): string {
  return error.cause === undefined
    ? error.code
    : `${error.cause.code ?? ""} ${error.cause.message}`.replace(/:\d{4,5}/, "");
}

/** One who counts up in a session of their own, and watches that it stays theirs. */
class Visitor {
  readonly #browser: Browser;
  readonly #name = newId();
  #acknowledged = 0;
  #unknown = 0;
  successes = 0;
  failures = 0;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  async begin(): Promise<void> {
    expect((await this.#browser.post(`/set/name/${this.#name}`)).status).toBe(200);
  }

  async visit(going: () => boolean): Promise<void> {
    while (going()) {
      const counted = await this.#browser.post("/increment");
      if (counted.status === 200) this.#acknowledged++;
      else this.#unknown++;
      const seen = await this.#browser.get("/session");
      if (seen.status === 200) this.#compare(seen.body);
      for (const { status, setCookie } of [counted, seen]) {
        expect([200, 503]).toContain(status);
        if (status === 200) {
          this.successes++;
        } else {
          expect(setCookie).toEqual([]);
          this.failures++;
          await delay(20);
        }
      }
    }
  }

  async check(): Promise<void> {
    const { status, body } = await this.#browser.get("/session");
    expect(status).toBe(200);
    this.#compare(body);
  }

  #compare(body: string): void {
    const { data } = JSON.parse(body);
    expect(data.name).toBe(this.#name);
    // An increment that was answered by a 503 may have been stored or not.
    expect(data.counter ?? 0).toBeGreaterThanOrEqual(this.#acknowledged);
    expect(data.counter ?? 0).toBeLessThanOrEqual(this.#acknowledged + this.#unknown);
  }
}
