/** Checks the package as npm would ship it: publint, and are-the-types-wrong on every entry point. */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";

const run = (command, ...args) =>
  execFileSync("npx", ["--no-install", command, ...args], { stdio: "inherit" });

run("publint", "--strict");
const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json"], { encoding: "utf8" }));
try {
  // ESM only: CommonJS loads it with require(esm), which Node 20.19 and later have, so that one rule does not apply.
  run("attw", filename, "--profile", "node16", "--ignore-rules", "cjs-resolves-to-esm");
} finally {
  rmSync(filename);
}
