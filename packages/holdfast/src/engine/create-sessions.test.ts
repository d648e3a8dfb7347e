import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ConfigurationError, NotSerializableError } from "../errors.js";
import type { Store } from "../stores/contract.js";
import { cookieStore } from "../stores/cookie.js";
import { SECRET_COMMAND } from "../token/secret.js";
import { secretsFromEnv } from "../token/secret-text.js";
import { createSessions, type SessionsOptions } from "./create-sessions.js";
import { behind, digestOf } from "./given.js";
import type { Sessions } from "./sessions.js";

const SECRET = "Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK";

const STORE: Store = {
  name: "fake",
  load: () => undefined,
  create: () => true,
  replace: () => ({ status: "done" }),
  touch: () => true,
  delete: () => {},
  sweep: () => 0,
  listByUser: () => [],
  deleteByUser: () => [],
  close: () => {},
};

const opened: Sessions[] = [];
afterEach(async () => {
  for (const sessions of opened.splice(0)) await sessions.close();
});

/** Sets up sessions with good options but for these. */
function create(options: object): Sessions {
  const sessions = createSessions({ secrets: [SECRET], store: STORE, ...options } as SessionsOptions<any>);
  opened.push(sessions);
  return sessions;
}

function refusal(options: object): ConfigurationError {
  try {
    create(options);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ code: "ERR_HOLDFAST_CONFIG", status: 500, name: "ConfigurationError" });
    expect((error as Error).message.startsWith(`${(error as ConfigurationError).option}: `)).toBe(true);
    return error as ConfigurationError;
  }
  throw new Error("the options were taken");
}

describe("createSessions", () => {
  it("keeps no secret, and no key, among what it was given", () => {
    const key = `${SECRET}-another`;
    const { given } = behind(create({ encrypt: { keys: [key], plain: "read" } }))!;
    expect(given.options).toMatchObject({ encrypt: { plain: "read" } });
    expect(JSON.stringify(given)).not.toContain(SECRET);
    expect(given.secretDigests).toEqual([digestOf(SECRET), digestOf(key)]);
    for (const encrypt of [true, false, undefined])
      expect(behind(create({ encrypt }))!.given.options.encrypt).toBe(encrypt);
  });

  it("needs secrets and a store, and nothing else", () => {
    expect(create({})).toHaveProperty("open");
  });

  it("takes every option", () => {
    const everything: Required<SessionsOptions<{ cart: string[]; visits: number; best: number }>> = {
      secrets: [SECRET],
      store: STORE,
      encrypt: { keys: [SECRET], plain: "refuse", seal: true },
      transport: "cookie",
      migration: { keepsOld: false, find: () => [], remove: async () => {}, noteTakeover() {} },
      cookie: { name: "shop", persistent: true },
      idleTimeout: "1h",
      absoluteTimeout: "24h",
      remember: { idleTimeout: "30d", absoluteTimeout: "90d" },
      renewAfter: "30m",
      grace: "10s",
      touchInterval: "30s",
      storeTimeout: "2s",
      sweepInterval: "1m",
      maxPayloadBytes: 4096,
      maxSessionsPerUser: 5,
      atSessionLimit: "refuse",
      merge: { cart: "append", visits: "counter", best: (_base, mine, theirs) => mine ?? theirs },
      codec: { encode: JSON.stringify, decode: JSON.parse },
      trustProxy: ["10.0.0.0/8"],
      rememberIp: true,
      clientChange: { answer: "observe", watch: ["network"], ipv4Prefix: 16, ipv6Prefix: 32 },
      cacheControl: "unless-set",
      csrf: {
        origins: ["https://shop.example"],
        exempt: ["/webhooks/*"],
        tokenHeader: "X-Token",
        formTokens: true,
      },
      explain: () => {},
      guessLimit: { max: 10, per: "10m", client: ({ remoteAddress }) => remoteAddress },
      clock: () => 0,
    };
    expect(create({ ...everything, initial: () => ({ cart: [], visits: 0, best: 0 }) })).toHaveProperty(
      "open",
    );
  });

  it("takes an option that is undefined for one that isn't there", () => {
    const names = [
      "cookie",
      "idleTimeout",
      "renewAfter",
      "grace",
      "codec",
      "merge",
      "clock",
      "initial",
      "trustProxy",
    ];
    expect(create(Object.fromEntries(names.map((name) => [name, undefined])))).toHaveProperty("open");
  });

  it("takes the limits themselves", () => {
    create({ idleTimeout: "1h", absoluteTimeout: "1h" });
    create({ idleTimeout: 1000, absoluteTimeout: 1000, touchInterval: 999, renewAfter: 1000 });
    create({ grace: 0, storeTimeout: 1, maxPayloadBytes: 1024, maxSessionsPerUser: 1 });
    create({ renewAfter: false, sweepInterval: false });
  });

  it.each<[string, object]>([
    ["idleTimeout", { idleTimeout: "soon" }],
    ["idleTimeout", { idleTimeout: 999 }],
    ["idleTimeout", { idleTimeout: -1 }],
    ["idleTimeout", { idleTimeout: false }],
    ["idleTimeout", { idleTimeout: 10n }],
    ["idleTimeout", { idleTimeout: "13h" }],
    ["idleTimeout", { idleTimeout: "2h", absoluteTimeout: "1h" }],
    ["idleTimeout", { absoluteTimeout: "10m" }],
    ["absoluteTimeout", { absoluteTimeout: 0 }],
    ["absoluteTimeout", { absoluteTimeout: Number.POSITIVE_INFINITY }],
    ["absoluteTimeout", { absoluteTimeout: "200y" }],
    ["renewAfter", { renewAfter: 0 }],
    ["renewAfter", { renewAfter: true }],
    ["renewAfter", { renewAfter: null }],
    ["renewAfter", { renewAfter: "500ms" }],
    ["grace", { grace: -1 }],
    ["grace", { grace: "30" }],
    ["grace", { grace: false }],
    ["touchInterval", { touchInterval: 0 }],
    ["touchInterval", { touchInterval: "30m" }],
    ["touchInterval", { touchInterval: "20m", idleTimeout: "20m" }],
    ["storeTimeout", { storeTimeout: 0 }],
    ["storeTimeout", { storeTimeout: false }],
    ["storeTimeout", { storeTimeout: "30d" }],
    ["sweepInterval", { sweepInterval: 0 }],
    ["sweepInterval", { sweepInterval: "999ms" }],
    ["sweepInterval", { sweepInterval: true }],
    ["sweepInterval", { sweepInterval: "30d" }],
    ["sweepInterval", { sweepInterval: "24d" }],
    ["maxPayloadBytes", { maxPayloadBytes: 1023 }],
    ["maxPayloadBytes", { maxPayloadBytes: "64kb" }],
    ["maxPayloadBytes", { maxPayloadBytes: Number.POSITIVE_INFINITY }],
    ["maxPayloadBytes", { maxPayloadBytes: 10n }],
    ["maxSessionsPerUser", { maxSessionsPerUser: 0 }],
    ["maxSessionsPerUser", { maxSessionsPerUser: 1.5 }],
    ["maxSessionsPerUser", { maxSessionsPerUser: false }],
    ["atSessionLimit", { atSessionLimit: "evict" }],
    ["merge", { merge: null }],
    ["merge", { merge: "append" }],
    ["merge", { merge: [] }],
    ["merge.cart", { merge: { cart: "prepend" } }],
    ["merge.cart", { merge: { cart: true } }],
    ["merge.cart", { merge: { visits: "counter", cart: undefined } }],
    ["codec", { codec: null }],
    ["codec", { codec: "json" }],
    ["codec", { codec: {} }],
    ["codec", { codec: { encode: JSON.stringify } }],
    ["codec", { codec: { decode: JSON.parse } }],
    ["trustProxy", { trustProxy: 1 }],
    ["trustProxy", { trustProxy: "loopback" }],
    ["trustProxy", { trustProxy: ["10.0.0.0/33"] }],
    ["rememberIp", { rememberIp: "false" }],
    ["rememberIp", { rememberIp: 1 }],
    ["cacheControl", { cacheControl: "public" }],
    ["cacheControl", { cacheControl: false }],
    ["clock", { clock: 0 }],
    ["clock", { clock: null }],
    ["clock", { clock: new Date() }],
    ["initial", { initial: null }],
    ["initial", { initial: {} }],
    ["initial", { initial: () => null }],
    ["initial", { initial: () => [] }],
    ["initial", { initial: async () => ({}) }],
    ["initial", { initial: () => {} }],
    ["cookie", { cookie: null }],
    ["cookie", { cookie: "sid" }],
    ["cookie.name", { cookie: { name: "s id" } }],
    ["cookie.path", { cookie: { path: "app" } }],
    ["cookie.domain", { cookie: { domain: "example.com;" } }],
    ["cookie.sameSite", { cookie: { sameSite: "Lax" } }],
    ["cookie.secure", { cookie: { sameSite: "none", secure: false } }],
    ["cookie.maxAge", { cookie: { maxAge: 1000 } }],
    ["secrets[0]", { secrets: [7] }],
    ["secrets[1]", { secrets: [SECRET, {}] }],
  ])("refuses a wrong %s by name: %o", (option, options) => {
    expect(refusal(options).option).toBe(option);
  });

  it.each([
    "idleTimout",
    "secret",
    "ttl",
    "rolling",
    "resave",
    "saveUninitialized",
    "name",
    "toString",
    "constructor",
  ])("knows no option %s, and says which there are", (name) => {
    const error = refusal({ [name]: true });
    expect(error.option).toBe(name);
    expect(error.message).toContain("idleTimeout");
  });

  it.each([undefined, null, "options", 7, true, () => ({})])(
    "needs an object of options, not %o",
    (options) => {
      expect(() => createSessions(options as never)).toThrow(ConfigurationError);
    },
  );

  it("refuses initial data that can't be stored, by its path", () => {
    expect(() => create({ initial: () => ({ at: new Date() }) })).toThrow(NotSerializableError);
  });

  it("asks a codec of the application's for the initial data's text", () => {
    const encoded: unknown[] = [];
    const codec = { encode: (data: unknown) => String(encoded.push(data)), decode: JSON.parse };
    create({ codec, initial: () => ({ a: 1 }) });
    expect(encoded).toEqual([{ a: 1 }]);
  });
});

describe("the store", () => {
  it.each([undefined, null, "sqlite", 7, {}, [], () => STORE])("has to be one, not %o", (store) => {
    const error = refusal({ store });
    expect(error.option).toBe("store");
    expect(error.message).toContain("memoryStore()");
  });

  it.each(Object.keys(STORE).filter((name) => name !== "name"))("has to have the method %s", (method) => {
    const error = refusal({ store: { ...STORE, [method]: undefined } });
    expect(error.option).toBe("store");
    expect(error.message).toContain(`it has no ${method}`);
  });

  it("may be an instance of a class", () => {
    class ClassStore {
      name = "class";
    }
    Object.assign(ClassStore.prototype, { ...STORE, name: undefined });
    expect(create({ store: new ClassStore() })).toHaveProperty("open");
  });
});

describe("in production", () => {
  beforeEach(() => {
    vi.stubEnv("NODE_ENV", "production");
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it.each<[string, unknown, string]>([
    ["none", undefined, "secrets"],
    ["an empty list", [], "secrets"],
    ["an environment variable that isn't set", [undefined], "secrets"],
    ["a known example", ["keyboard cat"], "secrets[0]"],
    ["a short one", ["Xq7vT2mLz0Kp9Wb4Rn"], "secrets[0]"],
    ["a weak old one", [SECRET, "secret"], "secrets[1]"],
  ])(
    "refuses a missing or weak secret, with the command that makes a good one: %s",
    (_name, secrets, option) => {
      const error = refusal({ secrets });
      expect(error.option).toBe(option);
      expect(error.message).toContain(SECRET_COMMAND);
    },
  );

  it("takes a good one", () => {
    expect(create({ secrets: [SECRET] })).toHaveProperty("open");
  });
});

describe("in development", () => {
  it.each(["development", "test", "", "Production", undefined])(
    "works with a weak secret, and warns (NODE_ENV is %j)",
    (environment) => {
      vi.stubEnv("NODE_ENV", environment);
      const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      create({ secrets: ["keyboard cat"] });
      expect(warning).toHaveBeenCalledTimes(1);
      expect(String(warning.mock.calls[0]![0])).not.toContain("keyboard cat");
      warning.mockRestore();
      vi.unstubAllEnvs();
    },
  );
});

describe("encrypt", () => {
  it.each([
    true,
    false,
    undefined,
    {},
    { keys: [SECRET] },
    { plain: "refuse" },
    { seal: false },
    { seal: true },
  ])("takes %j", (encrypt) => {
    expect(create({ encrypt })).toHaveProperty("reencrypt");
  });

  it.each<[unknown, string]>([
    ["yes", "encrypt"],
    [1, "encrypt"],
    [null, "encrypt"],
    [[SECRET], "encrypt"],
    [{ key: SECRET }, "encrypt.key"],
    [{ plain: "warn" }, "encrypt.plain"],
    [{ plain: true }, "encrypt.plain"],
    [{ seal: "no" }, "encrypt.seal"],
    [{ seal: false, plain: "refuse" }, "encrypt.plain"],
    [{ keys: [] }, "encrypt.keys"],
    [{ keys: [undefined] }, "encrypt.keys"],
    [{ keys: secretsFromEnv("HOLDFAST_TEST_NOT_SET") }, "encrypt.keys"],
    [{ keys: [SECRET, ""] }, "encrypt.keys[1]"],
    [{ keys: [7] }, "encrypt.keys[0]"],
  ])("refuses %j", (encrypt, option) => {
    expect(refusal({ encrypt }).option).toBe(option);
  });

  it("refuses a weak key in production", () => {
    vi.stubEnv("NODE_ENV", "production");
    expect(refusal({ encrypt: { keys: ["keyboard cat"] } }).option).toBe("encrypt.keys[0]");
    vi.unstubAllEnvs();
  });

  it("needs a secret that stays, in development, too, where no keys of its own are given", () => {
    for (const secrets of [[], [undefined], [""]]) {
      expect(refusal({ secrets, encrypt: true }).option).toBe("secrets");
      const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      expect(create({ secrets, encrypt: { keys: [SECRET] } })).toHaveProperty("open");
      expect(warning).toHaveBeenCalledOnce();
      warning.mockRestore();
    }
  });

  it("is refused with cookieStore(), whose sessions are sealed anyway", () => {
    const error = refusal({ store: cookieStore(), encrypt: true });
    expect(error.option).toBe("encrypt");
    expect(error.message).toContain("always sealed");
  });
});
