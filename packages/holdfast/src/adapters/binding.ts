import type { Exchange } from "../engine/exchange.js";
import type { Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { ConfigurationError, InvalidArgumentError } from "../errors.js";
import type { HeldResponse } from "./held-response.js";

/** What an adapter notes with a request. */
export interface Binding {
  readonly sessions: SessionSource<any>;
  readonly exchange: Exchange<any>;
  /** Undefined where there is no response of Node's to hold. */
  readonly held: HeldResponse | undefined;
}

/** On what is the request's own: a WeakMap would keep every request in memory until the next full collection. */
const BINDING = Symbol("holdfast");

interface Holder {
  [BINDING]?: Binding;
}

/**
 * Node's requests have a list of the headers as they came, each one its own. A property on that costs a third of one on the
 * request of an Express application, whose prototype has been exchanged.
 */
function holderOf(request: { rawHeaders?: Holder } & Holder): Holder {
  return request.rawHeaders ?? request;
}

export function bindingOf(request: object): Binding | undefined {
  return holderOf(request)[BINDING];
}

export function bind(request: object, binding: Binding): void {
  holderOf(request)[BINDING] = binding;
}

/**
 * What has been noted already, as where an adapter is mounted twice.
 * @throws ConfigurationError where that is of other sessions. @param adapter its name, for the message.
 */
export function bindingTo(
  sessions: SessionSource<any>,
  request: object,
  adapter: string,
): Binding | undefined {
  const bound = bindingOf(request);
  if (bound !== undefined && bound.sessions !== sessions) throw twoSessions(adapter);
  return bound;
}

/** `openSession()` of a request. @throws InvalidArgumentError where it has no session. */
export async function openSessionOf(request: object): Promise<Session<any>> {
  const bound = bindingOf(request);
  if (bound === undefined) throw noSession();
  return bound.exchange.openSession();
}

/**
 * Shows the CSRF guard (`csrf: { formTokens: true }`) the token that came in a form, once that is parsed. Only where the guard
 * asks for one; until then the request's session throws.
 *
 * @param request what the framework calls it: `req`, Koa's `ctx`, Fastify's `request`, Hono's `c`.
 * @throws CsrfError where the token is not one of this session's. @throws InvalidArgumentError for a request without sessions.
 */
export async function checkCsrfToken(request: object, token: unknown): Promise<void> {
  const { req, env } = request as { req?: object & { raw?: object }; env?: { incoming?: object } };
  const holder = [request, env?.incoming, req?.raw, req].find((each) => each && bindingOf(each));
  if (holder === undefined) throw noSession();
  const { exchange } = bindingOf(holder)!;
  await exchange.open();
  exchange.confirm(token ?? "");
}

/**
 * `session` and `openSession` for a prototype that many requests share. On a request without a session, `session` is a
 * property like any other.
 * @param owner what applications call the object that has them. @param requestOf the request that belongs to it.
 */
export function sessionProperties(
  owner: "req" | "ctx",
  requestOf: (holder: any) => object,
): PropertyDescriptorMap {
  return {
    session: {
      configurable: true,
      get() {
        return bindingOf(requestOf(this))?.exchange.session;
      },
      set(value) {
        if (bindingOf(requestOf(this)) !== undefined) {
          throw new InvalidArgumentError(
            `${owner}.session can't be assigned. Use \`await ${owner}.session.destroy()\` to end the session, and ` +
              `\`${owner}.session.data = …\` to replace its data.`,
          );
        }
        Object.defineProperty(this, "session", {
          value,
          configurable: true,
          enumerable: true,
          writable: true,
        });
      },
    },
    openSession: {
      configurable: true,
      writable: true,
      async value() {
        return openSessionOf(requestOf(this));
      },
    },
  };
}

/** The error for asking for the session of a request that has none. */
function noSession(): InvalidArgumentError {
  return new InvalidArgumentError(
    "This request has no session: the sessions are mounted after this handler, or `skip` leaves the request out.",
  );
}

/** The error for two different sessions on the way of one request. */
function twoSessions(adapter: string): ConfigurationError {
  return new ConfigurationError(
    adapter,
    "this request has the session of another createSessions() already. Mount each on paths of its own.",
  );
}
