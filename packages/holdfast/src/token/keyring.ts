import {
  createHmac,
  createSecretKey,
  hash,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { ConfigurationError } from "../errors.js";
import { warn } from "../warn.js";
import { RecentMap } from "./recent-map.js";
import { createSealer, type Sealer } from "./seal.js";
import { SECRET_COMMAND, type Secret, secretBytes, weaknessOf } from "./secret.js";
import {
  type Dated,
  inForce,
  isDate,
  isScheduled,
  isSecretSource,
  type SecretEntry,
  type SecretSource,
} from "./secret-source.js";
import { sessionIdOf, TOKEN_LENGTH } from "./token.js";

/** Characters of a signed token: the token, a dot, and its HMAC-SHA-256 as base64url. */
export const SIGNED_TOKEN_LENGTH = TOKEN_LENGTH + 1 + 43;

const SIGNED_TOKEN = /^[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}$/;

/** What became of a cookie's value: the token that it carries with the session id, or why it is refused. */
export type Verification =
  | { readonly token: string; readonly id: string; readonly signedByOlderKey: boolean }
  | { readonly refused: "malformed" | "forged" };

/**
 * How many signed tokens are known to verify, by their hash: a hash costs a tenth of an HMAC, and no token is kept. Only what
 * has verified gets in, so nobody can fill it with forgeries.
 */
const MAX_VERIFIED = 10_000;

/** A base64url HMAC-SHA-256. */
const MAC = /^[A-Za-z0-9_-]{43}$/;

const MALFORMED: Verification = { refused: "malformed" };
const FORGED: Verification = { refused: "forged" };

/**
 * The ordered secrets: the first signs, all verify, so that a secret is rotated by putting a new one in front and
 * dropping the old one once the sessions that it signed have ended. They may change at any time, so nobody keeps what was
 * derived from them: each call takes those that are in force then.
 */
export interface Keyring {
  /** The signed token for a cookie. */
  sign(token: string): string;
  /** Checks the shape first, then the signature, in constant time. Never throws. */
  verify(value: string): Verification;
  /**
   * Seals and opens under keys of its own for one purpose, such as "cookie". Where `lasting`, what is sealed may outlive
   * sessions: then it is opened with every secret on the list, also with one that a schedule has dropped for the others.
   */
  sealer(purpose: string, lasting?: boolean): Sealer;
  /** A text's HMAC-SHA-256 as base64url, under a key of its own for one purpose, such as "csrf". */
  mac(purpose: string, text: string): string;
  /** Whether it is the text's MAC by any of the secrets, in constant time. Never throws. */
  verifyMac(purpose: string, text: string, mac: string): boolean;
  /** Ends watching the source of the secrets. */
  close(): void;
}

export interface KeyringOptions {
  /** The option that holds the secrets, for messages. Default: "secrets". */
  readonly option?: string;
  /** Milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
  /** Whether a missing secret is an error in development, too. Default: false. */
  readonly required?: boolean;
  /** How long something may live that was signed or sealed, in milliseconds. Default: for ever. */
  readonly life?: number;
  /** Told of other secrets: how many are in force now. */
  readonly onChange?: (count: number) => void;
  /** Told why the secrets of before stay, without a word of any. */
  readonly onRefusal?: (reason: string) => void;
}

/** A secret's bytes, and when it begins to sign. */
interface Key extends Dated {
  readonly bytes: Uint8Array;
}

/** What is derived from the secrets in force. It is made anew when they change, and then nothing of before is left. */
class Derived {
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly signing: readonly KeyObject[];
  readonly verified = new RecentMap<{ id: string; signedByOlderKey: boolean }>(MAX_VERIFIED);
  readonly #bytes: readonly Uint8Array[];
  readonly #allBytes: readonly Uint8Array[];
  readonly #keys = new Map<string, readonly KeyObject[]>();
  readonly #sealers = new Map<string, Sealer>();

  constructor(list: readonly Key[], option: string, now: number, life: number) {
    const { entries, until } = inForce(list, now, life);
    const [first] = entries;
    if (first === undefined || first.from > now)
      throw new ConfigurationError(
        option,
        "none of the secrets has begun to sign: give one with an earlier date",
      );
    this.until = until;
    this.#bytes = entries.map(({ bytes }) => bytes);
    this.#allBytes = inForce(list, now, Number.POSITIVE_INFINITY).entries.map(({ bytes }) => bytes);
    this.signing = this.keys("sign");
  }

  get count(): number {
    return this.#bytes.length;
  }

  keys(purpose: string): readonly KeyObject[] {
    const keys = this.#keys.get(purpose) ?? this.#bytes.map((bytes) => deriveKey(bytes, purpose));
    this.#keys.set(purpose, keys);
    return keys;
  }

  sealer(purpose: string, lasting: boolean): Sealer {
    const known = this.#sealers.get(purpose);
    if (known !== undefined) return known;
    const sealer = createSealer(lasting ? this.#allBytes : this.#bytes, `seal/${purpose}`);
    this.#sealers.set(purpose, sealer);
    return sealer;
  }
}

/**
 * Makes a keyring. Each purpose has a key of its own, derived from the secret with HKDF-SHA-256 (RFC 5869).
 * @throws ConfigurationError in production, when a secret is missing, short or a known example; elsewhere it warns,
 *   and stands in for missing secrets with a random one that is forgotten at the next start. Once it is made, secrets that
 *   a source gives are refused for the same reasons, and those of before stay.
 */
export function createKeyring(
  secrets: readonly Secret[] | Secret | SecretSource,
  production: boolean,
  options: KeyringOptions = {},
): Keyring {
  const { option = "secrets", clock = Date.now, life = Number.POSITIVE_INFINITY } = options;
  const source = isSecretSource(secrets) ? secrets : undefined;
  const derive = (list: readonly Key[]) => new Derived(list, option, clock(), life);

  let list = checkedSecrets(
    option,
    source,
    source?.read() ?? (secrets as Secret | readonly Secret[]),
    production,
    options.required,
  );
  let derived = derive(list);

  /** What is in force now. Without a schedule that costs one comparison. */
  function current(): Derived {
    if (derived.until === Number.POSITIVE_INFINITY || clock() < derived.until) return derived;
    derived = derive(list);
    options.onChange?.(derived.count);
    return derived;
  }

  let refusal: string | undefined;
  function refuse(reason: string): void {
    // A source that stays away says so at each attempt.
    if (reason !== refusal) options.onRefusal?.(reason);
    refusal = reason;
  }

  const unwatch = source?.watch?.({
    changed(entries) {
      try {
        const next = reread(option, source, entries, production);
        const changed = !isSame(list, next);
        if (changed) derived = derive(next);
        list = next;
        refusal = undefined;
        if (changed) options.onChange?.(derived.count);
      } catch (error) {
        // A source of the application's own may give anything.
        refuse(error instanceof ConfigurationError ? error.message : `${option}: they are malformed`);
      }
    },
    failed: refuse,
  });

  return {
    sign: (token) => `${token}.${mac(current().signing[0]!, token).toString("latin1")}`,
    verify(value) {
      if (value.length !== SIGNED_TOKEN_LENGTH) return MALFORMED;
      const { signing, verified } = current();
      const token = value.slice(0, TOKEN_LENGTH);
      // Node makes base64 in half the time that base64url takes it.
      const digest = hash("sha256", value, "base64");
      const known = verified.get(digest);
      if (known !== undefined) return { token, id: known.id, signedByOlderKey: known.signedByOlderKey };

      if (!SIGNED_TOKEN.test(value)) return MALFORMED;
      const given = Buffer.from(value.slice(TOKEN_LENGTH + 1), "latin1");
      const index = signing.findIndex((key) => timingSafeEqual(mac(key, token), given));
      if (index === -1) return FORGED;
      const verdict = { id: sessionIdOf(token), signedByOlderKey: index > 0 };
      verified.set(digest, verdict);
      return { token, ...verdict };
    },
    sealer(purpose, lasting = false) {
      const now = () => current().sealer(purpose, lasting);
      return {
        seal: (text, context) => now().seal(text, context),
        open: (sealed, context) => now().open(sealed, context),
        claimsKnownKey: (sealed) => now().claimsKnownKey(sealed),
      };
    },
    mac: (purpose, text) => mac(current().keys(`mac/${purpose}`)[0]!, text).toString("latin1"),
    verifyMac(purpose, text, given) {
      if (typeof given !== "string" || !MAC.test(given)) return false;
      const bytes = Buffer.from(given, "latin1");
      return current()
        .keys(`mac/${purpose}`)
        .some((key) => timingSafeEqual(mac(key, text), bytes));
    },
    close: () => unwatch?.(),
  };
}

/** The HMAC's base64url text as bytes: comparing texts leaves no second spelling of the same signature. */
function mac(key: KeyObject, token: string): Buffer {
  return Buffer.from(createHmac("sha256", key).update(token).digest("base64url"), "latin1");
}

function deriveKey(secret: Uint8Array, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync("sha256", secret, "", `holdfast/1/${purpose}`, 32)));
}

function isSame(one: readonly Key[], other: readonly Key[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ bytes, from }, index) => {
      const { bytes: otherBytes, from: otherFrom } = other[index]!;
      return from === otherFrom && Buffer.compare(bytes, otherBytes) === 0;
    })
  );
}

/** Other secrets of a source that had good ones. @throws ConfigurationError where they are none. */
function reread(
  option: string,
  source: SecretSource,
  entries: readonly SecretEntry[],
  production: boolean,
): Key[] {
  // A random one in place of those that everybody's sessions are signed with is no help, in development either.
  if (!Array.isArray(entries) || entries.length === 0)
    throw new ConfigurationError(option, `${source.description} gave no secret`);
  return checkedSecrets(option, source, entries, production);
}

function checkedSecrets(
  option: string,
  source: SecretSource | undefined,
  secrets: readonly SecretEntry[] | SecretEntry,
  production: boolean,
  required = false,
): Key[] {
  const entries = (Array.isArray(secrets) ? secrets : [secrets]) as readonly SecretEntry[];
  const list = entries.map((entry) => (isScheduled(entry) ? entry : { secret: entry, from: undefined }));
  const missing = list.filter(
    ({ secret }) => secret === undefined || secret === null || secret === "",
  ).length;
  if (missing === list.length) {
    const where = source === undefined ? "" : ` by ${source.description}`;
    const advice = `set it to a long random text, which this command makes: ${SECRET_COMMAND}`;
    if (production || required)
      throw new ConfigurationError(option, `no secret was given${where}; ${advice}`);
    warn(
      "HOLDFAST_NO_SECRET",
      `${option}: none was given${where}, so a random one is used until the next start; ${advice}`,
    );
    return [{ bytes: randomBytes(32), from: Number.NEGATIVE_INFINITY }];
  }
  return list.map(({ secret, from }, index) => {
    const name = `${option}[${index}]`;
    const where = source === undefined ? "" : ` (by ${source.description})`;
    const bytes = secretBytes(name, secret);
    const weakness = weaknessOf(bytes);
    if (weakness !== undefined) {
      const advice = `the secret${where} ${weakness}. Use a long random text, which this command makes: ${SECRET_COMMAND}`;
      if (production) throw new ConfigurationError(name, advice);
      warn("HOLDFAST_WEAK_SECRET", `${name}: ${advice} (Refused when NODE_ENV is "production".)`);
    }
    if (from !== undefined && !isDate(from)) throw new ConfigurationError(name, "expected a Date for `from`");
    // A copy: an application may wipe its own, and keys are derived when they are first needed.
    return { bytes: Uint8Array.from(bytes), from: from?.getTime() ?? Number.NEGATIVE_INFINITY };
  });
}
