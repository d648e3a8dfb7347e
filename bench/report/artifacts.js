import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Writes a file into artifacts/, and says where it is from the project's folder. */
export function writeArtifact(name, text) {
  const folder = fileURLToPath(new URL("../../artifacts/", import.meta.url));
  mkdirSync(folder, { recursive: true });
  writeFileSync(folder + name, text);
  return `artifacts/${name}`;
}
