import { warn } from "../../warn.js";
import type { Explanation } from "./explanation.js";

/** What a process tells who asks: which it is, and its last explanations. */
export interface ExplainingProcess {
  readonly pid: number;
  /** Where it was started, and with which script: which application it is. */
  readonly folder: string;
  readonly script: string;
  /** Oldest first. Dates as ISO text, as JSON has them. */
  readonly explanations: ReadonlyArray<Omit<Explanation, "at"> & { readonly at: string }>;
}

/** Milliseconds that a process has to answer in. */
const TIMEOUT = 2000;
/** The most of an answer that is read, in bytes. */
const MAX_ANSWER = 1024 * 1024;

let sockets = 0;
const open = new Set<string>();

/**
 * Lets other processes of the same user ask for the last explanations, by a Unix socket in a folder that is this user's alone:
 * no other user, no page in a browser and no other machine gets there. It only answers; nothing that is sent to it is read.
 * Not on Windows, and never in production.
 *
 * @returns what closes it.
 */
export function offerExplanations(last: () => readonly Explanation[]): () => void {
  const folder = ownFolder();
  if (folder === undefined) return () => {};
  const { createServer } = process.getBuiltinModule("node:net");
  const { rmSync } = process.getBuiltinModule("node:fs");
  const path = `${folder}/${process.pid}-${++sockets}.sock`;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    const told = {
      pid: process.pid,
      folder: process.cwd(),
      script: process.argv[1] ?? "",
      explanations: last(),
    };
    socket.end(JSON.stringify(told));
  });
  server.maxConnections = 8;
  server.on("error", (error) =>
    warn("HOLDFAST_EXPLAIN", `explain: nobody can ask at ${path}: ${error.message}`),
  );
  rmSync(path, { force: true });
  server.listen(path).unref();
  if (sockets === 1) process.once("exit", removeOpen);
  open.add(path);
  return () => {
    open.delete(path);
    server.close();
  };
}

/** A process that ends without `sessions.close()` leaves its socket behind. */
function removeOpen(): void {
  const { rmSync } = process.getBuiltinModule("node:fs");
  for (const path of open) rmSync(path, { force: true });
}

/** Asks all processes of this user that explain: what `npx holdfast doctor` shows. */
export async function askForExplanations(): Promise<ExplainingProcess[]> {
  const folder = ownFolder();
  if (folder === undefined) return [];
  const { readdirSync } = process.getBuiltinModule("node:fs");
  const paths = readdirSync(folder).filter((name) => /^\d+-\d+\.sock$/.test(name));
  const answers = await Promise.all(paths.map((name) => ask(`${folder}/${name}`)));
  return answers.filter((answer) => answer !== undefined);
}

function ask(path: string): Promise<ExplainingProcess | undefined> {
  const { connect } = process.getBuiltinModule("node:net");
  const { rmSync } = process.getBuiltinModule("node:fs");
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(path).setEncoding("utf8");
    socket.setTimeout(TIMEOUT, () => socket.destroy());
    socket.on("data", (part: string) => {
      text += part;
      if (text.length > MAX_ANSWER) socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // The process was killed.
      if (error.code === "ECONNREFUSED") rmSync(path, { force: true });
    });
    socket.on("close", () => resolve(parsed(text)));
  });
}

function parsed(text: string): ExplainingProcess | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The folder of the sockets, which only this user can enter: in `XDG_RUNTIME_DIR`, else among the temporary files, where
 * somebody else may have been first with the name. Undefined where there is none to be had.
 */
function ownFolder(): string | undefined {
  const uid = process.getuid?.();
  if (uid === undefined) return undefined;
  const { lstatSync, mkdirSync } = process.getBuiltinModule("node:fs");
  const { tmpdir } = process.getBuiltinModule("node:os");
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const folder = runtime?.startsWith("/") ? `${runtime}/holdfast` : `${tmpdir()}/holdfast-${uid}`;
  try {
    mkdirSync(folder, { mode: 0o700, recursive: true });
    const found = lstatSync(folder);
    if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return folder;
    warn("HOLDFAST_EXPLAIN", `explain: nobody can ask, for ${folder} is not a folder of this user's alone`);
  } catch (error) {
    warn(
      "HOLDFAST_EXPLAIN",
      `explain: nobody can ask, for ${folder} can't be made: ${(error as Error).message}`,
    );
  }
  return undefined;
}
