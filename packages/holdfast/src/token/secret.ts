import { Buffer } from "node:buffer";
import { KeyObject } from "node:crypto";
import { ConfigurationError } from "../errors.js";

/** A signing secret: text, bytes, or a symmetric `KeyObject`, of at least 32 bytes. */
export type Secret = string | Uint8Array | KeyObject;

/** Makes a good secret; quoted in every message that refuses one. */
export const SECRET_COMMAND = `node -e "console.log(require('node:crypto').randomBytes(32).toString('base64url'))"`;

const MIN_BYTES = 32;
const MIN_DIFFERENT_BYTES = 8;

/** Words that examples and tutorials use; a secret that is built around one of them is known to everybody. */
const KNOWN_EXAMPLES = [
  "keyboardcat",
  "secret",
  "password",
  "changeme",
  "changethis",
  "replaceme",
  "replacethis",
  "topsecret",
  "supersecret",
  "mysecret",
  "yoursecret",
  "yoursecrethere",
  "sessionsecret",
  "cookiesecret",
  "shhhh",
  "s3cret",
  "s3cr3t",
  "somesecrethurr",
  "asecretwithminimumlengthof32characters",
  "complexpasswordatleast32characterslong",
  "passwordatleast32characterslong",
];

/** The bytes of a secret, or an error that names the option when it is no secret at all. */
export function secretBytes(option: string, secret: Secret): Uint8Array {
  if (typeof secret === "string") return Buffer.from(secret, "utf8");
  if (secret instanceof Uint8Array) return secret;
  if (secret instanceof KeyObject && secret.type === "secret") return secret.export();
  throw new ConfigurationError(
    option,
    `expected text, bytes or a secret KeyObject, got ${secret === undefined ? "undefined" : typeof secret}. Make one with: ${SECRET_COMMAND}`,
  );
}

/** What is weak about a secret, as the end of a sentence that starts with "the secret …", or nothing. */
export function weaknessOf(bytes: Uint8Array): string | undefined {
  const letters = Buffer.from(bytes)
    .toString("latin1")
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "");
  if (KNOWN_EXAMPLES.some((example) => isBuiltOn(letters, example)))
    return "is an example that everybody knows";
  if (bytes.length < MIN_BYTES) return `has ${bytes.length} bytes; ${MIN_BYTES} is the least`;
  if (new Set(bytes).size < MIN_DIFFERENT_BYTES) return "repeats a few characters";
  return undefined;
}

/** An example that was repeated, numbered or (for the unmistakable ones) padded to make it longer is still that example. */
function isBuiltOn(letters: string, example: string): boolean {
  if (letters.length === 0) return false;
  const repeated = example.repeat(Math.ceil(letters.length / example.length)).slice(0, letters.length);
  return (
    letters === repeated ||
    letters.replace(/\d+$/, "") === example ||
    (example.length >= 10 && letters.includes(example))
  );
}
