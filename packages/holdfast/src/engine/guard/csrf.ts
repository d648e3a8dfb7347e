import { ConfigurationError, CsrfError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { Engine } from "../engine.js";
import type { SessionRequest } from "../request.js";
import { isSafeMethod, pathOf } from "../request.js";
import { isBackchannel } from "./backchannel.js";
import { assertOrigins } from "./origins.js";

/** Why the CSRF guard refused a request. */
export type CsrfRule =
  /** `Sec-Fetch-Site` says that a page of another site sent it. */
  | "cross-site"
  /** `Sec-Fetch-Site` says that a page of another origin of the same site sent it, such as a sibling subdomain. */
  | "same-site"
  /** `Origin` is none of the configured ones. */
  | "foreign-origin"
  /** There is an `Origin`, but none is configured to compare it with, or it is "null"; and no token came. */
  | "unknown-origin"
  /** Neither `Sec-Fetch-Site` nor `Origin` came, and no token. */
  | "no-origin"
  /** The token that came is not this session's. */
  | "wrong-token";

/** The CSRF guard's settings. */
export interface CsrfOptions {
  /**
   * The origins whose pages may send unsafe requests, as in "https://shop.example": the application's own, for browsers that
   * send no `Sec-Fetch-Site` (older ones, and all over plain HTTP but on localhost), and others that it trusts, such as a
   * sibling subdomain. Never derived from `Host`, which whoever makes the request chooses. Default: none.
   */
  origins?: readonly string[];
  /**
   * What others than the application's pages have to post to, and proves itself in another way, as webhooks and the
   * `form_post` of a login: a list of paths ("/webhooks/payment", or "/webhooks/*" for all below), or a function. Default: none.
   */
  exempt?: readonly string[] | ((request: SessionRequest) => boolean);
  /** The request header with the session's token, for clients that send neither `Sec-Fetch-Site` nor `Origin`. Default: "X-CSRF-Token". */
  tokenHeader?: string;
  /**
   * Let forms of such clients pass to the handler without that header: their session stays closed, and throws `CsrfError`, until
   * `checkCsrfToken(request, field)` has found the token in the parsed form. Default: false.
   */
  formTokens?: boolean;
}

/** What a request has to show before its session opens. */
export interface CsrfDemand {
  /** What is told where it doesn't. */
  readonly rule: CsrfRule;
  /** What came in the header; undefined where the handler is to find it in the form. */
  readonly token: string | undefined;
}

const OPTION_NAMES: readonly string[] = [
  "origins",
  "exempt",
  "tokenHeader",
  "formTokens",
] satisfies (keyof CsrfOptions)[];

/** Headers by which frameworks let a request stand for another method. A form of another site can't send one. */
const METHOD_OVERRIDES = ["x-http-method-override", "x-http-method", "x-method-override"];

/** What a form is sent as (HTML, form submission): nothing else comes from a page without a preflight. */
const FORM = /^(?:application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(?:;|$)/i;

/**
 * Refuses what a page of another origin makes a browser send in its user's name: unsafe methods, judged by Fetch Metadata,
 * else by Origin, else by a token (OWASP CSRF prevention cheat sheet; ASVS 5.0, 3.5.1 to 3.5.3).
 */
export class CsrfGuard {
  readonly #origins: ReadonlySet<string>;
  readonly #isExempt: (request: SessionRequest) => boolean;
  readonly #tokenHeader: string;
  readonly #formTokens: boolean;

  /** @throws ConfigurationError that names the option. */
  constructor(options: CsrfOptions) {
    if (typeof options !== "object" || options === null) refuse("csrf", "expected true, false or an object");
    for (const name of Object.keys(options)) {
      if (!OPTION_NAMES.includes(name))
        refuse(`csrf.${name}`, `is not an option; there are ${OPTION_NAMES.join(", ")}`);
    }
    const { origins = [], exempt = [], tokenHeader = "X-CSRF-Token", formTokens = false } = options;
    assertOrigins("csrf.origins", origins, "a list of origins");
    if (typeof tokenHeader !== "string" || !/^[\w!#$%&'*+.^`|~-]+$/.test(tokenHeader))
      refuse("csrf.tokenHeader", `${shown(tokenHeader)} is no name of a header`);
    if (typeof formTokens !== "boolean")
      refuse("csrf.formTokens", `expected true or false, got ${shown(formTokens)}`);
    this.#origins = new Set(origins);
    this.#isExempt = exemption(exempt);
    this.#tokenHeader = tokenHeader.toLowerCase();
    this.#formTokens = formTokens;
  }

  /**
   * Judges a request before its session is looked for: undefined lets it pass, a demand has to be met first.
   * @throws CsrfError for a request that nothing can make good.
   */
  admit(engine: Engine, request: SessionRequest): CsrfDemand | undefined {
    if (isSafe(request)) return undefined;
    const rule = this.#judge(request);
    if (rule === undefined) return undefined;
    // No browser adds a bearer token by itself.
    if (engine.transportFor(request).reads === "Authorization") return undefined;
    if (this.#isExempt(request) || isBackchannel(request)) return undefined;
    if (rule !== "no-origin" && rule !== "unknown-origin") throw refused(engine, request, rule);

    const token = request.header(this.#tokenHeader);
    if (token === undefined && !(this.#formTokens && FORM.test(request.header("content-type") ?? "")))
      throw refused(engine, request, rule);
    return { rule, token };
  }

  #judge(request: SessionRequest): CsrfRule | undefined {
    const origin = request.header("origin");
    if (origin !== undefined && this.#origins.has(origin)) return undefined;
    // Before Origin is held against it: a page without a referrer sends its own forms with the Origin "null" (Fetch 3.2).
    const site = request.header("sec-fetch-site");
    if (site) {
      // "none" is a person's own doing, such as a bookmark.
      if (site === "same-origin" || site === "none") return undefined;
      return site === "same-site" ? "same-site" : "cross-site";
    }
    if (!origin) return "no-origin";
    return origin === "null" || this.#origins.size === 0 ? "unknown-origin" : "foreign-origin";
  }
}

/** The option `csrf`: true stands for all defaults. */
export function checkedCsrf(option: boolean | CsrfOptions): CsrfGuard | undefined {
  if (option === false) return undefined;
  return new CsrfGuard(option === true ? {} : option);
}

/** Tells of a refusal. The error to throw. @param sessionId where it is known without asking: by the token that came. */
export function refused(
  engine: Engine,
  request: SessionRequest,
  rule: CsrfRule,
  sessionId = namedSession(engine, request),
): CsrfError {
  const { method } = request;
  engine.events.emit("csrf-refused", { at: new Date(engine.clock()), reason: rule, method, sessionId });
  return new CsrfError(rule, method);
}

function namedSession(engine: Engine, request: SessionRequest): string | undefined {
  if (engine.cookieHeld !== undefined) return undefined;
  const [value, ...others] = engine.transportFor(request).values(request);
  if (value === undefined || others.length > 0) return undefined;
  const verification = engine.keyring.verify(value);
  return "id" in verification ? verification.id : undefined;
}

function isSafe(request: SessionRequest): boolean {
  if (!isSafeMethod(request.method)) return false;
  return METHOD_OVERRIDES.every((name) => {
    const other = request.header(name);
    return other === undefined || isSafeMethod(other.toUpperCase());
  });
}

function exemption(exempt: unknown): (request: SessionRequest) => boolean {
  // Only true is a yes: a promise, from a function that is asynchronous by mistake, is not.
  if (typeof exempt === "function") return (request) => exempt(request) === true;
  if (!Array.isArray(exempt))
    refuse("csrf.exempt", `expected a list of paths or a function, got ${shown(exempt)}`);
  const paths = new Set<string>();
  const folders: string[] = [];
  for (const path of exempt as unknown[]) {
    const [, plain, all] = (typeof path === "string" && /^(\/[^?#*\s]*?)(\/\*)?$/.exec(path)) || [];
    if (plain === undefined) {
      // "/*" alone would be no guard at all.
      refuse(
        "csrf.exempt",
        `${shown(path)} is no path, which looks like "/webhooks/payment" or "/webhooks/*"`,
      );
    }
    if (all === undefined) paths.add(plain);
    else folders.push(`${plain}/`);
  }
  return (request) => {
    const path = pathOf(request.target);
    if (paths.has(path)) return true;
    // Where a router decodes what this doesn't, "/webhooks/%2e%2e%2fpay" would be another path.
    if (/\.\.|\/\/|\\|%(?:2e|2f|5c)/i.test(path)) return false;
    return folders.some((folder) => path.startsWith(folder));
  };
}

function refuse(option: string, message: string): never {
  throw new ConfigurationError(option, message);
}
