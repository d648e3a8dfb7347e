import type { Exchange } from "../engine/exchange.js";
import type { DefaultData, Session } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import { RefusedError, StoreError } from "../errors.js";
import { WebRequest, webHeaders } from "./web-request.js";

export interface FetchOptions {
  /** The address of the client's end of the connection, where the platform tells: `trustProxy` and `rememberIp` use it. */
  remoteAddress?: (request: Request) => string | undefined;
}

export interface HandlerOptions<Args extends unknown[]> {
  /** Makes the response for an error. Default: a plain 503 where the store failed, 403 and 429 for what is refused; else it is thrown on. */
  onError?: (error: unknown, request: Request, ...rest: Args) => Response | Promise<Response>;
}

/** The session of a request, and the way to store it. */
export interface OpenedSession<Data extends object = DefaultData> {
  readonly session: Session<Data>;
  /**
   * Stores what changed, and then adds the session's headers: to a response (the one returned; the one given stays as it is
   * where its headers can't be changed), or to headers that the framework sends. Await it before the response leaves.
   * @throws HoldfastError where something can't be stored.
   */
  commit(response: Response): Promise<Response>;
  commit(headers: Headers): Promise<Headers>;
}

/** A session that is found in the store when it is first asked for. */
export interface DeferredSession<Data extends object = DefaultData>
  extends Pick<OpenedSession<Data>, "commit"> {
  openSession(): Promise<Session<Data>>;
}

export interface FetchSessions<Data extends object> {
  /** @throws StoreError when the store fails: answer 503, not as if nobody were logged in. */
  open(request: Request): Promise<OpenedSession<Data>>;
  /** The same without asking the store yet. */
  defer(request: Request): DeferredSession<Data>;
  /**
   * Wraps a handler, so that it gets the session and its response is committed. What comes after the request (the `params`
   * of a route, an environment) goes to the handler after the session.
   */
  handler<Args extends unknown[]>(
    handle: (request: Request, session: Session<Data>, ...rest: Args) => Response | Promise<Response>,
    options?: HandlerOptions<Args>,
  ): (request: Request, ...rest: Args) => Promise<Response>;
}

/**
 * Sessions for everything with the `Request` and `Response` of the Fetch standard: route handlers of Next.js, React Router,
 * SvelteKit, Astro, servers on Bun and Deno.
 */
export function fetchSessions<Data extends object>(
  sessions: SessionSource<Data>,
  { remoteAddress = () => undefined }: FetchOptions = {},
): FetchSessions<Data> {
  const defer = (request: Request) => sessions.defer(new WebRequest(request, remoteAddress(request)));
  const commitOf =
    (exchange: Exchange<Data>): OpenedSession["commit"] =>
    (target: any) =>
      committed(exchange, target);
  return {
    async open(request) {
      const exchange = defer(request);
      return { session: await exchange.openSession(), commit: commitOf(exchange) };
    },

    defer(request) {
      const exchange = defer(request);
      return { openSession: () => exchange.openSession(), commit: commitOf(exchange) };
    },

    handler(handle, { onError } = {}) {
      return async (request, ...rest) => {
        let exchange: Exchange<Data> | undefined;
        let answer: Response;
        let isThrown = false;
        try {
          exchange = defer(request);
          await exchange.open();
          try {
            answer = await handle(request, exchange.session, ...rest);
          } catch (error) {
            // Frameworks throw responses, too, as a redirect.
            if (!(error instanceof Response)) throw await settle(exchange, error, onError !== undefined);
            answer = error;
            isThrown = true;
          }
          await exchange.commit();
        } catch (error) {
          answer = await (onError ?? answerFailure)(error, request, ...rest);
          isThrown = false;
        }
        if (exchange === undefined) return answer;
        const response = withSessionHeaders(exchange, answer);
        if (isThrown) throw response;
        return response;
      };
    },
  };
}

/** Stores what a handler has changed before it failed. The error to answer: the handler's, or the store's. */
async function settle(exchange: Exchange<any>, error: unknown, hasResponse: boolean): Promise<unknown> {
  try {
    // A new session's cookie needs a response to leave with.
    if (hasResponse || !exchange.session.isNew) await exchange.commit();
    return error;
  } catch (failure) {
    return failure;
  }
}

/** What the library refuses by itself. The rest is the application's. */
function answerFailure(error: unknown): Response {
  if (error instanceof RefusedError) return error.getResponse();
  if (!(error instanceof StoreError)) throw error;
  return new Response("Service Unavailable", { status: 503, headers: { "Content-Type": "text/plain" } });
}

async function committed<Target extends Response | Headers>(
  exchange: Exchange<any>,
  target: Target,
): Promise<Target> {
  await exchange.commit();
  if (target instanceof Response) return withSessionHeaders(exchange, target) as Target;
  exchange.writeHeaders(webHeaders(target));
  return target;
}

function withSessionHeaders(exchange: Exchange<any>, response: Response): Response {
  try {
    exchange.writeHeaders(webHeaders(response.headers));
    return response;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // `Response.redirect` and `fetch` give responses whose headers can't be changed.
    const copy = new Response(response.body, response);
    exchange.writeHeaders(webHeaders(copy.headers));
    return copy;
  }
}
