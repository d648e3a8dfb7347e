/** Characters that browsers drop or turn into a slash, by which "/\evil.example" becomes another site. */
const TRICKS = /[\p{Cc}\\\s]/u;
const MAX_LENGTH = 2000;

/**
 * The path of this application that a login, or a confirmation, goes back to, as it came with a request. Anything that could be
 * another origin, in whatever spelling, gives the fallback instead (OWASP: unvalidated redirects).
 * @param origin the application's own, where that is known: none of a path depends on it.
 */
export function safeReturnTo(value: unknown, fallback: string, origin = "http://localhost"): string {
  if (typeof value !== "string" || value.length > MAX_LENGTH || TRICKS.test(value)) return fallback;
  if (!value.startsWith("/") || value.startsWith("//")) return fallback;
  if (!URL.canParse(value, origin)) return fallback;
  const url = new URL(value, origin);
  const { pathname, search, hash } = url;
  // A path of two slashes would be taken for a host by the next who reads it.
  return url.origin === origin && !pathname.startsWith("//") ? pathname + search + hash : fallback;
}
