import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createSessions } from "../src/engine/create-sessions.js";
import { askForExplanations } from "../src/engine/explain/socket.js";
import type { Sessions } from "../src/engine/sessions.js";
import { memoryStore } from "../src/stores/memory.js";
import { finish, requestWith } from "./support/exchange.js";
import { SECRET } from "./support/shop.js";

const WORKER = fileURLToPath(new URL("./workers/explaining.mjs", import.meta.url));

let runtime: string;
let folder: string;
const opened: Sessions<any>[] = [];

beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  folder = join(runtime, "holdfast");
  vi.stubEnv("XDG_RUNTIME_DIR", runtime);
});
afterEach(async () => {
  for (const sessions of opened.splice(0)) await sessions.close();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(runtime, { recursive: true, force: true });
});

const start = (explain = true) => {
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    sweepInterval: false,
    explain: explain && (() => {}),
  });
  opened.push(sessions);
  return sessions;
};
const sockets = () => (existsSync(folder) ? readdirSync(folder) : []);
const refused = () => vi.spyOn(process, "emitWarning").mockImplementation(() => {});

it("other processes of the user can ask for the last explanations", async () => {
  const sessions = start();
  await finish(await sessions.open(requestWith(undefined)));
  expect(await askForExplanations()).toEqual([
    {
      pid: process.pid,
      folder: process.cwd(),
      script: process.argv[1],
      explanations: [expect.objectContaining({ path: "/", reason: "none-sent", at: expect.any(String) })],
    },
  ]);
  await sessions.close();
  expect(await askForExplanations()).toEqual([]);
  expect(sockets()).toEqual([]);
});

it("only this user can enter the folder of the sockets", async () => {
  start();
  expect(lstatSync(folder).mode & 0o777).toBe(0o700);
});

it("nothing is offered where nothing is explained, and never in production", async () => {
  start(false);
  vi.stubEnv("NODE_ENV", "production");
  refused();
  start();
  expect(sockets()).toEqual([]);
});

it("a folder that others can enter, or that a link leads to, is not used", async () => {
  const warning = refused();
  mkdirSync(folder, { mode: 0o700 });
  chmodSync(folder, 0o755);
  start();
  expect(sockets()).toEqual([]);
  rmSync(folder, { recursive: true });
  const elsewhere = mkdtempSync(join(runtime, "elsewhere-"));
  symlinkSync(elsewhere, folder);
  start();
  expect(readdirSync(elsewhere)).toEqual([]);
  expect(await askForExplanations()).toEqual([]);
  expect(warning).toHaveBeenCalledTimes(3);
  expect(warning).toHaveBeenCalledWith(expect.stringContaining("not a folder of this user's alone"), {
    type: "HoldfastWarning",
    code: "HOLDFAST_EXPLAIN",
  });
});

it("a process that keeps sessions open ends all the same, and leaves no socket behind", async () => {
  const child = spawn(process.execPath, [WORKER], { env: { ...process.env, XDG_RUNTIME_DIR: runtime } });
  const ended = await new Promise((resolve) => child.on("exit", resolve));
  expect(ended).toBe(0);
  expect(sockets()).toEqual([]);
});

it("the socket of a process that was killed is cleared away by who asks next", async () => {
  const child = spawn(process.execPath, [WORKER, "wait"], {
    env: { ...process.env, XDG_RUNTIME_DIR: runtime },
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  expect((await askForExplanations()).map(({ pid }) => pid)).toEqual([child.pid]);
  const ended = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGKILL");
  await ended;
  expect(sockets()).toHaveLength(1);
  expect(await askForExplanations()).toEqual([]);
  expect(sockets()).toEqual([]);
});

it("an answer that is none, and one that never ends, are left out", async () => {
  start();
  const liar = createServer((socket) => {
    socket.on("error", () => {});
    socket.end("no JSON");
  });
  const babbler = createServer((socket) => {
    socket.on("error", () => {});
    const more = () => {
      while (!socket.destroyed && socket.write("x".repeat(65_536)));
    };
    socket.on("drain", more);
    more();
  });
  await new Promise<void>((resolve) => liar.listen(join(folder, "1-1.sock"), resolve));
  await new Promise<void>((resolve) => babbler.listen(join(folder, "2-1.sock"), resolve));
  expect((await askForExplanations()).map(({ pid }) => pid)).toEqual([process.pid]);
  for (const server of [liar, babbler]) await new Promise((resolve) => server.close(resolve));
});
