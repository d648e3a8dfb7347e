import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";

/** What a test asks of the provider, and may change while it runs. */
export interface Behaviour {
  /** Who logs in, without being asked; a login hint wins. */
  account: string;
  /** What the user, or the provider's policy, answers in place of a login. */
  refusal: string | undefined;
  /** The authentication class of logins. */
  acr: string | undefined;
}

export interface ProviderOptions {
  /** The application's address, for its registered URIs. */
  readonly application: string;
  /** Seconds. */
  readonly accessTokenLifetime?: number;
  readonly rotateRefreshTokens?: boolean;
  readonly clientSecretMethod?: "client_secret_post" | "client_secret_basic";
  /** The public key of the client "signer", which proves itself with private_key_jwt. */
  readonly clientKey?: object;
  readonly requirePushedRequests?: boolean;
  /** A fixed port, for a provider that is started later. */
  readonly port?: number;
}

export const CLIENT_SECRET = "the application's secret at the provider, 64";

/** A real identity provider in this process. */
export interface TestProvider {
  readonly issuer: string;
  readonly port: number;
  readonly behaviour: Behaviour;
  /** The grant types that the token endpoint granted, and the errors that it answered. */
  readonly granted: string[];
  readonly refused: string[];
  /** The paths that were asked for. */
  readonly requests: string[];
  /** What came back from back-channel logouts. */
  readonly backchannel: string[];
  /** Starts anew with other keys, on the same port. */
  rotateKeys(): Promise<void>;
  /** Stops listening. */
  stop(): Promise<void>;
  /** Listens again. */
  start(): Promise<void>;
  /** Answers everything with this status, or for 0 not at all, till it is undefined. */
  failWith: number | undefined;
  /** Takes back what it has granted: refresh tokens are refused. */
  endGrants(): Promise<void>;
  /** Sends a logout token, as when the user's session ends there. The status that came back is in `backchannel`. */
  sendLogout(accountId: string, sid: string): Promise<void>;
}

async function newKeys() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { keys: [{ ...(await exportJWK(privateKey)), use: "sig", alg: "RS256", kid: crypto.randomUUID() }] };
}

export async function startProvider(options: ProviderOptions): Promise<TestProvider> {
  const behaviour: Behaviour = { account: "ann", refusal: undefined, acr: undefined };
  const granted: string[] = [];
  const refused: string[] = [];
  const requests: string[] = [];
  const backchannel: string[] = [];
  /** The refresh tokens that it gave. */
  const grants: string[] = [];
  let handler: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  let current: Provider;
  let failWith: number | undefined;
  const server: Server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url!.split("?", 1)[0]}`);
    if (failWith === 0) return;
    if (failWith !== undefined) {
      response.statusCode = failWith;
      response.end("out of order");
    } else handler(request, response);
  });
  const start = (port: number) => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  await start(options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;

  const open = async () => {
    const provider = new Provider(issuer, configuration(options, behaviour, await newKeys()));
    current = provider;
    provider.on("grant.success", (ctx) => {
      granted.push(ctx.oidc.params.grant_type);
      grants.push(ctx.body.refresh_token);
    });
    provider.on("grant.error", (_ctx, error) => refused.push(error.error));
    provider.on("backchannel.success", (_ctx, _client, account) => backchannel.push(`ended ${account}`));
    provider.on("backchannel.error", (_ctx, error) => backchannel.push(String(error)));
    provider.on("server_error", (_ctx, error) => backchannel.push(`server_error ${error?.stack}`));
    const answer = provider.callback();
    handler = (request, response) => {
      if (!request.url!.startsWith("/interaction/")) return answer(request, response);
      interact(provider, behaviour, request, response).catch((error) => {
        response.statusCode = 500;
        response.end(String(error?.stack));
      });
    };
  };
  await open();
  return {
    issuer,
    port,
    behaviour,
    granted,
    refused,
    requests,
    backchannel,
    get failWith() {
      return failWith;
    },
    set failWith(status) {
      failWith = status;
    },
    rotateKeys: open,
    start: () => start(port),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
    async endGrants() {
      for (const id of grants) await (await current.RefreshToken.find(id))?.destroy();
    },
    async sendLogout(accountId, sid) {
      const client = await current.Client.find("shop");
      await client.backchannelLogout(accountId, sid).then(
        () => backchannel.push(`ended ${accountId}`),
        (error: unknown) => backchannel.push(String(error)),
      );
    },
  };
}

/** The page where a user would log in and agree: here, somebody does at once. */
async function interact(
  provider: Provider,
  { account, refusal, acr }: Behaviour,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { params } = await provider.interactionDetails(request, response);
  const result =
    refusal === undefined
      ? { login: { accountId: params.login_hint ?? account, ...(acr && { acr }) } }
      : { error: refusal, error_description: "a description that no page of ours may show" };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

function configuration(options: ProviderOptions, _behaviour: Behaviour, jwks: object) {
  const { application, accessTokenLifetime = 3600, rotateRefreshTokens = true } = options;
  const client = {
    redirect_uris: [`${application}/auth/callback`],
    post_logout_redirect_uris: [`${application}/`],
    grant_types: ["authorization_code", "refresh_token"],
    backchannel_logout_uri: `${application}/auth/backchannel-logout`,
    backchannel_logout_session_required: true,
    require_pushed_authorization_requests: options.requirePushedRequests ?? false,
  };
  const clients: object[] = [
    {
      ...client,
      client_id: "shop",
      client_secret: CLIENT_SECRET,
      token_endpoint_auth_method: options.clientSecretMethod ?? "client_secret_post",
    },
  ];
  if (options.clientKey !== undefined) {
    clients.push({
      ...client,
      client_id: "signer",
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      jwks: { keys: [options.clientKey] },
    });
  }
  return {
    clients,
    jwks,
    cookies: { keys: ["a key for the cookies of the provider in tests"] },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        // The question whether to log out: here, it is a page with the form.
        logoutSource: (ctx: any, form: string) => {
          ctx.body = form.replace("</form>", '<input type="hidden" name="logout" value="yes"/></form>');
        },
      },
    },
    claims: {
      openid: ["sub"],
      email: ["email"],
      profile: ["name"],
      acr: null,
      auth_time: null,
      iss: null,
      sid: null,
    },
    acrValues: ["urn:test:silver", "urn:test:gold"],
    conformIdTokenClaims: false,
    scopes: ["openid", "offline_access"],
    findAccount: (_ctx: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, name: id }),
    }),
    interactions: { url: (_ctx: unknown, interaction: any) => `/interaction/${interaction.uid}` },
    issueRefreshToken: () => true,
    rotateRefreshToken: rotateRefreshTokens,
    expiresWithSession: () => false,
    ttl: {
      AccessToken: accessTokenLifetime,
      AuthorizationCode: 60,
      IdToken: 3600,
      RefreshToken: 86_400,
      Session: 86_400,
      Grant: 86_400,
      Interaction: 600,
    },
    // Nobody is asked whether the application may know who they are.
    async loadExistingGrant(ctx: any) {
      const { client, session, provider, params } = ctx.oidc;
      const existing = session.grantIdFor(client.clientId);
      if (existing) return provider.Grant.find(existing);
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(params.scope);
      await grant.save();
      return grant;
    },
    // Its own refuses addresses of this machine.
    fetch: (url: string, init: RequestInit) => {
      const { dispatcher, ...rest } = init as { dispatcher?: unknown };
      return fetch(url, rest);
    },
    renderError: (ctx: any, out: object, error: Error) => {
      ctx.type = "text";
      ctx.body = JSON.stringify({ ...out, stack: error.stack });
    },
  };
}
