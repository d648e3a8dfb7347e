import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createKeyring } from "./keyring.js";
import { createSealer, SEAL_BYTES } from "./seal.js";

const SECRET = randomBytes(32);
const OTHER = randomBytes(32);
const sealer = createSealer([SECRET], "test");

/** Any unit of UTF-16, lone surrogates too. */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));
const anyText = fc.string({ unit: CODE_UNIT, maxLength: 300 });
/** What has a UTF-8 form: everything but lone surrogates. */
const wellFormed = anyText.map((text) => text.toWellFormed());
const context = fc.constantFrom("sid", "__Host-sid", "", "sid.1", "名前");

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function changedBit(sealed: string, bit: number): string {
  const bytes = Buffer.from(sealed, "base64url");
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return bytes.toString("base64url");
}

describe("a sealed text", () => {
  it("opens to the same text, whatever it is", () => {
    fc.assert(
      fc.property(wellFormed, context, (text, of) => {
        expect(sealer.open(sealer.seal(text, of), of)).toEqual({ text, sealedByOlderKey: false });
      }),
      { numRuns: 500 },
    );
  });

  it("has U+FFFD in place of each lone surrogate, which UTF-8 can't carry", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(sealer.open(sealer.seal(text, "sid"), "sid")?.text).toBe(text.toWellFormed());
      }),
      { numRuns: 500 },
    );
    expect(sealer.open(sealer.seal("a\ud800b", "sid"), "sid")?.text).toBe("a\ufffdb");
  });

  it("takes the bytes of the text and SEAL_BYTES more, in characters that a cookie may have", () => {
    fc.assert(
      fc.property(wellFormed, (text) => {
        const sealed = sealer.seal(text, "sid");
        expect(sealed).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(Buffer.from(sealed, "base64url").length).toBe(Buffer.byteLength(text) + SEAL_BYTES);
      }),
    );
  });

  it("is another each time, with its random bytes in front", () => {
    const sealed = Array.from({ length: 1000 }, () => sealer.seal("the same", "sid"));
    expect(new Set(sealed).size).toBe(1000);
    // The format and the key id say nothing of the text; after them no two envelopes agree.
    expect(new Set(sealed.map((text) => text.slice(8, 24))).size).toBe(1000);
  });

  it("hides its text", () => {
    const sealed = Buffer.from(sealer.seal("a secret, a secret, a secret", "sid"), "base64url");
    expect(sealed.includes("secret")).toBe(false);
  });

  it("is refused with any one bit changed", () => {
    const sealed = sealer.seal("text", "sid");
    const bits = Buffer.from(sealed, "base64url").length * 8;
    for (let bit = 0; bit < bits; bit++) expect(sealer.open(changedBit(sealed, bit), "sid")).toBeUndefined();
  });

  it("is refused with any one character changed, even where base64url has another spelling for the same bytes", () => {
    for (const text of ["", "1", "12", "123"]) {
      const sealed = sealer.seal(text, "sid");
      for (let at = 0; at < sealed.length; at++) {
        for (const character of [...ALPHABET, "=", "+", "/", " ", "\n", "é", "\0"]) {
          if (character === sealed[at]) continue;
          expect(sealer.open(sealed.slice(0, at) + character + sealed.slice(at + 1), "sid")).toBeUndefined();
        }
      }
    }
  });

  it("is refused cut off anywhere", () => {
    const sealed = sealer.seal("a text of some length", "sid");
    for (let length = 0; length < sealed.length; length++) {
      expect(sealer.open(sealed.slice(0, length), "sid")).toBeUndefined();
      expect(sealer.open(sealed.slice(length + 1), "sid")).toBeUndefined();
    }
  });

  it("is refused with anything added", () => {
    fc.assert(
      fc.property(wellFormed, fc.base64String({ minLength: 1, maxLength: 8 }), (text, more) => {
        const sealed = sealer.seal(text, "sid");
        const added = more.replace(/[^A-Za-z0-9]/g, "A");
        expect(sealer.open(sealed + added, "sid")).toBeUndefined();
        expect(sealer.open(added + sealed, "sid")).toBeUndefined();
      }),
    );
    for (const text of ["", "1", "12"]) {
      for (const character of [...ALPHABET, "=", "\n"])
        expect(sealer.open(sealer.seal(text, "sid") + character, "sid")).toBeUndefined();
    }
  });

  it("is refused put together from two of the same key", () => {
    const one = sealer.seal("the first text", "sid");
    const two = sealer.seal("a second text", "sid");
    for (let at = 8; at < one.length; at++)
      expect(sealer.open(one.slice(0, at) + two.slice(at), "sid")).toBeUndefined();
  });

  it("opens in its own context only", () => {
    fc.assert(
      fc.property(wellFormed, wellFormed, wellFormed, (text, of, other) => {
        fc.pre(of !== other);
        expect(sealer.open(sealer.seal(text, of), other)).toBeUndefined();
      }),
    );
  });

  it("opens for its own purpose only", () => {
    const keyring = createKeyring(["Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK"], true);
    const sealed = keyring.sealer("cookie").seal("text", "sid");
    expect(keyring.sealer("cookie").open(sealed, "sid")?.text).toBe("text");
    expect(keyring.sealer("store").open(sealed, "sid")).toBeUndefined();
    expect(keyring.sealer("cooki").open(sealed, "esid")).toBeUndefined();
    expect(keyring.verify(sealed)).toEqual({ refused: "malformed" });
  });

  it("is refused under another secret, its key id put in place of the right one too", () => {
    const foreign = createSealer([OTHER], "test");
    const sealed = Buffer.from(sealer.seal("text", "sid"), "base64url");
    expect(foreign.open(sealed.toString("base64url"), "sid")).toBeUndefined();
    Buffer.from(foreign.seal("", "sid"), "base64url").copy(sealed, 1, 1, 5);
    expect(foreign.open(sealed.toString("base64url"), "sid")).toBeUndefined();
  });

  it("by an older secret opens, and says so; the first one seals", () => {
    const before = sealer.seal("text", "sid");
    const after = createSealer([OTHER, SECRET], "test");
    expect(after.open(before, "sid")).toEqual({ text: "text", sealedByOlderKey: true });
    const again = after.seal("text", "sid");
    expect(after.open(again, "sid")).toEqual({ text: "text", sealedByOlderKey: false });
    expect(createSealer([OTHER], "test").open(again, "sid")?.text).toBe("text");
    expect(createSealer([OTHER], "test").open(before, "sid")).toBeUndefined();
  });

  it("opens after a restart: the envelope is a promise to sessions that live", () => {
    const secret = Buffer.from("Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK");
    const sealed = "ATofMA2Z1KWzZERK534W0t60si6l3W38WbSI9KWJS9TnIzJ8mDS9U5wjSPO2BYoL_Q";
    expect(createSealer([secret], "test").open(sealed, "sid")?.text).toBe("text");
  });
});

describe("opening never throws", () => {
  it("for any string", () => {
    fc.assert(
      fc.property(anyText, context, (text, of) => {
        expect(sealer.open(text, of)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it("for any bytes, with the right format and key id in front", () => {
    const head = Buffer.from(sealer.seal("", "sid"), "base64url").subarray(0, 5);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const envelope = Buffer.concat([head, bytes]).toString("base64url");
        expect(sealer.open(envelope, "sid")).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it("for a megabyte", () => {
    expect(sealer.open("A".repeat(1_000_000), "sid")).toBeUndefined();
    expect(sealer.open(`${"A".repeat(1_000_000)}=`, "sid")).toBeUndefined();
  });
});
