import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** What a script of this folder prints, as JSON. It runs the built package. */
export async function measuredBy(script: string, ...flags: string[]): Promise<any> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const env = { ...process.env, NODE_ENV: "test", NODE_OPTIONS: "", NODE_NO_WARNINGS: "1" };
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, path], { env });
  return JSON.parse(stdout);
}
