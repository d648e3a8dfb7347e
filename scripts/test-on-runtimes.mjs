/**
 * Runs examples/fetch, with the built package, on runtimes other than Node, which come from npm. One that can't be had is
 * skipped by name. `node scripts/test-on-runtimes.mjs`, or with names: `node scripts/test-on-runtimes.mjs bun`.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { tellStory } from "../examples/fetch/test/story.js";

const RUNTIMES = {
  bun: { version: "1", options: ["run"], server: "server-bun.js" },
  deno: {
    version: "2",
    options: [
      "run",
      "--quiet",
      "--node-modules-dir=manual",
      "--allow-net=127.0.0.1",
      "--allow-env",
      "--allow-read",
    ],
    server: "server-deno.js",
  },
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(RUNTIMES);
for (const name of names) {
  const { version, options, server } = RUNTIMES[name];
  const program = installed(name, version);
  if (program === undefined) continue;
  await tellStory(program, options, server);
  console.log(`  ${name} ${versionOf(program)}: examples/fetch runs`);
}

/** The program, from npm where it isn't there yet; undefined, and a line that says so, where it can't be had. */
function installed(name, version) {
  const folder = join(homedir(), ".cache", "holdfast", name);
  const program = join(folder, "node_modules", ".bin", name);
  try {
    if (!existsSync(program)) {
      mkdirSync(folder, { recursive: true });
      const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
      execFileSync("npm", ["install", "--prefix", folder, ...quiet, `${name}@${version}`], { stdio: "pipe" });
    }
    versionOf(program);
    return program;
  } catch (error) {
    console.log(`  ${name}: skipped, npm has no program for this machine (${firstLine(error)})`);
  }
}

function versionOf(program) {
  return /\d+\.\d+\.\d+/.exec(execFileSync(program, ["--version"], { encoding: "utf8", stdio: "pipe" }))?.[0];
}

function firstLine(error) {
  return String(error.stderr || error.message)
    .trim()
    .split("\n", 1)[0];
}
