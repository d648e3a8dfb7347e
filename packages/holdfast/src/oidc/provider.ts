import * as client from "openid-client";
import { warn } from "../warn.js";
import { OidcError, oidcErrorOf } from "./errors.js";
import type { OidcSettings } from "./options.js";

/** The provider, found by its discovery document (OpenID Connect Discovery 4), with the application's way to prove itself. */
export async function discoverProvider(settings: OidcSettings): Promise<client.Configuration> {
  const { issuer, clientId, clientSecret, clockTolerance, timeout, startTimeout } = settings;
  const metadata = { client_secret: clientSecret, [client.clockTolerance]: Math.ceil(clockTolerance / 1000) };
  const options = {
    timeout: timeout / 1000,
    execute: issuer.protocol === "http:" ? [client.allowInsecureRequests] : [],
  };
  const giveUpAt = Date.now() + startTimeout;
  for (let pause = 250; ; pause = Math.min(pause * 2, 5000)) {
    try {
      const provider = await client.discovery(
        issuer,
        clientId,
        metadata as Partial<client.ClientMetadata>,
        clientAuthentication(settings),
        options,
      );
      // The signature of each ID token is checked, though it comes from the provider directly (Core 3.1.3.7, 6).
      client.enableNonRepudiationChecks(provider);
      return provider;
    } catch (error) {
      const failure = oidcErrorOf(error);
      if (failure.reason !== "provider_unavailable" || Date.now() + pause > giveUpAt)
        throw startError(failure, issuer);
      warn("HOLDFAST_OIDC_START", `${issuer.origin}: ${failure.message} Trying again.`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
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
