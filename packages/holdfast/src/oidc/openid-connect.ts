import { createHash, randomBytes } from "node:crypto";
import * as client from "openid-client";
import type { Engine } from "../engine/engine.js";
import type { Identity } from "../engine/record.js";
import { activeOf, type Session } from "../engine/session.js";
import { InvalidArgumentError } from "../errors.js";
import { errorPage } from "./error-page.js";
import { OidcError, oidcErrorOf } from "./errors.js";
import { type OidcAnswer, type OidcRequest, redirect, statusOnly } from "./exchange.js";
import { Grants, type Tokens } from "./grants.js";
import { type LogoutToken, logoutTokenVerifier } from "./logout-token.js";
import { Notes } from "./notes.js";
import {
  type Claims,
  checkedOptions,
  checkedRoutes,
  type OidcRoutes,
  type OidcSettings,
  type OpenidConnectOptions,
} from "./options.js";
import { discoverProvider } from "./provider.js";
import { ProviderSessions } from "./provider-sessions.js";
import { safeReturnTo } from "./return-to.js";
import { type Transaction, Transactions } from "./transaction.js";

/** What one login asks of the provider, beside what the options ask of all. */
export interface LoginRequest {
  /** The path of this application to go to afterwards. Other origins are refused. */
  returnTo?: string | undefined;
  /** Who the user probably is (login_hint). */
  loginHint?: string | undefined;
  /** "none" asks nobody anything: it comes back at once, with or without a login. */
  prompt?: "none" | "login" | "consent" | "select_account" | undefined;
  /** In milliseconds. */
  maxAge?: number | undefined;
  acrValues?: readonly string[] | undefined;
}

/** Access tokens are refreshed this long before they end, in milliseconds. */
const REFRESH_EARLY = 30_000;

/**
 * Finds the provider and sets up logging in with it. Every option is checked here; a provider that can't be reached is tried
 * again for `startTimeout`.
 * @throws ConfigurationError that names the option. @throws OidcError where the provider can't be used.
 */
export async function openidConnect(options: OpenidConnectOptions): Promise<OpenidConnect> {
  const settings = checkedOptions(options);
  return new OpenidConnect(settings, await discoverProvider(settings));
}

/** Logging in and out with one identity provider, without a framework. An adapter takes it to one. */
export class OpenidConnect {
  /** The options with their defaults. */
  readonly settings: OidcSettings;
  readonly #provider: client.Configuration;
  readonly #transactions: Transactions;
  #verifyLogoutToken: ((token: string) => Promise<LogoutToken>) | undefined;

  /** @internal */
  constructor(settings: OidcSettings, provider: client.Configuration) {
    this.settings = settings;
    this.#provider = provider;
    this.#transactions = new Transactions(settings.baseUrl, settings.loginTimeout, settings.maxLogins);
  }

  /** The same provider under other paths. */
  withRoutes(routes: OidcRoutes): OpenidConnect {
    const settings = { ...this.settings, routes: checkedRoutes(routes, this.settings.routes) };
    return new OpenidConnect(settings, this.#provider);
  }

  /** Answers a request of one of the routes; undefined for any other. */
  async handle(session: Session<any>, request: OidcRequest): Promise<OidcAnswer | undefined> {
    const { routes } = this.settings;
    const { pathname, searchParams } = new URL(this.#address(request.path));
    const reads = request.method === "GET" || request.method === "HEAD";
    switch (pathname) {
      case routes.login: {
        if (!reads) return statusOnly(405, [["Allow", "GET"]]);
        const returnTo = searchParams.get("returnTo") ?? undefined;
        return this.login(session, request, {
          returnTo,
          loginHint: searchParams.get("login_hint") ?? undefined,
        });
      }
      case routes.callback:
        return reads ? this.callback(session, request) : statusOnly(405, [["Allow", "GET"]]);
      case routes.logout:
        if (request.method !== "POST") return statusOnly(405, [["Allow", "POST"]]);
        return isCrossSite(request) ? statusOnly(403) : this.logout(session);
      case routes.backchannelLogout:
        return this.backchannelLogout(session, request);
      case routes.frontchannelLogout:
        return this.frontchannelLogout(session, request);
      default:
        return undefined;
    }
  }

  /**
   * What to answer where somebody has to be logged in and is not: the way to the login for a page that a person opens, 401
   * for everything else. Undefined where there is a user.
   */
  requireLogin(session: Session<any>, request: OidcRequest): OidcAnswer | undefined {
    if (session.userId !== undefined) return undefined;
    const isPage = request.method === "GET" && /\btext\/html\b/.test(request.header("accept") ?? "");
    return isPage ? redirect(this.#loginWith(request.path)) : statusOnly(401);
  }

  /** Sends the browser to the provider. @throws OidcError where a pushed request fails. */
  async login(session: Session<any>, request: OidcRequest, asked: LoginRequest = {}): Promise<OidcAnswer> {
    const { settings } = this;
    const maxAge = asked.maxAge ?? settings.maxAge;
    const acrValues = asked.acrValues ?? settings.acrValues;
    const transaction: Transaction = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      returnTo: safeReturnTo(asked.returnTo, settings.baseUrl, settings.routes.afterLogin),
      at: activeOf(session).engine.clock(),
      maxAge: maxAge === undefined ? undefined : Math.floor(maxAge / 1000),
      acrValues,
      silent: asked.prompt === "none" || undefined,
    };
    const parameters = new URLSearchParams({
      ...settings.parameters,
      scope: settings.scope,
      redirect_uri: this.#address(settings.routes.callback),
      state: transaction.state,
      nonce: transaction.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(transaction.verifier),
      code_challenge_method: "S256",
    });
    const prompt = asked.prompt ?? settings.prompt;
    if (prompt !== undefined) parameters.set("prompt", prompt);
    if (asked.loginHint !== undefined) parameters.set("login_hint", asked.loginHint);
    if (transaction.maxAge !== undefined) parameters.set("max_age", String(transaction.maxAge));
    if (acrValues !== undefined) parameters.set("acr_values", acrValues.join(" "));
    const url = await this.#authorizationUrl(parameters);
    return redirect(url.href, this.#transactions.begin(session, request, transaction));
  }

  /** Takes the provider's answer: proves it, begins the user's session, and sends the browser to where it wanted to go. */
  async callback(session: Session<any>, request: OidcRequest): Promise<OidcAnswer> {
    const url = new URL(this.#address(request.path));
    const states = url.searchParams.getAll("state");
    const underWay = states.length === 1 ? this.#transactions.end(session, request, states[0]!) : undefined;
    if (underWay === undefined) {
      return this.#failed(
        new OidcError("unknown_login", "No login of this browser is under way that the answer fits."),
        [],
      );
    }
    const { transaction, erase } = underWay;
    try {
      await this.#finish(session, url, transaction);
      return redirect(transaction.returnTo, [erase]);
    } catch (thrown) {
      // What the application's own hook, or the store, threw goes to the framework.
      if (!(thrown instanceof OidcError)) throw thrown;
      const error = thrown;
      // Nobody was asked, and somebody has to be: that is where a silent check ends, in an ordinary login.
      const askTheUser =
        transaction.silent && (error.reason === "login_required" || error.reason === "interaction_required");
      if (askTheUser) return redirect(this.#loginWith(transaction.returnTo), [erase]);
      return this.#failed(error, [erase]);
    }
  }

  async #finish(session: Session<any>, url: URL, transaction: Transaction): Promise<void> {
    const { settings } = this;
    const { engine } = activeOf(session);
    const { response, claims } = await this.#redeemed(url, transaction);
    if (transaction.acrValues !== undefined && !transaction.acrValues.includes(String(claims.acr)))
      throw new OidcError(
        "insufficient_authentication",
        "The login at the provider was weaker than `acrValues` asks.",
      );

    const { afterLogin = defaultUserId } = settings;
    const userId = await afterLogin({ claims, accessToken: response.access_token, session });
    if (userId === undefined) throw new OidcError("user_refused", "afterLogin() refused the user.");
    const grant = randomBytes(16).toString("base64url");
    const identity: Identity = { issuer: claims.iss, subject: claims.sub, sid: textOf(claims.sid), grant };
    const providerSessions = new ProviderSessions(engine);
    await providerSessions.bind(identity, userId);

    // Another user of the same browser: what the first one had is not for the second.
    if (session.userId !== undefined && session.userId !== userId) await session.logout();
    const expires = settings.followSessionExpiry ? secondsOf(claims.session_expiry) : undefined;
    const tokens = tokensOf(response, engine.clock(), settings.keepTokens);
    await new Grants(engine).add(grant, tokens, engine.clock() + engine.absoluteTimeout);
    await session.login(userId, {
      identity,
      ...(expires !== undefined && { expiresAt: new Date(expires * 1000) }),
    });
    if (await providerSessions.hasEnded(identity, transaction.at)) {
      await session.logout();
      throw new OidcError("session_ended", "The provider ended the login while it was under way.");
    }
  }

  /** Exchanges the code for the tokens, and checks them (Core 3.1.3.7; RFC 9207 for `iss`). @throws OidcError */
  async #redeemed(url: URL, { state, nonce, verifier, maxAge }: Transaction) {
    try {
      const response = await client.authorizationCodeGrant(this.#provider, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
        ...(maxAge !== undefined && { maxAge }),
      });
      return { response, claims: response.claims() as unknown as Claims };
    } catch (error) {
      throw oidcErrorOf(error);
    }
  }

  /**
   * Ends the session, and leads to the provider to log out there, where that is wanted and offered. Ask for it by POST: a
   * link could be followed by anybody's page.
   */
  async logout(session: Session<any>, { revoke = false } = {}): Promise<OidcAnswer> {
    const { settings } = this;
    const { identity } = session;
    const grants = identity?.grant === undefined ? undefined : new Grants(activeOf(session).engine);
    const tokens = grants && (await grants.read(identity!.grant!));
    await session.logout();
    if (grants !== undefined) await grants.remove(identity!.grant!);
    if (revoke && tokens !== undefined) await this.#revoke(tokens);
    const offered = this.#provider.serverMetadata().end_session_endpoint !== undefined;
    if (identity === undefined || !settings.logoutAtProvider || !offered)
      return redirect(settings.routes.afterLogout);
    const url = client.buildEndSessionUrl(this.#provider, {
      post_logout_redirect_uri: this.#address(settings.routes.afterLogout),
      ...(tokens?.idToken !== undefined && { id_token_hint: tokens.idToken }),
    });
    return redirect(url.href);
  }

  /** Takes a logout token from the provider and ends the sessions that it names, at once and everywhere. */
  async backchannelLogout(session: Session<any>, request: OidcRequest): Promise<OidcAnswer> {
    const tokens = request.method === "POST" ? (await request.form()).getAll("logout_token") : [];
    if (tokens.length !== 1) return statusOnly(400);
    const { engine } = activeOf(session);
    try {
      const { subject, sid, jti, expires } = await this.#logoutTokenVerifier(engine)(tokens[0]!);
      const { issuer } = this.#provider.serverMetadata();
      const isNew = await new Notes(engine, "logout token").add(JSON.stringify([issuer, jti]), {}, expires);
      if (!isNew)
        throw new OidcError("invalid_logout_token", "A logout token was refused: it has come before.");
      await new ProviderSessions(engine).end(issuer, subject, sid);
      return statusOnly(200);
    } catch (error) {
      if (error instanceof OidcError) return statusOnly(error.status);
      throw error;
    }
  }

  /** Ends the sessions of a provider's session, by what the provider's page opens in a frame (Front-Channel Logout 1.0, 2). */
  async frontchannelLogout(session: Session<any>, request: OidcRequest): Promise<OidcAnswer> {
    const { searchParams } = new URL(this.#address(request.path));
    const { issuer } = this.#provider.serverMetadata();
    const sid = searchParams.get("sid");
    if (searchParams.get("iss") !== issuer || !sid) return statusOnly(400);
    const { engine } = activeOf(session);
    await new ProviderSessions(engine).end(issuer, undefined, sid);
    return statusOnly(200);
  }

  /**
   * An access token that is good for a while yet, refreshed where need be: once, however many requests and processes ask.
   * @throws OidcError "token_unavailable" where the user has to log in again; the session has been ended then.
   * @throws OidcError "provider_unavailable" where the provider can't be reached.
   */
  async accessToken(session: Session<any>): Promise<string> {
    const { engine } = activeOf(session);
    const grant = session.identity?.grant;
    if (!this.settings.keepTokens)
      throw new InvalidArgumentError("accessToken() needs the option `keepTokens`.");
    if (grant === undefined) throw unavailable("the session has no login with the provider");
    const isStale = ({ accessTokenExpires }: Tokens) =>
      accessTokenExpires !== undefined && accessTokenExpires - REFRESH_EARLY <= engine.clock();
    let tokens: Tokens | undefined;
    try {
      tokens = await new Grants(engine).refresh(grant, isStale, (before) => this.#refreshed(engine, before));
    } catch (error) {
      if (error instanceof OidcError && error.reason === "token_unavailable") await session.logout();
      throw error;
    }
    if (tokens?.accessToken === undefined) throw unavailable("it is not kept any more");
    return tokens.accessToken;
  }

  async #refreshed(engine: Engine, before: Tokens): Promise<Tokens> {
    if (before.refreshToken === undefined)
      throw unavailable("it has ended, and the provider gave no refresh token");
    try {
      const response = await client.refreshTokenGrant(this.#provider, before.refreshToken);
      const tokens = tokensOf(response, engine.clock(), true);
      return {
        ...tokens,
        idToken: tokens.idToken ?? before.idToken,
        // Where the provider rotates refresh tokens, the old one is dead.
        refreshToken: tokens.refreshToken ?? before.refreshToken,
      };
    } catch (error) {
      const { reason } = oidcErrorOf(error);
      if (reason === "provider_unavailable" || reason === "client_refused") throw oidcErrorOf(error);
      throw unavailable("the provider refused to refresh it");
    }
  }

  async #revoke({ refreshToken, accessToken }: Tokens): Promise<void> {
    for (const token of [refreshToken, accessToken]) {
      if (token === undefined) continue;
      // The session has ended here whatever the provider says.
      await client.tokenRevocation(this.#provider, token).catch(() => {});
    }
  }

  #logoutTokenVerifier(engine: Engine): (token: string) => Promise<LogoutToken> {
    const { clientId, clockTolerance, timeout } = this.settings;
    this.#verifyLogoutToken ??= logoutTokenVerifier(
      this.#provider.serverMetadata(),
      clientId,
      clockTolerance,
      timeout,
      engine.clock,
    );
    return this.#verifyLogoutToken;
  }

  async #authorizationUrl(parameters: URLSearchParams): Promise<URL> {
    if (!this.settings.pushedAuthorizationRequests)
      return client.buildAuthorizationUrl(this.#provider, parameters);
    try {
      return await client.buildAuthorizationUrlWithPAR(this.#provider, parameters);
    } catch (error) {
      throw oidcErrorOf(error);
    }
  }

  #failed(error: OidcError, cookies: readonly string[]): OidcAnswer {
    return errorPage(error, this.settings.routes.login, cookies);
  }

  /** Of this application, for the provider and the browser. */
  #address(path: string): string {
    return this.settings.baseUrl.origin + path;
  }

  /** The path that begins a login and leads back. */
  #loginWith(returnTo: string): string {
    return `${this.settings.routes.login}?${new URLSearchParams({ returnTo })}`;
  }
}

/** A form of another site's page. Browsers say so (Fetch Metadata); where one doesn't, the session cookie's SameSite holds. */
function isCrossSite(request: OidcRequest): boolean {
  const site = request.header("sec-fetch-site");
  return site !== undefined && site !== "same-origin" && site !== "none";
}

/** Both together name a user, for `sub` is unique only at its issuer (Core 2). */
function defaultUserId({ claims: { iss, sub } }: { claims: Claims }): string {
  const userId = `${sub}@${iss}`;
  return userId.length <= 255 ? userId : createHash("sha256").update(userId).digest("base64url");
}

function tokensOf(
  response: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
  now: number,
  keep: boolean,
): Tokens {
  const idToken = response.id_token;
  if (!keep) return { idToken };
  const lifetime = response.expiresIn();
  return {
    idToken,
    accessToken: response.access_token,
    accessTokenExpires: lifetime === undefined ? undefined : now + lifetime * 1000,
    refreshToken: response.refresh_token,
  };
}

function unavailable(why: string): OidcError {
  return new OidcError("token_unavailable", `There is no access token: ${why}.`);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function secondsOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
