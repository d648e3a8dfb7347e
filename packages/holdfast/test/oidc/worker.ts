import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { SECRET } from "../support/shop.js";

/** The same application in a process of its own, on the built package and a SQLite file that others have open, too. */
export async function startWorker(options: {
  store: string;
  issuer: string;
  baseUrl: string;
  /** Milliseconds that its clock is ahead. */
  ahead?: number;
}): Promise<{ url: string; stop(): Promise<void> }> {
  const path = fileURLToPath(new URL("../workers/oidc-shop.mjs", import.meta.url));
  const { store, issuer, baseUrl, ahead = 0 } = options;
  const child = spawn(process.execPath, [path], {
    env: { ...process.env, SECRET, STORE: store, ISSUER: issuer, BASE_URL: baseUrl, AHEAD: String(ahead) },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout, "data");
  return {
    url: String(line).trim(),
    async stop() {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}
