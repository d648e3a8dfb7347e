// @ts-check
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const server = fileURLToPath(new URL("../server.js", import.meta.url));

/**
 * Starts the shop as a process of its own, and waits until it says where it is.
 *
 * @param {{ dataFolder: string, port?: string, idleTimeout?: string, sessionStore?: string }} options
 */
export async function startShop({ dataFolder, port = "0", idleTimeout = "30m", sessionStore }) {
  const settings = { PORT: port, SHOP_DATA: dataFolder, SHOP_IDLE_TIMEOUT: idleTimeout };
  const child = spawn(process.execPath, [server], {
    env: { ...process.env, ...settings, ...(sessionStore && { SESSION_STORE: sessionStore }) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += chunk;
  });
  const exit = once(child, "exit");
  const line = await Promise.race([
    once(createInterface(child.stdout), "line").then(([text]) => String(text)),
    exit.then(() => ""),
  ]);
  const url = /http:\S+/.exec(line)?.[0];
  if (url === undefined) throw new Error(`The shop didn't start: ${complaints}`);

  return {
    url,
    port: new URL(url).port,
    /** What the process wrote to stderr. */
    complaints: () => complaints,
    /** Ends the process. @param {NodeJS.Signals} [signal] @returns {Promise<number | null>} Its exit code. */
    async stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const [code] = await exit;
      return code;
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startShop>>} ShopProcess */
