import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { type Check, findings } from "../../src/cli/doctor/check.js";
import { SETTINGS_CHECKS } from "../../src/cli/doctor/settings.js";
import { SITE_CHECKS } from "../../src/cli/doctor/site.js";
import { STORE_CHECKS, type StoreFacts } from "../../src/cli/doctor/store.js";
import { SECRET } from "../support/shop.js";
import { temporaryFile } from "../support/stores.js";
import { holdfast } from "./command-line.js";

/** `npx holdfast doctor`, the built one, on modules as applications have them and on real servers. */

const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const GOOD_SECRET = "kA0sUwQmRk9iYhqvT5u8c1Wn3bX7dE2fGzJ4lP6oSyM";

function moduleOf(text: string): string {
  const file = temporaryFile("sessions.mjs");
  writeFileSync(
    file,
    `import { createSessions, memoryStore, cookieStore, secretsFromEnv } from ${JSON.stringify(`${dist}/index.js`)};
     import { openStore } from ${JSON.stringify(`${dist}/stores/url.js`)};
     ${text}`,
  );
  return file;
}

const sessionsWith = (options: string) =>
  moduleOf(`export const sessions = createSessions({
    secrets: secretsFromEnv("SECRETS"), csrf: true, guessLimit: true, encrypt: true,
    store: await openStore(process.env.STORE), ${options} });`);

async function examine(module: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const settings = { SECRETS: GOOD_SECRET, STORE: temporaryFile("sessions.db"), ...env };
  const outcome = await holdfast(["doctor", module, "--env", "production", "--json", ...args], settings);
  if (outcome.stdout === "") throw new Error(outcome.stderr);
  const report = JSON.parse(outcome.stdout);
  const ids: string[] = report.findings.map(({ id }: { id: string }) => id);
  // It depends on the machine that runs the tests.
  return { ...outcome, report, ids: ids.filter((id) => id !== "node-unsupported") };
}

describe("the checks", () => {
  const all: ReadonlyArray<Check<any>> = [...SETTINGS_CHECKS, ...STORE_CHECKS, ...SITE_CHECKS];

  it("have names of their own, and requirements as ASVS numbers them", () => {
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    for (const { asvs = "1.1.1" } of all)
      expect(asvs).toMatch(/^\d{1,2}\.\d{1,2}\.\d{1,2}(, \d{1,2}\.\d{1,2}\.\d{1,2})*$/);
  });

  it("stand in docs/doctor.md, all of them", () => {
    const page = readFileSync(new URL("../../../../docs/doctor.md", import.meta.url), "utf8");
    for (const { id, severity, about, asvs } of all) {
      const row = page.split("\n").find((line) => line.startsWith(`| \`${id}\` `));
      expect(
        row?.split("|").map((cell) => cell.trim()),
        id,
      ).toEqual(["", `\`${id}\``, severity, about, asvs ?? "", ""]);
    }
  });
});

describe("settings", () => {
  it("that are good give nothing", async () => {
    const { code, ids, report } = await examine(sessionsWith(""));
    expect(ids).toEqual([]);
    expect(code).toBe(0);
    expect(report.store.server).toMatch(/^SQLite 3\./);
  });

  it.each([
    ["cookie: { secure: false }", "cookie-not-secure"],
    ['cookie: { domain: "shop.example" }', "cookie-domain"],
    ['cookie: { path: "/shop" }', "cookie-path"],
    ['cookie: { sameSite: "none" }', "cookie-same-site-none"],
    ['cookie: { name: "connect.sid" }', "cookie-name"],
    ["cookie: { persistent: true }", "cookie-persistent"],
    ['idleTimeout: "61m"', "idle-timeout"],
    ['absoluteTimeout: "25h"', "absolute-timeout"],
    ['absoluteTimeout: "31d"', "absolute-timeout-month"],
    ['remember: { absoluteTimeout: "31d" }', "remember"],
    ["renewAfter: false", "no-renewal"],
    ['grace: "3m"', "grace"],
    ["trustProxy: true", "trust-proxy-all"],
    ['cacheControl: "off"', "cache-control-off"],
    ["csrf: false", "no-csrf"],
    ["guessLimit: false", "no-guess-limit"],
    ["encrypt: false", "plain-at-rest"],
    ["maxSessionsPerUser: 1001", "sessions-per-user"],
    ["maxPayloadBytes: 2e6", "payload-size"],
    ['storeTimeout: "16s"', "store-timeout"],
    ["sweepInterval: false", "sweep-off"],
    ["explain: true", "explain-in-production"],
    ["secrets: [process.env.SECRETS]", "secret-rotation"],
    ["store: memoryStore()", "memory-store-production"],
  ])("%s: %s", async (option, id) => {
    const { ids, code, report } = await examine(sessionsWith(option));
    expect(ids).toEqual([id]);
    const [finding] = report.findings.filter((one: { id: string }) => one.id === id);
    expect(finding).toEqual({
      id,
      severity: expect.stringMatching(/^(error|warning|note)$/),
      asvs: expect.any(String),
      reason: expect.stringMatching(/\.$/),
      fix: expect.any(String),
    });
    expect(code).toBe(finding.severity === "error" ? 1 : 0);
    // The limits themselves are good.
    const within = option
      .replace("61m", "60m")
      .replace("25h", "24h")
      .replace("3m", "2m")
      .replace("16s", "15s")
      .replace("31d", "30d");
    const inside = within.replace("1001", "1000").replace("2e6", "1e6");
    if (inside !== option && !option.startsWith("absolute"))
      expect((await examine(sessionsWith(inside))).ids).toEqual([]);
  });

  it("finds secrets that are missing, weak, or written down, and repeats none", async () => {
    const missing = await examine(sessionsWith("secrets: []"));
    expect(missing.ids).toEqual(["settings-refused"]);
    const run = async (secrets: string) => {
      const module = sessionsWith(`encrypt: false, secrets: ${secrets}`);
      const outcome = await holdfast(["doctor", module, "--json"], {
        SECRETS: "keyboard cat",
        STORE: temporaryFile("sessions.db"),
      });
      expect(outcome.stdout).not.toMatch(/keyboard cat|kA0sUwQmRk9iY/);
      return JSON.parse(outcome.stdout).findings.map(({ id }: { id: string }) => id) as string[];
    };
    expect(await run("[]")).toContain("secret-missing");
    expect(await run("[process.env.SECRETS]")).toContain("secret-weak");
    expect(await run(`[process.env.SECRETS, "${GOOD_SECRET}"]`)).toContain("secret-in-source");
    expect(await run("[process.env.SECRETS]")).not.toContain("secret-in-source");
    const key = `[process.env.SECRETS], encrypt: { keys: ["${GOOD_SECRET}"] }, remember: false`;
    expect(await run(key)).toContain("secret-in-source");
    expect(await run("[process.env.SECRETS]")).toContain("node-env");
  });

  it("finds sessions in cookies that nobody can end", async () => {
    const module = (options: string) =>
      moduleOf(`export default createSessions({ secrets: secretsFromEnv("SECRETS"), csrf: true, guessLimit: true,
        store: cookieStore(${options}) });`);
    expect((await examine(module(""))).ids).toEqual(["cookie-revocations"]);
    expect((await examine(module("{ revocations: await openStore(process.env.STORE) }"))).ids).toEqual([]);
  });

  it("ends as --fail-on and --ignore say", async () => {
    const module = sessionsWith("renewAfter: false");
    const code = async (...args: string[]) => (await examine(module, args)).code;
    const always = ["--ignore", "node-unsupported"];
    expect(await code()).toBe(0);
    expect(await code("--fail-on", "warning")).toBe(1);
    expect(await code("--fail-on", "warning", "--ignore", "node-unsupported,no-renewal")).toBe(0);
    expect(await code("--fail-on", "never", ...always)).toBe(0);
    const mistyped = await holdfast(["doctor", module, "--ignore", "no-renewel"]);
    expect(mistyped.code).toBe(2);
    expect((await holdfast(["doctor", module, "--fail-on", "all"])).code).toBe(2);
    expect((await holdfast(["doctor"])).code).toBe(2);
    expect((await holdfast(["doctor", "/nowhere.mjs"])).code).toBe(3);
  });

  it("prints for people what is weak, why, and the fix", async () => {
    const module = sessionsWith("trustProxy: true");
    const { stdout } = await holdfast(["doctor", module, "--env", "production"], {
      SECRETS: GOOD_SECRET,
      STORE: temporaryFile("sessions.db"),
    });
    expect(stdout).toContain("error  trust-proxy-all  OWASP ASVS 5.0, 4.1.3, 15.3.4");
    expect(stdout).toMatch(/ {2}fix: Name your proxies/);
    expect(stdout).toMatch(/\d+ checks: 1 error, \d warnings?, 0 notes/);
  });
});

describe("the store", () => {
  it("is asked: a file that others can read is an error", async () => {
    const STORE = temporaryFile("sessions.db");
    const module = sessionsWith("");
    await examine(module, [], { STORE });
    chmodSync(STORE, 0o644);
    expect((await examine(module, [], { STORE })).ids).toEqual(["file-readable"]);
  });

  it("that doesn't answer is an error, without its password", async () => {
    const { ids, stdout } = await examine(sessionsWith(""), [], {
      STORE: "postgres://a:hunter2@127.0.0.1:1/b",
    });
    expect(ids).toEqual(["store-unreachable"]);
    expect(stdout).not.toContain("hunter2");
  });

  it("is judged by what it tells", () => {
    const facts: StoreFacts = {
      name: "redis",
      failure: undefined,
      latency: 1,
      inspection: {},
      skew: 0,
      fileMode: undefined,
      sharedFileSystem: undefined,
    };
    const ids = (changes: Partial<StoreFacts>) =>
      findings(STORE_CHECKS, { ...facts, ...changes }).map(({ id }) => id);
    expect(ids({})).toEqual([]);
    expect(ids({ latency: 51 })).toEqual(["store-slow"]);
    expect(ids({ skew: -2001 })).toEqual(["clock-skew"]);
    expect(ids({ inspection: { evicts: "allkeys-lru" } })).toEqual(["store-evicts"]);
    expect(ids({ inspection: { durable: false } })).toEqual(["store-not-durable"]);
    expect(ids({ inspection: { encrypted: false, place: "another machine" } })).toEqual(["store-plaintext"]);
    expect(ids({ inspection: { encrypted: false, place: "this machine" } })).toEqual([]);
    expect(ids({ sharedFileSystem: "NFS" })).toEqual(["file-shared"]);
  });
});

describe("a running server", () => {
  const STORE = temporaryFile("sessions.db");
  const module = sessionsWith("");
  const servers: Array<() => void> = [];
  afterAll(() => {
    for (const stop of servers) stop();
  });

  /** A shop of its own process, with the given settings. */
  async function startShop(options: string, handler: string): Promise<string> {
    const file = moduleOf(`
      import { createServer } from "node:http";
      import { nodeSessions } from ${JSON.stringify(`${dist}/adapters/node.js`)};
      const sessions = createSessions({ secrets: [${JSON.stringify(SECRET)}], store: memoryStore(), ${options} });
      const server = createServer(nodeSessions(sessions).handler(async (req, res) => { ${handler} }));
      server.listen(0, "127.0.0.1", () => console.log(server.address().port));`);
    const child = spawn(process.execPath, ["--no-warnings", file], { stdio: ["ignore", "pipe", "inherit"] });
    servers.push(() => child.kill());
    const [port] = await once(child.stdout!, "data");
    return `http://127.0.0.1:${String(port).trim()}/page`;
  }

  const askAt = (url: string) => examine(module, ["--url", url], { STORE });

  it("that is set up well gives nothing, and explains what it did", async () => {
    const url = await startShop("explain: () => {}", "req.session.data.seen = 1; res.end('hello');");
    const { ids, report } = await askAt(url);
    expect(ids).toEqual([]);
    expect(report.explanations).toHaveLength(3);
    for (const line of report.explanations) expect(line).toContain("GET /page");
  });

  it("that sets the cookie, and lets caches keep it, or forgets it at once, is told of", async () => {
    const url = await startShop(
      'cacheControl: "off"',
      "await req.session.destroy(); req.session.data.seen = 1; res.setHeader('X-Powered-By', 'Shop 1'); res.end('hello');",
    );
    expect((await askAt(url)).ids).toEqual(["site-cacheable", "site-cookie-ignored", "site-powered-by"]);
  });

  it("whose cookie somebody rewrites on the way is told of", async () => {
    const server = createServer((request, response) => {
      if (request.headers.cookie?.includes("AAAA")) response.statusCode = 500;
      response.setHeader("Set-Cookie", "sid=x; Path=/").setHeader("Cache-Control", "no-store").end("hello");
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    servers.push(() => server.close());
    const { port } = server.address() as { port: number };
    const { ids } = await askAt(`http://127.0.0.1:${port}/`);
    expect(ids).toEqual(["site-cookie-attributes", "site-forged-cookie", "site-cookie-ignored"]);
  });

  it("that isn't there is an error; an address that is none is a mistake", async () => {
    const { ids, code } = await askAt("http://127.0.0.1:1/");
    expect(ids).toEqual(["site-unreachable"]);
    expect(code).toBe(1);
    expect((await holdfast(["doctor", module, "--url", "localhost"])).code).toBe(2);
  });

  it("over HTTPS is judged by HTTPS", () => {
    const answer = (name: string, attributes: Record<string, string>) => ({
      status: 200,
      headers: { "cache-control": "no-store" },
      cookie: { name, attributes, deletes: false },
    });
    const ids = (url: string, first: ReturnType<typeof answer>) =>
      findings(SITE_CHECKS, {
        url: new URL(url),
        failure: undefined,
        first,
        second: undefined,
        forged: undefined,
      }).map(({ id }) => id);
    const bare = answer("sid", { httponly: "", samesite: "Lax" });
    expect(ids("https://shop.example/", bare)).toEqual([
      "site-no-hsts",
      "site-cookie-not-secure",
      "site-cookie-prefix",
    ]);
    expect(ids("http://shop.example/", bare)).toEqual(["site-plain-http"]);
    expect(ids("http://localhost:3000/", bare)).toEqual([]);
    expect(
      ids("https://localhost/", answer("__Host-sid", { secure: "", httponly: "", samesite: "Lax" })),
    ).toEqual([]);
  });
});
