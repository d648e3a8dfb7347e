import type { ErrorRequestHandler, RequestHandler } from "express";
import { ConfigurationError } from "../errors.js";
import type { OpenidConnectOptions } from "./options.js";

/** The options of Okta's ExpressOIDC, by their names there. */
export interface ExpressOIDCOptions {
  /** As in "https://{yourOktaDomain}/oauth2/default". */
  issuer: string;
  client_id: string;
  client_secret: string;
  /** The application's own address, without a path. */
  appBaseUrl: string;
  /** Must be on `appBaseUrl`. Default: `appBaseUrl` and `routes.loginCallback.path`. */
  loginRedirectUri?: string;
  /** Must be on `appBaseUrl`. Default: `appBaseUrl` and `routes.logoutCallback.path`. */
  logoutRedirectUri?: string;
  /** Default: "openid". */
  scope?: string;
  /** Nothing but "code". */
  response_type?: "code";
  /** Seconds. Default: 120. */
  maxClockSkew?: number;
  /** Milliseconds. Default: 10000. */
  timeout?: number;
  /** Where the user's claims are in `req.session.data`. Default: `oidc:` and the issuer. */
  sessionKey?: string;
  routes?: {
    /** Default: "/login". */
    login?: { path?: string };
    loginCallback?: {
      /** Default: "/authorization-code/callback". */
      path?: string;
      /** Where every login leads. Default: where the user wanted to go, else "/". */
      afterCallback?: string;
      /** Where a login that failed leads. Default: a page that says why. */
      failureRedirect?: string;
      /** Called after the login, before the redirect; one of four parameters gets the error of a login that failed. */
      handler?: RequestHandler | ErrorRequestHandler;
    };
    /** By POST. Default: "/logout". */
    logout?: { path?: string };
    /** Default: "/". `afterCallback` has had no effect since version 3 of the original. */
    logoutCallback?: { path?: string; afterCallback?: string };
    /** Not in the original: where Okta posts logout tokens to. Default: nowhere. */
    backchannelLogout?: { path?: string };
  };
  /** Has no effect: plain HTTP is for localhost. */
  testing?: object;
}

const NAMES: Record<keyof ExpressOIDCOptions, true> = {
  issuer: true,
  client_id: true,
  client_secret: true,
  appBaseUrl: true,
  loginRedirectUri: true,
  logoutRedirectUri: true,
  scope: true,
  response_type: true,
  maxClockSkew: true,
  timeout: true,
  sessionKey: true,
  routes: true,
  testing: true,
};

/** The options of `openidConnect` that say the same. @throws ConfigurationError that names the option as Okta does. */
export function optionsOf(options: ExpressOIDCOptions): OpenidConnectOptions {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(NAMES, name)) throw new ConfigurationError(name, "is not supported here");
  }
  for (const name of ["issuer", "client_id", "client_secret", "appBaseUrl"] as const) {
    if (typeof options[name] !== "string" || options[name] === "")
      throw new ConfigurationError(name, "expected text");
  }
  const { routes = {}, loginRedirectUri, logoutRedirectUri, appBaseUrl, response_type = "code" } = options;
  if (response_type !== "code") throw new ConfigurationError("response_type", 'expected "code"');
  if (routes.login !== undefined && "viewHandler" in routes.login) {
    throw new ConfigurationError(
      "routes.login.viewHandler",
      "is not supported here: people log in on the provider's page",
    );
  }
  const { path: callbackPath, afterCallback = "/" } = routes.loginCallback ?? {};
  const callback = pathOn(appBaseUrl, "loginRedirectUri", loginRedirectUri);
  if (callback !== undefined && callbackPath !== undefined && callback !== callbackPath)
    throw new ConfigurationError("loginRedirectUri", "is not where routes.loginCallback.path is");
  return {
    issuer: options.issuer,
    clientId: options.client_id,
    clientSecret: options.client_secret,
    clientSecretMethod: "basic",
    baseUrl: appBaseUrl,
    scope: options.scope ?? "openid",
    clockTolerance: (options.maxClockSkew ?? 120) * 1000,
    timeout: options.timeout ?? 10_000,
    // "error" is to come at once, as it does there.
    startTimeout: 0,
    keepTokens: true,
    routes: {
      login: routes.login?.path ?? "/login",
      callback: callback ?? callbackPath ?? "/authorization-code/callback",
      logout: routes.logout?.path ?? "/logout",
      afterLogin: afterCallback,
      afterLogout:
        pathOn(appBaseUrl, "logoutRedirectUri", logoutRedirectUri) ?? routes.logoutCallback?.path ?? "/",
      backchannelLogout: routes.backchannelLogout?.path ?? false,
    },
  };
}

function pathOn(appBaseUrl: string, option: string, uri: string | undefined): string | undefined {
  if (uri === undefined) return undefined;
  if (!URL.canParse(uri) || new URL(uri).origin !== new URL(appBaseUrl).origin)
    throw new ConfigurationError(option, "must be on appBaseUrl");
  const { pathname, search } = new URL(uri);
  return pathname + search;
}
