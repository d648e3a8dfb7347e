/** Holdfast: sessions for Node.js. The engine; stores and adapters have entry points of their own. */

export { checkCsrfToken } from "./adapters/binding.js";

export {
  type AuditContext,
  type AuditLogOptions,
  type AuditRecord,
  auditLog,
} from "./audit/audit-log.js";
export type { AuditLevel } from "./audit/vocabulary.js";

export type { Duration } from "./duration.js";
export type { Authentication, ElevationNeeds, MeansOfAuthentication } from "./engine/authentication.js";
export { type Codec, jsonCodec } from "./engine/codec.js";
export {
  type CookieSessionsOptions,
  createSessions,
  type InitialData,
  type SessionsOptions,
} from "./engine/create-sessions.js";
export type { EncryptOptions } from "./engine/encryption/encrypt.js";
export type { ReencryptOptions, ReencryptProgress } from "./engine/encryption/reencrypt.js";
export type {
  AnySessionEvent,
  CookieRejection,
  DroppedWriteReason,
  SessionEventListener,
  SessionEventName,
  SessionEvents,
} from "./engine/events.js";
export { sessionEventNames } from "./engine/events.js";
export type { Exchange } from "./engine/exchange.js";
export type { Explanation, Remark, RemarkCode } from "./engine/explain/explanation.js";
export type { ClientDescription } from "./engine/guard/client.js";
export type {
  ClientChange,
  ClientChangeAnswer,
  ClientChangeOptions,
  ClientProperty,
  SeenClient,
} from "./engine/guard/client-change.js";
export type { CsrfOptions, CsrfRule } from "./engine/guard/csrf.js";
export type { GuessLimitOptions } from "./engine/guard/guess-limit.js";
export type { RememberOptions } from "./engine/lifetime.js";
export type { MergeStrategies, MergeStrategy } from "./engine/merge.js";
export type { OnEndOptions, SessionEnd, SessionEndListener } from "./engine/on-end.js";
export { aal1, aal2, aal3 } from "./engine/presets.js";
export type { SessionReason } from "./engine/reason.js";
export type { Identity } from "./engine/record.js";
export type { SessionRequest, TrustProxy } from "./engine/request.js";
export type {
  DefaultData,
  ElevateOptions,
  LoginOptions,
  LogoutOptions,
  Session,
  SessionData,
} from "./engine/session.js";
export type { CookieSessions, RevocableCookieSessions, SessionSource, Sessions } from "./engine/sessions.js";
export type { ResponseHeaders, TransportOption } from "./engine/transport.js";
export type { AllSessions, StoredSessionSummary } from "./engine/users/all-sessions.js";
export type { RevocableUser } from "./engine/users/revocable-user.js";
export type { EndReason, RevokedBy, RevokeOptions, RevokeReason } from "./engine/users/revocation.js";
export type { SessionSummary, UserSessions } from "./engine/users/user-sessions.js";
export * from "./errors.js";
export { safeReturnTo } from "./return-to.js";
export { type CookieStore, type CookieStoreOptions, cookieStore } from "./stores/cookie.js";
export { memoryStore } from "./stores/memory.js";
export type { CookieOptions } from "./token/cookie.js";
export { CookieTooLargeError } from "./token/cookie.js";
export {
  type RefreshedSecrets,
  type SecretsFromOptions,
  secretsFrom,
} from "./token/refreshed-secrets.js";
export type { Secret } from "./token/secret.js";
export { type SecretsFromFileOptions, secretsFromFile } from "./token/secret-file.js";
export {
  type ScheduledSecret,
  type SecretEntry,
  type SecretObserver,
  type SecretSource,
  scheduledSecrets,
} from "./token/secret-source.js";
export { secretsFromEnv } from "./token/secret-text.js";
