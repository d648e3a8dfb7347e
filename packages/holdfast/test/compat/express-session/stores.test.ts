import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type OpenedStore, provideRealStores } from "./real-stores.js";
import {
  called,
  DROP_IN,
  EXPRESS_5,
  type Handler,
  ORIGINAL,
  type Served,
  type Subject,
  sendJson,
  serve,
} from "./subject.js";

/** The store packages that people have, unchanged, under the original and the drop-in. */

const { stores, close: closeServers } = await provideRealStores();
afterAll(closeServers);

const handler: Handler = async (req, res) => {
  const [, action, key, value] = req.url!.split("/");
  if (action === "set") req.session[key!] = value;
  if (action === "save") {
    req.session[key!] = value;
    const error = await called((done) => req.session.save(done));
    if (error) throw error;
  }
  if (action === "remember") req.session.cookie.maxAge = 7_200_000;
  if (action === "regenerate") await called((done) => req.session.regenerate(done));
  if (action === "reload") {
    req.session.unsaved = true;
    await called((done) => req.session.reload(done));
  }
  if (action === "destroy") await called((done) => req.session.destroy(done));
  const { cookie: _, __lastAccess: __, ...data } = req.session ?? {};
  sendJson(res, data);
};

describe.each(stores)("$name", ({ open }) => {
  describe.skipIf(open === undefined)("as npm has it", () => {
    let opened: OpenedStore;
    const applications: Served[] = [];
    beforeEach(async () => {
      opened = await open!();
    });
    afterEach(async () => {
      for (const { close } of applications.splice(0)) await close();
      await opened.close();
    });

    const start = async (subject: Subject, options: Record<string, any> = {}) => {
      const store = opened.create(subject.session);
      const served = await serve(subject, EXPRESS_5, { genid: undefined, store, ...options }, handler);
      applications.push(served);
      return { ...served, store };
    };

    it.each([ORIGINAL, DROP_IN])("does all that it does, under $name", async (subject) => {
      const { browser: newBrowser, errors } = await start(subject, { cookie: { maxAge: 3_600_000 } });
      const browser = newBrowser();
      const bodies = [];
      const cookies = [];
      for (const path of [
        "/set/a/1",
        "/show",
        "/save/b/2",
        "/reload",
        "/remember",
        "/regenerate",
        "/set/c/3",
        "/show",
      ]) {
        const { body, setCookie } = await browser.get(path);
        bodies.push(JSON.parse(body));
        cookies.push(setCookie.length);
      }
      expect(errors).toEqual([]);
      expect(bodies).toEqual([
        { a: "1" },
        { a: "1" },
        { a: "1", b: "2" },
        { a: "1", b: "2" },
        { a: "1", b: "2" },
        {},
        { c: "3" },
        { c: "3" },
      ]);
      expect(cookies).toEqual([1, 0, 1, 0, 0, 1, 1, 0]);
      const twin = browser.twin();
      expect((await browser.get("/destroy")).body).toBe("{}");
      expect((await twin.get("/show")).body).toBe("{}");
    });

    it.each([
      { from: ORIGINAL, to: DROP_IN },
      { from: DROP_IN, to: ORIGINAL },
    ])("keeps who is logged in, from $from.name to $to.name", async ({ from, to }) => {
      const before = await start(from, { cookie: { maxAge: 3_600_000 } });
      const browser = before.browser();
      await browser.get("/set/user/ada");
      const after = await start(to, { cookie: { maxAge: 3_600_000 } });
      const same = browser.twin(after.url);
      expect(await same.get("/show")).toMatchObject({ body: '{"user":"ada"}', setCookie: [] });
      await same.get("/set/cart/book");
      expect(JSON.parse((await browser.get("/show")).body)).toEqual({ user: "ada", cart: "book" });
      await same.get("/destroy");
      expect((await browser.get("/show")).body).toBe("{}");
    });
  });
});
