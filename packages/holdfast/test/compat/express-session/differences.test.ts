import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { afterEach, describe, expect, it, vi } from "vitest";
import { withResolvers } from "../../support/resolvers.js";
import {
  cookieOf,
  DROP_IN,
  EXPRESS_5,
  ORIGINAL,
  recordingStore,
  type Served,
  type Subject,
  serve,
} from "./subject.js";

/** One `describe` for each row of the table in docs/migration/express-session.md: what the original does, and the drop-in. */

const require = createRequire(import.meta.url);
const cookieParser = require("cookie-parser");
const BOTH = [ORIGINAL, DROP_IN];

let served: Served | undefined;
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await served?.close();
  served = undefined;
});

describe("1. headers wait for the store", () => {
  it.each(BOTH)("when the answer's head arrives, $name has called", async (subject) => {
    const store = recordingStore(subject);
    const slowly = withResolvers();
    const set = store.set;
    store.set = (sid: string, data: unknown, done: () => void) =>
      void slowly.promise.then(() => set.call(store, sid, data, done));
    served = await serve(subject, EXPRESS_5, { store }, (req, res) => {
      req.session.user = "ada";
      res.writeHead(302, { Location: "/home" }).end("moved");
    });
    const head = served.browser().open("GET", "/");
    const first = await Promise.race([
      head.then(() => "head"),
      new Promise((done) => setTimeout(done, 100, "nothing")),
    ]);
    // The original lets a browser follow a redirect to a page that doesn't know it yet.
    expect(first).toBe(subject.isOriginal ? "head" : "nothing");
    slowly.resolve();
    expect((await head).status).toBe(302);
  });

  it.each(BOTH)(
    "$name stores what changed before the first byte, and what changed after it",
    async (subject) => {
      const store = recordingStore(subject);
      const callsAtFirstByte: string[] = [];
      served = await serve(subject, EXPRESS_5, { store }, async (req, res) => {
        req.session.early = true;
        res.write("one ");
        await new Promise((resolve) => setTimeout(resolve, 20));
        callsAtFirstByte.push(...store.calls.map((call: string) => call.split(" ")[0]));
        req.session.late = true;
        res.end("two");
      });
      const answer = await served.browser().get("/");
      expect(answer.body).toBe("one two");
      expect(answer.setCookie).toHaveLength(1);
      expect(callsAtFirstByte).toEqual(subject.isOriginal ? [] : ["set"]);
      expect(store.calls).toHaveLength(subject.isOriginal ? 1 : 2);
      expect(JSON.parse(store.sessions.get("id-1"))).toMatchObject({ early: true, late: true });
    },
  );

  it("the drop-in stores a late change back to what it was before", async () => {
    const store = recordingStore(DROP_IN);
    served = await serve(DROP_IN, EXPRESS_5, { store }, async (req, res) => {
      if (req.url === "/begin") {
        req.session.step = 0;
        return res.end();
      }
      req.session.step = 1;
      res.write("one ");
      await new Promise((resolve) => setTimeout(resolve, 20));
      req.session.step = 0;
      res.end("two");
    });
    const browser = served.browser();
    await browser.get("/begin");
    await browser.get("/");
    expect(JSON.parse(store.sessions.get("id-1")).step).toBe(0);
  });

  it("the drop-in ends a session late that is unset late", async () => {
    const store = recordingStore(DROP_IN);
    served = await serve(DROP_IN, EXPRESS_5, { store, unset: "destroy" }, async (req, res) => {
      req.session.a = 1;
      res.write("one ");
      await new Promise((resolve) => setTimeout(resolve, 20));
      req.session = null;
      res.end("two");
    });
    expect((await served.browser().get("/")).body).toBe("one two");
    expect(store.calls.map((call: string) => call.split(" ")[0])).toEqual(["set", "destroy"]);
  });

  it.each(BOTH)("$name sends a text given to end()", async (subject) => {
    served = await serve(subject, EXPRESS_5, {}, (req, res) => {
      req.session.a = 1;
      res.end("text");
    });
    const { headers, body } = await served.browser().get("/");
    expect(body).toBe("text");
    expect([headers.get("transfer-encoding"), headers.get("content-length")]).toEqual(
      subject.isOriginal ? ["chunked", null] : [null, "4"],
    );
  });
});

describe("2. a store that fails", () => {
  it.each(
    BOTH.flatMap((subject) =>
      (["set", "touch", "destroy"] as const).map((method) => ({ ...subject, subject, method })),
    ),
  )("$name, where $method fails", async ({ subject, method }) => {
    const store = recordingStore(subject);
    served = await serve(subject, EXPRESS_5, { store, unset: "destroy" }, (req, res) => {
      if (req.url === "/begin" || method === "set") req.session.n = req.url;
      else if (method === "destroy") req.session = null;
      res.end("done");
    });
    const browser = served.browser();
    await browser.get("/begin");
    store.failures[method] = new Error("no connection");
    const { status, body } = await browser.get("/again");
    expect({ status, body }).toEqual(
      subject.isOriginal ? { status: 200, body: "done" } : { status: 500, body: "error: no connection" },
    );
    await vi.waitFor(() => expect(served!.errors).toEqual([store.failures[method]]));
  });

  it("the drop-in tells of what can't be stored late, when the head has left", async () => {
    const store = recordingStore(DROP_IN);
    served = await serve(DROP_IN, EXPRESS_5, { store }, async (req, res) => {
      res.write("one ");
      await new Promise((resolve) => setTimeout(resolve, 20));
      store.failures.set = new Error("no connection");
      req.session.late = req.url === "/json" ? 1n : true;
      res.end("two");
    });
    expect((await served.browser().get("/")).body).toBe("one two");
    expect((await served.browser().get("/json")).body).toBe("one two");
    expect(served.errors).toEqual([store.failures.set, expect.any(TypeError)]);
  });
});

describe("3. what can't be written", () => {
  const hangs = async (subject: Subject, path: string) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const aborted = AbortSignal.timeout(300);
    return served!
      .browser()
      .open("GET", path, { signal: aborted })
      .then(
        async (arrival) => `${arrival.status} ${await arrival.text()}`,
        () => `${subject.isOriginal ? "the original" : "the drop-in"} never answers`,
      );
  };

  it.each(BOTH)("$name, cookie options that are none", async (subject) => {
    served = await serve(subject, EXPRESS_5, { cookie: { maxAge: "1 day" } }, (_req, res) => res.end());
    expect(await hangs(subject, "/")).toBe(
      subject.isOriginal ? "the original never answers" : "500 error: maxAge must be a number or Date",
    );
  });

  it.each(BOTH)("$name, a value that JSON can't write", async (subject) => {
    served = await serve(subject, EXPRESS_5, {}, (req, res) => {
      req.session.big = 1n;
      res.end("done");
    });
    expect(await hangs(subject, "/")).toMatch(
      subject.isOriginal ? /the original never answers/ : /^500 error: Do not know how to serialize a BigInt/,
    );
  });

  it.each(BOTH)("$name, an attribute that no cookie can have", async (subject) => {
    served = await serve(subject, EXPRESS_5, { cookie: { sameSite: "sometimes" } }, (req, res) => {
      req.session.a = 1;
      res.end("done");
    });
    const answer = await served.browser().get("/");
    expect(answer.setCookie).toEqual([]);
    expect(answer.status).toBe(subject.isOriginal ? 200 : 500);
    await vi.waitFor(() => expect(served!.errors).toHaveLength(1));
  });
});

describe("4. a store that can't be read never ends a session", () => {
  it.each(BOTH)("$name, with unset: destroy", async (subject) => {
    const store = recordingStore(subject);
    served = await serve(subject, EXPRESS_5, { store, unset: "destroy" }, (_req, res) => res.end());
    store.failures.get = new Error("no connection");
    expect((await served.browser().get("/", cookieOf("id-1"))).status).toBe(500);
    expect(store.calls).toEqual(subject.isOriginal ? ["get id-1", "destroy id-1"] : ["get id-1"]);
  });
});

describe("5. methods without a callback, and what methods answer", () => {
  it.each(BOTH)("$name, save", async (subject) => {
    const answers: unknown[] = [];
    const store = recordingStore(subject);
    served = await serve(subject, EXPRESS_5, { store }, async (req, res) => {
      req.session.a = 1;
      const answer = req.session.save();
      answers.push(answer instanceof Promise, await answer, req.session.save(() => {}) === req.session);
      res.end();
    });
    await served.browser().get("/");
    expect(answers).toEqual([!subject.isOriginal, undefined, !subject.isOriginal]);
  });

  it("the drop-in, each of them", async () => {
    const store = recordingStore(DROP_IN);
    served = await serve(DROP_IN, EXPRESS_5, { store }, async (req, res) => {
      req.session.a = 1;
      await req.session.save();
      const before = req.session;
      await req.session.reload();
      const reloaded = req.session !== before && req.session.a === 1;
      await req.session.regenerate();
      const regenerated = [req.session.id, req.session.a];
      await req.session.destroy();
      res.end(JSON.stringify([reloaded, regenerated, req.session ?? null]));
    });
    expect(JSON.parse((await served.browser().get("/")).body)).toEqual([true, ["id-2", null], null]);
  });

  it.each(["save", "reload", "regenerate", "destroy"])(
    "the drop-in, %s rejects where the store fails",
    async (method) => {
      const store = recordingStore(DROP_IN);
      served = await serve(DROP_IN, EXPRESS_5, { store }, async (req, res) => {
        const failure = new Error("no connection");
        Object.assign(store.failures, { get: failure, set: failure, destroy: failure });
        const error = await req.session[method]().then(
          () => "none",
          (thrown: Error) => thrown.message,
        );
        // Nobody has to look after a promise that failed.
        req.session?.[method]();
        await new Promise((resolve) => setImmediate(resolve));
        for (const name of Object.keys(store.failures)) delete store.failures[name];
        res.end(error);
      });
      expect((await served.browser().get("/")).body).toBe("no connection");
    },
  );

  it.each(BOTH)("$name, an exception behind the store's callback", (subject) => {
    const store = recordingStore(subject);
    store.destroy = (_sid: string, done: () => void) => done();
    store.generate = () => {
      throw new Error("no more ids");
    };
    let told: any;
    const regenerate = () => store.regenerate({ sessionID: "id-1" }, (error: unknown) => (told = error));
    if (subject.isOriginal) expect(regenerate).toThrow("no more ids");
    else regenerate();
    expect(told?.message).toBe(subject.isOriginal ? undefined : "no more ids");
  });
});

describe("6. auto in a cookie function", () => {
  it.each(BOTH)("$name", async (subject) => {
    const cookie = () => ({ secure: "auto", sameSite: "auto" });
    served = await serve(subject, EXPRESS_5, { cookie, proxy: true }, (req, res) => {
      req.session.a = 1;
      res.end();
    });
    const http = await served.browser().get("/");
    const https = await served.browser().get("/", { "x-forwarded-proto": "https" });
    const attributes = [http, https].map(({ setCookie }) => setCookie[0]?.split("; ").slice(1).join("; "));
    // The original takes "auto" for true, and can't write sameSite.
    expect(attributes).toEqual(
      subject.isOriginal
        ? [undefined, undefined]
        : ["Path=/; HttpOnly; SameSite=Lax", "Path=/; HttpOnly; Secure; SameSite=None"],
    );
  });
});

describe("7. warnings", () => {
  const SCRIPT = (load: string) =>
    `const session = ${load}; session({ secret: "x", resave: false }); session({ secret: "x", resave: false, saveUninitialized: false })`;

  it("the original writes to stderr", () => {
    const env = { ...process.env, NODE_ENV: "production" };
    const path = JSON.stringify(require.resolve("express-session"));
    const printed = execFileSync(
      "sh",
      ["-c", `"$0" -e '${SCRIPT(`require(${path})`)}' 2>&1`, process.execPath],
      {
        env,
        encoding: "utf8",
      },
    );
    expect(printed).toContain("express-session deprecated undefined saveUninitialized option");
    expect(printed).toContain("Warning: connect.session() MemoryStore is not");
  });

  it("the drop-in by the runtime, where they can be collected and silenced", async () => {
    vi.stubEnv("NODE_ENV", "production");
    const warnings: any[] = [];
    const hear = (warning: unknown) => warnings.push(warning);
    process.on("warning", hear);
    DROP_IN.session({ secret: "x", resave: false });
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off("warning", hear);
    expect(warnings.map(({ name, code }) => [name, code])).toEqual([
      ["DeprecationWarning", "HOLDFAST_EXPRESS_SESSION"],
      ["HoldfastWarning", "HOLDFAST_MEMORY_STORE"],
    ]);
  });
});

describe("8. a cookie that cookie-parser makes an object of", () => {
  it.each(BOTH)("$name", async (subject) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    served = await serve(subject, EXPRESS_5, {}, (req, res) => res.end(req.sessionID), {
      before: [cookieParser()],
    });
    const { status } = await served.browser().get("/", { cookie: "connect.sid=j%3A%7B%7D" });
    expect(status).toBe(subject.isOriginal ? 500 : 200);
  });
});

describe("9. the callback of res.end", () => {
  it.each(BOTH)("$name", async (subject) => {
    let isCalled = false;
    served = await serve(subject, EXPRESS_5, {}, (req, res) => {
      req.session.a = 1;
      res.end("done", "utf8", () => {
        isCalled = true;
      });
    });
    expect((await served.browser().get("/")).body).toBe("done");
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isCalled).toBe(!subject.isOriginal);
  });
});

describe("10. originalMaxAge", () => {
  it.each(BOTH)("$name, with a clock that goes on", (subject) => {
    let now = 0;
    vi.spyOn(Date, "now").mockImplementation(() => ++now);
    const cookie = new subject.session.Cookie({ maxAge: 1000 });
    for (let n = 0; n < 5; n++) cookie.maxAge = cookie.originalMaxAge;
    if (subject.isOriginal) expect(cookie.originalMaxAge).toBeLessThan(1000);
    else expect(cookie.originalMaxAge).toBe(1000);
  });
});
