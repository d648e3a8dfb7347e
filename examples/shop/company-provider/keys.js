// @ts-check
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The key that signs what the provider says. It is kept, so that the provider still knows after a restart what it has signed
 * before: an ID token comes back when its user signs out.
 *
 * @param {string} folder
 */
export function signingKey(folder) {
  const file = join(folder, "company-key.json");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" };
  try {
    writeFileSync(file, JSON.stringify(key), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
  }
  return JSON.parse(readFileSync(file, "utf8"));
}
