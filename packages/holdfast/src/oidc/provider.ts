import { createRemoteJWKSet, type JWTVerifyGetKey } from "jose";
import * as client from "openid-client";
import { warn } from "../warn.js";
import { OidcError, oidcErrorOf } from "./errors.js";
import type { OidcSettings } from "./options.js";

/** What is known of the provider. */
export interface Provider {
  readonly issuer: string;
  readonly configuration: client.Configuration;
  /** Its public keys, fetched when they are needed, and again when a token names one that is not known. */
  readonly keys: JWTVerifyGetKey;
  /** The signatures that it makes, and that nobody else can make. */
  readonly algorithms: readonly string[];
}

/** For so long after the keys were fetched, an unknown key is not asked for again, in milliseconds. */
const KEYS_COOLDOWN = 5000;

/** The provider, found by its discovery document (OpenID Connect Discovery 4), with the application's way to prove itself. */
export async function discoverProvider(settings: OidcSettings): Promise<Provider> {
  const { issuer, startTimeout } = settings;
  const giveUpAt = Date.now() + startTimeout;
  for (let pause = 250; ; pause = Math.min(pause * 2, 5000)) {
    try {
      return providerOf(await discover(settings), settings);
    } catch (error) {
      const failure = oidcErrorOf(error);
      if (failure.reason !== "provider_unavailable" || Date.now() + pause > giveUpAt)
        throw startError(failure, issuer);
      warn("HOLDFAST_OIDC_START", `${issuer.origin}: ${failure.message} Trying again.`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

function discover(settings: OidcSettings): Promise<client.Configuration> {
  const { issuer, clientId, clientSecret, clockTolerance, timeout } = settings;
  const metadata = { client_secret: clientSecret, [client.clockTolerance]: Math.ceil(clockTolerance / 1000) };
  return client.discovery(
    issuer,
    clientId,
    metadata as Partial<client.ClientMetadata>,
    clientAuthentication(settings),
    { timeout: timeout / 1000, execute: issuer.protocol === "http:" ? [client.allowInsecureRequests] : [] },
  );
}

function providerOf(configuration: client.Configuration, { timeout }: OidcSettings): Provider {
  const metadata = configuration.serverMetadata();
  const offered = (metadata.id_token_signing_alg_values_supported as string[] | undefined) ?? ["RS256"];
  const algorithms = offered.filter((name) => /^(?:(?:RS|PS|ES)\d+|EdDSA|Ed25519)$/.test(name));
  if (metadata.jwks_uri === undefined || algorithms.length === 0)
    throw new OidcError(
      "invalid_response",
      "It names no public keys (jwks_uri), or no signature made with them.",
    );
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri), {
    timeoutDuration: timeout,
    cooldownDuration: KEYS_COOLDOWN,
  });
  return { issuer: metadata.issuer, configuration, keys, algorithms };
}

function startError(failure: OidcError, issuer: URL): OidcError {
  return new OidcError(
    failure.reason,
    `issuer: the provider's discovery document (${issuer.href.replace(/\/$/, "")}/.well-known/openid-configuration) can't be used. ${failure.message}`,
  );
}

function clientAuthentication({
  clientSecret,
  clientSecretMethod = "post",
  clientPrivateKey,
}: OidcSettings): client.ClientAuth {
  if (clientPrivateKey !== undefined) return client.PrivateKeyJwt(clientPrivateKey as client.CryptoKey);
  return clientSecretMethod === "basic"
    ? client.ClientSecretBasic(clientSecret)
    : client.ClientSecretPost(clientSecret);
}
