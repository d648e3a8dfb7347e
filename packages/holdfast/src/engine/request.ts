import type { BlockList } from "node:net";
import { ConfigurationError } from "../errors.js";
import { shown } from "../shown.js";
import type { CookiePolicy, SessionCookie } from "../token/cookie.js";

/** What the engine asks of a request. An adapter hands one over for each request; reading is lazy. */
export interface SessionRequest {
  /** As in "GET", in upper case. */
  readonly method: string;
  /** The path and the query, as they were sent. */
  readonly target: string;
  /** The value of a header by its lower-case name; several lines of one name joined as Node does. */
  header(name: string): string | undefined;
  /** Whether the framework or the socket says that the browser's connection is HTTPS. */
  readonly encrypted: boolean;
  /** The address of the peer on the socket, not one taken from a header. */
  readonly remoteAddress: string | undefined;
  /** The client's address where the framework knows it better, by proxies that it trusts. For showing, not for deciding. */
  readonly clientAddress?: string | undefined;
}

/** The path of a request's target; what is no path, as in "OPTIONS *", stays as it is. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Whether a method only reads (RFC 9110 9.2.1). Every other, known or not, may change something. */
export function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

/** Whose `X-Forwarded-Proto` and `Forwarded` headers to believe: nobody's, everybody's, addresses and CIDR blocks, or a test. */
export type TrustProxy = boolean | readonly string[] | ((remoteAddress: string | undefined) => boolean);

/** Compiles the option `trustProxy`. @throws ConfigurationError for what is no address or block. */
export function proxyTrust(option: TrustProxy): (remoteAddress: string | undefined) => boolean {
  if (typeof option === "boolean") return () => option;
  // Only true is a yes: a promise, from a function that is asynchronous by mistake, is not.
  if (typeof option === "function") return (remoteAddress) => option(remoteAddress) === true;
  if (!Array.isArray(option)) {
    throw new ConfigurationError(
      "trustProxy",
      "expected a boolean, a list of addresses or CIDR blocks, or a function",
    );
  }
  // Not imported: runtimes that have no node:net can do all the rest.
  const { BlockList, isIP } = process.getBuiltinModule("node:net");
  const trusted = new BlockList();
  for (const entry of option as readonly string[]) addTrusted(trusted, entry, isIP);
  return (remoteAddress = "") => {
    const family = isIP(remoteAddress);
    return family !== 0 && trusted.check(remoteAddress, family === 6 ? "ipv6" : "ipv4");
  };
}

function addTrusted(trusted: BlockList, entry: string, isIP: (address: string) => number): void {
  const [, address = "", bits] = (typeof entry === "string" && /^([^/]+)(?:\/(\d+))?$/.exec(entry)) || [];
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  try {
    if (bits === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(bits), family);
  } catch {
    throw new ConfigurationError("trustProxy", `${shown(entry)} is no IP address and no CIDR block`);
  }
}

/** Whether the browser's connection is HTTPS, as far as this server may believe. */
export function isHttps(
  request: SessionRequest,
  trusts: (remoteAddress: string | undefined) => boolean,
): boolean {
  if (request.encrypted) return true;
  const forwardedProto = request.header("x-forwarded-proto");
  const forwarded = request.header("forwarded");
  if (forwardedProto === undefined && forwarded === undefined) return false;
  if (!trusts(request.remoteAddress)) return false;
  const proto = forwardedProto?.split(",", 1)[0] ?? protoOf(forwarded!) ?? "";
  return proto.trim().toLowerCase() === "https";
}

/** A parameter of `Forwarded`, with the separator after it. Addresses are often sent without their quotes. */
const PARAMETER = /[ \t]*(?:([\w-]+)=(?:([^\s;,="]+)|"((?:[^"\\]|\\.)*)"))?[ \t]*(;|,|$)/y;

/** The `proto` of the first element of `Forwarded`, which the proxy next to the browser added (RFC 7239 4). */
function protoOf(forwarded: string): string | undefined {
  PARAMETER.lastIndex = 0;
  for (;;) {
    const [, name, token, quotedText, separator] = PARAMETER.exec(forwarded) ?? [];
    if (name?.toLowerCase() === "proto") return token ?? quotedText!.replace(/\\(.)/g, "$1");
    if (separator !== ";") return undefined;
  }
}

/** The form of the session cookie that fits a request: without Secure only on plain-HTTP localhost, outside production. */
export function cookieFor(
  policy: CookiePolicy,
  request: SessionRequest,
  trusts: (remoteAddress: string | undefined) => boolean,
  production: boolean,
): SessionCookie {
  if (policy.secure === "never") return policy.overHttp;
  if (policy.secure === "always" || production) return policy.overHttps;
  return isLocalhost(request) && !isHttps(request, trusts) ? policy.overHttp : policy.overHttps;
}

/** A request from this machine to this machine, by the socket and by the name that the browser used. */
export function isLocalhost(request: SessionRequest): boolean {
  const { remoteAddress } = request;
  if (remoteAddress !== undefined && !/^(?:::1|(?:::ffff:)?127\.[\d.]+)$/.test(remoteAddress)) return false;
  const host = request.header("host") ?? request.header(":authority") ?? "";
  return /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/i.test(host);
}
