import { HoldfastError } from "../errors.js";

/** Why a login, a logout or a token could not be had. */
export type OidcReason =
  /** The user, or the provider's policy, said no. */
  | "access_denied"
  /** A silent login, and the user has to log in at the provider. */
  | "login_required"
  /** A silent login, and the user has to agree or choose at the provider. */
  | "interaction_required"
  /** No login of this browser is under way that the answer fits: it is done already, took too long, or began in another browser. */
  | "unknown_login"
  /** The provider's answer is forged, damaged, or meant for another login. */
  | "invalid_response"
  /** The provider doesn't accept this application: its secret, key or redirect URI. */
  | "client_refused"
  /** The provider gave no answer in time, or answered that it is out of order. */
  | "provider_unavailable"
  /** The clocks of provider and application differ too much. */
  | "clock"
  /** The login at the provider was too long ago, or too weak. */
  | "insufficient_authentication"
  /** `afterLogin` refused the user. */
  | "user_refused"
  /** The provider has ended the user's session. */
  | "session_ended"
  /** Tokens are not kept, have ended, or can't be refreshed: the user has to log in again. */
  | "token_unavailable"
  /** A logout token that is not valid (OpenID Connect Back-Channel Logout 2.6). */
  | "invalid_logout_token";

const STATUS: Record<OidcReason, number> = {
  access_denied: 403,
  login_required: 401,
  interaction_required: 401,
  unknown_login: 400,
  invalid_response: 400,
  client_refused: 500,
  provider_unavailable: 503,
  clock: 500,
  insufficient_authentication: 403,
  user_refused: 403,
  session_ended: 401,
  token_unavailable: 401,
  invalid_logout_token: 400,
};

/** Something went wrong between the application and the identity provider. No message holds a token, a code or a secret. */
export class OidcError extends HoldfastError {
  readonly reason: OidcReason;

  constructor(reason: OidcReason, message: string, cause?: unknown) {
    super(`ERR_HOLDFAST_OIDC_${reason.toUpperCase()}`, STATUS[reason], message, cause);
    this.reason = reason;
  }
}

/** What stands for no answer at all. The last two are of its keys: jose has no code of its own for an answer with a bad status. */
const NO_ANSWER = new Set([
  "TimeoutError",
  "AbortError",
  "OAUTH_TIMEOUT",
  "OAUTH_ABORT",
  "ERR_JWKS_TIMEOUT",
  "ERR_JOSE_GENERIC",
]);

/** What the provider's library threw, as an error of ours. Its own error, which may hold the answer, stays out of it. */
export function oidcErrorOf(error: unknown): OidcError {
  if (error instanceof OidcError) return error;
  const { code, error: oauth, status, name, claim } = chained(error);
  if (oauth !== undefined) return ofProvider(oauth, status);
  if (claim === "iat" || claim === "nbf" || claim === "exp") {
    return new OidcError(
      "clock",
      `The ID token's time (${claim}) doesn't fit: check the clocks of this server and the provider, or raise \`clockTolerance\`.`,
    );
  }
  if (claim === "auth_time")
    return new OidcError(
      "insufficient_authentication",
      "The login at the provider was longer ago than `maxAge`.",
    );
  // With an Authorization header, this is how a wrong secret is refused (RFC 6749 5.2).
  if (status === 401) return ofProvider("invalid_client", status);
  const isDown = status !== undefined && (status >= 500 || status === 429);
  if (isDown || NO_ANSWER.has(name ?? "") || NO_ANSWER.has(code ?? "") || isNetwork(error)) {
    const answered = isDown
      ? `answered with status ${status}`
      : "gave no answer in time, or can't be reached";
    return new OidcError("provider_unavailable", `The identity provider ${answered}.`);
  }
  const details = [code, status === undefined || status === 200 ? undefined : `status ${status}`];
  const shown = details.filter((detail) => detail !== undefined).join(", ");
  return new OidcError(
    "invalid_response",
    `The identity provider's answer was refused${shown ? ` (${shown})` : ""}.`,
  );
}

function ofProvider(oauth: string, status: number | undefined): OidcError {
  switch (oauth) {
    case "access_denied":
      return new OidcError("access_denied", "The user, or the provider's policy, refused the login.");
    case "login_required":
      return new OidcError("login_required", "The user has to log in at the identity provider.");
    case "consent_required":
    case "interaction_required":
    case "account_selection_required":
      return new OidcError("interaction_required", `The identity provider has to ask the user (${oauth}).`);
    case "invalid_client":
    case "unauthorized_client":
      return new OidcError(
        "client_refused",
        `The identity provider refused this application (${oauth}): check clientId, and clientSecret or clientPrivateKey.`,
      );
    case "server_error":
    case "temporarily_unavailable":
      return new OidcError("provider_unavailable", `The identity provider is out of order (${oauth}).`);
    default: {
      const known = /^[a-z_]{1,40}$/.test(oauth) ? ` (${oauth})` : "";
      return new OidcError(
        "invalid_response",
        `The identity provider refused the request${known}${status ? `, status ${status}` : ""}.`,
      );
    }
  }
}

/** What the error and those that caused it say of themselves. */
function chained(error: unknown): {
  code?: string;
  error?: string;
  status?: number;
  name?: string;
  claim?: string;
} {
  const found: Record<string, any> = {};
  for (let each: any = error, depth = 0; each && depth < 5; each = each.cause, depth++) {
    for (const key of ["code", "error", "status", "name"] as const) {
      const type = key === "status" ? "number" : "string";
      if (typeof each[key] === type) found[key] ??= each[key];
    }
    if (typeof each.claim === "string") found.claim ??= each.claim;
    if (each instanceof Response) found.status ??= each.status;
  }
  return found;
}

function isNetwork(error: unknown): boolean {
  const text = String(
    (error as { cause?: { code?: unknown } })?.cause?.code ?? (error as { code?: unknown })?.code,
  );
  return (
    /^(?:ECONN|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EPIPE|UND_ERR)/.test(text) ||
    (error as Error)?.message === "fetch failed"
  );
}
