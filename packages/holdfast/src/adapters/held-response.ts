import type { OutgoingHttpHeader, ServerResponse } from "node:http";
import type { ResponseHeaders } from "../engine/transport.js";
import type { Awaitable } from "../stores/contract.js";
import { inProduction } from "../warn.js";
import { ErrorPage } from "./error-page.js";

/** The methods of a response that make its headers leave. */
const METHODS = ["writeHead", "flushHeaders", "write", "end"] as const;
type Method = (typeof METHODS)[number];
type Original = (...args: any[]) => unknown;

/** A call that is kept for later, with the method that it was on its way to. */
interface Call {
  readonly method: Method;
  readonly original: Original;
  readonly args: unknown[];
}

const production = inProduction();

/** What a response is held back for: an `Exchange` of the engine, or another that acts like one. */
export interface HeldExchange {
  /** Stores what changed; called once, before the headers leave. */
  commit(): Awaitable<void>;
  /** Writes headers of its own, after that. */
  writeHeaders(headers: ResponseHeaders): void;
  /** Called where that is too late, for they have left by another way. */
  headersWereSent?(): void;
  /** Called when the response has ended. */
  reportLateChanges(): void;
  /** Stores what changed since the headers left: the end of the response waits for it. */
  commitLate?(): Awaitable<void>;
}

/**
 * Holds a response back from the moment that its first byte would leave until the session is committed. Calls that come
 * meanwhile are kept in order and made afterwards, with the status and the headers as they were at the first of them.
 *
 * `open` -> `committing` -> `committed` -> `released` with the first call; or `failed`, where what the handler had sent is
 * dropped, and the response is free for an error page, with which it is released.
 *
 * An adapter whose framework has a hook for it calls `commit` there, so that a failure takes the framework's own way.
 * Where a call was first, `onFailure` is told.
 */
export class HeldResponse {
  readonly #response: ServerResponse;
  readonly #exchange: HeldExchange;
  readonly #onFailure: (error: unknown) => void;
  #state: "open" | "committing" | "committed" | "released" | "failed" = "open";
  #committing: Promise<void> | undefined;
  #failureIsTold = false;
  #isWhole = false;
  #errorPage: ErrorPage | undefined;
  #calls: Call[] | undefined;
  #ended = false;
  #head:
    | { status: number; message: string; headers: Record<string, OutgoingHttpHeader | undefined> }
    | undefined;

  constructor(response: ServerResponse, exchange: HeldExchange, onFailure: (error: unknown) => void) {
    this.#response = response;
    this.#exchange = exchange;
    this.#onFailure = onFailure;
  }

  /** Makes the call, at once or later. Its answer is Node's, but that a held `write` asks to wait for "drain". */
  call(method: Method, original: Original, args: unknown[]): unknown {
    if (this.#state === "released" && this.#errorPage === undefined) {
      if (method === "end" && !this.#ended) return this.#end({ method, original, args });
      return original.apply(this.#response, args);
    }
    const call = { method, original, args };
    if (this.#errorPage !== undefined) return this.#callOfErrorPage(call, this.#errorPage);
    if (this.#state === "open") {
      this.#ended = method === "end";
      try {
        const committing = this.#start();
        committing?.catch((error) => this.#tell(error));
      } catch (error) {
        this.#tell(error);
        return this.#answer(method);
      }
      this.#ended = false;
    }
    return this.#state === "committing" ? this.#hold(call) : this.#release(call);
  }

  #callOfErrorPage(call: Call, page: ErrorPage): unknown {
    const { method, original, args } = call;
    if (!page.admits(method)) return this.#answer(method);
    const answer = this.#state === "failed" ? this.#release(call) : original.apply(this.#response, args);
    // Not before: Node's own `end` calls `writeHead`.
    if (method === "end") page.ended();
    return answer;
  }

  /**
   * Stores the session before the first call does. @throws what `Exchange.commit` throws, unless `onFailure` has been told.
   * @param isWhole whether the answer is there, so that its end follows its headers at once.
   */
  commit(isWhole = false): Awaitable<void> {
    if (this.#state === "open") {
      this.#isWhole = isWhole;
      this.#failureIsTold = true;
      return this.#start();
    }
    if (this.#state !== "committing") return;
    const told = this.#failureIsTold;
    this.#failureIsTold = true;
    return told ? this.#committing?.catch(() => {}) : this.#committing;
  }

  /** Whether the headers will leave with a call that waits for the commit, as `headersSent` doesn't say yet. */
  get hasBegun(): boolean {
    return this.#state === "committing" && this.#calls !== undefined;
  }

  /** Whether a whole answer waits for the commit. What is sent after it must not join it. */
  get hasAnswer(): boolean {
    return this.#state === "committing" && (this.#ended || this.#failureIsTold);
  }

  #start(): Promise<void> | undefined {
    this.#state = "committing";
    try {
      const pending = this.#exchange.commit();
      if (!(pending instanceof Promise)) {
        this.#state = "committed";
        return undefined;
      }
      this.#committing = pending.then(
        () => this.#replay(),
        (error) => {
          this.#fail();
          throw error;
        },
      );
      return this.#committing;
    } catch (error) {
      this.#fail();
      throw error;
    }
  }

  #tell(error: unknown): void {
    if (this.#failureIsTold) return;
    this.#failureIsTold = true;
    this.#errorPage!.whileToldBy(() => this.#onFailure(error));
  }

  #hold(call: Call): unknown {
    const { method } = call;
    // The headers are on their way with the first call: whoever sends them again takes them for not sent, as a middleware
    // does that asks before each write. And nothing can follow an end.
    const repeats = method === "writeHead" || method === "flushHeaders";
    if (this.#calls === undefined) {
      this.#keepHead();
      this.#calls = [call];
    } else if (!repeats && !this.#ended) this.#calls.push(call);
    if (method === "end") this.#ended = true;
    return this.#answer(method);
  }

  #answer(method: Method): unknown {
    if (method === "write") return false;
    return method === "flushHeaders" ? undefined : this.#response;
  }

  /** Makes the first call, with the session's headers written in time. */
  #release({ method, original, args }: Call): unknown {
    const failed = this.#state === "failed";
    this.#state = "released";
    const response = this.#response;
    if (response.headersSent) this.#exchange.headersWereSent?.();
    else args = this.#writeHeaders(method, args);
    if (method === "end" && !failed) this.#reportAfterEnd();
    return original.apply(response, args);
  }

  /** Lets the session's headers join those that are set, or that are among the arguments. What is to be passed on of these. */
  #writeHeaders(method: Method, args: unknown[]): unknown[] {
    const response = this.#response;
    const given = method === "writeHead" ? args.at(-1) : undefined;
    if (typeof given !== "object" || given === null) {
      this.#exchange.writeHeaders(new HeadersOf(response));
      return args;
    }
    if (Array.isArray(given)) {
      setHeadersIn(given, response);
      this.#exchange.writeHeaders(new HeadersOf(response));
      return args.slice(0, -1);
    }
    // Setting them one by one would take Node from its fast way to a slow one.
    const headers = new GivenHeaders(response, given);
    this.#exchange.writeHeaders(headers);
    return args.with(-1, headers.all);
  }

  /** Where nothing can come between the headers and the end, a late change is the programmer's to know of. */
  #reportAfterEnd(): void {
    if (!production) this.#response.once("close", () => this.#exchange.reportLateChanges());
  }

  /** Ends a response whose headers have left, with what changed meanwhile stored or reported. */
  #end({ original, args }: Call): unknown {
    this.#ended = true;
    if (this.#isWhole) {
      this.#reportAfterEnd();
      return original.apply(this.#response, args);
    }
    const storing = this.#exchange.commitLate?.();
    if (!(storing instanceof Promise)) {
      this.#exchange.reportLateChanges();
      return original.apply(this.#response, args);
    }
    storing.catch(this.#onFailure).finally(() => original.apply(this.#response, args));
    return this.#response;
  }

  #replay(): void {
    this.#state = "committed";
    if (this.#calls === undefined) return;
    const [first, ...rest] = this.#calls as [Call, ...Call[]];
    this.#restoreHead();
    try {
      this.#release(first);
      for (const call of rest) {
        if (call.method === "end") this.#end(call);
        else call.original.apply(this.#response, call.args);
      }
    } catch (error) {
      // What Node throws at the caller of a wrong `write` or `writeHead`; the caller has gone on.
      this.#response.destroy(error as Error);
      return;
    }
    const waiting = rest.concat(first).some(({ method }) => method === "write");
    if (waiting && !this.#ended && !this.#response.writableNeedDrain) this.#response.emit("drain");
  }

  #fail(): void {
    this.#state = "failed";
    this.#calls = undefined;
    const response = this.#response;
    // An adapter that waits for `commit` is done with the handler.
    this.#errorPage = new ErrorPage(response, this.#ended || this.#failureIsTold);
    if (response.headersSent) return;
    // What described the handler's answer must not describe the error's.
    for (const name of response.getHeaderNames()) {
      if (describesAnswer(name)) response.removeHeader(name);
    }
    setStatusMessage(response, "");
  }

  #keepHead(): void {
    const response = this.#response;
    this.#head = {
      status: response.statusCode,
      message: hasStatusMessage(response) ? response.statusMessage : "",
      headers: { ...response.getHeaders() },
    };
  }

  /** An error handler that ran after the handler had answered may have changed the head of an answer that stands. */
  #restoreHead(): void {
    const response = this.#response;
    const { status, message, headers } = this.#head!;
    response.statusCode = status;
    setStatusMessage(response, message);
    for (const name of response.getHeaderNames()) if (!(name in headers)) response.removeHeader(name);
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && response.getHeader(name) !== value)
        response.setHeader(name, value as string);
    }
  }
}

/** Whether a header says something of the one answer that it is on, which is not true of an error page in its place. */
export function describesAnswer(name: string): boolean {
  return /^(?:cache-control|content-.*|etag|expires|last-modified|location|transfer-encoding)$/.test(name);
}

/**
 * Puts the holding methods on the prototype of many responses: one whose `heldBy` is undefined works as ever. On a single
 * response they come before what a middleware has wrapped around it, and may be out of reach of who listens for "drain":
 * there a held `write` says that there is room.
 */
export function holdResponses(
  target: ServerResponse,
  heldBy: (response: ServerResponse) => HeldResponse | undefined,
  single = false,
): void {
  for (const method of METHODS) {
    const own = single || Object.hasOwn(target, method) ? (target[method] as Original) : undefined;
    Object.defineProperty(target, method, {
      configurable: true,
      writable: true,
      value(this: ServerResponse, ...args: unknown[]) {
        // What is above a prototype may change: libraries that inject requests put responses of their own there.
        const original: Original = own ?? Object.getPrototypeOf(target)[method];
        const held = heldBy(this);
        if (held === undefined) return original.apply(this, args);
        const answer = held.call(method, original, args);
        return answer === false && single ? true : answer;
      },
    });
  }
}

/** What holds back a response that has the methods below. */
const HELD = Symbol("held");

/** The holding methods of all responses by themselves: made anew for each, they would cost more than what they do. */
const holdingMethods = Object.fromEntries(
  METHODS.map((method) => [
    method,
    function (this: ServerResponse & { [HELD]: HeldResponse }, ...args: unknown[]) {
      return this[HELD].call(method, Object.getPrototypeOf(this)[method], args);
    },
  ]),
) as unknown as Pick<ServerResponse, Method>;

/** Holds one response that has a prototype which isn't the application's to change. */
export function holdResponse(response: ServerResponse, held: HeldResponse): void {
  if (isWrapped(response)) {
    holdResponses(response, () => held, true);
    return;
  }
  (response as ServerResponse & { [HELD]?: HeldResponse })[HELD] = held;
  response.writeHead = holdingMethods.writeHead;
  response.flushHeaders = holdingMethods.flushHeaders;
  response.write = holdingMethods.write;
  response.end = holdingMethods.end;
}

/** HTTP/2 has none, and warns where one is read or set. */
function hasStatusMessage(response: ServerResponse): boolean {
  return response.req.httpVersionMajor < 2;
}

function setStatusMessage(response: ServerResponse, message: string): void {
  if (hasStatusMessage(response) && response.statusMessage !== message) response.statusMessage = message;
}

/** Whether a middleware has put a method of its own over one of those that the headers leave by. */
export function isWrapped(response: ServerResponse): boolean {
  return METHODS.some((method) => Object.hasOwn(response, method));
}

/** Sets the headers of a list that `writeHead` was given as usual ones: [[name, value], …] or [name, value, name, value, …]. */
function setHeadersIn(given: readonly any[], response: ServerResponse): void {
  const flat = given.flat(1);
  for (let i = 0; i < flat.length; i += 2) response.removeHeader(String(flat[i]));
  for (let i = 0; i < flat.length; i += 2) response.appendHeader(String(flat[i]), flat[i + 1]);
}

class HeadersOf implements ResponseHeaders {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get(name: string): string | undefined {
    return textOf(this.#response.getHeader(name));
  }

  set(name: string, value: string): void {
    this.#response.setHeader(name, value);
  }

  append(name: string, value: string): void {
    this.#response.appendHeader(name, value);
  }
}

/** A copy of the headers that `writeHead` was given. Behind them stand those that were set before. */
class GivenHeaders implements ResponseHeaders {
  readonly all: Record<string, OutgoingHttpHeader> = {};
  readonly #response: ServerResponse;

  constructor(response: ServerResponse, given: object) {
    this.#response = response;
    for (const [name, value] of Object.entries(given)) if (value !== undefined) this.all[name] = value;
  }

  get(name: string): string | undefined {
    return textOf(this.#valueOf(name));
  }

  set(name: string, value: string): void {
    this.all[this.#keyOf(name)] = value;
  }

  append(name: string, value: string): void {
    const before = this.#valueOf(name);
    this.all[this.#keyOf(name)] = before === undefined ? value : [before, value].flat().map(String);
  }

  #valueOf(name: string): OutgoingHttpHeader | undefined {
    return this.all[this.#keyOf(name)] ?? this.#response.getHeader(name);
  }

  /** The name as it was given, whatever its case. */
  #keyOf(name: string): string {
    const lower = name.toLowerCase();
    for (const key of Object.keys(this.all)) if (key.toLowerCase() === lower) return key;
    return name;
  }
}

function textOf(value: OutgoingHttpHeader | undefined): string | undefined {
  return value === undefined ? undefined : Array.isArray(value) ? value.join(", ") : String(value);
}
