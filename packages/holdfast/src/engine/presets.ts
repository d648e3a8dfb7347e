import type { SessionsOptions } from "./create-sessions.js";

/**
 * The times of NIST SP 800-63B-4 by level of assurance, to be spread into the options of `createSessions`. They are a part of a
 * level only; the other is how people log in.
 */
type Preset = Readonly<Pick<SessionsOptions<object>, "idleTimeout" | "absoluteTimeout" | "renewAfter">> &
  Readonly<Pick<SessionsOptions<object>, "remember" | "cookie">>;

/** AAL1, accounts with little to lose: 30 days at most (2.1.3). Cookies outlive the browser. */
export const aal1 = {
  idleTimeout: "30d",
  absoluteTimeout: "30d",
  renewAfter: "1d",
  cookie: { persistent: true },
} as const satisfies Preset;

/** AAL2, personal data, two factors: 24 hours at most, one hour idle (2.2.3). Nobody is remembered. */
export const aal2 = {
  idleTimeout: "1h",
  absoluteTimeout: "24h",
  renewAfter: "1h",
  remember: false,
} as const satisfies Preset;

/** AAL3, hardware keys: 12 hours at most, 15 minutes idle (2.3.3). Nobody is remembered. */
export const aal3 = {
  idleTimeout: "15m",
  absoluteTimeout: "12h",
  renewAfter: "15m",
  remember: false,
} as const satisfies Preset;
