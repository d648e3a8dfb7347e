import { type ChildProcess, execFile, spawn } from "node:child_process";
import { accessSync, appendFileSync, constants, mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

/** Finds or provides the real servers that tests run against (DESIGN part 9). */

const run = promisify(execFile);

/** A program's full path, looked for on PATH and in `places`; undefined where it is not there. */
export function findProgram(name: string, places: readonly string[] = []): string | undefined {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), ...places]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}

/** Installs Debian packages, where this is Debian and root. One process at a time: apt has a lock. */
export async function installDebianPackages(...packages: string[]): Promise<boolean> {
  if (process.getuid?.() !== 0 || findProgram("apt-get") === undefined) return false;
  return exclusively("apt", async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const install = () =>
      run("apt-get", ["install", "-y", "--no-install-recommends", ...packages], { env, maxBuffer: 64 << 20 });
    try {
      await install().catch(async () => {
        await run("apt-get", ["update"], { env, maxBuffer: 64 << 20 });
        await install();
      });
      return true;
    } catch (error) {
      console.warn(
        `apt-get could not install ${packages.join(" ")}: ${(error as Error).message.split("\n")[0]}`,
      );
      return false;
    }
  });
}

/** Runs a task while no other test process on this machine runs one of the same name. */
export async function exclusively<T>(name: string, task: () => Promise<T>): Promise<T> {
  const lock = join(tmpdir(), `holdfast-${name}.lock`);
  for (let waited = 0; ; waited += 200) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      // A lock that is left over from a killed run must not stop the next one for ever.
      if (waited > 15 * 60_000) rmSync(lock, { recursive: true, force: true });
      await delay(200);
    }
  }
  try {
    return await task();
  } finally {
    rmdirSync(lock);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "holdfast-"));
}

/** A server process of a test. */
export interface Running {
  readonly process: ChildProcess;
  /** Ends it and waits until it has ended. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a server and waits until `ready` answers; it ends with this process at the latest. */
export async function startProcess(
  command: string,
  args: readonly string[],
  ready: () => Promise<unknown>,
  options: { uid?: number; gid?: number; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Running> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output = (output + chunk).slice(-8000);
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", (error) => {
      output += error.message;
      resolve();
    });
  });
  const killAtExit = () => child.kill("SIGKILL");
  process.once("exit", killAtExit);
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    process.off("exit", killAtExit);
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };

  let failure: unknown;
  for (let waited = 0; waited < 30_000; waited += 100) {
    if (child.exitCode !== null) break;
    try {
      await ready();
      return { process: child, stop };
    } catch (error) {
      failure = error;
      await delay(100);
    }
  }
  await stop("SIGKILL");
  throw new Error(`${command} did not start: ${String(failure)}\n${output}`);
}

/** Notes for the closing summary what a test file ran against, or why it did not. */
export function noteService(name: string, what: string): void {
  const { HOLDFAST_SERVICE_NOTES: notes } = process.env;
  if (notes !== undefined) appendFileSync(notes, `${JSON.stringify({ name, what })}\n`);
}
