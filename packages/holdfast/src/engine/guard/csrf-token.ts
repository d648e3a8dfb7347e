import { randomBytes } from "node:crypto";
import type { ActiveSession } from "../active-session.js";

/** Characters of the random part: 128 bits as base64url. */
const MASK_LENGTH = 22;

const TOKEN = /^[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}$/;

/**
 * A token for the forms and scripts of a session's pages: a random part, and its HMAC together with the session (OWASP CSRF
 * prevention cheat sheet, signed double submit). Each is another, so that a compressed page doesn't give it away (BREACH), and
 * all are good as long as the session is: a renewal keeps them, a login, `rotate` or logout ends them.
 *
 * A session that is not stored is stored with the response, for it to be there when the form comes back.
 * @throws HeadersSentError where it is too late for that.
 */
export function csrfTokenOf(active: ActiveSession): string {
  if (active.record === undefined) {
    active.assertInTime("A CSRF token for a new session");
    active.wanted = true;
  }
  const mask = randomBytes(16).toString("base64url");
  return `${mask}.${active.engine.keyring.mac("csrf", textOf(mask, active))}`;
}

/** Whether a token is one of this session's, compared in constant time. Takes anything, and never throws. */
export function isCsrfTokenOf(active: ActiveSession, token: unknown): boolean {
  if (typeof token !== "string" || !TOKEN.test(token)) return false;
  const mask = token.slice(0, MASK_LENGTH);
  return active.engine.keyring.verifyMac("csrf", textOf(mask, active), token.slice(MASK_LENGTH + 1));
}

/** Renewals change the id, so it is the one that they began with. */
function textOf(mask: string, { id, meta }: ActiveSession): string {
  return `${mask}.${meta.root ?? id}`;
}
