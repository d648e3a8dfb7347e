import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { SessionRequest } from "../../src/engine/request.js";
import type { Store } from "../../src/stores/contract.js";
import { findProgram } from "../services/provision.js";
import { SECRET } from "../support/shop.js";

export const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const { HOLDFAST_STORE: _, HOLDFAST_CONFIG: __, NO_COLOR: ___, FORCE_COLOR: ____, ...ENV } = process.env;

/** Runs the built command line, without a terminal. */
export function holdfast(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return finished(spawn(process.execPath, [MAIN, ...args], { env: { ...ENV, ...env } }));
}

/** On a real terminal of so many columns, by `script` of util-linux, which types the answer to the question. What comes is all on stdout. */
export function onTerminal(
  args: readonly string[],
  {
    columns = 80,
    answer = "",
    env = {},
  }: { columns?: number; answer?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  const quoted = [process.execPath, MAIN, ...args]
    .map((arg) => `'${arg.replaceAll("'", "'\\''")}'`)
    .join(" ");
  const command = `stty cols ${columns} rows 30; ${quoted}`;
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { ...ENV, TERM: "xterm", ...env },
  });
  let shown = "";
  child.stdout.on("data", (chunk) => {
    const asked = shown.includes("[y/N]");
    shown += chunk;
    if (!asked && shown.includes("[y/N]")) child.stdin.write(answer);
  });
  return finished(child);
}

export const hasTerminal = findProgram("script") !== undefined;

function finished(child: ReturnType<typeof spawn>): Promise<Outcome> {
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]!.setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...output }));
  });
}

const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

/** What a browser without a cookie sends. */
export function request(): SessionRequest {
  return {
    method: "GET",
    target: "/",
    header: (name) => (name === "user-agent" ? FIREFOX : undefined),
    encrypted: true,
    remoteAddress: undefined,
  };
}

/** Makes living sessions in a store: of these users, and of nobody for undefined. Their ids, in order. */
export async function fill(store: Store, users: ReadonlyArray<string | undefined>): Promise<string[]> {
  const sessions = createSessions<Record<string, unknown>>({
    secrets: [SECRET],
    store,
    sweepInterval: false,
    maxSessionsPerUser: 1_000_000,
  });
  const ids: string[] = [];
  for (const user of users) {
    const exchange = await sessions.open(request());
    exchange.session.data.secretOfTheUser = "hunter2-data";
    if (user === undefined) await exchange.session.save();
    else await exchange.session.login(user);
    ids.push(exchange.session.id!);
  }
  return ids;
}
