import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where the tests' processes, which inherit this environment, note what they ran against. One file for each run. */
const notes = join(tmpdir(), `holdfast-services-${process.pid}.jsonl`);
process.env.HOLDFAST_SERVICE_NOTES = notes;

/**
 * A vitest reporter for the end of the output: one line for each real server that the tests ran against or did without, then
 * how many tests passed, failed and were skipped.
 */
export default class ServicesReporter {
  onTestRunEnd(modules, errors) {
    if (existsSync(notes)) {
      const lines = readFileSync(notes, "utf8").trim().split("\n");
      const services = lines.map((line) => JSON.parse(line)).map(({ name, what }) => `  ${name}: ${what}`);
      console.log(["\nRan against:", ...new Set(services.sort())].join("\n"));
      rmSync(notes);
    }
    const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) count[test.result().state]++;
      // A file that could not be read has no tests to fail.
      if (module.state() === "failed" && !tests.some((test) => test.result().state === "failed"))
        count.failed++;
    }
    console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped`);
  }
}
