import { createRemoteJWKSet, jwtVerify } from "jose";
import type { ServerMetadata } from "openid-client";
import { OidcError } from "./errors.js";

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
/** A logout token is made when it is sent: one older than this is not taken, in seconds. */
const MAX_AGE = 300;

export interface LogoutToken {
  readonly subject: string | undefined;
  readonly sid: string | undefined;
  readonly jti: string;
  /** When it can't be replayed any more, in milliseconds. */
  readonly expires: number;
}

/** Checks logout tokens as OpenID Connect Back-Channel Logout 1.0, 2.6 says. */
export function logoutTokenVerifier(
  provider: ServerMetadata,
  clientId: string,
  clockTolerance: number,
  timeout: number,
  clock: () => number,
): (token: string) => Promise<LogoutToken> {
  const keys = createRemoteJWKSet(new URL(provider.jwks_uri!), { timeoutDuration: timeout });
  const offered = (provider.id_token_signing_alg_values_supported as string[] | undefined) ?? ["RS256"];
  // Only signatures that nobody but the provider can make.
  const algorithms = offered.filter((name) => /^(?:RS|PS|ES)\d+$|^(?:EdDSA|Ed25519)$/.test(name));

  return async (token) => {
    let payload: Awaited<ReturnType<typeof jwtVerify>>["payload"];
    try {
      ({ payload } = await jwtVerify(token, keys, {
        issuer: provider.issuer,
        audience: clientId,
        algorithms,
        clockTolerance: Math.ceil(clockTolerance / 1000),
        maxTokenAge: MAX_AGE,
        requiredClaims: ["iat", "jti", "events"],
        currentDate: new Date(clock()),
      }));
    } catch (error) {
      const { code } = error as { code?: unknown };
      throw new OidcError(
        "invalid_logout_token",
        `A logout token was refused (${typeof code === "string" ? code : "unreadable"}).`,
      );
    }
    const { sub, sid, jti, iat, exp, events, nonce } = payload;
    const event = (events as Record<string, unknown> | undefined)?.[EVENT];
    if (typeof event !== "object" || event === null) refuse("it is for another event");
    if (nonce !== undefined) refuse("it has a nonce, as an ID token has");
    if (sid !== undefined && typeof sid !== "string") refuse("its sid is malformed");
    if (sub === undefined && sid === undefined) refuse("it names neither a user nor a session");
    if (typeof jti !== "string" || jti === "") refuse("its jti is malformed");
    const lastUse = Math.max(exp ?? 0, iat! + MAX_AGE) * 1000 + clockTolerance;
    return { subject: sub, sid: sid as string | undefined, jti: jti!, expires: lastUse + 1000 };
  };
}

function refuse(why: string): never {
  throw new OidcError("invalid_logout_token", `A logout token was refused: ${why}.`);
}
