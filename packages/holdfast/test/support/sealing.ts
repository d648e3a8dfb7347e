import type { Sealing } from "../../src/engine/encryption/sealed-store.js";
import { createKeyring } from "../../src/token/keyring.js";
import type { Secret } from "../../src/token/secret.js";

export const KEY = "Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK";
export const OLDER_KEY = "Tq8wE1rY5uI3oP7aS9dF2gH6jK4lZ0xC-vBnM_QwErT";
export const FOREIGN_KEY = "Mn5bV8cX1zL3kJ7hG9fD2sA6pO4iU0yT-rEwQ_AsDfG";

/** How `encrypt: { keys, plain, seal }` seals. */
export function sealingWith(
  keys: readonly Secret[] = [KEY],
  { plain = "read", seal = true }: { plain?: "read" | "refuse"; seal?: boolean } = {},
): Sealing {
  const keyring = createKeyring(keys, true, { option: "encrypt.keys" });
  return {
    sealer: keyring.sealer("store", true),
    option: "encrypt.keys",
    seals: seal,
    refusesPlain: plain === "refuse",
    keyring,
  };
}
