/**
 * Runs the tests that depend on Node's version with another Node from the npm registry: `node scripts/test-on-node.mjs 24`.
 * From 22 on, sqliteStore uses node:sqlite, so that driver is tested here.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

const version = process.argv[2] ?? "24";
const folder = join(homedir(), ".cache", "holdfast", `node-${version}`);
const bin = join(folder, "node_modules", ".bin");
if (!existsSync(join(bin, "node"))) {
  mkdirSync(folder, { recursive: true });
  execFileSync(
    "npm",
    ["install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", `node@${version}`],
    {
      stdio: "inherit",
    },
  );
}

const TESTS = [
  "src/stores/sqlite.test.ts",
  "test/sqlite-processes.test.ts",
  "test/promises.test.ts",
  "test/express.test.ts",
  "test/frameworks",
];
execFileSync(
  join(bin, "node"),
  ["node_modules/vitest/vitest.mjs", "run", ...TESTS.map((file) => `packages/holdfast/${file}`)],
  { stdio: "inherit", env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` } },
);
