import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { weaknessOf } from "../../src/token/secret.js";
import { SECRET } from "../support/shop.js";
import { call, newId, recordOf } from "../support/sql.js";
import { temporaryFile } from "../support/stores.js";
import { fill, hasTerminal, holdfast, MAIN, onTerminal, request } from "./command-line.js";

/** The built command line, in processes of its own, on a SQLite file. */

async function storeWith(...users: Array<string | undefined>) {
  const path = temporaryFile("sessions.db");
  const store = sqliteStore({ path });
  const ids = await fill(store, users);
  await store.close();
  return { path, ids };
}

const lines = (text: string) => text.trimEnd().split("\n");
const stored = (path: string) => existsSync(path) && readFileSync(path).length > 0;

describe("secret", () => {
  it("prints secrets that are good ones, each another", async () => {
    const { code, stdout } = await holdfast(["secret", "--count", "20"]);
    expect(code).toBe(0);
    expect(new Set(lines(stdout)).size).toBe(20);
    for (const secret of lines(stdout)) {
      expect(Buffer.from(secret, "base64url")).toHaveLength(32);
      expect(weaknessOf(Buffer.from(secret))).toBeUndefined();
    }
    const json = await holdfast(["secret", "--json"]);
    expect(JSON.parse(json.stdout).secrets).toHaveLength(1);
  });
});

describe("ls", () => {
  it("prints a line of JSON for each session, without a word of its data", async () => {
    const { path, ids } = await storeWith("ada", undefined, "bob");
    const { code, stdout, stderr } = await holdfast(["ls", "--json", "--store", path]);
    expect([code, stderr]).toEqual([0, ""]);
    const listed = lines(stdout).map((line) => JSON.parse(line));
    expect(listed.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(listed.find(({ id }) => id === ids[0])).toEqual({
      id: ids[0],
      userId: "ada",
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      authenticatedAt: expect.stringMatching(/Z$/),
      lastSeenAt: expect.stringMatching(/Z$/),
      expiresAt: expect.stringMatching(/Z$/),
      client: { browser: "Firefox", system: "Windows", ip: null },
    });
    expect(listed.find(({ id }) => id === ids[1])).toMatchObject({ userId: null, authenticatedAt: null });
    expect(stdout).not.toContain("hunter2-data");
  });

  it("lists one user's, so many at most, whole where a program reads it", async () => {
    const { path, ids } = await storeWith("ada", "ada", "bob");
    const { stdout, stderr } = await holdfast(["ls", "--user", "ada", "--store", path]);
    expect(stdout).toContain(ids[0]);
    expect(stdout).toContain(ids[1]);
    expect(stdout).not.toContain(ids[2]);
    expect(stderr).toBe("2 sessions\n");
    const few = await holdfast(["ls", "--limit", "1", "--store", path]);
    expect(lines(few.stdout)).toHaveLength(2);
    expect(few.stderr).toBe("1 session, and there are more\n");
  });

  it("takes its store from the environment", async () => {
    const { path } = await storeWith("ada");
    expect((await holdfast(["ls", "--json"], { HOLDFAST_STORE: path })).stdout).toContain('"ada"');
  });

  it.skipIf(!hasTerminal)("fits the columns of a terminal, and shows whole ids with --wide", async () => {
    const { path, ids } = await storeWith(
      `${"a-very-long-name-".repeat(9)}@example.org`,
      "日本の人".repeat(10),
    );
    for (const columns of [60, 80, 132]) {
      const { stdout } = await onTerminal(["ls", "--no-color", "--store", path], { columns });
      for (const line of stdout.split("\r\n")) {
        const wide = [...line].filter((character) => character > "\u2e80").length;
        expect(line.length + wide).toBeLessThanOrEqual(columns);
      }
      expect(stdout).toContain(`${ids[0]!.slice(0, 12)}…`);
    }
    expect((await onTerminal(["ls", "--wide", "--store", path])).stdout).toContain(ids[0]);
  });

  it.skipIf(!hasTerminal)("has colors on a terminal only, and not where nobody wants them", async () => {
    const { path } = await storeWith("ada");
    const args = ["ls", "--store", path];
    expect((await onTerminal(args)).stdout).toContain("\u001b[1m");
    expect((await onTerminal([...args, "--no-color"])).stdout).not.toContain("\u001b[1m");
    expect((await onTerminal(args, { env: { NO_COLOR: "1" } })).stdout).not.toContain("\u001b[1m");
    expect((await holdfast(args)).stdout).not.toContain("\u001b");
    expect((await holdfast(args, { FORCE_COLOR: "1" })).stdout).toContain("\u001b[1m");
  });

  it("ends quietly when its reader has had enough", async () => {
    const { path } = await storeWith(...Array.from({ length: 1500 }, () => "ada"));
    const command = `'${process.execPath}' '${MAIN}' ls --json --store '${path}' | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const child = spawn("bash", ["-c", command]);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    await new Promise((resolve) => child.once("close", resolve));
    expect(stderr).toBe("");
    expect(lines(stdout).at(-1)).toBe("0");
  });
});

describe("what comes from the network", () => {
  const HOSTILE = [
    "\u001b[2J\u001b]0;owned\u0007",
    "\u009b31mred",
    "user\r\nroot  in 29m",
    "\u202egnp.exe",
    "tab\there\u0001",
  ];

  async function hostileStore() {
    const path = temporaryFile("sessions.db");
    const store = sqliteStore({ path });
    const now = Date.now();
    for (const text of HOSTILE) {
      const head = {
        format: 1,
        createdAt: now,
        seenAt: now,
        tokenAt: now,
        client: { browser: text, ip: text },
      };
      // Past the engine, which takes no such user id: as whoever can write to the store would.
      await store.create(newId(), recordOf(text, { payload: `${JSON.stringify(head)}\n{}` }), call());
    }
    await store.close();
    return path;
  }

  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/;

  it("reaches the terminal escaped, in tables and in JSON", async () => {
    const path = await hostileStore();
    const list = await holdfast(["ls", "--store", path]);
    expect(lines(list.stdout)).toHaveLength(1 + HOSTILE.length);
    expect(list.stdout).not.toMatch(RAW);
    expect(list.stdout).toContain("\\u{1b}[2J");
    const json = await holdfast(["ls", "--json", "--store", path]);
    expect(json.stdout).not.toMatch(RAW);
    const users = lines(json.stdout).map((line) => JSON.parse(line).userId);
    expect(users.sort()).toEqual([...HOSTILE].sort());
    for (const line of lines(json.stdout)) {
      const { id } = JSON.parse(line);
      expect((await holdfast(["show", id, "--store", path])).stdout).not.toMatch(RAW);
      const asked = await holdfast(["revoke", id, "--store", path]);
      expect(asked.code).toBe(2);
      expect(asked.stderr).not.toMatch(RAW);
    }
  });
});

describe("show", () => {
  it("shows a session, and says what became of one that has ended", async () => {
    const { path, ids } = await storeWith("ada");
    const [id] = ids as [string];
    const shown = await holdfast(["show", id, "--json", "--store", path]);
    expect(JSON.parse(shown.stdout)).toMatchObject({ state: "living", id, userId: "ada", renewedFrom: null });
    expect((await holdfast(["show", id, "--store", path])).stdout).toMatch(/user +ada/);
    await holdfast(["revoke", id, "--yes", "--store", path]);
    const ended = await holdfast(["show", id, "--json", "--store", path]);
    expect(ended.code).toBe(1);
    expect(JSON.parse(ended.stdout)).toMatchObject({ state: "ended", id, ended: "revoked" });
    expect((await holdfast(["show", newId(), "--store", path])).code).toBe(1);
  });

  it("takes ids that begin with a dash, and repeats nothing that is none: it may be a token", async () => {
    const { path } = await storeWith();
    const store = sqliteStore({ path });
    const now = Date.now();
    const id = `-${newId().slice(1)}`;
    const payload = `${JSON.stringify({ format: 1, createdAt: now, seenAt: now, tokenAt: now })}\n{}`;
    await store.create(id, recordOf("ada", { payload }), call());
    await store.close();
    expect((await holdfast(["show", id, "--store", path])).stdout).toContain(id);
    expect((await holdfast(["revoke", "--user", "ada", "--except", id, "--yes", "--store", path])).code).toBe(
      1,
    );
    const signed = `${newId()}.${newId()}`;
    const refused = await holdfast(["show", signed, "--store", path]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).not.toContain(signed.slice(0, 20));
    const tooMany = await holdfast(["show", signed, signed, "--store", path]);
    expect(tooMany.stderr).not.toContain(signed.slice(0, 20));
  });
});

describe("revoke", () => {
  it("asks nobody where there is nobody to ask: it refuses, and nothing has ended", async () => {
    const { path, ids } = await storeWith("ada", "bob");
    for (const whose of [[ids[0]!], ["--user", "ada"], ["--all"]]) {
      const { code, stderr } = await holdfast(["revoke", ...whose, "--store", path]);
      expect(code).toBe(2);
      expect(stderr).toContain("--yes");
    }
    expect(lines((await holdfast(["ls", "--json", "--store", path])).stdout)).toHaveLength(2);
  });

  it("ends one, a user's but for one, and everybody's", async () => {
    const { path, ids } = await storeWith("ada", "ada", "ada", "bob", undefined);
    const revoke = async (...args: string[]) =>
      JSON.parse((await holdfast(["revoke", "--yes", "--json", "--store", path, ...args])).stdout);
    expect(await revoke(ids[0]!)).toEqual({ revoked: 1 });
    expect(await revoke(ids[0]!)).toEqual({ revoked: 0 });
    expect(await revoke("--user", "ada", "--except", ids[2]!)).toEqual({ revoked: 1 });
    expect(await revoke("--all")).toEqual({ revoked: 3 });
    expect((await holdfast(["revoke", "--all", "--yes", "--store", path])).code).toBe(1);
  });

  it("says what for, to the browser that comes with the token, and takes no other reason", async () => {
    const { path, ids } = await storeWith("ada");
    const revoke = (reason: string) =>
      holdfast(["revoke", ids[0]!, "--yes", "--reason", reason, "--store", path]);
    const refused = await revoke("because");
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('"password-changed"') });
    expect((await revoke("password-changed")).code).toBe(0);
    expect((await holdfast(["show", ids[0]!, "--store", path])).stdout).toContain("password-changed");
  });

  it("wants to know whose, and only once", async () => {
    const { path, ids } = await storeWith("ada");
    for (const args of [[], [ids[0]!, "--all"], ["--user", "ada", "--all"], ["--all", "--except", ids[0]!]])
      expect((await holdfast(["revoke", "--yes", "--store", path, ...args])).code).toBe(2);
    expect((await holdfast(["ls", "--json", "--store", path])).stdout).toContain('"ada"');
  });

  it.skipIf(!hasTerminal)(
    "asks on a terminal, says what and how many, and takes no for an answer",
    async () => {
      const { path } = await storeWith("ada", "ada");
      const no = await onTerminal(["revoke", "--user", "ada", "--store", path], {
        answer: "\r",
        columns: 200,
      });
      expect(no.stdout).toContain("End 2 sessions of ada in sqlite at");
      expect(no.code).toBe(1);
      expect(lines((await holdfast(["ls", "--json", "--store", path])).stdout)).toHaveLength(2);
      const interrupted = await onTerminal(["revoke", "--all", "--store", path], { answer: "\u0003" });
      expect(interrupted.code).toBe(130);
      expect(lines((await holdfast(["ls", "--json", "--store", path])).stdout)).toHaveLength(2);
      const yes = await onTerminal(["revoke", "--user", "ada", "--store", path], { answer: "y\r" });
      expect(yes.stdout).toContain("ended 2 sessions");
      expect(yes.code).toBe(0);
      expect((await holdfast(["ls", "--json", "--store", path])).stdout).toBe("");
    },
  );
});

describe("stats and sweep", () => {
  it("count everything in the store, and remove what has expired", async () => {
    const { path, ids } = await storeWith("ada", "ada", "bob", undefined);
    await holdfast(["revoke", ids[2]!, "--yes", "--store", path]);
    const store = sqliteStore({ path });
    const past = Date.now() - 1000;
    const expired = { idleDeadline: past, absoluteDeadline: past };
    for (let n = 0; n < 450; n++) await store.create(newId(), recordOf(null, expired), call());
    await store.create(newId(), recordOf(null, { payload: '{"note":1}' }), call());
    await store.create(newId(), recordOf(null, { payload: "rubbish" }), call());
    await store.close();
    const stats = async () => JSON.parse((await holdfast(["stats", "--json", "--store", path])).stdout);
    const counts = { living: 3, withUser: 2, anonymous: 1, users: 1, ended: 1, notes: 1, unreadable: 1 };
    expect(await stats()).toMatchObject({ ...counts, expired: 450, oldest: expect.stringMatching(/Z$/) });
    expect((await holdfast(["stats", "--store", path])).stdout).toMatch(/expired +450/);
    const swept = await holdfast(["sweep", "--json", "--store", path]);
    expect(JSON.parse(swept.stdout)).toEqual({ removed: 450 });
    expect(await stats()).toMatchObject({ ...counts, expired: 0 });
  });
});

describe("encrypted sessions", () => {
  const KEY = "kA0sUwQmRk9iYhqvT5u8c1Wn3bX7dE2fGzJ4lP6oSyM";
  let path: string;
  let config: string;
  beforeAll(async () => {
    path = temporaryFile("sealed.db");
    const sessions = createSessions({ secrets: [KEY], store: sqliteStore({ path }), encrypt: true });
    const { session } = await sessions.open(request());
    await session.login("ada");
    await sessions.close();
    config = join(dirname(path), "sessions.mjs");
    const dist = fileURLToPath(new URL("../../dist", import.meta.url));
    writeFileSync(
      config,
      `import { createSessions } from ${JSON.stringify(`${dist}/index.js`)};
       import { sqliteStore } from ${JSON.stringify(`${dist}/stores/sqlite.js`)};
       export const sessions = createSessions({
         secrets: process.env.SECRETS.split(","), store: sqliteStore({ path: ${JSON.stringify(path)} }), encrypt: true,
       });`,
    );
  });

  it("need their secrets, from the environment or a file, and never from an argument", async () => {
    const refused = await holdfast(["ls", "--store", path]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain("SESSION_SECRETS");
    const byEnvironment = await holdfast(["ls", "--store", path], { SESSION_SECRETS: `${SECRET},${KEY}` });
    expect(byEnvironment.stdout).toContain("ada");
    const file = temporaryFile("secrets");
    writeFileSync(file, `${KEY}\n`);
    expect((await holdfast(["ls", "--secrets-file", file, "--store", path])).stdout).toContain("ada");
    expect((await holdfast(["ls", "--secret", KEY, "--store", path])).code).toBe(2);
  });

  it("that no key here opens, or that come after hundreds of plain ones, are not passed over in silence", async () => {
    const mixed = temporaryFile("mixed.db");
    const store = sqliteStore({ path: mixed });
    for (let n = 0; n < 450; n++) {
      const id = newId();
      // Behind all of them by the order of ids.
      await store.create(`0${id.slice(1)}`, recordOf(null, { payload: '{"note":1}' }), call());
    }
    const sealedBy = async (key: string, user: string) => {
      for (let isLast = false; !isLast; ) {
        const sessions = createSessions({ secrets: [key], store: { ...store, close() {} }, encrypt: true });
        const { session } = await sessions.open(request());
        await session.login(user);
        isLast = session.id > "0z";
        if (!isLast) await session.logout();
        await sessions.close();
      }
    };
    const OTHER = "Zk3mPq8rXv1nLs5tYw7bCd9fGh2jKa4eUi6oRx0QyTz";
    await sealedBy(KEY, "ada");
    await sealedBy(OTHER, "bob");
    await store.close();
    const living = async (keys: string) =>
      (await holdfast(["ls", "--json", "--store", mixed], { SESSION_SECRETS: keys })).stdout;

    const some = await holdfast(["revoke", "--all", "--yes", "--store", mixed], { SESSION_SECRETS: KEY });
    expect(await living(`${KEY},${OTHER}`)).not.toContain("ada");
    expect(await living(`${KEY},${OTHER}`)).toContain("bob");
    expect(some.stderr).toContain("1 record can't be read");
    expect(some.code).toBe(1);
    const none = await holdfast(["revoke", "--all", "--yes", "--json", "--store", mixed]);
    expect(JSON.parse(none.stdout)).toEqual({ revoked: 0, unreadable: 1 });
    expect(none.code).toBe(1);
    const all = await holdfast(["revoke", "--all", "--yes", "--store", mixed], { SESSION_SECRETS: OTHER });
    expect(all.code).toBe(0);
    expect(await living(`${KEY},${OTHER}`)).toBe("");
  });

  it("are encrypted anew for another key, by the application's module", async () => {
    const reencrypt = async (secrets: string) =>
      JSON.parse((await holdfast(["reencrypt", "--json", "--config", config], { SECRETS: secrets })).stdout);
    const OTHER = "Zk3mPq8rXv1nLs5tYw7bCd9fGh2jKa4eUi6oRx0QyTz";
    expect(await reencrypt(OTHER)).toMatchObject({ changed: 0, unreadable: 1, complete: false });
    expect(await reencrypt(`${OTHER},${KEY}`)).toMatchObject({ changed: 1, unreadable: 0, complete: true });
    expect(await reencrypt(OTHER)).toMatchObject({ changed: 0, unreadable: 0, complete: true });
    expect((await holdfast(["ls", "--config", config], { SECRETS: OTHER })).stdout).toContain("ada");
    expect((await holdfast(["reencrypt", "--store", path])).code).toBe(2);
  });
});

describe("a command line that is wrong", () => {
  it.each([
    [["lss"], "Did you mean ls?"],
    [["rvoke", "--all"], "Did you mean revoke?"],
    [["ls", "--stroe", "x"], "Did you mean --store?"],
    [["ls"], "HOLDFAST_STORE"],
    [["ls", "--store"], "--store needs a value"],
    [["ls", "--user", "--json"], "--user needs a value"],
    [["ls", "--store", "x", "--store", "y"], "--store is given twice"],
    [["ls", "--store", "a.db", "--config", "b.js"], "give one of them"],
    [["ls", "--limit", "many", "--store", "x"], "--limit takes a whole number"],
    [["ls", "--prefix", "x", "--store", "x"], "--prefix"],
    [["ls", "--store", "ftp://a:hunter2@b"], "there is no store for ftp://"],
    [["stats", "extra", "--store", "x"], "takes no argument"],
    [["show", "--store", "x"], "Give its id"],
    [["ls", "-s", "x"], "There is no option -s"],
  ])("%j ends with 2, and says what is wrong in one line", async (args, hint) => {
    const { code, stdout, stderr } = await holdfast(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(lines(stderr)).toHaveLength(1);
    expect(stderr).toContain(hint);
    expect(stderr).not.toContain("hunter2");
    const json = await holdfast([...args.filter((arg) => arg !== "--json"), "--json"]);
    expect(JSON.parse(json.stderr).error).toMatchObject({
      message: expect.any(String),
      code: expect.any(String),
    });
  });

  it("tells of every command, and its version", async () => {
    const { stdout } = await holdfast(["--help"]);
    for (const name of ["secret", "ls", "show", "revoke", "stats", "sweep", "reencrypt"]) {
      expect(stdout).toContain(`  ${name} `);
      const help = await holdfast([name, "--help"]);
      expect([help.code, help.stderr]).toEqual([0, ""]);
      expect(help.stdout).toContain(`Usage: npx holdfast ${name}`);
    }
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    expect((await holdfast(["--version"])).stdout).toBe(`${version}\n`);
  });
});

describe("a store that can't be used", () => {
  it.each([
    "redis://user:hunter2@127.0.0.1:1",
    "postgres://user:hunter2@127.0.0.1:1/shop",
    "mysql://user:hunter2@127.0.0.1:1/shop",
    "mongodb://user:hunter2@127.0.0.1:1/shop",
    "postgres://user:hunter2@a b:1/shop",
    "mongodb://user:hunter2@,,/?nonsense=1",
  ])("%s: 3, in one line, without its password", async (url) => {
    const { code, stdout, stderr } = await holdfast(["ls", "--store", url]);
    expect(code).toBe(3);
    expect(stdout).toBe("");
    expect(lines(stderr)).toHaveLength(1);
    expect(stderr).not.toContain("hunter2");
    const debug = await holdfast(["ls", "--store", url], { DEBUG: "holdfast" });
    expect(debug.stderr).toContain("    at ");
    expect(debug.stderr).not.toContain("hunter2");
  });

  it("is not made by looking for it", async () => {
    const path = temporaryFile("sessions.db");
    const { code, stderr } = await holdfast(["ls", "--store", path]);
    expect(code).toBe(3);
    expect(stderr).toBe(`error: --store: there is no file ${path}\n`);
    expect(stored(path)).toBe(false);
  });
});

describe("--config", () => {
  const dist = fileURLToPath(new URL("../../dist", import.meta.url));
  function moduleOf(text: string): string {
    const file = temporaryFile("sessions.mjs");
    writeFileSync(
      file,
      `import { createSessions, memoryStore, cookieStore } from ${JSON.stringify(`${dist}/index.js`)};
       import { sqliteStore } from ${JSON.stringify(`${dist}/stores/sqlite.js`)};
       const secrets = [${JSON.stringify(SECRET)}];
       ${text}`,
    );
    return file;
  }

  it("sweeps nothing by a clock that is ahead of the store's: living sessions would count as expired", async () => {
    const swept = (behind: number) =>
      holdfast([
        "sweep",
        "--json",
        "--config",
        moduleOf(`export const sessions = createSessions({ secrets, store: {
          ...memoryStore(), name: "custom", sweep: () => 7, inspect: () => ({ clock: Date.now() - ${behind} }) } })`),
      ]);
    expect(JSON.parse((await swept(30_000)).stdout)).toEqual({ removed: 7 });
    // In the middle of an hour: the answer takes a moment, and it tells whole ones.
    const refused = await swept(2.5 * 3_600_000);
    expect(refused).toMatchObject({ code: 3, stdout: "" });
    expect(JSON.parse(refused.stderr).error.message).toContain("clock is 2h ahead");
  });

  it("that fails with a location in its message: no password, and none in the stack", async () => {
    const file = moduleOf(`throw new Error("no answer of redis://user:hunter2@127.0.0.1:1");`);
    const { code, stderr } = await holdfast(["ls", "--config", file], { DEBUG: "holdfast" });
    expect(code).toBe(3);
    expect(stderr).toContain("    at ");
    expect(stderr).not.toContain("hunter2");
  });

  it("takes the sessions that the module exports, and ends although it has timers", async () => {
    const { path } = await storeWith("ada");
    const file = moduleOf(`
      setInterval(() => {}, 1000);
      export const shop = createSessions({ secrets, store: sqliteStore({ path: ${JSON.stringify(path)} }) });
      export const other = 1;`);
    expect((await holdfast(["ls", "--json", "--config", file])).stdout).toContain('"ada"');
  });

  it.each([
    ["export const x = 1", 3, "exports nothing"],
    ["throw new Error('no database')", 3, "no database"],
    [
      "export const a = createSessions({ secrets, store: memoryStore() }), b = createSessions({ secrets, store: memoryStore() })",
      2,
      "--export (a, b)",
    ],
    ["export default createSessions({ secrets, store: memoryStore() })", 3, "memory"],
    ["export default createSessions({ secrets, store: cookieStore() })", 3, "cookies"],
  ])("%s", async (text, expected, hint) => {
    const { code, stderr } = await holdfast(["ls", "--config", moduleOf(text)]);
    expect(stderr).toContain(hint);
    expect(code).toBe(expected);
    expect(lines(stderr)).toHaveLength(1);
  });
});
