/** Logging in with OpenID Connect, on the session engine. */
export { OidcError, type OidcReason } from "./errors.js";
export type { OidcAnswer, OidcRequest } from "./exchange.js";
export { type LoginGuard, type LoginRequest, OpenidConnect, openidConnect } from "./openid-connect.js";
export type { Claims, OidcRoutes, OpenidConnectOptions, ProvenLogin } from "./options.js";
