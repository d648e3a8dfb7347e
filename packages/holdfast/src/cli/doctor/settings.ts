import type { Engine } from "../../engine/engine.js";
import { digestOf } from "../../engine/given.js";
import { span } from "../wording.js";
import type { Check } from "./check.js";

/** What the application is set up with, and where it runs. */
export interface SettingsFacts {
  readonly engine: Engine;
  /** The text of the configuration module. */
  readonly source: string;
  /** Codes and texts of Holdfast's warnings while the module ran. */
  readonly warnings: ReadonlyArray<{ readonly code: string; readonly message: string }>;
  /** `NODE_ENV` while the module ran. */
  readonly environment: string | undefined;
  readonly nodeVersion: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The end of each line's support (nodejs.org/en/about/previous-releases). Lines that aren't here are newer or have ended. */
const NODE_ENDS: Readonly<Record<number, string>> = {
  20: "2026-04-30",
  22: "2027-04-30",
  24: "2028-04-30",
  26: "2029-04-30",
};

const options = ({ engine }: SettingsFacts) => engine.given.options;
const cookie = (facts: SettingsFacts) => options(facts).cookie ?? {};
const inProduction = ({ environment }: SettingsFacts) => environment === "production";
const onServer = ({ engine }: SettingsFacts) => engine.cookieHeld === undefined;
const storeName = (facts: SettingsFacts) => (options(facts).store as { name?: string } | undefined)?.name;
/** Whether browsers carry the token: then other sites can make them send it. */
const usesCookies = (facts: SettingsFacts) => options(facts).transport !== "bearer";
const warned = ({ warnings }: SettingsFacts, code: string) =>
  warnings.find((warning) => warning.code === code)?.message;

export const SETTINGS_CHECKS: ReadonlyArray<Check<SettingsFacts>> = [
  {
    id: "secret-missing",
    severity: "error",
    about: "a secret is set",
    asvs: "13.3.1",
    fix: "Make one with `npx holdfast secret`, and give it by the environment, a file or a vault.",
    find: (facts) =>
      warned(facts, "HOLDFAST_NO_SECRET") &&
      "No secret is set, so each start takes a random one: every restart logs everybody out, and no two processes agree.",
  },
  {
    id: "secret-weak",
    severity: "error",
    about: "secrets are long, random, and in no tutorial",
    asvs: "11.5.1",
    fix: "Replace it by one that `npx holdfast secret` makes. Production refuses the weak one.",
    find: (facts) => warned(facts, "HOLDFAST_WEAK_SECRET")?.replace(/\. Use a long random.*/s, "."),
  },
  {
    id: "secret-in-source",
    severity: "error",
    about: "no secret is written in the module",
    asvs: "13.3.1",
    fix: "Take it from the environment, a file or a vault (docs/secrets.md), and make a new one: the old one is in the history.",
    find: ({ engine, source }) => {
      const literals = source.match(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`$]*`/g) ?? [];
      const written = literals.some((literal) =>
        engine.given.secretDigests.includes(digestOf(literal.slice(1, -1))),
      );
      return written ? "A secret stands in the module: everybody who can read the code has it." : undefined;
    },
  },
  {
    id: "secret-rotation",
    severity: "note",
    about: "secrets can be rotated without a restart",
    asvs: "13.3.4",
    fix: "Take them from secretsFromFile(), secretsFrom() or scheduledSecrets() (docs/secrets.md), and rotate on a schedule.",
    find: ({ engine: { given } }) =>
      given.secretSource === undefined && given.secretCount === 1
        ? "There is one secret in a fixed list: rotating it takes two restarts of every process."
        : undefined,
  },
  {
    id: "node-env",
    severity: "warning",
    about: "NODE_ENV is production",
    asvs: "13.4.2",
    fix: "Set NODE_ENV=production on every server (and `doctor --env production` to check what holds there).",
    find: (facts) =>
      inProduction(facts)
        ? undefined
        : `NODE_ENV is ${facts.environment ?? "not set"}: weak secrets are only warned about, and a proxy on the same machine can look like a developer's browser, which gets the cookie without Secure.`,
  },
  {
    id: "explain-in-production",
    severity: "warning",
    about: "explain mode is off in production",
    asvs: "13.4.2",
    fix: "Set `explain` outside of production only.",
    find: (facts) =>
      inProduction(facts) && options(facts).explain
        ? "`explain` is on in production: each request is told of, at a cost, to whoever reads the log."
        : undefined,
  },
  {
    id: "node-unsupported",
    severity: "warning",
    about: "this Node.js still gets security fixes",
    asvs: "15.2.1",
    fix: "Run a line of Node.js with long-term support.",
    find: ({ nodeVersion, now }) => {
      const major = Number(nodeVersion.split(".")[0]);
      const end = NODE_ENDS[major];
      if (major > 26 || (end !== undefined && now < Date.parse(end))) return undefined;
      return `Node.js ${nodeVersion} gets no security fixes any more${end === undefined ? "" : ` since ${end}`}.`;
    },
  },
  {
    id: "memory-store-production",
    severity: "error",
    about: "sessions are not in one process's memory (in production)",
    asvs: "7.4.2",
    fix: "Take sqliteStore(), or the store of a database that you run already (docs/stores).",
    find: (facts) =>
      inProduction(facts) && storeName(facts) === "memory"
        ? "memoryStore() in production: a restart logs everybody out, and no other process sees a logout or a revocation."
        : undefined,
  },
  {
    id: "memory-store",
    severity: "note",
    about: "sessions are not in one process's memory (elsewhere)",
    asvs: "7.4.2",
    fix: "Take sqliteStore(), or the store of a database that you run already (docs/stores), before you go live.",
    find: (facts) =>
      !inProduction(facts) && storeName(facts) === "memory"
        ? "memoryStore() is for tests and development: sessions end with the process."
        : undefined,
  },
  {
    id: "cookie-revocations",
    severity: "warning",
    about: "sessions in cookies can be ended",
    asvs: "7.4.1",
    fix: "Give cookieStore({ revocations: … }) a store for the list of ended sessions.",
    find: (facts) =>
      !onServer(facts) && facts.engine.cookieHeld?.revocations === undefined
        ? "Sessions live in their cookies, and nothing keeps a list of those that have ended: a copy that was stolen works after logout."
        : undefined,
  },
  {
    id: "cookie-not-secure",
    severity: "error",
    about: "the cookie is Secure",
    asvs: "3.3.1",
    fix: 'Leave `cookie.secure` out ("auto"), and serve HTTPS.',
    find: (facts) =>
      usesCookies(facts) && cookie(facts).secure === false
        ? "`cookie.secure` is false: the cookie also goes over plain HTTP, where anybody on the way can read it, and it has no prefix that keeps others from planting one."
        : undefined,
  },
  {
    id: "cookie-domain",
    severity: "warning",
    about: "the cookie is for one host",
    asvs: "3.3.3",
    fix: "Leave `cookie.domain` out; share a login between hosts by OpenID Connect.",
    find: (facts) =>
      cookie(facts).domain === undefined
        ? undefined
        : "`cookie.domain` is set: every subdomain gets the cookie, any of them can overwrite it, and it can't have the __Host- prefix.",
  },
  {
    id: "cookie-path",
    severity: "note",
    about: "the cookie's path is /",
    asvs: "3.3.3",
    fix: "Leave `cookie.path` out.",
    find: (facts) =>
      (cookie(facts).path ?? "/") === "/"
        ? undefined
        : "`cookie.path` is set: a path is no protection, and the cookie can't have the __Host- prefix.",
  },
  {
    id: "cookie-same-site-none",
    severity: "warning",
    about: "other sites don't send the cookie",
    asvs: "3.3.2",
    fix: 'Leave `cookie.sameSite` out ("lax"). For an application in frames of others: `partitioned: true`, and `csrf: true`.',
    find: (facts) =>
      cookie(facts).sameSite === "none"
        ? '`cookie.sameSite` is "none": requests of every other site carry the session.'
        : undefined,
  },
  {
    id: "cookie-name",
    severity: "note",
    about: "the cookie's name doesn't tell what runs here",
    asvs: "13.4.6",
    fix: "Leave `cookie.name` out, or take a neutral one.",
    find: (facts) =>
      /^(?:__host-|__secure-)?(?:connect\.sid|koa[.:_-]?sess|express|holdfast|phpsessid|jsessionid|asp\.net)/i.test(
        cookie(facts).name ?? "",
      )
        ? "The cookie's name tells attackers which software to look for."
        : undefined,
  },
  {
    id: "cookie-persistent",
    severity: "warning",
    about: "the cookie ends with the browser",
    asvs: "7.1.1",
    fix: "Leave `cookie.persistent` out, and remember only those who ask for it: `remember: true`, and login(userId, { remember: true }).",
    find: (facts) =>
      cookie(facts).persistent === true
        ? "`cookie.persistent` is true for everybody: on a shared computer the next person is logged in."
        : undefined,
  },
  {
    id: "idle-timeout",
    severity: "warning",
    about: "the idle timeout is an hour at most (NIST AAL2; OWASP: 15 to 30 minutes)",
    asvs: "7.3.1",
    fix: 'Set `idleTimeout` to "30m", or write down why yours fits (ASVS 7.1.1).',
    find: ({ engine: { idleTimeout } }) =>
      idleTimeout > HOUR
        ? `\`idleTimeout\` is ${span(idleTimeout)}: NIST SP 800-63B-4 allows an hour at AAL2; OWASP asks for 15 to 30 minutes at low risk.`
        : undefined,
  },
  {
    id: "absolute-timeout",
    severity: "warning",
    about: "the absolute timeout is a day at most (NIST AAL2)",
    asvs: "7.3.2",
    fix: 'Set `absoluteTimeout` to "12h", or write down why yours fits (ASVS 7.1.1).',
    find: ({ engine: { absoluteTimeout } }) =>
      absoluteTimeout > DAY && absoluteTimeout <= 30 * DAY
        ? `\`absoluteTimeout\` is ${span(absoluteTimeout)}: NIST SP 800-63B-4 allows 24 hours at AAL2.`
        : undefined,
  },
  {
    id: "absolute-timeout-month",
    severity: "error",
    about: "the absolute timeout is 30 days at most (NIST AAL1)",
    asvs: "7.3.2",
    fix: 'Set `absoluteTimeout` to "30d" at most.',
    find: ({ engine: { absoluteTimeout } }) =>
      absoluteTimeout > 30 * DAY
        ? `\`absoluteTimeout\` is ${span(absoluteTimeout)}: no level of NIST SP 800-63B-4 allows more than 30 days.`
        : undefined,
  },
  {
    id: "remember",
    severity: "warning",
    about: "remembered sessions end within 30 days (NIST AAL1)",
    asvs: "7.3.2",
    fix: 'Set `remember.absoluteTimeout` to "30d" at most, and ask for a recent login before what matters (docs/step-up.md).',
    find: ({ engine: { remember } }) =>
      remember !== undefined && remember.absoluteTimeout > 30 * DAY
        ? `\`remember.absoluteTimeout\` is ${span(remember.absoluteTimeout)}: no level of NIST SP 800-63B-4 allows more than 30 days.`
        : undefined,
  },
  {
    id: "no-renewal",
    severity: "warning",
    about: "tokens are renewed",
    asvs: "7.2.4",
    fix: 'Leave `renewAfter` out ("1h").',
    find: (facts) =>
      onServer(facts) && facts.engine.renewAfter === undefined
        ? "`renewAfter` is false: a stolen token is good until the session ends."
        : undefined,
  },
  {
    id: "grace",
    severity: "warning",
    about: "replaced tokens die soon",
    asvs: "7.2.4",
    fix: 'Leave `grace` out ("30s").',
    find: ({ engine: { grace } }) =>
      grace > 2 * MINUTE
        ? `\`grace\` is ${span(grace)}: for so long a token that was renewed still leads to the session.`
        : undefined,
  },
  {
    id: "trust-proxy-all",
    severity: "error",
    about: "only your proxies' headers are believed",
    asvs: "4.1.3, 15.3.4",
    fix: 'Name your proxies: `trustProxy: ["127.0.0.1", "10.0.0.0/8"]`.',
    find: (facts) =>
      options(facts).trustProxy === true
        ? "`trustProxy` is true: whoever reaches the port can say that a request came by HTTPS, and from which address."
        : undefined,
  },
  {
    id: "cache-control-off",
    severity: "warning",
    about: "responses that set the cookie are not cached",
    asvs: "14.2.2, 14.3.2",
    fix: "Leave `cacheControl` out.",
    find: ({ engine: { cacheControl } }) =>
      cacheControl === "off"
        ? '`cacheControl` is "off": a shared cache may keep a response with one user\'s cookie and hand it to others.'
        : undefined,
  },
  {
    id: "no-csrf",
    severity: "warning",
    about: "requests forged by other origins are refused",
    asvs: "3.5.1",
    fix: "Set `csrf: true` (docs/csrf.md), or know the guard that you have in its place, and --ignore no-csrf.",
    find: (facts) =>
      usesCookies(facts) && !options(facts).csrf
        ? "`csrf` is off: SameSite=Lax stops forms and scripts of other sites, but not those of a sibling subdomain."
        : undefined,
  },
  {
    id: "no-guess-limit",
    severity: "note",
    about: "clients that try many tokens are slowed down",
    asvs: "2.4.1",
    fix: "Set `guessLimit: true`, or let the proxy do it.",
    find: (facts) =>
      options(facts).guessLimit
        ? undefined
        : "`guessLimit` is off: a client may send as many forged tokens as it likes. None fits, but each is work.",
  },
  {
    id: "plain-at-rest",
    severity: "note",
    about: "what the store holds is encrypted",
    asvs: "14.2.4",
    fix: "Set `encrypt: true` (docs/encryption.md), where session data is worth it.",
    find: (facts) =>
      onServer(facts) && !options(facts).encrypt && storeName(facts) !== "memory"
        ? "`encrypt` is off: whoever reads the store, or a backup of it, reads the session data (no token: those are hashed)."
        : undefined,
  },
  {
    id: "sessions-per-user",
    severity: "warning",
    about: "a user's sessions are limited",
    asvs: "7.1.2",
    fix: "Set `maxSessionsPerUser` to what people need (100 by default).",
    find: (facts) =>
      onServer(facts) && facts.engine.maxSessionsPerUser > 1000
        ? `\`maxSessionsPerUser\` is ${facts.engine.maxSessionsPerUser}: one account can fill the store.`
        : undefined,
  },
  {
    id: "payload-size",
    severity: "warning",
    about: "a session's size is limited",
    asvs: "13.2.6",
    fix: "Keep large things in your database and their ids in the session (65536 bytes by default).",
    find: ({ engine: { maxPayloadBytes } }) =>
      maxPayloadBytes > 1024 * 1024
        ? `\`maxPayloadBytes\` is ${maxPayloadBytes}: every request of a session reads all of it.`
        : undefined,
  },
  {
    id: "store-timeout",
    severity: "warning",
    about: "a store that hangs is given up soon",
    asvs: "13.2.6",
    fix: 'Leave `storeTimeout` out ("5s").',
    find: ({ engine: { storeTimeout } }) =>
      storeTimeout > 15 * SECOND
        ? `\`storeTimeout\` is ${span(storeTimeout)}: while the store hangs, so long does each request.`
        : undefined,
  },
  {
    id: "sweep-off",
    severity: "warning",
    about: "expired sessions are removed",
    asvs: "14.2.7",
    fix: "Leave `sweepInterval` out, or run `npx holdfast sweep` on a schedule, and --ignore sweep-off.",
    find: (facts) =>
      options(facts).sweepInterval === false &&
      ["sqlite", "postgres", "mysql"].includes(storeName(facts) ?? "")
        ? "`sweepInterval` is false, and this store removes nothing by itself: what has expired stays for ever."
        : undefined,
  },
];
