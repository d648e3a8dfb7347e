import { jwtVerify } from "jose";
import { OidcError, oidcErrorOf } from "./errors.js";
import type { Provider } from "./provider.js";

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
/** A logout token is made when it is sent: one older than this is not taken, in seconds. */
const MAX_AGE = 300;

export interface LogoutToken {
  readonly subject: string | undefined;
  readonly sid: string | undefined;
  readonly jti: string;
  /** For how long it could be replayed, in milliseconds. */
  readonly lifetime: number;
}

/**
 * Checks a logout token as OpenID Connect Back-Channel Logout 1.0, 2.6 says, but for whether it has come before.
 * @param clockTolerance milliseconds.
 */
export async function verifyLogoutToken(
  token: string,
  { issuer, keys, algorithms }: Provider,
  clientId: string,
  clockTolerance: number,
): Promise<LogoutToken> {
  let payload: Awaited<ReturnType<typeof jwtVerify>>["payload"];
  try {
    ({ payload } = await jwtVerify(token, keys, {
      issuer,
      audience: clientId,
      algorithms: [...algorithms],
      clockTolerance: Math.ceil(clockTolerance / 1000),
      maxTokenAge: MAX_AGE,
      requiredClaims: ["iat", "jti", "events"],
    }));
  } catch (error) {
    const failure = oidcErrorOf(error);
    if (failure.reason === "provider_unavailable") throw failure;
    const { code } = error as { code?: unknown };
    refuse(typeof code === "string" ? code : "unreadable");
  }
  const { sub, sid, jti, iat, exp, events, nonce } = payload;
  const event = (events as Record<string, unknown> | undefined)?.[EVENT];
  if (typeof event !== "object" || event === null) refuse("it is for another event");
  if (nonce !== undefined) refuse("it has a nonce, as an ID token has");
  if (sid !== undefined && (typeof sid !== "string" || sid === "")) refuse("its sid is malformed");
  if (sub !== undefined && (typeof sub !== "string" || sub === "")) refuse("its sub is malformed");
  if (sub === undefined && sid === undefined) refuse("it names neither a user nor a session");
  if (typeof jti !== "string" || jti === "") refuse("its jti is malformed");
  const lastUse = Math.max(exp ?? 0, iat! + MAX_AGE) * 1000 + clockTolerance;
  return { subject: sub, sid: sid as string | undefined, jti, lifetime: lastUse + 1000 - Date.now() };
}

function refuse(why: string): never {
  throw new OidcError("invalid_logout_token", `A logout token was refused: ${why}.`);
}
