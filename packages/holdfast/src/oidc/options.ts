import type { webcrypto } from "node:crypto";
import { type Duration, LONGEST_TIMER, milliseconds } from "../duration.js";
import type { Session } from "../engine/session.js";
import { ConfigurationError } from "../errors.js";
import { shown } from "../shown.js";
import type { Awaitable } from "../stores/contract.js";
import type { OidcError } from "./errors.js";
import type { OidcAnswer } from "./exchange.js";

/** What the provider says about a user: the claims of the ID token (OpenID Connect Core 2, 5.1). */
export interface Claims {
  readonly iss: string;
  readonly sub: string;
  readonly sid?: string;
  readonly auth_time?: number;
  readonly acr?: string;
  readonly amr?: readonly string[];
  readonly [claim: string]: unknown;
}

/** A login that the provider has confirmed, before a session begins. */
export interface ProvenLogin {
  readonly claims: Claims;
  /** For calls to the provider right now, as to its UserInfo endpoint. Kept only with `keepTokens`. */
  readonly accessToken: string | undefined;
  /** The anonymous session that is about to become the user's: what is written to its data is kept. */
  readonly session: Session<any>;
}

/** The paths of the login in this application. */
export interface OidcRoutes {
  /** Where the provider sends the browser back to. It is registered there. Default: "/auth/callback". */
  callback?: string;
  /** Where a page links to, to log in; with `?returnTo=` the path to go to then. Default: "/auth/login". */
  login?: string;
  /** Where a form posts to, to log out. Default: "/auth/logout". */
  logout?: string;
  /** Where a login leads that says nowhere. Default: "/". */
  afterLogin?: string;
  /** Where a logout leads. It is registered at the provider. Default: "/". */
  afterLogout?: string;
  /** Where the provider posts logout tokens to (Back-Channel Logout 1.0); false for nowhere. Default: "/auth/backchannel-logout". */
  backchannelLogout?: string | false;
  /** What the provider opens in a frame to log out (Front-Channel Logout 1.0); false for nothing. Default: false. */
  frontchannelLogout?: string | false;
}

export interface OpenidConnectOptions {
  /** The provider's issuer identifier, as in "https://login.example". HTTPS, but for development on localhost. */
  issuer: string;
  clientId: string;
  /** The application's secret at the provider; or `clientPrivateKey`. */
  clientSecret?: string;
  /** How the secret is sent: in the form, or in the Authorization header. Default: "post". */
  clientSecretMethod?: "post" | "basic";
  /** A private key for `private_key_jwt` (RFC 7523), in place of a secret. */
  clientPrivateKey?: webcrypto.CryptoKey | { key: webcrypto.CryptoKey; kid?: string };
  /** The application's own address, as browsers see it: "https://shop.example". */
  baseUrl: string;
  /** Default: "openid profile email". */
  scope?: string;
  /** The paths of the login. An adapter takes them, too. */
  routes?: OidcRoutes;
  /**
   * The user id of this application for a proven login; undefined refuses it. Default: the provider's issuer and `sub`, for
   * only both together name a user.
   */
  afterLogin?: (login: ProvenLogin) => Awaitable<string | undefined>;
  /**
   * Is told why a login failed. It may give an answer of its own, as a redirect to a page of the application; else the user
   * gets a plain page. Without it, what the operator has to mend is a warning of the process.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that only logs gives nothing back
  onError?: (error: OidcError) => Awaitable<OidcAnswer | undefined | void>;
  /** The provider's login must not be longer ago (max_age). Default: not asked. */
  maxAge?: Duration;
  /** One of these authentication classes is asked for and must come back (acr). Default: not asked. */
  acrValues?: readonly string[];
  /** "login" has the user log in at the provider each time, "select_account" choose. Default: the provider decides. */
  prompt?: "login" | "consent" | "select_account";
  /** More parameters of the authorization request, as `{ audience: "…" }`. */
  parameters?: Readonly<Record<string, string>>;
  /** Send the authorization request to the provider directly (PAR, RFC 9126). Default: false. */
  pushedAuthorizationRequests?: boolean;
  /** Keep access and refresh token, sealed, for `accessToken()`. Default: false. */
  keepTokens?: boolean;
  /** Log out at the provider, too (RP-Initiated Logout 1.0), where it offers that. Default: true. */
  logoutAtProvider?: boolean;
  /** End the session when the provider says that its own ends (`session_expiry`). Default: true. */
  followSessionExpiry?: boolean;
  /** How long a login may take. Default: "10m". */
  loginTimeout?: Duration;
  /** The most logins of one browser at the same time. Default: 5. */
  maxLogins?: number;
  /** How far the clocks may differ. Default: "30s". */
  clockTolerance?: Duration;
  /** The provider has to answer within this. Default: "10s". */
  timeout?: Duration;
  /** How long to try to reach the provider at start-up. Default: "1m". */
  startTimeout?: Duration;
}

/** The options with their defaults, checked. Durations in milliseconds. */
export type OidcSettings = ReturnType<typeof checkedOptions>;

const OPTION_NAMES: Record<keyof OpenidConnectOptions, true> = {
  issuer: true,
  clientId: true,
  clientSecret: true,
  clientSecretMethod: true,
  clientPrivateKey: true,
  baseUrl: true,
  scope: true,
  routes: true,
  afterLogin: true,
  onError: true,
  maxAge: true,
  acrValues: true,
  prompt: true,
  parameters: true,
  pushedAuthorizationRequests: true,
  keepTokens: true,
  logoutAtProvider: true,
  followSessionExpiry: true,
  loginTimeout: true,
  maxLogins: true,
  clockTolerance: true,
  timeout: true,
  startTimeout: true,
};

/** @throws ConfigurationError that names the option. */
export function checkedOptions(options: OpenidConnectOptions) {
  if (typeof options !== "object" || options === null) refuse("options", "expected an object");
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(OPTION_NAMES, name))
      refuse(name, `is not an option; there are ${Object.keys(OPTION_NAMES).join(", ")}`);
  }
  const { scope = "openid profile email", maxLogins = 5, clientSecret, clientPrivateKey } = options;
  text("clientId", options.clientId);
  if (clientSecret === undefined && clientPrivateKey === undefined)
    refuse("clientSecret", "expected the application's secret at the provider, or `clientPrivateKey`");
  if (clientSecret !== undefined) text("clientSecret", clientSecret);
  if (typeof scope !== "string" || !scope.split(" ").includes("openid"))
    refuse("scope", 'must contain "openid"');
  if (!Number.isInteger(maxLogins) || maxLogins < 1 || maxLogins > 20)
    refuse("maxLogins", "expected a whole number from 1 to 20");
  oneOf("clientSecretMethod", options.clientSecretMethod, ["post", "basic"]);
  oneOf("prompt", options.prompt, ["login", "consent", "select_account"]);
  for (const name of ["afterLogin", "onError"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "function")
      refuse(name, "expected a function");
  }
  for (const name of FLAGS) {
    if (options[name] !== undefined && typeof options[name] !== "boolean")
      refuse(name, "expected true or false");
  }
  const { acrValues } = options;
  if (
    acrValues !== undefined &&
    !(Array.isArray(acrValues) && acrValues.length > 0 && acrValues.every(isText))
  )
    refuse("acrValues", "expected a list of classes");
  assertParameters(options.parameters);
  const baseUrl = address("baseUrl", options.baseUrl);
  if (baseUrl.pathname !== "/" || baseUrl.search !== "" || baseUrl.hash !== "")
    refuse("baseUrl", `expected an origin such as ${baseUrl.origin}; paths are options of their own`);
  return {
    ...options,
    issuer: address("issuer", options.issuer),
    baseUrl,
    scope,
    maxLogins,
    routes: checkedRoutes(options.routes),
    maxAge: options.maxAge === undefined ? undefined : milliseconds("maxAge", options.maxAge, 0),
    keepTokens: options.keepTokens ?? false,
    logoutAtProvider: options.logoutAtProvider ?? true,
    followSessionExpiry: options.followSessionExpiry ?? true,
    loginTimeout: milliseconds("loginTimeout", options.loginTimeout ?? "10m", 1000),
    clockTolerance: milliseconds("clockTolerance", options.clockTolerance ?? "30s", 0),
    timeout: milliseconds("timeout", options.timeout ?? "10s", 1, LONGEST_TIMER),
    startTimeout: milliseconds("startTimeout", options.startTimeout ?? "1m", 0, LONGEST_TIMER),
  };
}

/** The paths with their defaults, checked. */
export function checkedRoutes(
  routes: OidcRoutes = {},
  defaults: Required<OidcRoutes> = DEFAULT_ROUTES,
): Required<OidcRoutes> {
  const checked = { ...defaults };
  for (const [name, value] of Object.entries(routes)) {
    const option = `routes.${name}`;
    if (!Object.hasOwn(defaults, name))
      refuse(option, `is not a route; there are ${Object.keys(defaults).join(", ")}`);
    const mayBeFalse = name === "backchannelLogout" || name === "frontchannelLogout";
    if (value !== undefined)
      Object.assign(checked, { [name]: mayBeFalse && value === false ? false : path(option, value) });
  }
  return checked;
}

const DEFAULT_ROUTES: Required<OidcRoutes> = {
  callback: "/auth/callback",
  login: "/auth/login",
  logout: "/auth/logout",
  afterLogin: "/",
  afterLogout: "/",
  backchannelLogout: "/auth/backchannel-logout",
  frontchannelLogout: false,
};

const FLAGS = [
  "pushedAuthorizationRequests",
  "keepTokens",
  "logoutAtProvider",
  "followSessionExpiry",
] as const;

/** What the login's checks rest on, and what has an option of its own. */
const RESERVED =
  /^(?:client_id|redirect_uri|response_type|response_mode|scope|state|nonce|code_challenge(?:_method)?|request(?:_uri)?|prompt|max_age|acr_values)$/;

function assertParameters(parameters: unknown = {}): void {
  if (typeof parameters !== "object" || parameters === null)
    refuse("parameters", "expected an object with a text for each parameter");
  for (const [name, value] of Object.entries(parameters as object)) {
    if (RESERVED.test(name)) refuse("parameters", `${name} is the login's own to say`);
    if (typeof value !== "string") refuse("parameters", `expected text for ${name}, got ${typeof value}`);
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function oneOf(option: string, value: unknown, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value as string))
    refuse(option, `expected ${allowed.map((each) => `"${each}"`).join(" or ")}, got ${shown(value)}`);
}

function text(option: string, value: unknown): void {
  if (typeof value !== "string" || value === "")
    refuse(option, `expected text, got ${value === "" ? "an empty one" : typeof value}`);
}

/** HTTPS, but for this machine: a login over plain HTTP can be read and changed by anybody on the way. */
function address(option: string, value: unknown): URL {
  if (typeof value !== "string" || !URL.canParse(value))
    refuse(option, `expected an address such as "https://…", got ${shown(value)}`);
  const url = new URL(value as string);
  const local =
    /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname) || url.hostname.endsWith(".localhost");
  if (url.protocol !== "https:" && !(url.protocol === "http:" && local))
    refuse(option, "must be https, but for localhost");
  return url;
}

function path(option: string, value: unknown): string {
  if (typeof value !== "string" || !/^\/(?!\/)[\x21-\x7e]*$/.test(value) || value.includes("\\"))
    refuse(option, `expected a path such as "/auth/login", got ${shown(value)}`);
  return value as string;
}

function refuse(option: string, message: string): never {
  throw new ConfigurationError(option, message);
}
