/** Compiles the package in the current folder to dist/: JavaScript, types and their maps. */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const typescript = require.resolve("typescript/package.json");
rmSync("dist", { recursive: true, force: true });
execFileSync(
  process.execPath,
  [join(dirname(typescript), require(typescript).bin.tsc), "-p", "tsconfig.build.json"],
  {
    stdio: "inherit",
  },
);
