/** What every adapter can be told. `Request` is the framework's own. */
export interface AdapterOptions<Request> {
  /**
   * Requests that need no session, such as static files and health checks: they have none, cost nothing, and pass the CSRF
   * guard. Default: none.
   */
  skip?: (request: Request) => boolean;
  /**
   * Ask the store when the handler first calls `await openSession()`, and not before: until then `session` throws.
   * Default: false, each request that comes with a cookie costs one call to the store.
   */
  lazy?: boolean;
}
