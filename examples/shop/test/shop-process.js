// @ts-check
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const server = fileURLToPath(new URL("../server.js", import.meta.url));

/**
 * Starts the shop as a process of its own, and waits until it says where it is.
 *
 * @param {{ dataFolder: string, port?: string, companyPort?: string, idleTimeout?: string, sessionStore?: string, maxDevices?: number, reauthenticateAfter?: number }} options
 */
export async function startShop({
  dataFolder,
  port = "0",
  companyPort = "0",
  idleTimeout = "30m",
  sessionStore,
  maxDevices = 5,
  reauthenticateAfter = 600,
}) {
  const settings = {
    PORT: port,
    COMPANY_PORT: companyPort,
    SHOP_DATA: dataFolder,
    SHOP_IDLE_TIMEOUT: idleTimeout,
    SHOP_MAX_DEVICES: String(maxDevices),
    SHOP_REAUTHENTICATE_AFTER: String(reauthenticateAfter),
  };
  const child = spawn(process.execPath, [server], {
    env: { ...process.env, ...settings, ...(sessionStore && { SESSION_STORE: sessionStore }) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += chunk;
  });
  const exit = once(child, "exit");
  /** @type {string[]} */
  const said = [];
  for await (const line of createInterface(child.stdout)) {
    said.push(line);
    if (line.startsWith("Its company accounts")) break;
  }
  child.stdout.resume();
  const [url, companyUrl] = ["The shop is open", "Its company accounts"].map(
    (start) => /http:\S+/.exec(said.find((line) => line.startsWith(start)) ?? "")?.[0],
  );
  if (url === undefined || companyUrl === undefined) throw new Error(`The shop didn't start: ${complaints}`);

  return {
    url,
    /** Where its provider for development is. */
    companyUrl,
    port: new URL(url).port,
    /** What the process wrote to stderr, but for oidc-provider's opinion of older versions of Node. */
    complaints: () => complaints.replace(/^oidc-provider WARNING: Unsupported runtime.*\n/m, ""),
    /** Ends the process. @param {NodeJS.Signals} [signal] @returns {Promise<number | null>} Its exit code. */
    async stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const [code] = await exit;
      return code;
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startShop>>} ShopProcess */
