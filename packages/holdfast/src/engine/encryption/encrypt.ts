import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { Keyring } from "../../token/keyring.js";
import type { Secret } from "../../token/secret.js";
import type { SecretSource } from "../../token/secret-source.js";
import { isPlainObject } from "../codec.js";
import type { Sealing } from "./sealed-store.js";

/** How sessions are encrypted in the store. */
export interface EncryptOptions {
  /**
   * Keys of their own, so that whoever keeps the cookies' secrets need not have those of the database, and each is rotated
   * apart: as `secrets`, 32 bytes or more each, or a source of them. The first seals, all open. Default: keys derived from
   * `secrets`.
   */
  keys?: readonly Secret[] | SecretSource;
  /**
   * What happens to records that are not sealed: they are read, and sealed with their next write ("read"), so that turning
   * encryption on logs nobody out; or they are an error ("refuse"), once `sessions.reencrypt()` has sealed everything, so that
   * nobody who can write to the store can put a session there. Default: "read".
   */
  plain?: "read" | "refuse";
  /**
   * False: sealed records are opened, and every write is plain. For the servers that don't know of encryption yet while it is
   * being turned on, and for the way back. Default: true.
   */
  seal?: boolean;
}

const NAMES = ["keys", "plain", "seal"];

/** The setting, checked; undefined where nothing is encrypted. @throws ConfigurationError */
export function checkedEncrypt(option: boolean | EncryptOptions | undefined): EncryptOptions | undefined {
  if (option === undefined || option === false) return undefined;
  const options = option === true ? {} : option;
  if (!isPlainObject(options))
    throw new ConfigurationError("encrypt", `expected true, false or an object, got ${shown(option)}`);
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name))
      throw new ConfigurationError(`encrypt.${name}`, `is not an option; there are ${NAMES.join(", ")}`);
  }
  const { plain = "read", seal = true } = options as EncryptOptions;
  if (plain !== "read" && plain !== "refuse")
    throw new ConfigurationError("encrypt.plain", `expected "read" or "refuse", got ${shown(plain)}`);
  if (typeof seal !== "boolean")
    throw new ConfigurationError("encrypt.seal", `expected true or false, got ${shown(seal)}`);
  if (!seal && plain === "refuse")
    throw new ConfigurationError(
      "encrypt.plain",
      'can\'t be "refuse" where `seal` is false: nothing could be read',
    );
  return options;
}

/** @param keyringOf makes the keyring of `encrypt.keys`. */
export function sealingOf(
  { keys, plain, seal = true }: EncryptOptions,
  secrets: Keyring,
  keyringOf: (keys: readonly Secret[] | SecretSource) => Keyring,
): Sealing {
  const keyring = keys === undefined ? undefined : keyringOf(keys);
  return {
    // Some notes of the library's own live longer than any session.
    sealer: (keyring ?? secrets).sealer("store", true),
    option: keyring === undefined ? "secrets" : "encrypt.keys",
    seals: seal,
    refusesPlain: plain === "refuse",
    keyring,
  };
}
