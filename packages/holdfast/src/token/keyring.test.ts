import { createHmac, createSecretKey, hkdfSync, randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import { ConfigurationError } from "../errors.js";
import { createKeyring, SIGNED_TOKEN_LENGTH } from "./keyring.js";
import { SECRET_COMMAND, type Secret } from "./secret.js";
import { newToken, sessionIdOf } from "./token.js";

/** Any unit of UTF-16, lone surrogates too. (fast-check's own "binary" takes a second to start.) */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));

const SECRET = "Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK";
const OLDER = "Tq8wE1rY5uI3oP7aS9dF2gH6jK4lZ0xC-vBnM_QwErT";
const OLDEST = "Mn5bV8cX1zL3kJ7hG9fD2sA6pO4iU0yT-rEwQ_AsDfG";
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const MALFORMED = { refused: "malformed" };
const FORGED = { refused: "forged" };

function hkdf(info: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", SECRET, "", info, 32));
}

function hmac(key: string | Uint8Array, text: string): string {
  return createHmac("sha256", key).update(text).digest("base64url");
}

function configurationError(action: () => unknown): ConfigurationError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as ConfigurationError;
  }
  throw new Error("nothing was thrown");
}

describe("a signed token", () => {
  const keyring = createKeyring([SECRET], true);

  it("is the token, a dot, and 43 characters of signature", () => {
    const token = newToken();
    const signed = keyring.sign(token);
    expect(signed.startsWith(`${token}.`)).toBe(true);
    expect(signed).toMatch(/^[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}$/);
    expect(signed).toHaveLength(SIGNED_TOKEN_LENGTH);
  });

  it("gives its token back", () => {
    for (let run = 0; run < 100; run++) {
      const token = newToken();
      expect(keyring.verify(keyring.sign(token))).toEqual({
        token,
        id: sessionIdOf(token),
        signedByOlderKey: false,
      });
    }
  });

  it("is the same after a restart: the wire format is a promise to sessions that live", () => {
    const token = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const signature = hmac(hkdf("holdfast/1/sign"), token);
    expect(signature).toBe("W1CE5G0Q9XzJs00hZPRe5Bbp0-608ma4smQ6ZT7wUTc");
    expect(createKeyring([SECRET], true).sign(token)).toBe(`${token}.${signature}`);
  });

  it("is refused with any single character changed to any other", () => {
    const signed = keyring.sign(newToken());
    for (let at = 0; at < signed.length; at++) {
      for (const character of ALPHABET) {
        if (character === signed[at]) continue;
        const changed = signed.slice(0, at) + character + signed.slice(at + 1);
        expect(keyring.verify(changed)).toEqual(at === 43 ? MALFORMED : FORGED);
      }
    }
  });

  it("is refused where the signature is another token's", () => {
    const one = keyring.sign(newToken());
    const other = keyring.sign(newToken());
    expect(keyring.verify(one.slice(0, 44) + other.slice(44))).toEqual(FORGED);
  });

  it("is refused without the signature, or with an empty or repeated one", () => {
    const token = newToken();
    const signature = keyring.sign(token).slice(44);
    expect(keyring.verify(token)).toEqual(MALFORMED);
    expect(keyring.verify(`${token}.`)).toEqual(MALFORMED);
    expect(keyring.verify(`${token}.${signature}.${signature}`)).toEqual(MALFORMED);
    expect(keyring.verify(`${token}${signature}`)).toEqual(MALFORMED);
    expect(keyring.verify(`${signature}.${token}`)).toEqual(FORGED);
    expect(keyring.verify(`${token}.${token}`)).toEqual(FORGED);
  });
});

describe("a value that is no signed token", () => {
  const keyring = createKeyring([SECRET, OLDER], true);
  const signed = keyring.sign(newToken());

  it.each([
    ["empty", ""],
    ["a dot", "."],
    ["with a blank before", ` ${signed}`],
    ["with a blank after", `${signed} `],
    ["with a line feed after", `${signed}\n`],
    ["with its last character a line feed", `${signed.slice(0, -1)}\n`],
    ["with its last character NUL", `${signed.slice(0, -1)}\0`],
    ["with padding", `${signed}=`],
    ["in quotes", `"${signed}"`],
    ["of express-session's kind", `s:${signed.slice(2)}`],
    ["percent-encoded", encodeURIComponent(`${signed.slice(0, 43)}/${signed.slice(44)}`)],
    ["in base64, not base64url", `${signed.slice(0, 42)}+.${signed.slice(44)}`],
    ["of 87 emoji halves", "\ud83d".repeat(87)],
    ["of 87 letters that lower to ASCII", "\u212a".repeat(43).concat(".", "\u212a".repeat(43))],
    ["of a megabyte", "A".repeat(1_000_000)],
    ["of a megabyte with a dot", `${"A".repeat(43)}.${"A".repeat(1_000_000)}`],
  ])("is malformed: %s", (_name, value) => {
    expect(keyring.verify(value)).toEqual(MALFORMED);
  });

  it("never throws and never verifies, whatever text it is", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: CODE_UNIT, maxLength: 200 }),
          fc.string({ unit: "grapheme", maxLength: 200 }),
          fc.string({ unit: CODE_UNIT, minLength: 87, maxLength: 87 }),
          fc.string({ unit: fc.constantFrom(...ALPHABET, ".", "=", "\ud800"), minLength: 85, maxLength: 89 }),
        ),
        (value) => {
          expect(keyring.verify(value)).toHaveProperty("refused");
        },
      ),
      { numRuns: 500 },
    );
  });

  it("never verifies though it has the right shape", () => {
    const half = fc.string({ unit: fc.constantFrom(...ALPHABET), minLength: 43, maxLength: 43 });
    fc.assert(
      fc.property(half, half, (token, signature) => {
        expect(keyring.verify(`${token}.${signature}`)).toEqual(FORGED);
      }),
    );
  });
});

describe("what has verified before", () => {
  it("verifies again, and only that: neither another signature nor another token comes with it", () => {
    const keyring = createKeyring([SECRET], true);
    const tokens = Array.from({ length: 200 }, newToken);
    for (const token of tokens) keyring.verify(keyring.sign(token));
    for (const [index, token] of tokens.entries()) {
      const signed = keyring.sign(token);
      expect(keyring.verify(signed)).toEqual({ token, id: sessionIdOf(token), signedByOlderKey: false });
      const other = keyring.sign(tokens[(index + 1) % tokens.length]!);
      expect(keyring.verify(token + other.slice(43))).toEqual(FORGED);
      expect(keyring.verify(`${signed.slice(0, -1)}${signed.endsWith("A") ? "Q" : "A"}`)).toEqual(FORGED);
    }
  });
});

describe("rotating secrets", () => {
  const token = newToken();

  it("verifies what older secrets signed, and says that an older one did", () => {
    const rotated = createKeyring([SECRET, OLDER, OLDEST], true);
    expect(rotated.verify(createKeyring([SECRET], true).sign(token))).toEqual({
      token,
      id: sessionIdOf(token),
      signedByOlderKey: false,
    });
    for (const older of [OLDER, OLDEST]) {
      expect(rotated.verify(createKeyring([older], true).sign(token))).toEqual({
        token,
        id: sessionIdOf(token),
        signedByOlderKey: true,
      });
    }
  });

  it("signs with the first", () => {
    expect(createKeyring([SECRET, OLDER], true).sign(token)).toBe(createKeyring([SECRET], true).sign(token));
  });

  it("refuses what a dropped secret signed", () => {
    expect(createKeyring([SECRET, OLDER], true).verify(createKeyring([OLDEST], true).sign(token))).toEqual(
      FORGED,
    );
  });

  it("never lets one secret verify what another signed", () => {
    const secret = fc.uint8Array({ minLength: 1, maxLength: 64 });
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    fc.assert(
      fc.property(secret, secret, (one, other) => {
        fc.pre(Buffer.compare(one, other) !== 0);
        const signed = createKeyring([one], false).sign(token);
        expect(createKeyring([other], false).verify(signed)).toEqual(FORGED);
      }),
    );
    vi.restoreAllMocks();
  });

  it("tells a secret from the same one with zeros after it, which bare HMAC does not", () => {
    const bytes = randomBytes(32);
    const padded = Buffer.concat([bytes, Buffer.alloc(8)]);
    expect(createKeyring([padded], true).verify(createKeyring([bytes], true).sign(token))).toEqual(FORGED);
  });
});

describe("the forms of a secret", () => {
  const token = newToken();

  it("text, its bytes and a KeyObject of them are the same secret", () => {
    const bytes = Buffer.from(SECRET, "utf8");
    const signed = createKeyring([SECRET], true).sign(token);
    for (const same of [bytes, new Uint8Array(bytes), createSecretKey(bytes)])
      expect(createKeyring([same], true).sign(token)).toBe(signed);
  });

  it("a secret by itself is a list of one", () => {
    const bytes = randomBytes(32);
    for (const secret of [SECRET, bytes, createSecretKey(bytes)])
      expect(createKeyring(secret, true).sign(token)).toBe(createKeyring([secret], true).sign(token));
  });

  it("bytes that the application changes later don't change the keyring", () => {
    const bytes = randomBytes(32);
    const keyring = createKeyring([bytes], true);
    const signed = keyring.sign(token);
    bytes.fill(0);
    expect(keyring.verify(signed)).toEqual({ token, id: sessionIdOf(token), signedByOlderKey: false });
  });

  it("the signing key is not the secret itself: each purpose has a key of its own", () => {
    const keyring = createKeyring([SECRET], true);
    expect(keyring.verify(`${token}.${hmac(SECRET, token)}`)).toEqual(FORGED);
    expect(keyring.verify(`${token}.${hmac(hkdf("holdfast/1/seal"), token)}`)).toEqual(FORGED);
  });
});

describe("in production", () => {
  const WEAK = "keyboard cat";

  it.each<[string, unknown]>([
    ["no list entry", []],
    ["undefined", undefined],
    ["null", null],
    ["empty text", ""],
    ["a list of undefined", [undefined]],
    ["a list of empty texts", ["", ""]],
  ])("a missing secret is refused, with the command that makes one: %s", (_name, secrets) => {
    const error = configurationError(() => createKeyring(secrets as Secret[], true));
    expect(error.option).toBe("secrets");
    expect(error.message).toContain(SECRET_COMMAND);
  });

  it.each<[string, unknown, string]>([
    ["the only one is weak", [WEAK], "secrets[0]"],
    ["the second is weak", [SECRET, WEAK], "secrets[1]"],
    ["the second is empty", [SECRET, ""], "secrets[1]"],
    ["the first is undefined", [undefined, SECRET], "secrets[0]"],
    ["the third is a number", [SECRET, OLDER, 7], "secrets[2]"],
    ["the second has few bytes", [SECRET, randomBytes(16)], "secrets[1]"],
  ])("the refusal names the entry: %s", (_name, secrets, option) => {
    const error = configurationError(() => createKeyring(secrets as Secret[], true));
    expect(error.option).toBe(option);
    expect(error.message).toContain(option);
    expect(error.message).toContain(SECRET_COMMAND);
  });

  it.each([
    "keyboard cat",
    "hunter2hunter2hunter2hunter2hunter2",
    "Xq7vT2mLz0Kp9Wb4Rn",
    "aaaabbbb".repeat(9),
  ])("no message, stack or property of the error holds the secret %j", (secret) => {
    const error = configurationError(() => createKeyring([secret], true));
    expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain(secret);
  });

  it("good secrets raise no warning", () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    createKeyring([SECRET, OLDER], true);
    expect(warning).not.toHaveBeenCalled();
    warning.mockRestore();
  });
});

describe("in development", () => {
  let warning: MockInstance;
  beforeEach(() => {
    warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  });
  afterEach(() => {
    warning.mockRestore();
  });

  const warnings = () => warning.mock.calls.map(([text]) => String(text));

  it("a weak secret works, with a warning that names it and doesn't tell it", () => {
    const keyring = createKeyring([SECRET, "keyboard cat"], false);
    const token = newToken();
    expect(keyring.verify(keyring.sign(token))).toEqual({
      token,
      id: sessionIdOf(token),
      signedByOlderKey: false,
    });
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]).toMatch(/^secrets\[1\]: /);
    expect(warnings()[0]).toContain(SECRET_COMMAND);
    expect(warnings()[0]).not.toContain("keyboard cat");
    expect(warning.mock.calls[0]![1]).toEqual({ type: "HoldfastWarning", code: "HOLDFAST_WEAK_SECRET" });
  });

  it.each<[string, unknown]>([
    ["no entry", []],
    ["undefined", undefined],
    ["[undefined]", [undefined]],
  ])("a missing secret is replaced by a random one, with a warning: %s", (_name, secrets) => {
    const one = createKeyring(secrets as Secret[], false);
    const other = createKeyring(secrets as Secret[], false);
    const token = newToken();
    expect(one.verify(one.sign(token))).toEqual({ token, id: sessionIdOf(token), signedByOlderKey: false });
    expect(other.verify(one.sign(token))).toEqual(FORGED);
    expect(warning.mock.calls[0]![1]).toEqual({ type: "HoldfastWarning", code: "HOLDFAST_NO_SECRET" });
    expect(warnings()[0]).toContain(SECRET_COMMAND);
  });

  it("what is no secret at all is refused there too", () => {
    expect(configurationError(() => createKeyring([SECRET, 7 as unknown as Secret], false)).option).toBe(
      "secrets[1]",
    );
  });

  it.each<[string, unknown]>([
    ["text", ""],
    ["bytes", new Uint8Array()],
    ["undefined", undefined],
  ])(
    "an empty secret among others is refused, for everybody knows the key that it makes: %s",
    (_name, empty) => {
      expect(configurationError(() => createKeyring([empty as Secret, SECRET], false)).option).toBe(
        "secrets[0]",
      );
    },
  );
});
