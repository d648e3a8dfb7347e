import { randomBytes } from "node:crypto";
import type { Keyring } from "../token/keyring.js";

/** Milliseconds for which a form may stay open. */
const LIFETIME = 12 * 60 * 60_000;

const TOKEN = /^(\d{1,16})\.([\w-]{22})\.([\w-]{43})$/;

/**
 * A token for the console's forms: when it ends, a random part, and their HMAC together with who it was made for (OWASP CSRF
 * prevention cheat sheet). It needs no session, and holds in every process that has the same secrets.
 */
export function formTokenFor(keyring: Keyring, actor: string, now: number): string {
  const open = `${now + LIFETIME}.${randomBytes(16).toString("base64url")}`;
  return `${open}.${keyring.mac("console", `${open}.${actor}`)}`;
}

export function isFormTokenOf(keyring: Keyring, actor: string, now: number, token: string | null): boolean {
  const [, end, mask, mac] = TOKEN.exec(token ?? "") ?? [];
  if (end === undefined || Number(end) <= now) return false;
  return keyring.verifyMac("console", `${end}.${mask}.${actor}`, mac!);
}
