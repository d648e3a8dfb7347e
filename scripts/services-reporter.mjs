/** A vitest reporter: at the end, one line for each real server that the tests ran against, or did without. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const notes = fileURLToPath(new URL("../artifacts/services.jsonl", import.meta.url));

export default class ServicesReporter {
  onInit() {
    rmSync(notes, { force: true });
  }

  onTestRunEnd() {
    if (!existsSync(notes)) return;
    const lines = readFileSync(notes, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    console.log("\nRan against:");
    for (const line of new Set(lines.map(({ name, what }) => `  ${name}: ${what}`).sort())) console.log(line);
  }
}
