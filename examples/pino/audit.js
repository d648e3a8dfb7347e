// @ts-check
import { AsyncLocalStorage } from "node:async_hooks";
import { auditLog } from "holdfast";

/** OWASP's levels, as pino calls them. */
const LEVELS = /** @type {const} */ ({ INFO: "info", WARN: "warn", CRITICAL: "error" });

/** @type {AsyncLocalStorage<import("express").Request>} */
const requests = new AsyncLocalStorage();

/** Middleware, before the sessions: what happens within a request is logged with it. @type {import("express").RequestHandler} */
export const rememberRequest = (req, _res, next) => requests.run(req, next);

/**
 * Writes every security event of the sessions to a log of pino.
 *
 * @param {import("holdfast").Sessions<any>} sessions
 * @param {import("pino").Logger} log
 */
export function logSessions(sessions, log) {
  return auditLog(
    sessions,
    // pino has a level and a message of its own.
    ({ level, description, ...fields }) => log[LEVELS[level]](fields, description),
    {
      appid: "shop",
      context() {
        // A sweep, or an administrator's command, belongs to no request.
        const req = requests.getStore();
        return req && { source_ip: req.ip, useragent: req.get("user-agent"), request_method: req.method };
      },
    },
  );
}
