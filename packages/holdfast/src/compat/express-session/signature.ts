import { type BinaryLike, createHmac, type KeyObject, timingSafeEqual } from "node:crypto";

/** A secret as express-session takes it. */
export type ConnectSecret = BinaryLike | KeyObject;

/**
 * The signed form of a session id that express-session puts into its cookie: `s:`, the id, a dot, and the HMAC-SHA-256 under
 * the secret as base64 without padding. Cookies made by the original stay good, and ours are good there.
 */
export function signConnectId(id: string, secret: ConnectSecret): string {
  return `s:${id}.${mac(id, secret)}`;
}

/** The session id of a signed cookie; undefined where no secret fits. Never throws for what came in the cookie. */
export function verifyConnectId(value: string, secrets: readonly ConnectSecret[]): string | undefined {
  const dot = value.lastIndexOf(".");
  if (!value.startsWith("s:") || dot <= 2) return undefined;
  const id = value.slice(2, dot);
  const given = Buffer.from(value.slice(dot + 1));
  for (const secret of secrets) {
    const expected = Buffer.from(mac(id, secret));
    if (given.length === expected.length && timingSafeEqual(given, expected)) return id;
  }
  return undefined;
}

function mac(id: string, secret: ConnectSecret): string {
  return createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "");
}
