/** oidc-provider comes without types. These are of what the development provider uses. */
declare module "oidc-provider" {
  import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

  export default class Provider {
    constructor(issuer: string, configuration: Configuration);
    callback(): RequestListener;
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<{ uid: string }>;
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
    readonly Session: any;
    readonly Client: any;
  }

  interface Configuration {
    adapter(kind: string): object;
    clients: object[];
    jwks: { keys: object[] };
    cookies: object;
    claims: Record<string, string[]>;
    conformIdTokenClaims: boolean;
    pkce: { required(): boolean };
    findAccount(context: any, id: string): object | undefined;
    loadExistingGrant(context: any): Promise<object>;
    interactions: { url(context: any, interaction: { uid: string }): string };
    features: {
      devInteractions: { enabled: boolean };
      backchannelLogout: { enabled: boolean };
      rpInitiatedLogout: {
        enabled: boolean;
        logoutSource(context: any): void;
        postLogoutSuccessSource(context: any): void;
      };
    };
    ttl: Record<string, number>;
    renderError(context: any): void;
    fetch(address: string, options: any): Promise<Response>;
  }
}
