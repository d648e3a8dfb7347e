// @ts-check
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The secret that signs session cookies: SESSION_SECRET, or in development one that is made at the first start and kept
 * for its owner only, so that a restart logs nobody out.
 *
 * @param {string} folder
 * @returns {string}
 */
export function sessionSecret(folder) {
  if (process.env.SESSION_SECRET) return process.env.SESSION_SECRET;
  if (process.env.NODE_ENV === "production") {
    console.error("Set SESSION_SECRET in production. This makes one: npx holdfast secret");
    process.exit(1);
  }
  const file = join(folder, "session-secret");
  try {
    writeFileSync(file, randomBytes(32).toString("base64url"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
  }
  return readFileSync(file, "utf8");
}
