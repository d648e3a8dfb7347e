// @ts-check
import { createSessions } from "holdfast";
import { mergeCarts } from "./cart.js";

/**
 * The shop's sessions. Cookies, expiry and renewal keep Holdfast's defaults; who wants to be remembered is.
 *
 * @param {{
 *   store: import("holdfast/stores/contract").Store,
 *   secrets: readonly string[] | import("holdfast").SecretSource,
 *   encrypt?: boolean,
 *   idleTimeout: import("holdfast").Duration,
 *   maxDevices: number,
 *   origins: readonly string[],
 * }} options
 * @returns {ShopSessions}
 */
export function createShopSessions({ store, secrets, encrypt, idleTimeout, origins, maxDevices }) {
  return createSessions({
    secrets,
    store,
    encrypt,
    idleTimeout,
    csrf: { origins },
    remember: true,
    maxSessionsPerUser: maxDevices,
    initial: () => ({ cart: {} }),
    merge: { cart: mergeCarts },
  });
}

/** @typedef {import("holdfast").Sessions<import("holdfast").SessionData>} ShopSessions */
