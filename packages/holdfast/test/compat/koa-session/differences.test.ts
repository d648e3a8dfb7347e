import { createRequire } from "node:module";
import Koa from "koa";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as dropIn from "../../../src/compat/koa-session/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  DROP_IN,
  type Handler,
  KOA_3,
  NOW,
  ORIGINAL,
  recordingStore,
  type Served,
  SUBJECTS,
  type Subject,
  serve,
} from "./subject.js";

/** The table of differences in docs/migration/koa-session.md: each row a test, on the npm package and on the drop-in. */

const require = createRequire(import.meta.url);

let opened: Served[] = [];
const start = async (subject: Subject, options: Record<string, any>, handler: Handler) => {
  const served = await serve(subject, KOA_3, options, handler);
  opened.push(served);
  return served;
};
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  for (const { close } of opened) await close();
  opened = [];
});

const errorOf = (run: () => unknown): any => {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
};

const noop = () => {};
const methods = { get: noop, set: noop, destroy: noop };
class WithMethods {
  get() {}
  set() {}
  destroy() {}
}

describe("options", () => {
  const BAD: Array<[string, unknown]> = [
    ["key", 5],
    ["key", null],
    ["maxAge", "1d"],
    ["maxAge", null],
    ["maxAge", Number.NaN],
    ...["autoCommit", "overwrite", "httpOnly", "signed", "rolling", "renew", "secure"].flatMap(
      (name): Array<[string, unknown]> => [
        [name, "yes"],
        [name, null],
      ],
    ),
    ["sameSite", true],
    ["externalKey", null],
    ["externalKey", {}],
    ["externalKey", { get: noop }],
    ["externalKey", { set: noop }],
    ["store", null],
    ["store", "redis"],
    ["store", {}],
    ["store", { ...methods, get: undefined }],
    ["store", { ...methods, set: undefined }],
    ["store", { ...methods, destroy: undefined }],
    ["store", Object.assign(() => {}, methods)],
    ["ContextStore", {}],
    ["ContextStore", function NoClass() {}],
    ["ContextStore", class {}],
    [
      "ContextStore",
      class {
        get() {}
      },
    ],
    [
      "ContextStore",
      class {
        get() {}
        set() {}
      },
    ],
    ...["encode", "decode", "genid", "valid", "beforeSave"].flatMap(
      (name): Array<[string, unknown]> => [
        [name, "text"],
        [name, null],
      ],
    ),
    ["prefix", 5],
    ["prefix", null],
  ];

  it.each(BAD)("a wrong %s is refused by both; the error of the drop-in names it (%#)", (name, value) => {
    const [original, ours] = SUBJECTS.map(({ session }) =>
      errorOf(() => session({ [name]: value }, new Koa())),
    );
    expect(["ZodError", "AssertionError"]).toContain(original.name);
    expect(ours).toMatchObject({ name: "ConfigurationError", option: name });
  });

  it.each<[string, Record<string, unknown>]>([
    ["a class that has inherited its methods", { ContextStore: class extends WithMethods {} }],
    ["a store that has inherited its methods", { store: new WithMethods() }],
    ["names that neither knows", { unknown: 1 }],
    ["an endless maxAge", { maxAge: Number.POSITIVE_INFINITY }],
    ["undefined", { store: undefined, maxAge: undefined, genid: undefined, secure: undefined }],
  ])("both take %s", (_what, options) => {
    for (const { session } of SUBJECTS) expect(session({ ...options }, new Koa())).toBeTypeOf("function");
  });

  it("both take them before the application, after it, and not at all", () => {
    for (const { session } of SUBJECTS) {
      for (const args of [
        [new Koa()],
        [new Koa(), {}],
        [{}, new Koa()],
        [undefined, new Koa()],
        [null, new Koa()],
      ])
        expect(session(...args).name).toBe("session");
    }
  });

  it.each<[unknown[]]>([[[]], [[{}]], [[null, null]], [[{}, {}]], [["x", "y"]]])(
    "both want an application: %j",
    (args) => {
      for (const { session } of SUBJECTS) expect(() => session(...args)).toThrow(TypeError);
    },
  );

  it("sameSite: null is what the README's example has; the original refuses it", async () => {
    expect(errorOf(() => ORIGINAL.session({ sameSite: null }, new Koa())).name).toBe("ZodError");
    const served = await start(DROP_IN, { sameSite: null }, (ctx) => {
      ctx.session.a = 1;
      ctx.body = "";
    });
    const { setCookie } = await served.browser().get("/");
    expect(setCookie[0]).toMatch(/; path=\/; httponly$/);
  });

  it.each([["key"], ["encode"], ["decode"]])(
    "%s: undefined is the default, not a failure of each request",
    async (name) => {
      const handler: Handler = (ctx) => {
        ctx.session.views = (ctx.session.views ?? 0) + 1;
        ctx.body = String(ctx.session.views);
      };
      const secondVisit = async (subject: Subject) => {
        const browser = (await start(subject, { [name]: undefined }, handler)).browser();
        await browser.get("/");
        return browser.get("/");
      };
      expect((await secondVisit(ORIGINAL)).status).toBe(500);
      expect(await secondVisit(DROP_IN)).toMatchObject({ status: 200, body: "2" });
    },
  );

  it("maxage, an old name of maxAge, is a warning of the process instead of a line on the console", async () => {
    const onConsole = vi.spyOn(console, "warn").mockImplementation(() => {});
    const ofProcess = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    for (const { session } of SUBJECTS) {
      const options: Record<string, unknown> = { maxage: 5000 };
      session(options, new Koa());
      expect(options.maxAge).toBe(5000);
    }
    expect(onConsole).toHaveBeenCalledTimes(1);
    const deprecations = ofProcess.mock.calls.filter((args: unknown[]) => args[1] === "DeprecationWarning");
    expect(deprecations).toEqual([[expect.stringContaining("maxage"), "DeprecationWarning"]]);
  });

  it("a Holdfast store is a store for the drop-in alone", () => {
    const store = memoryStore();
    expect(errorOf(() => ORIGINAL.session({ store }, new Koa())).name).toBe("ZodError");
    expect(DROP_IN.session({ store }, new Koa())).toBeTypeOf("function");
  });

  it.each([[{}], [{ store: recordingStore() }], [{ store: memoryStore(), ContextStore: WithMethods }]])(
    "userId needs one (%#)",
    (options) => {
      const error = errorOf(() => DROP_IN.session({ ...options, userId: noop }, new Koa()));
      expect(error).toMatchObject({ name: "ConfigurationError", option: "userId" });
    },
  );
});

describe("sessions", () => {
  it("one that lasts as long as the browser is open stays such a one when it is saved twice in a request", async () => {
    const storedTwice = async (subject: Subject) => {
      const store = recordingStore();
      const served = await start(subject, { store, maxAge: "session" }, async (ctx) => {
        ctx.session.a = 1;
        await ctx.session.save();
        ctx.session.b = 2;
        ctx.body = "";
      });
      await served.browser().get("/");
      return store.calls.map(([, , session, maxAge]) => [maxAge, session]);
    };
    const lasting = ["session", { a: 1, _session: true }];
    const expiring = { a: 1, b: 2, _expire: expect.any(Number), _maxAge: 86_400_000 };
    expect(await storedTwice(ORIGINAL)).toEqual([lasting, [86_410_000, expiring]]);
    expect(await storedTwice(DROP_IN)).toEqual([lasting, ["session", { a: 1, b: 2, _session: true }]]);
  });

  it("a change is found by comparing the data, not 32 bits of it", async () => {
    const wordAfter = async (subject: Subject) => {
      const browser = (
        await start(subject, {}, (ctx) => {
          // Two words that have the same CRC-32.
          if (ctx.path === "/first") ctx.session.word = "plumless";
          if (ctx.path === "/second") ctx.session.word = "buckeroo";
          ctx.body = ctx.session.word;
        })
      ).browser();
      await browser.get("/first");
      await browser.get("/second");
      return (await browser.get("/")).body;
    };
    expect(await wordAfter(ORIGINAL)).toBe("plumless");
    expect(await wordAfter(DROP_IN)).toBe("buckeroo");
  });

  it("app.context.session is nobody's session, not everybody's", async () => {
    const foundByAnother = async (subject: Subject) => {
      const served = await start(subject, { store: recordingStore(), autoCommit: false }, (ctx) => {
        if (ctx.path === "/login") ctx.session.user = "ada";
        ctx.body = String(ctx.session.user);
      });
      expect(Object.hasOwn(served.app.context, "session")).toBe(true);
      Reflect.get(served.app.context, "session");
      await served.browser().get("/login");
      return (await served.browser().get("/")).status;
    };
    // Its one session keeps the first request's context for good.
    expect(await foundByAnother(ORIGINAL)).toBe(500);
    expect(await foundByAnother(DROP_IN)).toBe(200);
  });

  it.each([
    ["toJSON", '{"toJSON":1,"a":1}'],
    ["__proto__", '{"__proto__":{"admin":true},"a":1}'],
  ])("data with the key %s doesn't break them", async (_key, json) => {
    const answerOf = async (subject: Subject) => {
      const browser = (
        await start(subject, {}, (ctx) => {
          if (ctx.path === "/set") ctx.session = JSON.parse(json);
          ctx.body = `${ctx.session.a} ${ctx.session.admin}`;
        })
      ).browser();
      const { status } = await browser.get("/set");
      return [status, (await browser.get("/")).body];
    };
    expect((await answerOf(ORIGINAL))[0]).toBe(500);
    expect(await answerOf(DROP_IN)).toEqual([200, "1 undefined"]);
  });

  it("what can't be one has an error with a code", async () => {
    const told = async (subject: Subject) => {
      const served = await start(subject, {}, (ctx) => {
        ctx.session = "text";
      });
      await served.browser().get("/");
      return served.errors[0];
    };
    expect((await told(ORIGINAL)).code).toBeUndefined();
    expect((await told(DROP_IN)).code).toBe("ERR_HOLDFAST_INVALID_ARGUMENT");
  });
});

describe("the package", () => {
  it("exports what the original does, but for the schema of its options", () => {
    const original = require("koa-session");
    expect(Object.keys(original).sort()).toEqual(["SessionOptions", "createSession", "default"]);
    expect(Object.keys(dropIn).sort()).toEqual(["createSession", "default", "module.exports"]);
  });

  it("gives CommonJS a function, with the names that the original has", () => {
    const required: any = Reflect.get(dropIn, "module.exports");
    for (const session of [required, required.default, required.createSession])
      expect(session({}, new Koa())).toBeTypeOf("function");
  });
});
