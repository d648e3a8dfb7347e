/** Writes the checks of `npx holdfast doctor` into docs/doctor.md, from the tables that it runs. Build first. */
import { readFileSync, writeFileSync } from "node:fs";
import { SETTINGS_CHECKS } from "../packages/holdfast/dist/cli/doctor/settings.js";
import { SITE_CHECKS } from "../packages/holdfast/dist/cli/doctor/site.js";
import { STORE_CHECKS } from "../packages/holdfast/dist/cli/doctor/store.js";
import { REFUSED } from "../packages/holdfast/dist/cli/doctor.js";

const page = new URL("../docs/doctor.md", import.meta.url);
let text = readFileSync(page, "utf8");
const tables = { settings: [REFUSED, ...SETTINGS_CHECKS], store: STORE_CHECKS, site: SITE_CHECKS };
for (const [name, checks] of Object.entries(tables)) {
  const rows = checks.map(
    ({ id, severity, about, asvs = "" }) => `| \`${id}\` | ${severity} | ${about} | ${asvs} |`,
  );
  const table = [
    "| check | severity | what should be so | ASVS 5.0 |",
    "| --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
  const between = new RegExp(`(<!-- checks: ${name} -->\n)[\\s\\S]*?(\n<!-- end -->)`);
  if (!between.test(text)) throw new Error(`docs/doctor.md has no place for the checks of ${name}`);
  text = text.replace(between, (_, before, after) => `${before}\n${table}\n${after}`);
}
writeFileSync(page, text);
