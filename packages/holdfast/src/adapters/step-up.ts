import type { Duration } from "../duration.js";
import { milliseconds } from "../duration.js";
import { checkedMeans, type ElevationNeeds } from "../engine/authentication.js";
import type { SessionRequest } from "../engine/request.js";
import type { Session } from "../engine/session.js";
import { ConfigurationError, type ReauthenticationNeed, ReauthenticationRequiredError } from "../errors.js";
import { safeReturnTo } from "../return-to.js";

/** What `requireRecentLogin` and `requireElevation` do beside refusing. */
export interface StepUpOptions {
  /**
   * The path of this application that leads a person on, as in "/login", or a function that gives it for what is needed. It gets
   * `returnTo`: the page that was asked for, or, for a form, the page that it is on. Read that with `safeReturnTo`. Requests that
   * no person waits for, by their Accept header, get the error. Default: everybody gets the error (401).
   */
  redirectTo?: string | ((needs: ReauthenticationNeed) => string);
}

/** What a guard looks at. */
export type StepUpCheck = (session: Session<any>) => void;

/** @throws ConfigurationError */
export function recentLoginCheck(within: Duration, options: StepUpOptions): StepUpCheck {
  milliseconds("requireRecentLogin", within, 0);
  checkOptions("requireRecentLogin", options);
  return (session) => session.requireRecentLogin(within);
}

/** @throws ConfigurationError */
export function elevationCheck(needs: ElevationNeeds, options: StepUpOptions): StepUpCheck {
  checkedMeans("requireElevation", needs);
  checkOptions("requireElevation", options);
  return (session) => session.requireElevation(needs);
}

function checkOptions(guard: string, { redirectTo }: StepUpOptions): void {
  if (redirectTo === undefined || typeof redirectTo === "function") return;
  if (safeReturnTo(redirectTo, "") === "")
    throw new ConfigurationError(
      `${guard}.redirectTo`,
      'expected a path of this application, as in "/login"',
    );
}

/**
 * Where a request is to be led whose session doesn't suffice; undefined where it does.
 * @throws ReauthenticationRequiredError where nobody is to be led anywhere.
 */
export function stepUpLocation(
  session: Session<any>,
  request: Pick<SessionRequest, "method" | "target" | "header">,
  check: StepUpCheck,
  { redirectTo }: StepUpOptions,
): string | undefined {
  try {
    check(session);
    return undefined;
  } catch (error) {
    if (!(error instanceof ReauthenticationRequiredError) || redirectTo === undefined) throw error;
    if (!/\btext\/html\b/.test(request.header("accept") ?? "")) throw error;
    const path = typeof redirectTo === "function" ? redirectTo(error.needs) : redirectTo;
    const returnTo = pageOf(request);
    if (returnTo === "") return path;
    return `${path}${path.includes("?") ? "&" : "?"}returnTo=${encodeURIComponent(returnTo)}`;
  }
}

/** The page to come back to. A form can't be sent again by a redirect: there it is the page that it is on. */
function pageOf({ method, target, header }: Pick<SessionRequest, "method" | "target" | "header">): string {
  if (method === "GET" || method === "HEAD") return safeReturnTo(target, "");
  const referer = header("referer") ?? "";
  if (!URL.canParse(referer)) return "";
  const { pathname, search } = new URL(referer);
  return safeReturnTo(pathname + search, "");
}
