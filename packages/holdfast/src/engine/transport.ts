import { ConfigurationError } from "../errors.js";
import { shown } from "../shown.js";
import { type CookiePolicy, CookieTooLargeError, cookieValues, type SessionCookie } from "../token/cookie.js";
import { cookieFor, isSafeMethod, type SessionRequest } from "./request.js";

/** The response's headers as an adapter lets the engine see them. Names are case-insensitive. */
export interface ResponseHeaders {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
}

/** The way that a session's secret takes from the client to the server and back. */
export interface Transport {
  /** The name of the cookie, or of the scheme. */
  readonly name: string;
  /** Whether clients drop what it sends where there is no HTTPS. */
  readonly secure: boolean;
  /** The request header that it reads: what caches have to know. */
  readonly reads: "Cookie" | "Authorization";
  /** What came with the request, in order: `MAX_VALUES` at most, and one more where there are too many. */
  values(request: SessionRequest): string[];
  /** Whether the client may have something that it didn't send, because another site has made this request (SameSite). */
  isWithheld(request: SessionRequest): boolean;
  /** `maxAge` in milliseconds; undefined where the client is to forget it when it closes. */
  send(headers: ResponseHeaders, value: string, maxAge: number | undefined, request: SessionRequest): void;
  /** Tells the client to forget it. */
  erase(headers: ResponseHeaders, request: SessionRequest): void;
}

/** Values of one request that are looked at; browsers send one, cookie tossing a few. */
export const MAX_VALUES = 4;

/** Where the signed token travels: `"cookie"`, `"bearer"`, or the answer of a function of the request. */
export type TransportOption = "cookie" | "bearer" | ((request: SessionRequest) => "cookie" | "bearer");

/** The response header that carries a bearer session's new token; empty when the session has ended. */
const TOKEN_HEADER = "Session-Token";

/** `Authorization: Bearer …` (RFC 6750 2.1), for clients that keep their token themselves and send it with each request. */
export const bearerTransport: Transport = {
  name: "bearer",
  secure: false,
  reads: "Authorization",
  values(request) {
    const [, token] = /^Bearer +(\S+) *$/i.exec(request.header("authorization") ?? "") ?? [];
    return token === undefined ? [] : [token];
  },
  isWithheld: () => false,
  send: (headers, value) => headers.set(TOKEN_HEADER, value),
  erase: (headers) => headers.set(TOKEN_HEADER, ""),
};

export function cookieTransport(cookie: SessionCookie): Transport {
  return {
    name: cookie.name,
    secure: cookie.secure,
    reads: "Cookie",
    values: (request) => cookieValues(request.header("cookie"), cookie.name, MAX_VALUES),
    isWithheld: (request) => isWithheld(cookie, request),
    send: (headers, value, maxAge) => headers.append("Set-Cookie", cookie.set(value, maxAge)),
    erase: (headers) => headers.append("Set-Cookie", cookie.deletion),
  };
}

/**
 * Several cookies for one value, each as large as browsers keep: the first says how many there are, so that one left over
 * from a larger value does no harm.
 */
export function cookiesTransport(cookie: SessionCookie, maxCookies: number): Transport {
  const cookies = cookiesOf(cookie, maxCookies);
  const erasePartsFrom = (first: number, headers: ResponseHeaders, request: SessionRequest) => {
    const sent = request.header("cookie");
    for (const { name, deletion } of cookies.slice(first)) {
      if (cookieValues(sent, name, 0).length > 0) headers.append("Set-Cookie", deletion);
    }
  };
  return {
    name: cookie.name,
    secure: cookie.secure,
    reads: "Cookie",
    values(request) {
      const header = request.header("cookie");
      return cookieValues(header, cookie.name, MAX_VALUES).map((value) => {
        const [, count, start] = /^([1-9])\.(.*)$/.exec(value) ?? [];
        const rest = cookies.slice(1, Number(count)).map(({ name }) => cookieValues(header, name, 1));
        // Of a part that came twice nobody knows which is the right one.
        if (rest.some((values) => values.length !== 1)) return "";
        return [start, ...rest].join("");
      });
    },
    isWithheld: (request) => isWithheld(cookie, request),
    send(headers, value, maxAge, request) {
      const parts: string[] = [];
      for (let from = 0; from < value.length; ) {
        const cookie = cookies[parts.length];
        if (cookie === undefined) throw new CookieTooLargeError(cookies[0]!.name, value.length);
        const end = from + roomIn(cookie, parts.length);
        parts.push(value.slice(from, end));
        from = end;
      }
      for (const [index, part] of parts.entries()) {
        const text = index === 0 ? `${parts.length}.${part}` : part;
        headers.append("Set-Cookie", cookies[index]!.set(text, maxAge));
      }
      erasePartsFrom(parts.length, headers, request);
    },
    erase(headers, request) {
      headers.append("Set-Cookie", cookie.deletion);
      erasePartsFrom(1, headers, request);
    },
  };
}

/**
 * Whether browsers keep this cookie back from a request, for a page of another site has made it (RFC 6265bis 5.8.3), as they
 * say themselves (Fetch Metadata).
 */
function isWithheld({ sameSite }: SessionCookie, request: SessionRequest): boolean {
  if (sameSite === "none" || (sameSite === "lax" && isSafeMethod(request.method))) return false;
  return request.header("sec-fetch-site") === "cross-site";
}

/** The characters that fit into the cookies of `cookiesTransport`. */
export function roomInCookies(cookie: SessionCookie, maxCookies: number): number {
  return cookiesOf(cookie, maxCookies).reduce((sum, each, index) => sum + roomIn(each, index), 0);
}

function cookiesOf(cookie: SessionCookie, maxCookies: number): SessionCookie[] {
  return [cookie, ...Array.from({ length: maxCookies - 1 }, (_, index) => cookie.part(index + 1))];
}

/** The first one's value starts with the number of cookies and a dot. */
function roomIn(cookie: SessionCookie, index: number): number {
  return index === 0 ? cookie.room - 2 : cookie.room;
}

/** Decides for each request how its session travels: by the option, and, for a cookie, in the form that fits the request. */
export function transportChoice(
  option: TransportOption,
  policy: CookiePolicy,
  transportOf: (cookie: SessionCookie) => Transport,
  trustsProxy: (remoteAddress: string | undefined) => boolean,
  production: boolean,
): (request: SessionRequest) => Transport {
  if (typeof option !== "function" && option !== "cookie" && option !== "bearer")
    throw new ConfigurationError("transport", 'expected "cookie", "bearer" or a function of the request');
  const overHttps = transportOf(policy.overHttps);
  const overHttp = transportOf(policy.overHttp);
  return (request) => {
    const chosen = typeof option === "function" ? option(request) : option;
    if (chosen === "bearer") return bearerTransport;
    if (chosen !== "cookie")
      throw new ConfigurationError(
        "transport",
        `the function gave ${shown(chosen)}, not "cookie" or "bearer"`,
      );
    const cookie = cookieFor(policy, request, trustsProxy, production);
    return cookie === policy.overHttps ? overHttps : overHttp;
  };
}
