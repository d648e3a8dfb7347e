import { createPrivateKey, createSecretKey, generateKeyPairSync, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigurationError } from "../errors.js";
import { SECRET_COMMAND, type Secret, secretBytes, weaknessOf } from "./secret.js";

const weakness = (secret: Secret) => weaknessOf(secretBytes("secrets[0]", secret));

const SHORT = /has \d+ bytes; 32 is the least/;
const KNOWN = /is an example that everybody knows/;
const REPETITIVE = /repeats|sequence/;

describe("weaknessOf", () => {
  it.each([
    ["Xq7", 3],
    ["tr0ub4dor&3-correct-horse-9", 27],
    ["qL9_fTz2RkWv0hYbN4mXcJ7sPdEaUg1", 31],
  ])("finds %j short", (secret, length) => {
    expect(weakness(secret)).toBe(`has ${length} bytes; 32 is the least`);
  });

  it("counts bytes, not characters", () => {
    expect(weakness("äöüßéèêàçñøåæœłž".slice(0, 15))).toMatch(SHORT);
    expect(weakness("äöüßéèêàçñøåæœłž")).toBeUndefined();
    expect(weakness(randomBytes(31))).toMatch(SHORT);
  });

  it.each([
    "keyboard cat",
    "Keyboard Cat",
    "keyboardcat",
    "secret",
    "SECRET",
    "shhhh",
    "password",
    "changeme",
    "change-me",
    "my-secret",
    "your secret here",
    "s3cr3t",
    "some secret hurr",
  ])("refuses %j, which examples use", (secret) => {
    expect(weakness(secret)).toMatch(KNOWN);
  });

  it.each([
    ["a secret with minimum length of 32 characters", "@fastify/session"],
    ["complex_password_at_least_32_characters_long", "iron-session"],
    ["password_at_least_32_characters_long", "hono-sessions"],
    ["averylogphrasebiggerthanthirtytwochars", "@fastify/secure-session"],
    ["a long, randomly-generated string stored in env", "express-openid-connect"],
    ["a-string-secret-at-least-256-bits-long", "jwt.io"],
    ["80d42cfb-1cd2-462c-8f17-e3237d9027e9", "h3"],
  ])("refuses %j from the README of %s, though it is long enough", (secret) => {
    expect(weakness(secret)).toMatch(KNOWN);
  });

  it.each([
    ["keyboard cat keyboard cat keyboard cat", "repeated"],
    ["secretsecretsecretsecretsecretsecret", "repeated"],
    ["secretsecretsecretsecretsecretse", "repeated and cut off at 32"],
    ["keyboard cat 1234567890 1234567890", "numbered"],
    ["password12345678901234567890123456", "numbered"],
    ["12345678901234567890123456password", "numbered in front"],
    ["secretsecretsecret1234567890123456", "repeated and numbered"],
    ["secret1secret2secret3secret4secret5", "each repetition numbered"],
    ["2024-secret-2025-secret-2026-secret", "numbered all over"],
    ["keyboard cat..............................", "padded with dots"],
    ["________________________secret________________________", "padded with lines"],
    ["my app's own keyboard cat is the best of cats", "put into a sentence"],
    ["this-is-my-super-secret-key-for-production", "put into a sentence"],
  ])("refuses %j: a known example, %s", (secret) => {
    expect(weakness(secret)).toMatch(KNOWN);
  });

  it.each([
    "a".repeat(64),
    "ab".repeat(32),
    "0".repeat(64),
    "abcdefg".repeat(10),
    "abcdefgh".repeat(4),
    "12345678901234567890123456789012",
    "1234567890".repeat(7),
    "0123456789abcdef0123456789abcdef",
    "qwertyuiop".repeat(4),
    "abcdefghijklmnopqrstuvwxyz012345",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
  ])("refuses %j, which is long and holds nothing", (secret) => {
    expect(weakness(secret)).toMatch(REPETITIVE);
  });

  it.each([
    ["zeros", new Uint8Array(32)],
    ["bytes 1, 2, 3, …", Uint8Array.from({ length: 32 }, (_, index) => index + 1)],
    ["eight random bytes four times", Buffer.concat(Array(4).fill(randomBytes(8)))],
  ])("refuses bytes of no variety: %s", (_name, secret) => {
    expect(weakness(secret)).toMatch(REPETITIVE);
  });

  // Whatever the seed: a random secret that is refused is a start-up that fails once in a while, at somebody else's.
  it.each<[string, (bytes: Buffer) => Secret]>([
    ["bytes", (bytes) => bytes],
    ["base64url", (bytes) => bytes.toString("base64url")],
    ["base64", (bytes) => bytes.toString("base64")],
    ["hex", (bytes) => bytes.toString("hex")],
    ["a KeyObject", (bytes) => createSecretKey(bytes)],
  ])("takes every random secret of 32 bytes, as %s", (_name, form) => {
    for (let run = 0; run < 5000; run++) {
      const bytes = randomBytes(32);
      if (weakness(form(bytes)) !== undefined)
        throw new Error(`refused ${bytes.toString("hex")}: ${weakness(form(bytes))}`);
    }
  });

  it.each([18, 24, 40, 64, 128, 512])("takes every random secret of %i bytes in hex", (size) => {
    for (let run = 0; run < 300; run++) expect(weakness(randomBytes(size).toString("hex"))).toBeUndefined();
  });

  it("takes random bytes with hardly a letter among them, though those begin like a known example", () => {
    const signs = Uint8Array.from({ length: 32 }, (_, index) => 0x80 + ((index * 37) % 128));
    for (const letters of ["s", "S", "se", "k", "key", "p", "pa"]) {
      const bytes = Uint8Array.from(signs);
      bytes.set(Buffer.from(letters), 5);
      expect(weakness(bytes)).toBeUndefined();
    }
  });

  it.each([
    "correct horse battery staple wombat cliff",
    "the secret garden of Xq7vT2mLz0Kp9Wb4Rn",
    "Passwords: Xq7vT2mLz0Kp9Wb4RnHd6JsYcFgE",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
  ])("takes %j: a word that examples use too is no reason to refuse a good secret", (secret) => {
    expect(weakness(secret)).toBeUndefined();
  });

  it("never throws and never tells the secret", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 100 }), (bytes) => {
        const found = weaknessOf(bytes) ?? "";
        for (const encoding of ["utf8", "latin1", "hex", "base64"] as const)
          expect(found).not.toContain(Buffer.from(bytes).toString(encoding));
      }),
    );
  });

  it("doesn't change the secret", () => {
    const bytes = randomBytes(48);
    const before = bytes.toString("hex");
    weaknessOf(bytes);
    expect(bytes.toString("hex")).toBe(before);
  });
});

describe("secretBytes", () => {
  it("takes text as UTF-8, bytes as they are, and the bytes of a secret KeyObject", () => {
    const bytes = randomBytes(32);
    expect(Buffer.from(secretBytes("secrets[0]", "grün"))).toEqual(Buffer.from("grün", "utf8"));
    expect(secretBytes("secrets[0]", bytes)).toBe(bytes);
    expect(Buffer.from(secretBytes("secrets[0]", new Uint8Array(bytes)))).toEqual(bytes);
    expect(Buffer.from(secretBytes("secrets[0]", createSecretKey(bytes)))).toEqual(bytes);
  });

  it("takes no asymmetric key", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const pem = privateKey.export({ type: "pkcs8", format: "pem" });
    for (const key of [publicKey, privateKey, createPrivateKey(pem)])
      expect(() => secretBytes("secrets[0]", key)).toThrow(ConfigurationError);
  });

  it.each([
    undefined,
    null,
    "",
    new Uint8Array(),
    42,
    true,
    {},
    [],
    ["a"],
    () => "secret",
    Symbol("secret"),
    10n,
  ])("refuses %o, with the option's name and the command that makes a secret", (value) => {
    let error: unknown;
    try {
      secretBytes("secrets[3]", value as unknown as Secret);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as ConfigurationError).option).toBe("secrets[3]");
    expect((error as ConfigurationError).message).toContain(SECRET_COMMAND);
  });
});

describe("SECRET_COMMAND", () => {
  it("is a command that makes a good secret", async () => {
    const { holdfast } = await import("../../test/cli/command-line.js");
    const [npx, program, ...args] = SECRET_COMMAND.split(" ");
    expect([npx, program]).toEqual(["npx", "holdfast"]);
    const secret = (await holdfast(args)).stdout.trim();
    expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(weakness(secret)).toBeUndefined();
  });
});
