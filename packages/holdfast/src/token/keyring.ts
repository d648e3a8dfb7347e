import {
  createHmac,
  createSecretKey,
  hash,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { ConfigurationError } from "../errors.js";
import { warn } from "../warn.js";
import { RecentMap } from "./recent-map.js";
import { createSealer, type Sealer } from "./seal.js";
import { SECRET_COMMAND, type Secret, secretBytes, weaknessOf } from "./secret.js";
import { sessionIdOf, TOKEN_LENGTH } from "./token.js";

/** Characters of a signed token: the token, a dot, and its HMAC-SHA-256 as base64url. */
export const SIGNED_TOKEN_LENGTH = TOKEN_LENGTH + 1 + 43;

const SIGNED_TOKEN = /^[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}$/;

/** What became of a cookie's value: the token that it carries with the session id, or why it is refused. */
export type Verification =
  | { readonly token: string; readonly id: string; readonly signedByOlderKey: boolean }
  | { readonly refused: "malformed" | "forged" };

/**
 * How many signed tokens are known to verify, by their hash: a hash costs a tenth of an HMAC, and no token is kept. Only what
 * has verified gets in, so nobody can fill it with forgeries.
 */
const MAX_VERIFIED = 10_000;

const MALFORMED: Verification = { refused: "malformed" };
const FORGED: Verification = { refused: "forged" };

/**
 * The ordered secrets: the first signs, all verify, so that a secret is rotated by putting a new one in front and
 * dropping the old one once the sessions that it signed have ended.
 */
export interface Keyring {
  /** The signed token for a cookie. */
  sign(token: string): string;
  /** Checks the shape first, then the signature, in constant time. Never throws. */
  verify(value: string): Verification;
  /** Seals and opens under keys of its own for one purpose, such as "cookie". */
  sealer(purpose: string): Sealer;
}

/**
 * Makes a keyring. Each purpose has a key of its own, derived from the secret with HKDF-SHA-256 (RFC 5869).
 * @throws ConfigurationError in production, when a secret is missing, short or a known example; elsewhere it warns,
 *   and stands in for missing secrets with a random one that is forgotten at the next start.
 */
export function createKeyring(secrets: readonly Secret[] | Secret, production: boolean): Keyring {
  const list = (Array.isArray(secrets) ? secrets : [secrets]) as readonly Secret[];
  const checked = checkedSecrets(list, production);
  const keys = checked.map((bytes) => deriveKey(bytes, "sign"));
  const [first] = keys as [KeyObject];
  const sealers = new Map<string, Sealer>();
  const verified = new RecentMap<{ id: string; signedByOlderKey: boolean }>(MAX_VERIFIED);

  return {
    sign: (token) => `${token}.${mac(first, token).toString("latin1")}`,
    verify(value) {
      if (value.length !== SIGNED_TOKEN_LENGTH) return MALFORMED;
      const token = value.slice(0, TOKEN_LENGTH);
      const digest = hash("sha256", value, "base64url");
      const known = verified.get(digest);
      if (known !== undefined) return { token, ...known };

      if (!SIGNED_TOKEN.test(value)) return MALFORMED;
      const given = Buffer.from(value.slice(TOKEN_LENGTH + 1), "latin1");
      const index = keys.findIndex((key) => timingSafeEqual(mac(key, token), given));
      if (index === -1) return FORGED;
      const verdict = { id: sessionIdOf(token), signedByOlderKey: index > 0 };
      verified.set(digest, verdict);
      return { token, ...verdict };
    },
    sealer(purpose) {
      const sealer = sealers.get(purpose) ?? createSealer(checked, `seal/${purpose}`);
      sealers.set(purpose, sealer);
      return sealer;
    },
  };
}

/** The HMAC's base64url text as bytes: comparing texts leaves no second spelling of the same signature. */
function mac(key: KeyObject, token: string): Buffer {
  return Buffer.from(createHmac("sha256", key).update(token).digest("base64url"), "latin1");
}

function deriveKey(secret: Uint8Array, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync("sha256", secret, "", `holdfast/1/${purpose}`, 32)));
}

function checkedSecrets(secrets: readonly Secret[], production: boolean): Uint8Array[] {
  const missing = secrets.filter((secret) => secret === undefined || secret === null || secret === "").length;
  if (secrets.length === 0 || missing === secrets.length) {
    const advice = `set it to a long random text, which this command makes: ${SECRET_COMMAND}`;
    if (production) throw new ConfigurationError("secrets", `no secret was given; ${advice}`);
    warn(
      "HOLDFAST_NO_SECRET",
      `secrets: none was given, so a random one is used until the next start; ${advice}`,
    );
    return [randomBytes(32)];
  }
  return secrets.map((secret, index) => {
    const option = `secrets[${index}]`;
    const bytes = secretBytes(option, secret);
    const weakness = weaknessOf(bytes);
    if (weakness !== undefined) {
      const advice = `the secret ${weakness}. Use a long random text, which this command makes: ${SECRET_COMMAND}`;
      if (production) throw new ConfigurationError(option, advice);
      warn("HOLDFAST_WEAK_SECRET", `${option}: ${advice} (Refused when NODE_ENV is "production".)`);
    }
    return bytes;
  });
}
