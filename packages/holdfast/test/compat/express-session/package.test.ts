import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

/** The built drop-in, as an application gets it. */

const here = dirname(fileURLToPath(import.meta.url));
const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: here, encoding: "utf8" });

const CHECK = `
  const middleware = session({ secret: "x", resave: false, saveUninitialized: false });
  console.log(typeof middleware, [session.Store, session.Cookie, session.Session, session.MemoryStore].map((x) => typeof x).join());
`;

it("require gives a callable", () => {
  const script = `const session = require("holdfast/compat/express-session"); ${CHECK}`;
  expect(run("--no-warnings", "-e", script).trim()).toBe("function function,function,function,function");
});

it("import gives a callable", () => {
  const script = `import session, { Store } from "holdfast/compat/express-session"; ${CHECK}
    if (Store !== session.Store) throw new Error("two stores");`;
  const printed = run("--no-warnings", "--input-type=module", "-e", script);
  expect(printed.trim()).toBe("function function,function,function,function");
});

it("CommonJS gets the bridges", () => {
  const script = `const { fromConnectStore, toConnectStore } = require("holdfast/compat/connect-stores");
    const { memoryStore } = require("holdfast");
    console.log(typeof toConnectStore(memoryStore()).get, typeof fromConnectStore);`;
  expect(run("--no-warnings", "-e", script).trim()).toBe("function function");
});

it("applications keep the types of @types/express-session, in ESM and in CommonJS", () => {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve("typescript/package.json");
  const tsc = join(dirname(manifest), require(manifest).bin.tsc);
  expect(run(tsc, "-p", join(here, "..", "..", "types-compat"))).toBe("");
});
