/**
 * A web console for administrators: who is here, what a session is, end it; charts of the last hour. Mounted in the application, behind the
 * application's own guard.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isUserId } from "../engine/rotation.js";
import { engineOf, Sessions } from "../engine/sessions.js";
import { ConfigurationError, StoreError, UnsupportedError } from "../errors.js";
import type { Awaitable } from "../stores/contract.js";
import { warn } from "../warn.js";
import { CSS, JS } from "./assets.js";
import { formTokenFor, isFormTokenOf } from "./form-token.js";
import { History } from "./history.js";
import type { Html } from "./html.js";
import {
  chartsOf,
  confirmation,
  details,
  type Ending,
  type Frame,
  list,
  message,
  overview,
  type Query,
  trouble,
} from "./pages.js";
import { LIST_LIMIT, type Listing, Reading } from "./reading.js";
import { fromFetch, fromNode, type ReceivedRequest } from "./requests.js";

export interface ConsoleOptions<Context> {
  /** Where the console is mounted, as browsers see it: "/admin/sessions". */
  path: string;
  /**
   * Says who is asking, by what the framework knows of the request: a name for the audit log, as in "admin:ada", of 1 to 255
   * characters. For anybody who may not see the console it answers anything else, and they get 404; where it throws or
   * rejects, too. It is asked for every request, for scripts and styles as well.
   */
  guard: (context: Context) => Awaitable<string | false | null | undefined>;
  /** What the pages are called. Default: "Sessions". */
  title?: string;
  /**
   * The application's origin, as in "https://shop.example": the one that forms may come from, for browsers that send no
   * `Sec-Fetch-Site`. Default: their token alone decides.
   */
  origin?: string;
}

/** A response, for frameworks that send it themselves. */
export interface ConsoleAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface SessionConsole<Context> {
  /** For everything with the `Request` and `Response` of the Fetch standard. The guard gets `context`, else the request. */
  fetch(request: Request, context?: Context): Promise<Response>;
  /** Middleware for Express and Connect, and a listener for `node:http`. The guard gets the request. What isn't the console's goes on. */
  node(request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void): void;
  /** The answer to a request of Node's, for Koa and Fastify, which send it themselves. The guard gets `context`. */
  answer(request: IncomingMessage, context: Context): Promise<ConsoleAnswer>;
  /** Whether a path, or a URL's path and query, is the console's. */
  owns(target: string): boolean;
  /** Ends listening to the sessions. */
  close(): void;
}

/** No inline script or style, nothing from elsewhere, in nobody's frame. */
const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; " +
    "base-uri 'none'; frame-ancestors 'none'",
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  // Not no-referrer: with it browsers send the Origin "null" with forms.
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Robots-Tag": "noindex",
};

const OPTION_NAMES: readonly string[] = ["path", "guard", "title", "origin"] satisfies Array<
  keyof ConsoleOptions<unknown>
>;

/**
 * The console of these sessions. It has no access of its own: `guard` says who may see it.
 * @throws ConfigurationError that names the option.
 */
export function sessionConsole<Context = any>(
  sessions: Sessions<any>,
  options: ConsoleOptions<Context>,
): SessionConsole<Context> {
  const { path, guard, title = "Sessions", origin } = checked(sessions, options);
  const engine = engineOf(sessions);
  const history = new History(engine);
  const reading = new Reading(sessions, history);

  const owns = (target: string) => {
    const pathname = pathOf(target);
    return pathname === path || pathname.startsWith(`${path}/`);
  };

  const respond = async (request: ReceivedRequest, context: Context): Promise<ConsoleAnswer> => {
    const actor = await actorOf(guard, context);
    if (actor === undefined || !owns(request.target)) return notFound();
    if (pathOf(request.target) === `${path}/live`) ignoreActivityOf(context);
    const now = engine.clock();
    const frame = { path, title, actor, now, token: formTokenFor(engine.keyring, actor, now) };
    try {
      return await route(request, frame);
    } catch (error) {
      const text = failureText(error);
      return htmlAnswer(text.status, message(frame, "That did not work", text.text));
    }
  };

  const route = async (request: ReceivedRequest, frame: Frame): Promise<ConsoleAnswer> => {
    const { method } = request;
    const url = new URL(request.target, "http://console.invalid");
    const place = url.pathname.slice(path.length).replace(/\/$/, "");
    if (place === "/revoke") return method === "POST" ? revoke(request, frame) : notAllowed("POST");
    if (method !== "GET" && method !== "HEAD") return notAllowed("GET, HEAD");
    const query = queryOf(url.searchParams);
    if (place === "") return showOverview(frame, query, url.searchParams.get("ended"));
    if (place === "/live") return refresh(frame, query);
    if (place === "/console.css") return answerOf(200, "text/css; charset=utf-8", CSS);
    if (place === "/console.js") return answerOf(200, "text/javascript; charset=utf-8", JS);
    const [, id] = /^\/session\/([\w-]{1,100})$/.exec(place) ?? [];
    if (id !== undefined) {
      const session = await reading.details(id);
      if (session !== undefined) return htmlAnswer(200, details(frame, session));
      return htmlAnswer(404, message(frame, "No such session", "It has ended, or there never was one."));
    }
    return htmlAnswer(404, message(frame, "Nothing here", "There is no such page."));
  };

  const showOverview = async (frame: Frame, query: Query, ended: string | null): Promise<ConsoleAnswer> => {
    const { listing, status } = await readListing(query);
    const notice = /^\d{1,6}$/.test(ended ?? "") ? endedText(Number(ended)) : undefined;
    return htmlAnswer(status, overview(frame, query, listing, history, reading, notice));
  };

  const refresh = async (frame: Frame, query: Query): Promise<ConsoleAnswer> => {
    const { listing, status, failure } = await readListing(query);
    const body = {
      charts: chartsOf(history, reading).text,
      // What was read last is worth more than an empty list.
      ...(failure === undefined && { list: list(frame, query, listing, reading, history).text }),
      ...(failure !== undefined && { trouble: failure }),
    };
    return answerOf(status, "application/json", JSON.stringify(body));
  };

  const readListing = async (
    query: Query,
  ): Promise<{ listing: Listing | Html; status: number; failure?: string }> => {
    reading.countIfDue();
    try {
      return { listing: await reading.list(query.search), status: 200 };
    } catch (error) {
      const { status, text } = failureText(error);
      return { listing: trouble(text), status, failure: text };
    }
  };

  const revoke = async (request: ReceivedRequest, frame: Frame): Promise<ConsoleAnswer> => {
    const form = await request.form();
    if (form === undefined)
      return htmlAnswer(415, message(frame, "Not a form", "Only forms are taken here."));
    const refusal = refusalOf(request, form, frame.actor);
    if (refusal !== undefined) {
      engine.events.emit("csrf-refused", {
        at: new Date(engine.clock()),
        reason: refusal,
        method: request.method,
        sessionId: undefined,
      });
      const text =
        "It didn’t come from a page of this console, or that page was open for too long. Load the list again.";
      return htmlAnswer(403, message(frame, "This was not done", text));
    }
    const search = form.get("q") ?? "";
    const ending: Ending = {
      user: form.get("what") === "user" && isUserId(search) ? search : undefined,
      ids: [...new Set(form.getAll("id"))].filter((id) => /^[\w-]{43}$/.test(id)).slice(0, LIST_LIMIT),
    };
    if (ending.user === undefined && ending.ids.length === 0)
      return htmlAnswer(400, message(frame, "Nothing is selected", "Select sessions in the list first."));
    if (form.get("confirmed") !== "yes") return htmlAnswer(200, confirmation(frame, ending, search));
    const ended = await end(ending, frame.actor);
    reading.forget();
    const query = new URLSearchParams({ ...(search !== "" && { q: search }), ended: String(ended) });
    return answerOf(303, "text/plain", "", { Location: `${path}?${query}` });
  };

  const end = async ({ user, ids }: Ending, actor: string): Promise<number> => {
    if (user !== undefined) return sessions.ofUser(user).revokeAll({ by: actor });
    let ended = 0;
    for (const id of ids) if (await sessions.ofEveryone().revoke(id, { by: actor })) ended++;
    return ended;
  };

  /** Why a form may have been sent by another site's page; undefined where it was not. */
  const refusalOf = (request: ReceivedRequest, form: URLSearchParams, actor: string) => {
    const site = request.header("sec-fetch-site");
    if (site !== undefined && site !== "same-origin")
      return site === "same-site" ? ("same-site" as const) : ("cross-site" as const);
    const from = request.header("origin");
    if (site === undefined && from !== undefined && origin !== undefined && from !== origin)
      return "foreign-origin" as const;
    const isOurs = isFormTokenOf(engine.keyring, actor, engine.clock(), form.get("token"));
    return isOurs ? undefined : ("wrong-token" as const);
  };

  return {
    owns,
    close: () => history.close(),
    answer: (request, context) => respond(fromNode(request, context), context),
    async fetch(request, context = request as Context) {
      const { status, headers, body } = await respond(fromFetch(request), context);
      const empty = request.method === "HEAD" || status === 303;
      return new Response(empty ? null : body, { status, headers });
    },
    node(request, response, next) {
      const { originalUrl, url } = request as IncomingMessage & { originalUrl?: string };
      if (next !== undefined && !owns(originalUrl ?? url ?? "/")) {
        next();
        return;
      }
      respond(fromNode(request, request), request as Context).then(
        ({ status, headers, body }) => {
          response.statusCode = status;
          for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
          response.setHeader("Content-Length", Buffer.byteLength(body));
          response.end(request.method === "HEAD" ? undefined : body);
        },
        (error) => {
          if (next !== undefined) next(error);
          else response.destroy(error);
        },
      );
    },
  };
}

function checked<Context>(sessions: unknown, options: ConsoleOptions<Context>): ConsoleOptions<Context> {
  if (!(sessions instanceof Sessions)) {
    throw new ConfigurationError(
      "sessions",
      "expected what createSessions gives with a store on the server: sessions that live in cookies can't be listed",
    );
  }
  if (typeof options !== "object" || options === null)
    throw new ConfigurationError("options", "expected an object with path and guard");
  const { path, guard, title, origin } = options;
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name))
      throw new ConfigurationError(
        name,
        `is not an option of the console; there are ${OPTION_NAMES.join(", ")}`,
      );
  }
  if (typeof guard !== "function") {
    throw new ConfigurationError(
      "guard",
      "expected a function that gives the administrator's name, and nothing for everybody else: the console has no access of its own",
    );
  }
  if (typeof path !== "string" || !/^(?:\/[\w.~-]+)+$/.test(path))
    throw new ConfigurationError("path", 'expected where the console is mounted, as in "/admin/sessions"');
  if (title !== undefined && typeof title !== "string")
    throw new ConfigurationError("title", "expected text");
  if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).origin === origin))
    throw new ConfigurationError("origin", 'expected an origin, as in "https://shop.example"');
  return options;
}

/** Fails closed: whatever goes wrong in the guard, nobody gets in. */
async function actorOf<Context>(
  guard: ConsoleOptions<Context>["guard"],
  context: Context,
): Promise<string | undefined> {
  try {
    const actor = await guard(context);
    if (typeof actor !== "string" || actor === "") return undefined;
    if (actor.length <= 255 && !/\p{Cc}/u.test(actor)) return actor;
    warn("HOLDFAST_CONSOLE", "the console's guard gave a name that is too long, or holds control characters");
  } catch (error) {
    warn("HOLDFAST_CONSOLE", `the console's guard threw: ${String(error)}`);
  }
  return undefined;
}

/** A console that is left open must not keep its administrator's own session alive. */
function ignoreActivityOf(context: unknown): void {
  try {
    const { session, var: variables } = (context ?? {}) as Record<string, any>;
    const own = session ?? variables?.session;
    own?.ignoreActivity?.();
  } catch {
    // A lazy session that nobody has opened has no activity.
  }
}

function queryOf(parameters: URLSearchParams): Query {
  const page = Number(parameters.get("page") ?? 1);
  return {
    search: (parameters.get("q") ?? "").slice(0, 255),
    page: Number.isSafeInteger(page) ? page : 1,
  };
}

function pathOf(target: string): string {
  const [pathname = ""] = target.split(/[?#]/, 1);
  return pathname;
}

function endedText(count: number): string {
  if (count === 0) return "Nothing was ended: it had ended already.";
  return count === 1 ? "One session was ended." : `${count} sessions were ended.`;
}

/** What an administrator is told; the error itself is for the log. */
function failureText(error: unknown): { status: number; text: string } {
  if (error instanceof StoreError)
    return { status: 503, text: `The session store doesn’t answer (${error.code}). Try again in a moment.` };
  if (error instanceof UnsupportedError)
    return { status: 200, text: "This store can’t list all sessions. Search by user, or by a session’s id." };
  warn(
    "HOLDFAST_CONSOLE",
    `a page of the console failed: ${error instanceof Error ? error.stack : String(error)}`,
  );
  return { status: 500, text: "Something went wrong. The server’s log says more." };
}

function answerOf(
  status: number,
  type: string,
  body: string,
  more: Readonly<Record<string, string>> = {},
): ConsoleAnswer {
  return { status, headers: { ...HEADERS, "Content-Type": type, ...more }, body };
}

const htmlAnswer = (status: number, body: string) => answerOf(status, "text/html; charset=utf-8", body);
const notFound = () => answerOf(404, "text/plain; charset=utf-8", "Not Found");
const notAllowed = (allow: string) =>
  answerOf(405, "text/plain; charset=utf-8", "Method Not Allowed", { Allow: allow });
