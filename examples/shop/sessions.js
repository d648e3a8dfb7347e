// @ts-check
import { createSessions } from "holdfast";
import { mergeCarts } from "./cart.js";

/**
 * The shop's sessions. Cookies, expiry, renewal and limits keep Holdfast's defaults.
 *
 * @param {{
 *   store: import("holdfast/stores/contract").Store,
 *   secrets: readonly string[] | import("holdfast").SecretSource,
 *   encrypt?: boolean,
 *   idleTimeout: import("holdfast").Duration,
 *   origins: readonly string[],
 * }} options
 * @returns {ShopSessions}
 */
export function createShopSessions({ store, secrets, encrypt, idleTimeout, origins }) {
  return createSessions({
    secrets,
    store,
    encrypt,
    idleTimeout,
    csrf: { origins },
    initial: () => ({ cart: {} }),
    merge: { cart: mergeCarts },
  });
}

/** @typedef {import("holdfast").Sessions<import("holdfast").SessionData>} ShopSessions */
