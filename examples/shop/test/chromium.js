// @ts-check
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

const asRoot = process.getuid?.() === 0;

/** Switches for a quiet, self-contained browser. Root can't have Chromium's sandbox. */
export const chromiumArgs = [
  ...(asRoot ? ["--no-sandbox"] : []),
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * The browser to drive: CHROMIUM names it, else /usr/bin/chromium, else apt installs it (Debian, as root). Says which one
 * in a line.
 *
 * @returns {string | undefined} Undefined where none can be had.
 */
export function findChromium() {
  const path = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(path) && process.env.CHROMIUM === undefined) installChromium();
  if (!existsSync(path)) {
    console.warn(
      `Chromium: none at ${path}, so the shop's browser tests are skipped. CHROMIUM=/path/to/it names one.`,
    );
    return undefined;
  }
  console.log(`Chromium: ${path}`);
  return path;
}

function installChromium() {
  if (!asRoot || !existsSync("/etc/debian_version")) return;
  console.log("Chromium: installing it with apt-get");
  try {
    execFileSync("apt-get", ["update", "-qq"], { stdio: "ignore" });
    execFileSync("apt-get", ["install", "-y", "-qq", "chromium"], {
      stdio: "ignore",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  } catch (error) {
    console.warn(`Chromium: apt-get failed. ${/** @type {Error} */ (error).message}`);
  }
}
