import { createHmac, createSecretKey, hkdfSync, randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import { ConfigurationError } from "../errors.js";
import { createKeyring, type Keyring, SIGNED_TOKEN_LENGTH } from "./keyring.js";
import { SECRET_COMMAND, type Secret } from "./secret.js";
import {
  type ScheduledSecret,
  type SecretEntry,
  type SecretObserver,
  scheduledSecrets,
} from "./secret-source.js";
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
    const same = createKeyring([Uint8Array.from(bytes)], true);
    const signed = keyring.sign(token);
    bytes.fill(0);
    expect(keyring.verify(signed)).toEqual({ token, id: sessionIdOf(token), signedByOlderKey: false });
    // Keys that are first needed later, too: everybody knows those of zeros.
    expect(keyring.mac("csrf", "text")).toBe(same.mac("csrf", "text"));
    expect(same.sealer("cookie").open(keyring.sealer("cookie").seal("text", ""), "")?.text).toBe("text");
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

describe("a MAC for a purpose", () => {
  const keyring = createKeyring([SECRET, OLDER], true);

  it("is the HMAC of the text under a key of that purpose alone", () => {
    expect(keyring.mac("csrf", "a session")).toBe(hmac(hkdf("holdfast/1/mac/csrf"), "a session"));
    expect(keyring.mac("csrf", "a session")).not.toBe(keyring.mac("other", "a session"));
    const token = newToken();
    expect(keyring.sign(token)).not.toContain(keyring.mac("sign", token));
  });

  it("verifies for its text and its purpose only", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (text, other) => {
        const mac = keyring.mac("csrf", text);
        expect(keyring.verifyMac("csrf", text, mac)).toBe(true);
        expect(keyring.verifyMac("elsewhere", text, mac)).toBe(false);
        if (other !== text) expect(keyring.verifyMac("csrf", other, mac)).toBe(false);
      }),
    );
  });

  it("verifies by an older secret, and by no other", () => {
    expect(keyring.verifyMac("csrf", "text", createKeyring([OLDER], true).mac("csrf", "text"))).toBe(true);
    expect(keyring.verifyMac("csrf", "text", createKeyring([OLDEST], true).mac("csrf", "text"))).toBe(false);
  });

  it("never throws, and never verifies, whatever comes", () => {
    for (const junk of [
      "",
      "é".repeat(43),
      "A".repeat(43),
      `${keyring.mac("csrf", "t")}=`,
      undefined,
      null,
      7,
      {},
    ])
      expect(keyring.verifyMac("csrf", "t", junk as string)).toBe(false);
    fc.assert(
      fc.property(fc.string({ unit: CODE_UNIT, maxLength: 60 }), (junk) => {
        expect(keyring.verifyMac("csrf", "t", junk)).toBe(false);
      }),
    );
    const mac = keyring.mac("csrf", "t");
    for (let at = 0; at < mac.length; at++) {
      for (const character of ALPHABET) {
        if (character !== mac[at])
          expect(keyring.verifyMac("csrf", "t", mac.slice(0, at) + character + mac.slice(at + 1))).toBe(
            false,
          );
      }
    }
  });
});

/** A source that the test changes. */
function source(...first: SecretEntry[]) {
  let entries: readonly SecretEntry[] = first;
  const observers = new Set<SecretObserver>();
  return {
    observers,
    description: "the test",
    read: () => entries,
    watch(observer: SecretObserver) {
      observers.add(observer);
      return () => void observers.delete(observer);
    },
    give(...next: SecretEntry[]) {
      entries = next;
      for (const observer of observers) observer.changed(entries);
    },
    fail(reason: string) {
      for (const observer of observers) observer.failed(reason);
    },
  };
}

describe("secrets that change while the process runs", () => {
  function watched(...first: SecretEntry[]) {
    const secrets = source(...first);
    const changes: number[] = [];
    const refusals: string[] = [];
    const keyring = createKeyring(secrets, true, {
      onChange: (count) => changes.push(count),
      onRefusal: (reason) => refusals.push(reason),
    });
    return { secrets, keyring, changes, refusals };
  }

  it("everything that was derived follows: signatures, what had verified, sealers that somebody holds, MACs", () => {
    const { secrets, keyring, changes } = watched(OLDER);
    const token = newToken();
    const signed = keyring.sign(token);
    expect(keyring.verify(signed)).toMatchObject({ signedByOlderKey: false });
    const sealer = keyring.sealer("cookie");
    const sealed = sealer.seal("text", "sid");
    const mac = keyring.mac("csrf", "text");

    secrets.give(SECRET, OLDER);
    expect(keyring.sign(token)).toBe(createKeyring([SECRET], true).sign(token));
    expect(keyring.verify(signed)).toMatchObject({ signedByOlderKey: true });
    expect(sealer.open(sealed, "sid")).toEqual({ text: "text", sealedByOlderKey: true });
    expect(createKeyring([SECRET], true).sealer("cookie").open(sealer.seal("new", "sid"), "sid")?.text).toBe(
      "new",
    );
    expect(keyring.mac("csrf", "text")).not.toBe(mac);
    expect(keyring.verifyMac("csrf", "text", mac)).toBe(true);

    secrets.give(SECRET);
    expect(keyring.verify(signed)).toEqual(FORGED);
    expect(sealer.open(sealed, "sid")).toBeUndefined();
    expect(keyring.verifyMac("csrf", "text", mac)).toBe(false);
    expect(changes).toEqual([2, 1]);
  });

  it("the same again is no change, and keeps what has verified", () => {
    const { secrets, changes } = watched(SECRET);
    secrets.give(Buffer.from(SECRET));
    expect(changes).toEqual([]);
  });

  it.each<[string, SecretEntry[]]>([
    ["none", []],
    ["empty ones", [""]],
    ["a weak one among good ones", [SECRET, "keyboard cat"]],
    ["an example that everybody knows", ["a password at least 32 characters long"]],
    ["no secret at all", [SECRET, 7 as unknown as Secret]],
    ["only ones that begin later", [{ secret: SECRET, from: new Date(Date.now() + 60_000) }]],
    ["a date that is none", [{ secret: SECRET, from: new Date("soon") }]],
    ["no list", "secret" as unknown as SecretEntry[]],
  ])("%s are refused in production, told once, and those of before stay", (_name, entries) => {
    const { secrets, keyring, changes, refusals } = watched(SECRET);
    const signed = keyring.sign(newToken());
    for (let round = 0; round < 3; round++) secrets.give(...entries);
    expect(keyring.verify(signed)).toMatchObject({ signedByOlderKey: false });
    expect(changes).toEqual([]);
    expect(refusals).toHaveLength(1);
    for (const entry of entries) {
      if (typeof entry === "string" && entry.length > 1) expect(refusals[0]).not.toContain(entry);
    }
  });

  it("a failure is told once until it is over, and the secrets of before stay", () => {
    const { secrets, keyring, refusals } = watched(SECRET);
    const signed = keyring.sign(newToken());
    secrets.fail("it is down");
    secrets.fail("it is down");
    expect(refusals).toEqual(["it is down"]);
    secrets.give(SECRET);
    secrets.fail("it is down");
    expect(refusals).toEqual(["it is down", "it is down"]);
    expect(keyring.verify(signed)).toMatchObject({ signedByOlderKey: false });
  });

  it("in development none are refused, too, for a random one would log everybody out; a weak one is warned of", () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const secrets = source(SECRET);
    const refusals: string[] = [];
    const keyring = createKeyring(secrets, false, { onRefusal: (reason) => refusals.push(reason) });
    secrets.give();
    expect(refusals).toHaveLength(1);
    expect(warning).not.toHaveBeenCalled();
    secrets.give("keyboard cat", SECRET);
    expect(warning).toHaveBeenCalledOnce();
    expect(keyring.sign("t")).toBe(createKeyring(["keyboard cat"], false).sign("t"));
    warning.mockRestore();
  });

  it("closing ends the watch", () => {
    const { secrets, keyring } = watched(SECRET);
    expect(secrets.observers.size).toBe(1);
    keyring.close();
    expect(secrets.observers.size).toBe(0);
  });
});

describe("a schedule of secrets", () => {
  const HOUR = 3_600_000;
  const SKEW = 5 * 60_000;
  const start = Date.UTC(2027, 0, 1);
  const at = (time: number) => new Date(time);

  function scheduled(life = 12 * HOUR, ...entries: ScheduledSecret[]) {
    const clock = { now: start };
    const changes: number[] = [];
    const keyring = createKeyring(scheduledSecrets(entries), true, {
      clock: () => clock.now,
      life,
      onChange: (count) => changes.push(count),
    });
    return { clock, keyring, changes };
  }
  const signs = (keyring: Keyring, secret: string) =>
    keyring.sign("t") === createKeyring([secret], true).sign("t");
  const knows = (keyring: Keyring, secret: string) =>
    "id" in keyring.verify(createKeyring([secret], true).sign(newToken()));

  it("a secret verifies from the start, signs from its date, and ends with what it signed", () => {
    const turn = start + HOUR;
    const { clock, keyring, changes } = scheduled(
      12 * HOUR,
      { secret: OLDER, from: at(start - 24 * HOUR) },
      { secret: SECRET, from: at(turn) },
    );
    const held = keyring.sealer("cookie");
    expect([signs(keyring, OLDER), knows(keyring, OLDER), knows(keyring, SECRET)]).toEqual([
      true,
      true,
      true,
    ]);
    clock.now = turn - 1;
    const last = {
      signed: keyring.sign(newToken()),
      sealed: held.seal("text", "sid"),
      mac: keyring.mac("csrf", "x"),
    };
    expect(signs(keyring, OLDER)).toBe(true);
    clock.now = turn;
    expect([signs(keyring, SECRET), knows(keyring, OLDER)]).toEqual([true, true]);
    expect(keyring.verify(last.signed)).toMatchObject({ signedByOlderKey: true });

    // What was signed in the last moment is good to its very end, by a clock that is behind, too.
    clock.now = turn + 12 * HOUR + SKEW - 1;
    expect(keyring.verify(last.signed)).toMatchObject({ signedByOlderKey: true });
    expect(held.open(last.sealed, "sid")?.text).toBe("text");
    expect(keyring.verifyMac("csrf", "x", last.mac)).toBe(true);
    clock.now++;
    expect(keyring.verify(last.signed)).toEqual(FORGED);
    expect(held.open(last.sealed, "sid")).toBeUndefined();
    expect(keyring.verifyMac("csrf", "x", last.mac)).toBe(false);
    expect(changes).toEqual([2, 1]);
  });

  it("what outlives sessions is opened with secrets that the schedule has dropped", () => {
    const { clock, keyring } = scheduled(
      HOUR,
      { secret: SECRET, from: at(start + HOUR) },
      { secret: OLDER, from: at(0) },
    );
    const [store, cookie] = [keyring.sealer("store", true), keyring.sealer("cookie")];
    const sealed = [store.seal("text", ""), cookie.seal("text", "")] as const;
    clock.now = start + 100 * HOUR;
    expect(store.open(sealed[0], "")).toEqual({ text: "text", sealedByOlderKey: true });
    expect(cookie.open(sealed[1], "")).toBeUndefined();
  });

  it("the order in which they are given says nothing", () => {
    const entries = [
      { secret: SECRET, from: at(start - HOUR) },
      { secret: OLDER, from: at(start - 2 * HOUR) },
      { secret: OLDEST, from: at(start + HOUR) },
    ];
    for (const order of [entries, entries.toReversed(), [entries[1]!, entries[2]!, entries[0]!]]) {
      const { keyring } = scheduled(12 * HOUR, ...order);
      expect(signs(keyring, SECRET)).toBe(true);
      for (const secret of [SECRET, OLDER, OLDEST]) expect(knows(keyring, secret)).toBe(true);
    }
  });

  it("two servers with clocks that differ take each other's tokens at every moment", () => {
    const entries = [SECRET, OLDER, OLDEST].map((secret, index) => ({
      secret,
      from: at(start + (2 - index) * HOUR),
    }));
    const one = scheduled(HOUR, ...entries);
    const other = scheduled(HOUR, ...entries);
    for (let time = start; time < start + 6 * HOUR; time += 60_000) {
      one.clock.now = time + 4 * 60_000;
      other.clock.now = time;
      for (const [signer, verifier] of [
        [one, other],
        [other, one],
      ] as const)
        expect(verifier.keyring.verify(signer.keyring.sign(newToken()))).toHaveProperty("id");
    }
    expect(one.changes.length).toBeGreaterThan(2);
  });

  it("of secrets without a date beside some with one, all are dropped together", () => {
    const clock = { now: start };
    const entries = [OLDER, OLDEST, { secret: SECRET, from: at(start + HOUR) }];
    const keyring = createKeyring(source(...entries), true, { clock: () => clock.now, life: HOUR });
    expect([signs(keyring, OLDER), knows(keyring, OLDEST), knows(keyring, SECRET)]).toEqual([
      true,
      true,
      true,
    ]);
    clock.now = start + HOUR;
    expect([signs(keyring, SECRET), knows(keyring, OLDER), knows(keyring, OLDEST)]).toEqual([
      true,
      true,
      true,
    ]);
    clock.now = start + 2 * HOUR + SKEW;
    expect([signs(keyring, SECRET), knows(keyring, OLDER), knows(keyring, OLDEST)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it("that begins later is refused, and so is what is no schedule", () => {
    expect(
      configurationError(() => scheduled(HOUR, { secret: SECRET, from: at(start + 1) })).message,
    ).toContain("none of the secrets has begun");
    for (const entry of [
      SECRET,
      { secret: SECRET },
      { secret: SECRET, from: "2027-01-01" },
      { from: at(0) },
      null,
    ])
      expect(configurationError(() => scheduledSecrets([entry as never])).option).toBe("scheduledSecrets[0]");
    expect(configurationError(() => scheduledSecrets(SECRET as never)).option).toBe("scheduledSecrets");
  });
});
