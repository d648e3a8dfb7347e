import { EventEmitter } from "node:events";
import type { ErrorRequestHandler, NextFunction, Request, RequestHandler, Response } from "express";
import { decodeJwt } from "jose";
import { fetchUserInfo } from "openid-client";
import type {} from "../adapters/express.js";
import { activeOf, type Session } from "../engine/session.js";
import { ConfigurationError } from "../errors.js";
import { errorPage } from "./error-page.js";
import { type OidcError, oidcErrorOf } from "./errors.js";
import { isPageRequest, type OidcAnswer, redirect, statusOnly } from "./exchange.js";
import { requestOf, send } from "./express-exchange.js";
import { Grants } from "./grants.js";
import { type ExpressOIDCOptions, optionsOf } from "./okta-options.js";
import { OpenidConnect } from "./openid-connect.js";
import { checkedOptions, type OidcSettings } from "./options.js";
import { discoverProvider, type Provider } from "./provider.js";

export type { ExpressOIDCOptions } from "./okta-options.js";

/** The user of a request, as Okta's middleware shows it. */
export interface UserContext {
  /** What the provider's UserInfo endpoint said at the login; where it has none, the claims of the ID token. */
  userinfo: { sub: string; name?: string; email?: string; [claim: string]: unknown };
  tokens: {
    token_type: "Bearer";
    access_token?: string | undefined;
    id_token?: string | undefined;
    refresh_token?: string | undefined;
  };
}

declare global {
  namespace Express {
    interface Request {
      /** The user, after `ExpressOIDC`. Undefined where nobody is logged in. */
      userContext?: UserContext | undefined;
      isAuthenticated(): boolean;
      /** Ends the session here, and not at the provider. */
      logout(done?: (error?: unknown) => void): Promise<void>;
      logout(options: object, done?: (error?: unknown) => void): Promise<void>;
    }
  }
}

/** A page for a login that failed, and why it did: for `failureRedirect` and `handler`. */
interface FailedAnswer extends OidcAnswer {
  readonly error?: OidcError;
}

interface Started {
  readonly oidc: OpenidConnect;
  readonly provider: Provider;
}

/**
 * The names of Okta's `ExpressOIDC` (@okta/oidc-middleware 4 to 6), on sessions of Holdfast: `router` comes after
 * `expressSessions`. Emits "ready" when the provider is found, "error" when it isn't.
 */
export class ExpressOIDC extends EventEmitter<{ ready: []; error: [unknown] }> {
  /** The routes, and `req.userContext`, `req.isAuthenticated()`, `req.logout()` for what comes after them. */
  readonly router: RequestHandler;
  readonly #options: ExpressOIDCOptions;
  readonly #settings: OidcSettings;
  readonly #sessionKey: string;
  readonly #started: Promise<Started>;

  /** @throws ConfigurationError that names the option. */
  constructor(options: ExpressOIDCOptions) {
    super();
    this.#options = options;
    this.#settings = checkedOptions({
      ...optionsOf(options),
      onError: (error) => ({ ...errorPage(error, this.#settings.routes.login), error }),
    });
    this.#sessionKey = options.sessionKey ?? `oidc:${options.issuer}`;
    this.#started = start(this.#settings);
    this.#started.then(
      () => this.emit("ready"),
      (error) => this.emit("error", error),
    );
    this.router = (req, res, next) => {
      this.#route(req, res, next).catch(next);
    };
  }

  /**
   * Lets only users pass: a page leads to the login and back, everything else gets 401.
   * @param redirectTo the page to lead to in place of the login, with `?returnTo=` the path to come back to.
   */
  ensureAuthenticated({
    redirectTo,
    loginHint,
  }: {
    redirectTo?: string;
    loginHint?: string;
  } = {}): RequestHandler {
    const { baseUrl, routes } = this.#settings;
    return (req, res, next) => {
      if (req.userContext !== undefined) return next();
      if (!isPageRequest(requestOf(req))) return send(res, statusOnly(401));
      const url = new URL(redirectTo ?? routes.login, baseUrl);
      url.searchParams.set("returnTo", req.originalUrl);
      if (loginHint !== undefined) url.searchParams.set("login_hint", loginHint);
      send(res, redirect(url.href));
    };
  }

  /** A handler that logs out here and at the provider, and revokes the tokens. */
  forceLogoutAndRevoke(): RequestHandler {
    return (req, res, next) => {
      this.#logout(req, res).catch(next);
    };
  }

  async #route(req: Request, res: Response, next: NextFunction): Promise<void> {
    const { oidc } = await this.#started;
    const session = await sessionOf(req);
    await this.#expose(req, session);
    const { login, callback, logout, backchannelLogout } = this.#settings.routes;
    const path = req.originalUrl.split("?", 1)[0]!;
    const request = requestOf(req);
    if (path === callback && req.method === "GET") return this.#callback(req, res, next);
    if (path === login && req.method === "GET" && this.#options.routes?.loginCallback?.afterCallback) {
      const loginHint = new URL(req.originalUrl, this.#settings.baseUrl).searchParams.get("login_hint");
      return send(res, await oidc.login(session, request, { loginHint: loginHint ?? undefined }));
    }
    const isOurs = path === login || path === backchannelLogout || (path === logout && req.method === "POST");
    const answer = isOurs ? await oidc.handle(session, request) : undefined;
    if (answer === undefined) next();
    else send(res, answer);
  }

  async #expose(req: Request, session: Session<any>): Promise<void> {
    const { engine } = activeOf(session);
    const { userinfo } = session.data[this.#sessionKey] ?? {};
    const grant = session.identity?.grant;
    const isOurs = session.userId !== undefined && grant !== undefined && userinfo !== undefined;
    req.userContext = isOurs ? { userinfo, tokens: await tokensOf(session, grant) } : undefined;
    req.isAuthenticated = () => req.userContext !== undefined;
    req.logout = (...given: unknown[]) => {
      const done = given.find((each) => typeof each === "function") ?? (() => {});
      req.userContext = undefined;
      // Begun at once: whoever doesn't wait for it has an answer that waits.
      const ended = session.logout().then(() => (grant ? new Grants(engine).remove(grant) : undefined));
      ended.then(
        () => done(),
        (error) => done(error),
      );
      return ended;
    };
  }

  async #callback(req: Request, res: Response, next: NextFunction): Promise<void> {
    const { oidc } = await this.#started;
    const session = await sessionOf(req);
    let answer: FailedAnswer = await oidc.callback(session, requestOf(req));
    const cookies = answer.headers.filter(([name]) => name === "Set-Cookie");
    if (answer.error === undefined) {
      try {
        await this.#remember(session);
        await this.#expose(req, session);
      } catch (thrown) {
        await oidc.logout(session);
        const error = oidcErrorOf(thrown);
        answer = { ...errorPage(error, this.#settings.routes.login), error };
      }
    }
    const { failureRedirect, handler } = this.#options.routes?.loginCallback ?? {};
    if (answer.error !== undefined && failureRedirect !== undefined)
      answer = { ...redirect(failureRedirect), error: answer.error };
    for (const [name, value] of cookies) res.append(name, value);
    const headers = answer.headers.filter(([name]) => name !== "Set-Cookie");
    const finish = (thrown?: unknown) => {
      if (thrown) next(thrown);
      else send(res, { ...answer, headers });
    };
    if (handler === undefined) return finish();
    if (handler.length === 4) return void (handler as ErrorRequestHandler)(answer.error, req, res, finish);
    if (answer.error !== undefined) return next(answer.error);
    (handler as RequestHandler)(req, res, finish);
  }

  /** Asks the provider who the user is, and keeps it with the session. @throws OidcError */
  async #remember(session: Session<any>): Promise<void> {
    const { configuration } = (await this.#started).provider;
    const { subject, grant } = session.identity!;
    const { access_token, id_token } = await tokensOf(session, grant!);
    const isOffered = configuration.serverMetadata().userinfo_endpoint !== undefined;
    const userinfo =
      isOffered && access_token !== undefined
        ? await fetchUserInfo(configuration, access_token, subject)
        : decodeJwt(id_token!);
    session.data[this.#sessionKey] = { userinfo };
  }

  async #logout(req: Request, res: Response): Promise<void> {
    const { oidc } = await this.#started;
    const asked = { ...requestOf(req), method: "POST", path: this.#settings.routes.logout };
    send(res, (await oidc.handle(await sessionOf(req), asked))!);
  }
}

async function start(settings: OidcSettings): Promise<Started> {
  const provider = await discoverProvider(settings);
  return { provider, oidc: new OpenidConnect(settings, provider) };
}

async function tokensOf(session: Session<any>, grant: string): Promise<UserContext["tokens"]> {
  const tokens = await new Grants(activeOf(session).engine).read(grant);
  return {
    token_type: "Bearer",
    access_token: tokens?.accessToken,
    id_token: tokens?.idToken,
    refresh_token: tokens?.refreshToken,
  };
}

function sessionOf(req: Request): Promise<Session<any>> {
  if (typeof req.openSession !== "function") {
    throw new ConfigurationError(
      "ExpressOIDC",
      "needs expressSessions() of holdfast/express before `router`; express-session and its drop-in don't do",
    );
  }
  return req.openSession();
}
