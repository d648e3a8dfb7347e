/** Brings a clone to where everything runs: installs what package-lock.json names, unless it is there, and builds. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Holdfast needs Node 20.19 or later; this is ${process.version}.`);
  process.exit(1);
}

const npm = (...args) =>
  execFileSync("npm", args, { cwd: root, stdio: "inherit", shell: process.platform === "win32" });

const stamp = `${root}node_modules/.holdfast-setup`;
const wanted = createHash("sha256")
  .update(readFileSync(`${root}package-lock.json`))
  .update(process.version)
  .digest("hex");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  // Not `npm ci`: it refuses the lock where a registry lacks the packages that a tool has for other platforms.
  npm("install", "--no-audit", "--no-fund", "--loglevel=error");
  writeFileSync(stamp, wanted);
}
npm("run", "--silent", "build");
