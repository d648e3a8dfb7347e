import { createHash, randomBytes } from "node:crypto";
import { compactVerify } from "jose";
import * as client from "openid-client";
import { type Duration, milliseconds } from "../duration.js";
import type { Engine } from "../engine/engine.js";
import { addBackchannel } from "../engine/guard/backchannel.js";
import type { Identity } from "../engine/record.js";
import { assertUserId } from "../engine/rotation.js";
import { activeOf, type Session } from "../engine/session.js";
import { InvalidArgumentError } from "../errors.js";
import { safeReturnTo } from "../return-to.js";
import { warn } from "../warn.js";
import { errorPage } from "./error-page.js";
import { OidcError, oidcErrorOf } from "./errors.js";
import { isPageRequest, type OidcAnswer, type OidcRequest, redirect, statusOnly } from "./exchange.js";
import { Grants, type Tokens } from "./grants.js";
import { verifyLogoutToken } from "./logout-token.js";
import { Notes } from "./notes.js";
import {
  type Claims,
  checkedOptions,
  checkedRoutes,
  type OidcRoutes,
  type OidcSettings,
  type OpenidConnectOptions,
} from "./options.js";
import { discoverProvider, type Provider } from "./provider.js";
import { ProviderSessions } from "./provider-sessions.js";
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

/** What a route asks for that only users may see. */
export interface LoginGuard {
  /**
   * A page whose user the provider has confirmed longer ago than this asks it again first, without a word to the user
   * (prompt=none). Where the provider says that nobody is logged in there, the session ends. Default: never.
   */
  recheckAfter?: Duration;
}

/** Access tokens are refreshed this long before they end, in milliseconds; short-lived ones after nine tenths of their life. */
const REFRESH_EARLY = 30_000;

/** A check that comes back after this would begin the next one, in milliseconds. */
const SHORTEST_RECHECK = 10_000;

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
  readonly #provider: Provider;
  readonly #transactions: Transactions;
  /** The refreshes that are under way in this process, by grant. */
  readonly #refreshes = new Map<string, Promise<Tokens | undefined>>();

  /** @internal */
  constructor(settings: OidcSettings, provider: Provider) {
    this.settings = settings;
    this.#provider = provider;
    // No browser posts there, so a CSRF guard has nothing to judge it by; the logout token proves itself.
    const { backchannelLogout } = settings.routes;
    if (backchannelLogout !== false) addBackchannel(backchannelLogout);
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
    // "OPTIONS *", and requests as to a proxy, have no path.
    if (!request.path.startsWith("/")) return undefined;
    const { pathname, searchParams } = new URL(this.#address(request.path));
    switch (pathname) {
      case routes.login:
        // Not HEAD: it would begin a login that nobody goes on with.
        if (request.method !== "GET") return statusOnly(405, [["Allow", "GET"]]);
        return this.#begun(session, request, {
          returnTo: searchParams.get("returnTo") ?? undefined,
          loginHint: searchParams.get("login_hint") ?? undefined,
          prompt: searchParams.get("prompt") === "none" ? "none" : undefined,
        });
      case routes.callback:
        if (request.method !== "GET") return statusOnly(405, [["Allow", "GET"]]);
        return this.callback(session, request);
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
  requireLogin(
    session: Session<any>,
    request: OidcRequest,
    { recheckAfter }: LoginGuard = {},
  ): OidcAnswer | undefined {
    const longest =
      recheckAfter === undefined
        ? Number.POSITIVE_INFINITY
        : milliseconds("recheckAfter", recheckAfter, SHORTEST_RECHECK);
    const isPage = isPageRequest(request);
    if (session.userId === undefined)
      return isPage ? redirect(this.#loginWith({ returnTo: request.path })) : statusOnly(401);
    // The login here, not the one there: the provider may have known the user for hours.
    const confirmed = session.createdAt.valueOf();
    if (!isPage || activeOf(session).engine.clock() - confirmed <= longest) return undefined;
    return redirect(this.#loginWith({ returnTo: request.path, prompt: "none" }));
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
      returnTo: safeReturnTo(asked.returnTo, settings.routes.afterLogin, settings.baseUrl.origin),
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

  /** A login by the route: what goes wrong is a page. */
  async #begun(session: Session<any>, request: OidcRequest, asked: LoginRequest): Promise<OidcAnswer> {
    try {
      return await this.login(session, request, asked);
    } catch (error) {
      if (!(error instanceof OidcError)) throw error;
      return this.#failed(error, []);
    }
  }

  /** Takes the provider's answer: proves it, begins the user's session, and sends the browser to where it wanted to go. */
  async callback(session: Session<any>, request: OidcRequest): Promise<OidcAnswer> {
    const url = new URL(this.#address(request.path));
    const states = url.searchParams.getAll("state");
    const underWay = states.length === 1 ? this.#transactions.end(session, request, states[0]!) : undefined;
    if (underWay === undefined) return this.#failed(unknownLogin(), []);
    const { transaction, erase } = underWay;
    try {
      await this.#claim(activeOf(session).engine, transaction);
      await this.#finish(session, url, transaction);
      return redirect(transaction.returnTo, [erase]);
    } catch (error) {
      // What the application's own hook, or the store, threw goes to the framework.
      if (!(error instanceof OidcError)) throw error;
      const { reason } = error;
      if (transaction.silent && (reason === "login_required" || reason === "interaction_required")) {
        // The provider's session has ended, and ours came of it.
        if (reason === "login_required" && session.userId !== undefined) await session.logout();
        return redirect(this.#loginWith({ returnTo: transaction.returnTo }), [erase]);
      }
      return this.#failed(error, [erase]);
    }
  }

  /**
   * Takes a login for this answer, once: of two that come at the same time, the second would have the provider see its code
   * replayed, and end what the first one got (RFC 6749 4.1.2).
   */
  async #claim(engine: Engine, { state, at }: Transaction): Promise<void> {
    const until = at + this.settings.loginTimeout;
    if (!(await new Notes(engine, "login").add(state, {}, until))) throw unknownLogin();
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
    const expiresAt = settings.followSessionExpiry ? dateOf(claims.session_expiry) : undefined;
    if (expiresAt !== undefined && expiresAt.valueOf() <= engine.clock())
      throw new OidcError("session_ended", "The provider's own session has ended already (session_expiry).");

    const before = session.identity;
    // Somebody else's session, by all that is known yet: neither for `afterLogin` nor for the new user.
    const isSameUser = before?.issuer === claims.iss && before.subject === claims.sub;
    if (session.userId !== undefined && !isSameUser) await session.logout();

    const { afterLogin = defaultUserId } = settings;
    const userId = await afterLogin({ claims, accessToken: response.access_token, session });
    if (userId === undefined) throw new OidcError("user_refused", "afterLogin() refused the user.");
    assertUserId(userId);
    const grant = randomBytes(16).toString("base64url");
    const identity: Identity = { issuer: claims.iss, subject: claims.sub, sid: textOf(claims.sid), grant };
    const providerSessions = new ProviderSessions(engine);
    const grants = new Grants(engine);
    await providerSessions.bind(identity, userId);

    // The same user of the provider is another one here by now.
    if (session.userId !== undefined && session.userId !== userId) await session.logout();
    const tokens = tokensOf(response, engine.clock(), settings.keepTokens);
    await grants.add(grant, tokens, engine.clock() + engine.absoluteTimeout);
    const { acr } = claims;
    await session.login(userId, {
      identity,
      authenticatedAt: provenAt(
        claims,
        transaction.silent ? session.authenticatedAt : new Date(engine.clock()),
      ),
      methods: methodsOf(claims),
      ...(typeof acr === "string" && { acr }),
      ...(expiresAt !== undefined && { expiresAt }),
    });
    if (before?.grant !== undefined) await grants.retire(before.grant);
    // Asked last: whoever ends the provider's session after this finds ours.
    if (await providerSessions.hasEnded(identity, transaction.at)) {
      await session.logout();
      await grants.remove(grant);
      throw new OidcError("session_ended", "The provider ended the login while it was under way.");
    }
  }

  /**
   * Exchanges the code for the tokens, and checks them (Core 3.1.3.7; RFC 9207 for `iss`). The signature of the ID token is
   * checked, though it comes from the provider directly. @throws OidcError
   */
  async #redeemed(url: URL, { state, nonce, verifier, maxAge }: Transaction) {
    const { configuration, keys, algorithms } = this.#provider;
    try {
      const response = await client.authorizationCodeGrant(configuration, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
        ...(maxAge !== undefined && { maxAge }),
      });
      await compactVerify(response.id_token!, keys, { algorithms: [...algorithms] });
      const claims = response.claims() as unknown as Claims;
      if (claims.sub === "") throw new OidcError("invalid_response", "The ID token names no user (sub).");
      return { response, claims };
    } catch (error) {
      throw oidcErrorOf(error);
    }
  }

  /**
   * Ends the session, and leads to the provider to log out there, where that is wanted and offered. Ask for it by POST: a
   * link could be followed by anybody's page. Tokens that were kept are revoked at the provider (RFC 7009), but with
   * `revoke: false`.
   */
  async logout(session: Session<any>, { revoke = true } = {}): Promise<OidcAnswer> {
    const { settings } = this;
    const { identity } = session;
    const grants = identity?.grant === undefined ? undefined : new Grants(activeOf(session).engine);
    const tokens = grants && (await grants.read(identity!.grant!));
    await session.logout();
    if (grants !== undefined) await grants.remove(identity!.grant!);
    if (revoke && tokens !== undefined) await this.#revoke(tokens);
    const { configuration } = this.#provider;
    const offered = configuration.serverMetadata().end_session_endpoint !== undefined;
    if (identity === undefined || !settings.logoutAtProvider || !offered)
      return redirect(settings.routes.afterLogout);
    const url = client.buildEndSessionUrl(configuration, {
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
    const { clientId, clockTolerance } = this.settings;
    const { issuer } = this.#provider;
    try {
      const token = await verifyLogoutToken(tokens[0]!, this.#provider, clientId, clockTolerance);
      const taken = new Notes(engine, "logout token");
      const key = JSON.stringify([issuer, token.jti]);
      if ((await taken.read(key)) !== undefined)
        throw new OidcError("invalid_logout_token", "A logout token was refused: it has come before.");
      await new ProviderSessions(engine).end(issuer, token.subject, token.sid);
      // Noted last: where ending the sessions fails, the provider may send the token again.
      await taken.add(key, {}, engine.clock() + token.lifetime);
      return statusOnly(200);
    } catch (error) {
      if (!(error instanceof OidcError)) throw error;
      await this.settings.onError?.(error);
      return statusOnly(error.status);
    }
  }

  /** Ends the sessions of a provider's session, by what the provider's page opens in a frame (Front-Channel Logout 1.0, 2). */
  async frontchannelLogout(session: Session<any>, request: OidcRequest): Promise<OidcAnswer> {
    if (request.method !== "GET") return statusOnly(405, [["Allow", "GET"]]);
    const { searchParams } = new URL(this.#address(request.path));
    const { issuer } = this.#provider;
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
    try {
      const tokens = await this.#freshTokens(engine, grant, session.identity!);
      if (tokens?.accessToken === undefined) throw unavailable("it is not kept any more");
      return tokens.accessToken;
    } catch (error) {
      if (error instanceof OidcError && error.reason === "token_unavailable") {
        await session.logout();
        await new Grants(engine).remove(grant);
      }
      throw error;
    }
  }

  /** Requests of one process wait for the same refresh, and for its failure: one after the other they would wait too long. */
  #freshTokens(engine: Engine, grant: string, identity: Identity): Promise<Tokens | undefined> {
    const underWay = this.#refreshes.get(grant);
    if (underWay !== undefined) return underWay;
    const isStale = ({ refreshAt }: Tokens) => refreshAt !== undefined && refreshAt <= engine.clock();
    // A refresh that its process didn't live to finish is another's after this.
    const lease = this.settings.timeout + 5000;
    const tokens = new Grants(engine)
      .refresh(grant, isStale, (before) => this.#refreshed(engine, before, identity), lease)
      .finally(() => this.#refreshes.delete(grant));
    this.#refreshes.set(grant, tokens);
    return tokens;
  }

  async #refreshed(engine: Engine, before: Tokens, identity: Identity): Promise<Tokens> {
    if (before.refreshToken === undefined)
      throw unavailable("it has ended, and the provider gave no refresh token");
    try {
      const response = await client.refreshTokenGrant(this.#provider.configuration, before.refreshToken);
      const claims = response.claims();
      if (claims !== undefined && (claims.sub !== identity.subject || claims.iss !== identity.issuer))
        throw unavailable("the provider refreshed it for another user");
      const tokens = tokensOf(response, engine.clock(), true);
      return {
        ...tokens,
        idToken: tokens.idToken ?? before.idToken,
        // Where the provider rotates refresh tokens, the old one is dead.
        refreshToken: tokens.refreshToken ?? before.refreshToken,
      };
    } catch (error) {
      if ((error as { error?: unknown }).error === "invalid_grant")
        throw unavailable("the provider refused to refresh it");
      const failure = oidcErrorOf(error);
      // Nothing but a plain refusal ends the session: what a broken proxy answers is trouble of the provider's.
      if (failure.reason !== "invalid_response") throw failure;
      throw new OidcError("provider_unavailable", failure.message);
    }
  }

  async #revoke({ refreshToken, accessToken }: Tokens): Promise<void> {
    const { configuration } = this.#provider;
    if (configuration.serverMetadata().revocation_endpoint === undefined) return;
    const tokens = [refreshToken, accessToken].filter((token) => token !== undefined);
    // The session has ended here whatever the provider says.
    await Promise.allSettled(tokens.map((token) => client.tokenRevocation(configuration, token)));
  }

  async #authorizationUrl(parameters: URLSearchParams): Promise<URL> {
    const { configuration } = this.#provider;
    if (!this.settings.pushedAuthorizationRequests)
      return client.buildAuthorizationUrl(configuration, parameters);
    try {
      return await client.buildAuthorizationUrlWithPAR(configuration, parameters);
    } catch (error) {
      throw oidcErrorOf(error);
    }
  }

  async #failed(error: OidcError, cookies: readonly string[]): Promise<OidcAnswer> {
    const { onError, routes } = this.settings;
    if (onError === undefined && error.status >= 500)
      warn("HOLDFAST_OIDC", `a login failed (${error.code}): ${error.message}`);
    const own = await onError?.(error);
    const page = own ?? errorPage(error, routes.login);
    return { ...page, headers: [...page.headers, ...cookies.map((line) => ["Set-Cookie", line] as const)] };
  }

  /** Of this application, for the provider and the browser. */
  #address(path: string): string {
    return this.settings.baseUrl.origin + path;
  }

  /** The path that begins a login and leads back. */
  #loginWith(query: { returnTo: string; prompt?: "none" }): string {
    return `${this.settings.routes.login}?${new URLSearchParams(query)}`;
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
  const seconds = response.expiresIn();
  const lifetime = seconds === undefined ? undefined : seconds * 1000;
  return {
    idToken,
    accessToken: response.access_token,
    refreshAt: lifetime === undefined ? undefined : now + lifetime - Math.min(REFRESH_EARLY, lifetime / 10),
    refreshToken: response.refresh_token,
  };
}

function unknownLogin(): OidcError {
  return new OidcError("unknown_login", "No login of this browser is under way that the answer fits.");
}

function unavailable(why: string): OidcError {
  return new OidcError("token_unavailable", `There is no access token: ${why}.`);
}

/**
 * When the user proved who they are: the provider may have known them already (single sign-on). Where it doesn't say, that is what
 * was known before; a login that asked nobody anything proves nothing.
 */
function provenAt({ auth_time }: Claims, known: Date | undefined): Date | "unknown" {
  return dateOf(auth_time) ?? known ?? "unknown";
}

const MAX_METHODS = 16;

/** What the provider says of how (RFC 8176), as far as it is names. */
function methodsOf({ amr }: Claims): string[] {
  if (!Array.isArray(amr)) return [];
  return amr
    .filter((method) => typeof method === "string" && /^[\x21-\x7e]{1,32}$/.test(method))
    .slice(0, MAX_METHODS);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Of seconds since the epoch; undefined for what is no time. */
function dateOf(value: unknown): Date | undefined {
  const date = new Date(typeof value === "number" ? value * 1000 : Number.NaN);
  return Number.isNaN(date.valueOf()) ? undefined : date;
}
