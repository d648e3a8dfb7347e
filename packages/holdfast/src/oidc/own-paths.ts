import type { OidcRoutes } from "./options.js";

/** The paths that the login answers by itself. */
export function ownPaths(routes: Required<OidcRoutes>): string[] {
  const { login, callback, logout, backchannelLogout, frontchannelLogout } = routes;
  return [login, callback, logout, backchannelLogout, frontchannelLogout].filter((path) => path !== false);
}

/** Whether the login answers a request: only then does it open a session, where the sessions are lazy. */
export function isOwnPath(routes: Required<OidcRoutes>, path: string): boolean {
  return ownPaths(routes).includes(path.split("?", 1)[0]!);
}
