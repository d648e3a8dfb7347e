import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { createSessions } from "../src/engine/create-sessions.js";
import { sqliteStore } from "../src/stores/sqlite.js";
import { Browser } from "./support/browser.js";
import { finishedCookie, requestWith } from "./support/exchange.js";
import { KEY, OLDER_KEY } from "./support/sealing.js";
import { temporaryFile } from "./support/stores.js";

/** Secrets and keys of real processes: restarted one after the other, killed, and told by files. They run the built package. */

const OLD = "Rw3mT8xK1nVb6Zq9Ls4Hd7Fj2Pc5Yg0U-eXaWi_oBtN";
const NEW = "Hy7kQ2vN9cJd4Xs1Mw6Rf8Lb3Tz5Gp0A-uEiYo_xKqV";

interface Server {
  readonly child: ChildProcess;
  readonly url: string;
  /** The first message that comes, now or later, with this in it. */
  told(name: string): Promise<any>;
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

async function start(env: Record<string, string>): Promise<Server> {
  const path = fileURLToPath(new URL("./workers/encrypted-shop.mjs", import.meta.url));
  const child = fork(path, {
    env: { ...process.env, NODE_ENV: "production", NODE_NO_WARNINGS: "1", ...env },
  });
  running.add(child);
  const messages: any[] = [];
  let wake = () => {};
  child.on("message", (message) => {
    messages.push(message);
    wake();
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => {
      running.delete(child);
      wake();
      resolve();
    });
  });
  const told = async (name: string) => {
    for (;;) {
      const index = messages.findIndex((message) => name in message);
      if (index !== -1) return messages.splice(index, 1)[0][name];
      if (!running.has(child)) throw new Error("the server has ended");
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const url = `http://127.0.0.1:${await told("port")}`;
  const stop = async () => {
    child.send("stop");
    await ended;
  };
  return { child, url, told, stop };
}

/** A secret as Kubernetes mounts it. */
function mounted(...secrets: string[]) {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-mounted-"));
  let version = 0;
  const publish = (...lines: string[]) => {
    const folder = `..v${version++}`;
    mkdirSync(join(directory, folder));
    writeFileSync(join(directory, folder, "session"), lines.join("\n"));
    symlinkSync(folder, join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
  };
  publish(...secrets);
  symlinkSync("..data/session", join(directory, "session"));
  return { path: join(directory, "session"), publish };
}

const ask = async (browser: Browser, method: "get" | "post" = "get") => {
  const { status, body } = await browser[method]("/");
  return status === 200 ? JSON.parse(body) : status;
};

describe("two servers on one store", () => {
  it("change their keys by being restarted one after the other, and nobody is logged out", async () => {
    const base = { STORE: temporaryFile("rotated.db"), SECRETS_FILE: mounted(NEW).path };
    const steps = [OLDER_KEY, `${OLDER_KEY},${KEY}`, `${KEY},${OLDER_KEY}`];
    const servers = await Promise.all([0, 1].map(() => start({ ...base, KEYS: steps[0]! })));
    const user = new Browser(servers[0]!.url);
    const asleep = new Browser(servers[1]!.url);
    let counter = 0;
    const expectAll = async () => {
      for (const { url } of servers) {
        const there = user.twin(url);
        expect(await ask(there, "post")).toEqual({ counter: ++counter, userId: "ada" });
        expect(await ask(there)).toEqual({ counter, userId: "ada" });
      }
    };
    expect(await ask(asleep, "post")).toEqual({ counter: 1, userId: "ada" });
    expect(await ask(user, "post")).toEqual({ counter: ++counter, userId: "ada" });
    await expectAll();
    for (const KEYS of steps.slice(1)) {
      for (const index of servers.keys()) {
        await servers[index]!.stop();
        servers[index] = await start({ ...base, KEYS });
        await expectAll();
      }
    }
    servers[0]!.child.send("reencrypt");
    expect(await servers[0]!.told("done")).toMatchObject({ complete: true, unreadable: 0 });
    for (const index of servers.keys()) {
      await servers[index]!.stop();
      servers[index] = await start({ ...base, KEYS: KEY, PLAIN: "refuse" });
      await expectAll();
    }
    expect(await ask(asleep.twin(servers[0]!.url))).toEqual({ counter: 1, userId: "ada" });
    for (const server of servers) await server.stop();
  }, 60_000);

  it("take a new signing secret from their mounted file, with no restart and nobody logged out", async () => {
    const secret = mounted(OLD);
    const base = { STORE: temporaryFile("signed.db"), SECRETS_FILE: secret.path };
    const servers = await Promise.all([0, 1].map(() => start(base)));
    const user = new Browser(servers[0]!.url);
    await ask(user, "post");
    const before = user.cookieHeader;
    const publish = async (...secrets: string[]) => {
      secret.publish(...secrets);
      for (const server of servers) expect(await server.told("secrets")).toBe(secrets.length);
    };
    // Known to both before either signs with it.
    await publish(OLD, NEW);
    for (const { url } of servers) expect(await ask(user.twin(url))).toEqual({ counter: 1, userId: "ada" });
    await publish(NEW, OLD);
    expect(await ask(user)).toEqual({ counter: 1, userId: "ada" });
    expect(user.cookieHeader).not.toBe(before);
    await publish(NEW);
    for (const { url } of servers) expect(await ask(user.twin(url))).toEqual({ counter: 1, userId: "ada" });
    // Who never came while both were known is signed in no more.
    const stranger = new Browser(servers[1]!.url);
    for (const pair of before.split("; ")) stranger.cookies.set(pair.split("=")[0]!, pair.split("=")[1]!);
    expect(await ask(stranger)).toEqual({ counter: null, userId: null });
    for (const server of servers) await server.stop();
  }, 60_000);
});

it("a pass that is killed in the middle has broken nothing, and the next one ends it", async () => {
  const path = temporaryFile("killed.db");
  const secrets = [NEW];
  const plain = createSessions<any>({ secrets, store: sqliteStore({ path }), sweepInterval: false });
  const cookies: string[] = [];
  for (let n = 0; n < 3000; n++) {
    const exchange = await plain.open(requestWith(undefined));
    exchange.session.data.number = n;
    cookies.push((await finishedCookie(exchange))!);
  }
  await plain.close();

  const base = { STORE: path, SECRETS_FILE: mounted(NEW).path, KEYS: KEY };
  const killed = await start(base);
  killed.child.send("reencrypt");
  await killed.told("scanned");
  killed.child.kill("SIGKILL");

  const store = sqliteStore({ path });
  const payloads = async () => {
    const call = { now: Date.now(), signal: new AbortController().signal };
    return (await store.scan!(undefined, 5000, call)).sessions.map(({ record }) => record.payload);
  };
  const sealedBefore = (await payloads()).filter((payload) => payload.startsWith("sealed:")).length;
  expect(sealedBefore).toBeGreaterThan(0);
  expect(sealedBefore).toBeLessThan(3000);

  const again = await start(base);
  again.child.send("reencrypt");
  expect(await again.told("done")).toMatchObject({
    scanned: 3000,
    changed: 3000 - sealedBefore,
    unreadable: 0,
    complete: true,
  });
  await again.stop();
  for (const payload of await payloads()) expect(payload).toMatch(/^sealed:/);

  const strict = createSessions<any>({
    secrets,
    store,
    encrypt: { keys: [KEY], plain: "refuse" },
    sweepInterval: false,
  });
  for (const [n, cookie] of cookies.entries())
    expect((await strict.open(requestWith(cookie))).session.data).toEqual({ number: n });
  await strict.close();
}, 120_000);

it("a process that watches its secrets ends by itself, and when its sessions are closed nothing watches any more", async () => {
  const { path } = mounted(NEW);
  const script = `
    const { createSessions, memoryStore, secretsFrom, secretsFromFile } = await import(process.env.PACKAGE);
    let asked = 0;
    const source = await secretsFrom(() => (asked++, [process.env.NEW]), { refresh: 100 });
    createSessions({ secrets: secretsFromFile(process.env.FILE), store: memoryStore() });
    const sessions = createSessions({ secrets: source, store: memoryStore() });
    await sessions.close();
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 400));
    process.stdout.write(String(asked - before));
  `;
  const { execFile } = await import("node:child_process");
  const printed = await new Promise<string>((resolve, reject) => {
    execFile(
      process.execPath,
      ["--no-warnings", "--input-type=module", "-e", script],
      {
        env: { ...process.env, PACKAGE: new URL("../dist/index.js", import.meta.url).href, FILE: path, NEW },
      },
      (error, stdout) => (error ? reject(error) : resolve(stdout)),
    );
  });
  expect(printed).toBe("0");
}, 30_000);
