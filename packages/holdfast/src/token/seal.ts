import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";

/**
 * Seals text with AES-256-GCM, so that only the holders of a secret can read it, and nobody else can change it.
 *
 * The envelope, as base64url: format (1 byte), key id (4), random (24), ciphertext, tag (16). Half of the random bytes make
 * a key for this one envelope, and half are its nonce: so a key may seal any number of times, where AES-GCM with random
 * nonces alone ends at 2^32 (NIST SP 800-38D 8.3).
 */
export interface Sealer {
  /** `context` says what the text is and whose: it isn't in the envelope, and opening takes the same one. */
  seal(text: string, context: string): string;
  /** Undefined for what was not sealed with one of the secrets and in this context. Never throws. */
  open(sealed: string, context: string): Unsealed | undefined;
  /** Whether it claims to be sealed with one of the secrets: where it doesn't open, it was changed or moved. Never throws. */
  claimsKnownKey(sealed: string): boolean;
}

export interface Unsealed {
  readonly text: string;
  readonly sealedByOlderKey: boolean;
}

const FORMAT = 1;
const KEY_ID_BYTES = 4;
const RANDOM_BYTES = 24;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + KEY_ID_BYTES + RANDOM_BYTES;

/** The format and the key id fit into these. */
const HEAD_CHARACTERS = 8;

/** How many bytes an envelope adds to its text. */
export const SEAL_BYTES = HEAD_BYTES + TAG_BYTES;

const BASE64URL = /^[A-Za-z0-9_-]+$/;

/**
 * A sealer for one purpose, under keys derived from the secrets (HKDF-SHA-256, RFC 5869): the first seals, all open.
 */
export function createSealer(secrets: readonly Uint8Array[], purpose: string): Sealer {
  const keys = secrets.map((secret) => {
    const derived = Buffer.from(hkdfSync("sha256", secret, "", `holdfast/1/${purpose}`, 32 + KEY_ID_BYTES));
    return { bytes: derived.subarray(0, 32), id: derived.subarray(32) };
  });
  const [first] = keys as [(typeof keys)[number]];

  return {
    seal(text, context) {
      const head = Buffer.concat([Buffer.of(FORMAT), first.id, randomBytes(RANDOM_BYTES)]);
      const { key, nonce } = envelopeKey(first.bytes, head);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(boundTo(head, context));
      const ciphertext = [cipher.update(text, "utf8"), cipher.final()];
      return Buffer.concat([head, ...ciphertext, cipher.getAuthTag()]).toString("base64url");
    },

    open(sealed, context) {
      if (!BASE64URL.test(sealed)) return undefined;
      const envelope = Buffer.from(sealed, "base64url");
      if (envelope.length < SEAL_BYTES || envelope[0] !== FORMAT) return undefined;
      // The last character may have bits to spare, and Node ignores one too many: only one spelling is the sealed text.
      if (envelope.toString("base64url") !== sealed) return undefined;
      const head = envelope.subarray(0, HEAD_BYTES);
      const ciphertext = envelope.subarray(HEAD_BYTES, -TAG_BYTES);
      const tag = envelope.subarray(-TAG_BYTES);
      for (const [index, { bytes, id }] of keys.entries()) {
        if (!id.equals(head.subarray(1, 1 + KEY_ID_BYTES))) continue;
        const { key, nonce } = envelopeKey(bytes, head);
        const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
        decipher.setAAD(boundTo(head, context)).setAuthTag(tag);
        try {
          const text = Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString("utf8");
          return { text, sealedByOlderKey: index > 0 };
        } catch {
          // Changed on the way, or sealed in another context.
        }
      }
      return undefined;
    },

    claimsKnownKey(sealed) {
      const start = Buffer.from(sealed.slice(0, HEAD_CHARACTERS), "base64url");
      return start[0] === FORMAT && keys.some(({ id }) => id.equals(start.subarray(1, 1 + KEY_ID_BYTES)));
    },
  };
}

function envelopeKey(key: Uint8Array, head: Uint8Array): { key: Uint8Array; nonce: Uint8Array } {
  const random = head.subarray(1 + KEY_ID_BYTES);
  const salt = random.subarray(0, RANDOM_BYTES / 2);
  return {
    key: createHmac("sha256", key).update(salt).digest(),
    nonce: random.subarray(RANDOM_BYTES / 2),
  };
}

/** Additional data: neither the key id nor the context can be exchanged for another. */
function boundTo(head: Uint8Array, context: string): Buffer {
  return Buffer.concat([head.subarray(0, 1 + KEY_ID_BYTES), Buffer.from(context, "utf8")]);
}
