import { ConfigurationError, InvalidArgumentError } from "../errors.js";

/** What every adapter can be told. `Request` is the framework's own. */
export interface AdapterOptions<Request> {
  /**
   * Requests that need no session, such as static files and health checks: they have none, and cost nothing. Default: none.
   */
  skip?: (request: Request) => boolean;
  /**
   * Ask the store when the handler first calls `await openSession()`, and not before: until then `session` throws.
   * Default: false, each request that comes with a cookie costs one call to the store.
   */
  lazy?: boolean;
}

/** The error for asking for the session of a request that has none. */
export function noSession(): InvalidArgumentError {
  return new InvalidArgumentError(
    "This request has no session: the sessions are mounted after this handler, or `skip` leaves the request out.",
  );
}

/** The error for two different sessions on the way of one request. */
export function twoSessions(adapter: string): ConfigurationError {
  return new ConfigurationError(
    adapter,
    "this request has the session of another createSessions() already. Mount each on paths of its own.",
  );
}
