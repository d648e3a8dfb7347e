import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

/** The built package, as an application uses it that has changed its import. */

const here = dirname(fileURLToPath(import.meta.url));
const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: here, encoding: "utf8" });

it.each(["", ".default", ".createSession"])("CommonJS calls require(…)%s", (name) => {
  const script = `
    const Koa = require("koa");
    const session = require("holdfast/compat/koa-session")${name};
    console.log(session({}, new Koa()).name, session(new Koa()).name);
  `;
  expect(run("--no-warnings", "-e", script).trim()).toBe("session session");
});

it("ESM imports it as the original", () => {
  const script = `
    import session, { createSession } from "holdfast/compat/koa-session";
    import Koa from "koa";
    console.log(session({}, new Koa()).name, createSession(new Koa()).name);
  `;
  expect(run("--no-warnings", "--input-type=module", "-e", script).trim()).toBe("session session");
});

it("applications are typed without a cast, in ESM and in CommonJS", () => {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve("typescript/package.json");
  const tsc = join(dirname(manifest), require(manifest).bin.tsc);
  expect(run(tsc, "-p", join(here, "..", "..", "types", "koa-session"))).toBe("");
});
