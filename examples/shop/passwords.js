// @ts-check
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

const derive =
  /** @type {(password: string, salt: Buffer, length: number, options: import("node:crypto").ScryptOptions) => Promise<Buffer>} */ (
    promisify(scrypt)
  );

/** OWASP's password storage cheat sheet names these: 32 MiB, three passes. */
const COST = { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 2 ** 20 };
const BYTES = 32;

/**
 * A salted hash, as text that holds all that is needed to check a password against it.
 *
 * @param {string} password
 */
export async function hashPassword(password) {
  const salt = randomBytes(16);
  const hash = await derive(password.normalize(), salt, BYTES, COST);
  return `${salt.toString("base64url")}.${hash.toString("base64url")}`;
}

/**
 * @param {string} password
 * @param {string} stored
 */
export async function verifyPassword(password, stored) {
  const [salt = "", hash = ""] = stored.split(".");
  const expected = Buffer.from(hash, "base64url");
  const actual = await derive(password.normalize(), Buffer.from(salt, "base64url"), BYTES, COST);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
