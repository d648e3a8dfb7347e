import { KeyObject } from "node:crypto";
import { ConfigurationError } from "../errors.js";

/** A signing secret: text, bytes, or a symmetric `KeyObject`, of at least 32 bytes. */
export type Secret = string | Uint8Array | KeyObject;

/** Makes a good secret; quoted in every message that refuses one. */
export const SECRET_COMMAND = "npx holdfast secret";

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
  "averylogphrasebiggerthanthirtytwochars",
  "alongrandomlygeneratedstringstoredinenv",
  "longrandomstring",
  "astringsecretatleast256bitslong",
  "your256bitsecret",
  "80d42cfb1cd2462c8f17e3237d9027e9",
];

/** The bytes of a secret, or an error that names the option when it is no secret at all. */
export function secretBytes(option: string, secret: Secret): Uint8Array {
  const bytes = bytesOf(secret);
  if (bytes !== undefined && bytes.length > 0) return bytes;
  const got = bytes !== undefined ? "an empty one" : secret === undefined ? "undefined" : typeof secret;
  throw new ConfigurationError(
    option,
    `expected text, bytes or a secret KeyObject, got ${got}. Make one with: ${SECRET_COMMAND}`,
  );
}

function bytesOf(secret: Secret): Uint8Array | undefined {
  if (typeof secret === "string") return Buffer.from(secret, "utf8");
  if (secret instanceof Uint8Array) return secret;
  if (secret instanceof KeyObject && secret.type === "secret") return secret.export();
  return undefined;
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
  if (isRepetition(bytes)) return "repeats a shorter text";
  if (isSequence(bytes)) return "is a sequence of characters";
  return undefined;
}

/** An example that was repeated, numbered or (for the unmistakable ones) padded to make it longer is still that example. */
function isBuiltOn(letters: string, example: string): boolean {
  if (!letters.includes(example)) return false;
  const repeated = example.repeat(Math.ceil(letters.length / example.length));
  return (
    example.length >= 10 || repeated.startsWith(letters) || /^\d*$/.test(letters.replaceAll(example, ""))
  );
}

/** A text twice or more in a row is only as strong as that text. */
function isRepetition(bytes: Uint8Array): boolean {
  for (let period = 1; period < MIN_BYTES && period * 2 <= bytes.length; period++) {
    if (bytes.every((byte, index) => index < period || byte === bytes[index - period])) return true;
  }
  return false;
}

/** Most characters follow the one before, as in "abcdef…" and "0123456789…". */
function isSequence(bytes: Uint8Array): boolean {
  const steps = bytes.filter((byte, index) => index > 0 && byte === bytes[index - 1]! + 1).length;
  return steps > bytes.length / 2;
}
