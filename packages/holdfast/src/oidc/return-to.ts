/** Characters that browsers drop or turn into a slash, by which "/\evil.example" becomes another site. */
const TRICKS = /[\p{Cc}\\\s]/u;
const MAX_LENGTH = 2000;

/**
 * The path of this application that a login goes back to. Anything that could be another origin, in whatever spelling, gives
 * the default instead (OWASP: unvalidated redirects).
 */
export function safeReturnTo(value: unknown, baseUrl: URL, fallback: string): string {
  if (typeof value !== "string" || value.length > MAX_LENGTH || TRICKS.test(value)) return fallback;
  if (!value.startsWith("/") || value.startsWith("//")) return fallback;
  if (!URL.canParse(value, baseUrl.origin)) return fallback;
  const { origin, pathname, search, hash } = new URL(value, baseUrl.origin);
  // A path of two slashes would be taken for a host by the next who reads it.
  return origin === baseUrl.origin && !pathname.startsWith("//") ? pathname + search + hash : fallback;
}
