// @ts-check
import { isLoopback } from "./security.js";

/** Where the shop's own provider listens in development: always the same, for its address is part of who a person is. */
const DEVELOPMENT_PORT = "3910";

/**
 * The provider of the company login: the one that the environment names; else in development one of our own, which needs no
 * network; else none.
 *
 * @param {{ shopUrl: string, dataFolder: string }} options
 * @returns {Promise<(CompanyLogin & { close?: () => Promise<void> }) | undefined>}
 */
export async function findCompanyLogin({ shopUrl, dataFolder }) {
  const {
    OIDC_ISSUER,
    OIDC_CLIENT_ID = "",
    OIDC_CLIENT_SECRET = "",
    APP_BASE_URL = shopUrl,
    COMPANY_PORT = DEVELOPMENT_PORT,
    NODE_ENV,
  } = process.env;
  if (OIDC_ISSUER !== undefined) {
    return {
      issuer: OIDC_ISSUER,
      clientId: OIDC_CLIENT_ID,
      clientSecret: OIDC_CLIENT_SECRET,
      baseUrl: APP_BASE_URL,
    };
  }
  // Over plain HTTP nobody else could log in safely.
  if (NODE_ENV === "production" || !isLoopback(new URL(APP_BASE_URL).hostname)) return undefined;
  const { startCompanyProvider } = await import("./company-provider/provider.js");
  return startCompanyProvider({ shopUrl: APP_BASE_URL, port: Number(COMPANY_PORT), dataFolder });
}

/** @typedef {{ issuer: string, clientId: string, clientSecret: string, baseUrl: string }} CompanyLogin */
