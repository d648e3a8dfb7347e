import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const page = readFileSync(`${root}docs/security.md`, "utf8");

/** Whole numbers of the chapter: all of its items have a row. */
const V7 = { 1: 3, 2: 4, 3: 2, 4: 5, 5: 3, 6: 2 };

describe("docs/security.md", () => {
  it("names tests that are there, by their titles", () => {
    const named = [...page.matchAll(/\]\(\.\.\/([^)]+)\) "((?:[^"\\]|\\.)+)"/g)];
    expect(named.length).toBeGreaterThan(40);
    const missing = named.filter(([, file, title]) => {
      const path = root + file;
      // A title may be put together of parts, as with the number of runs.
      return !existsSync(path) || !readFileSync(path, "utf8").replaceAll("\\'", "'").includes(title!);
    });
    expect(missing.map(([, file, title]) => `${file}: ${title}`)).toEqual([]);
  });

  it("links to files that are there", () => {
    const links = [...page.matchAll(/\]\(((?:\.\.\/)?[\w./-]+)(?:#[\w-]+)?\)/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(40);
    expect(links.filter((link) => !existsSync(`${root}docs/${link}`))).toEqual([]);
  });

  it("has a row with a test for every item of ASVS 5.0 V7", () => {
    for (const [section, count] of Object.entries(V7)) {
      for (let item = 1; item <= count; item++) {
        const row = page.split("\n").find((line) => line.startsWith(`| 7.${section}.${item} `));
        expect(row, `7.${section}.${item}`).toMatch(/\.(?:ts|js)\) "/);
      }
    }
  });
});
