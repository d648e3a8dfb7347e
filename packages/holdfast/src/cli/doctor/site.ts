import type { Check } from "./check.js";

/** What a running server answered. */
export interface SiteFacts {
  readonly url: URL;
  /** Why there was no answer; undefined where there was one. */
  readonly failure: string | undefined;
  /** To a request without a cookie. */
  readonly first: SiteAnswer | undefined;
  /** To a request with the cookie that came; undefined where none came. */
  readonly second: SiteAnswer | undefined;
  /** To a request with a cookie of the name that no secret has signed. */
  readonly forged: SiteAnswer | undefined;
}

export interface SiteAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The session's cookie, where the answer sets it. */
  readonly cookie: SetCookie | undefined;
}

export interface SetCookie {
  readonly name: string;
  /** Attributes by their names in lower case; "" for those without a value. */
  readonly attributes: Readonly<Record<string, string | undefined>>;
  /** Whether it deletes the cookie. */
  readonly deletes: boolean;
}

const isHttps = ({ url }: SiteFacts) => url.protocol === "https:";
/** Whether it is this machine, where plain HTTP is as good. */
export const isLocal = (url: URL) => /^(localhost|.*\.localhost|127\..*|\[::1\])$/.test(url.hostname);

const set = (facts: SiteFacts) => {
  const cookie = facts.first?.cookie ?? facts.second?.cookie;
  return cookie?.deletes ? undefined : cookie;
};

export const SITE_CHECKS: ReadonlyArray<Check<SiteFacts>> = [
  {
    id: "site-unreachable",
    severity: "error",
    about: "the server answers",
    fix: "Start the development server, or mend the URL.",
    find: ({ failure }) => failure,
  },
  {
    id: "site-fails",
    severity: "warning",
    about: "the page is no error page",
    fix: "Look into the server's log; 503 means that the store failed.",
    find: ({ first }) =>
      first !== undefined && first.status >= 500 ? `The page answers with ${first.status}.` : undefined,
  },
  {
    id: "site-plain-http",
    severity: "error",
    about: "the site is served over HTTPS",
    asvs: "12.2.1",
    fix: "Serve HTTPS only, and redirect from HTTP.",
    find: (facts) =>
      !isHttps(facts) &&
      !isLocal(facts.url) &&
      facts.first !== undefined &&
      ![301, 302, 307, 308].includes(facts.first.status)
        ? "The site answers over plain HTTP: anybody on the way can read and change everything."
        : undefined,
  },
  {
    id: "site-no-hsts",
    severity: "warning",
    about: "browsers are told to stay with HTTPS",
    asvs: "3.4.1",
    fix: "Send Strict-Transport-Security: max-age=31536000; includeSubDomains.",
    find: (facts) =>
      isHttps(facts) &&
      !isLocal(facts.url) &&
      facts.first &&
      !facts.first.headers["strict-transport-security"]
        ? "There is no Strict-Transport-Security: the first visit can be led over plain HTTP."
        : undefined,
  },
  {
    id: "site-cookie-not-secure",
    severity: "error",
    about: "over HTTPS, the cookie comes Secure",
    asvs: "3.3.1",
    fix: "Tell Holdfast about the proxy that ends TLS: `trustProxy`, and X-Forwarded-Proto (docs/cookies.md).",
    find: (facts) => {
      const cookie = set(facts);
      return isHttps(facts) && cookie && cookie.attributes.secure === undefined
        ? `The page came over HTTPS, and the cookie ${cookie.name} without Secure.`
        : undefined;
    },
  },
  {
    id: "site-cookie-prefix",
    severity: "warning",
    about: "over HTTPS, the cookie's name has the __Host- prefix",
    asvs: "3.3.3",
    fix: "Leave `cookie.domain`, `cookie.path` and `cookie.secure` out.",
    find: (facts) => {
      const cookie = set(facts);
      return isHttps(facts) && cookie && !cookie.name.startsWith("__Host-")
        ? `The cookie ${cookie.name} has no __Host- prefix: a sibling subdomain, or plain HTTP, can plant one.`
        : undefined;
    },
  },
  {
    id: "site-cookie-attributes",
    severity: "error",
    about: "the cookie comes HttpOnly and with SameSite",
    asvs: "3.3.2, 3.3.4",
    fix: "Holdfast sets both: look for what rewrites Set-Cookie on the way, as a proxy or a middleware.",
    find: (facts) => {
      const cookie = set(facts);
      if (cookie === undefined) return undefined;
      const missing = ["httponly", "samesite"].filter((name) => cookie.attributes[name] === undefined);
      return missing.length === 0
        ? undefined
        : `The cookie ${cookie.name} comes without ${missing.map((name) => (name === "httponly" ? "HttpOnly" : "SameSite")).join(" and ")}.`;
    },
  },
  {
    id: "site-cacheable",
    severity: "error",
    about: "the response that sets the cookie is not cacheable",
    asvs: "14.2.2, 14.3.2",
    fix: "Leave `cacheControl` out, and let no middleware or proxy replace Cache-Control.",
    find: ({ first, second }) => {
      const loose = [first, second].some(
        (answer) => answer?.cookie && !/no-store|private/i.test(answer.headers["cache-control"] ?? ""),
      );
      return loose
        ? "A response sets the cookie, and its Cache-Control lets shared caches keep it."
        : undefined;
    },
  },
  {
    id: "site-cookie-ignored",
    severity: "warning",
    about: "the server knows its own cookie again",
    fix: "Do several processes share the port, with secrets or stores of their own? Is the store emptied? `explain: true` says why.",
    find: ({ first, second }) =>
      first?.cookie && !first.cookie.deletes && second?.cookie && !second.cookie.deletes
        ? "A request with the cookie that had just come got another one: its session was not found."
        : undefined,
  },
  {
    id: "site-forged-cookie",
    severity: "error",
    about: "a forged cookie is refused quietly",
    asvs: "7.2.1",
    fix: "Look into the server's log: something before Holdfast reads the cookie.",
    find: ({ first, forged }) =>
      forged !== undefined && forged.status >= 500 && (first?.status ?? 0) < 500
        ? `A request with a forged cookie is answered with ${forged.status}.`
        : undefined,
  },
  {
    id: "site-powered-by",
    severity: "note",
    about: "no header tells what runs here",
    asvs: "13.4.6",
    fix: 'app.disable("x-powered-by")',
    find: ({ first }) =>
      first?.headers["x-powered-by"] ? "X-Powered-By tells attackers which software to look for." : undefined,
  },
];
