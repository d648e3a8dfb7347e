import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";

/** As browsers send it: without a path, and a wildcard would match nothing. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#*\s]+$/;

/**
 * Checks a list of origins: each must be written as browsers send it in `Origin` (RFC 6454 6.2), or it would never match.
 * @param expected what the option takes, for the message.
 * @throws ConfigurationError that names the option.
 */
export function assertOrigins(
  option: string,
  origins: unknown,
  expected: string,
): asserts origins is readonly string[] {
  if (!Array.isArray(origins))
    throw new ConfigurationError(option, `expected ${expected}, got ${shown(origins)}`);
  for (const origin of origins) {
    if (typeof origin !== "string" || !ORIGIN.test(origin))
      throw new ConfigurationError(
        option,
        `${shown(origin)} is no origin, which looks like "https://shop.example"`,
      );
    const sent = /^https?:/.test(origin) && URL.canParse(origin) ? new URL(origin).origin : origin;
    if (sent !== origin)
      throw new ConfigurationError(option, `browsers send ${shown(origin)} as ${shown(sent)}: write it so`);
  }
}
