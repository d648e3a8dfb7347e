import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

/** The built package, as an application uses it. */

const here = dirname(fileURLToPath(import.meta.url));
const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: here, encoding: "utf8" });

it("CommonJS gets it by require", () => {
  const script = `
    const { createSessions, memoryStore } = require("holdfast");
    const { expressSessions } = require("holdfast/express");
    const { sqliteStore } = require("holdfast/stores/sqlite");
    const { testStore } = require("holdfast/testing/store");
    const secrets = ["a secret of thirty-two bytes or more"];
    console.log(typeof expressSessions(createSessions({ secrets, store: memoryStore() })), typeof sqliteStore, typeof testStore);
  `;
  expect(run("--no-warnings", "-e", script).trim()).toBe("function function function");
});

it("the first request of a process is held, with compression before the sessions", () => {
  const script = join(here, "workers", "first-request.mjs");
  const env = { ...process.env, SECRET: "a secret of thirty-two bytes or more" };
  const printed = execFileSync(process.execPath, ["--no-warnings", script], { encoding: "utf8", env });
  expect(printed.trim()).toMatch(/^200 (?:gzip|br) 1 4000$/);
});

it("applications are typed without a cast, in ESM and in CommonJS", () => {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve("typescript/package.json");
  const tsc = join(dirname(manifest), require(manifest).bin.tsc);
  expect(run(tsc, "-p", join(here, "types"))).toBe("");
});
