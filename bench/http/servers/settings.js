import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessions, memoryStore } from "holdfast";

/** The same for all variants, where a variant has the setting. */
export const SECRET = "Vq3nB8wY1tK6mZ4rXc9sLd2fGh7jPa5e";
export const COOKIE = { httpOnly: true, sameSite: "lax", path: "/", secure: false };
/** Milliseconds. */
export const LIFETIME = 30 * 60_000;

/** Room for what a benchmark leaves behind: each login leaves the old token's tombstone for half a minute. */
export const memory = () => memoryStore({ maxSessions: 2_000_000, maxBytes: 1 << 30 });

export const sessionsIn = (store) => createSessions({ secrets: [SECRET], store });

/** A file that goes with this process. */
export function temporaryFile(name) {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return join(folder, name);
}

/** What the bare application answers: a request with a cookie is somebody's, for nothing is looked up. */
export function bareData(cookieHeader) {
  return cookieHeader === undefined ? {} : { user: { id: "bare", name: "Ada Lovelace" }, count: 0 };
}
