import type { Server } from "node:net";
import type { Sessions } from "../../src/engine/sessions.js";
import type { Awaitable } from "../../src/stores/contract.js";

/** What handlers answer with that have nothing better to say. */
export const ANSWER = "what the handler answers";

/** The body of `GET /large`: four megabytes in two hundred chunks, each another. */
export const CHUNKS: readonly string[] = Array.from({ length: 200 }, (_, n) => `${n}`.padStart(20_000, "."));

/** The two events of `GET /sse`. */
export const EVENTS = ["data: first\n\n", "data: last\n\n"] as const;

/**
 * A framework under test: an application with the routes below, each written as that framework's users would. Hand it to
 * `testFramework` in a file of its own, `frameworks/<name>.test.ts`; `express.test.ts` is the example.
 *
 * Where this says ANSWER, CHUNKS or EVENTS, it means the constants of this file. A status is 200 unless it is named.
 *
 * | route                  | its handler                                                                                |
 * |------------------------|--------------------------------------------------------------------------------------------|
 * | GET /plain             | answers ANSWER, and never looks at the session                                             |
 * | GET /read              | answers the JSON `{ userId, isNew, data }` of the session                                  |
 * | POST /set/:key/:value  | `data[key] = value`, then ANSWER                                                           |
 * | POST /increment        | adds 1 to `data.counter` (from 0) by `session.update`, answers the new number              |
 * | POST /login/:user      | `session.login(user)`, then redirects with 303 to `/read`                                  |
 * | POST /logout           | `session.logout()`, then ANSWER                                                            |
 * | POST /rotate           | `session.rotate()`, then ANSWER                                                            |
 * | GET /respond/:way      | WRITES, then answers by `ways[way].respond`                                                |
 * | GET /large             | WRITES, then streams CHUNKS, at the pace of the client                                     |
 * | GET /sse               | WRITES, sends `text/event-stream` and the first of EVENTS, waits for `setup.hold("sse")`,  |
 * |                        | then `data.late = true`, sends the last of EVENTS and ends                                 |
 * | GET /throw             | WRITES, then throws an Error, at once where the framework has handlers that do             |
 * | GET /reject            | WRITES, then throws an Error after an `await`                                              |
 * | GET /etag              | WRITES, then ANSWER with an `ETag`; a request that has it in `If-None-Match` gets a 304    |
 * | GET /own-headers/:kind | WRITES, then ANSWER with the cookies `theme=dark` and `lang=en`, `Vary: Accept-Language`,  |
 * |                        | and `Cache-Control` of kind (`public` or `private`) and `max-age=60`                       |
 * | GET /skipped           | answers the text `typeof` of the session property                                          |
 *
 * WRITES is `data.written = true`. Every GET answers HEAD as well, as the framework does it.
 *
 * Only called where `setup.lazy` is true, so that `openSession` is the framework's (`req.openSession`, `ctx.openSession`,
 * `c.var.openSession`, …):
 *
 * | route                      | its handler                                                                            |
 * |----------------------------|----------------------------------------------------------------------------------------|
 * | GET /lazy/plain            | answers ANSWER, and opens nothing                                                      |
 * | GET /lazy/read             | as `/read`, with the session that `await openSession()` gives                          |
 * | POST /lazy/set/:key/:value | as `/set`, with the session that `await openSession()` gives                           |
 * | GET /lazy/early            | reads the session property without opening; answers the message of what that throws   |
 *
 * - **Adapter options**: `lazy: setup.lazy`, and a `skip` that is true for the path `/skipped`.
 * - **Waiting**: every handler but that of /sse begins with `await setup.hold(hold)`, where `hold` is the `hold` of the
 *   query string, if any. One middleware after the adapter does for all.
 * - **Errors**: one that reaches the framework is answered with its `status`, or 500 where it has none. If the framework
 *   doesn't do that by itself, the application has an error handler that does, as a real one would. It doesn't
 *   look at the session.
 */
export interface Framework {
  /** As in "Express 5". */
  readonly name: string;
  /** The server speaks HTTP/2 without TLS, and so does the client then. Default: HTTP/1.1. */
  readonly http2?: boolean;
  readonly ways: Ways;
  /** What can't be asked of the framework. Default: nothing. */
  readonly lacks?: readonly Lack[];
  /** The application as a server that doesn't listen yet: the suite has it listen on loopback, and closes it. */
  serve(setup: Setup): Awaitable<Server>;
}

/**
 * Every way that the framework has to answer (end, send, JSON, redirect, stream, file, `writeHead`, …), by a name that
 * needs no escaping in a path. Among them, where it can be written, a loop with an `await` between two writes: one that
 * goes on while the session is stored, and after that has failed.
 */
export type Ways<Respond = unknown> = Readonly<Record<string, Way<Respond>>>;

export interface Way<Respond = unknown> {
  /** Answers, in terms that only the driver and its route `/respond/:way` know. */
  readonly respond: Respond;
  /** The status that is to arrive. Default: 200. */
  readonly status?: number;
  /** The body that is to arrive. Default: ANSWER. */
  readonly body?: string;
}

export type Lack =
  /** The framework has no setting of its own for believing `X-Forwarded-*`, so `setup.trustProxy` has no effect. */
  | "proxy setting"
  /** The adapter doesn't learn the address of the peer, so Holdfast can't trust proxies by their address. */
  | "peer address"
  /** The adapter can't see what a handler changes after its answer has begun. */
  | "late changes"
  /** With `lazy` there is no session property to look at too early, so there is no `/lazy/early`. */
  | "session property";

/** What an application under test is made with. */
export interface Setup {
  readonly sessions: Sessions<any>;
  /** Waits at the barrier of this name until the test opens it; for what is no text, such as a missing query, it doesn't. */
  hold(name: unknown): Promise<void>;
  /** The framework's own setting: whether to believe `X-Forwarded-*` of a proxy on loopback. */
  readonly trustProxy: boolean;
  /** The adapter's option `lazy`. */
  readonly lazy: boolean;
}
