// @ts-check
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { secretsFromFile } from "holdfast";

/**
 * The secrets that sign session cookies: in the file SESSION_SECRETS_FILE, which is watched, or in SESSION_SECRET, or in
 * development one that is made at the first start and kept for its owner only, so that a restart logs nobody out.
 *
 * @param {string} folder
 */
export function sessionSecrets(folder) {
  const { SESSION_SECRETS_FILE, SESSION_SECRET } = process.env;
  if (SESSION_SECRETS_FILE) return secretsFromFile(SESSION_SECRETS_FILE);
  if (SESSION_SECRET) return [SESSION_SECRET];
  if (process.env.NODE_ENV === "production") {
    console.error(
      "Set SESSION_SECRET or SESSION_SECRETS_FILE in production. This makes one: npx holdfast secret",
    );
    process.exit(1);
  }
  const file = join(folder, "session-secret");
  try {
    writeFileSync(file, randomBytes(32).toString("base64url"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
  }
  return [readFileSync(file, "utf8")];
}
