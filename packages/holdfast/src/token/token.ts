import { hash, randomBytes } from "node:crypto";

/** Characters of a token: 256 bits as base64url without padding. */
export const TOKEN_LENGTH = 43;

/** A new session token: 256 bits from the operating system's CSPRNG, as base64url (OWASP ASVS 5.0, 7.2.3). */
export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * The session id of a token: its SHA-256 as base64url. It names the session in the store, in logs and in lists;
 * the token can't be computed from it, so a stolen store opens no session.
 */
export function sessionIdOf(token: string): string {
  return hash("sha256", token, "base64url");
}

/** Whether text has the shape of a session id. What has not never reaches a store. */
export function isSessionId(text: unknown): text is string {
  return typeof text === "string" && /^[A-Za-z0-9_-]{43}$/.test(text);
}
