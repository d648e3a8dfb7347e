/**
 * Apart from the sources, for what it adds to Koa's context is not what `holdfast/koa` adds to it: an application has one of
 * them.
 */
import type { Session, SessionOptions } from "../../dist/compat/koa-session/index.js";

export * from "../../dist/compat/koa-session/index.js";
export { default } from "../../dist/compat/koa-session/index.js";

declare module "koa" {
  interface ExtendableContext {
    /** The session of this request. Null once it was set to null, which ends it. */
    get session(): Session;
    set session(session: object | null);
    /** The options for this request alone. */
    readonly sessionOptions: SessionOptions;
  }
}
