/**
 * Puts the figures of artifacts/ into docs/performance.md: `node bench/into-docs.js`, or only some, as in
 * `node bench/into-docs.js bench micro`. Each goes between `<!-- figures: NAME -->` and `<!-- end -->`.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const pathOf = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const page = pathOf("docs/performance.md");
const wanted = process.argv.slice(2);

const text = readFileSync(page, "utf8").replace(
  /(<!-- figures: ([\w-]+) -->\n)[\s\S]*?(<!-- end -->)/g,
  (block, begin, name, end) => {
    const file = pathOf(`artifacts/${name}.md`);
    if ((wanted.length > 0 && !wanted.includes(name)) || !existsSync(file)) return block;
    console.log(`${name}: replaced`);
    return `${begin}\n${readFileSync(file, "utf8")}\n${end}`;
  },
);
writeFileSync(page, text);
execFileSync("npx", ["biome", "check", "--write", page], { stdio: "inherit" });
