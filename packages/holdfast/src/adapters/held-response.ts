import type { OutgoingHttpHeader, ServerResponse } from "node:http";
import type { Exchange, ResponseHeaders } from "../engine/exchange.js";
import { inProduction } from "../warn.js";

/** The methods of a response that make its headers leave. */
const METHODS = ["writeHead", "flushHeaders", "write", "end"] as const;
type Method = (typeof METHODS)[number];
type Call = readonly [method: Method, args: unknown[]];

const production = inProduction();

/**
 * Holds a response back from the moment that its first byte would leave until the session is committed. Calls that come
 * meanwhile are kept in order and made afterwards, with the status and the headers as they were at the first of them.
 *
 * `open` -> `committing` -> `released`; or `failed`, where what the handler had sent is dropped, `onFailure` is told, and
 * the response is free for an error page.
 */
export class HeldResponse {
  readonly #response: ServerResponse;
  readonly #originals: HoldingMethods;
  readonly #exchange: Exchange<any>;
  readonly #onFailure: (error: unknown) => void;
  #state: "open" | "committing" | "released" | "failed" = "open";
  #calls: Call[] = [];
  #ended = false;
  #head:
    | { status: number; message: string; headers: Record<string, OutgoingHttpHeader | undefined> }
    | undefined;

  constructor(
    response: ServerResponse,
    originals: HoldingMethods,
    exchange: Exchange<any>,
    onFailure: (error: unknown) => void,
  ) {
    this.#response = response;
    this.#originals = originals;
    this.#exchange = exchange;
    this.#onFailure = onFailure;
  }

  get passes(): boolean {
    return this.#state === "released" || this.#state === "failed";
  }

  /** What the method answers its caller: as Node would, but that a held `write` asks to wait for "drain". */
  call(method: Method, args: unknown[]): unknown {
    if (this.passes) {
      if (method === "end" && this.#state === "released") this.#exchange.reportLateChanges();
      return this.#originals[method].apply(this.#response, args);
    }
    if (this.#state === "committing") return this.#hold(method, args);

    this.#state = "committing";
    try {
      const pending = this.#exchange.commit();
      if (!(pending instanceof Promise)) return this.#release(method, args);
      this.#keepHead();
      pending.then(
        () => this.#replay(),
        (error) => this.#fail(error),
      );
      return this.#hold(method, args);
    } catch (error) {
      this.#fail(error);
      return this.#answer(method);
    }
  }

  #hold(method: Method, args: unknown[]): unknown {
    // Nothing can follow an end, as in Node.
    if (!this.#ended) this.#calls.push([method, args]);
    if (method === "end") this.#ended = true;
    return this.#answer(method);
  }

  #answer(method: Method): unknown {
    if (method === "write") return false;
    return method === "flushHeaders" ? undefined : this.#response;
  }

  /** Makes the first call, with the session's headers written in time. */
  #release(method: Method, args: unknown[]): unknown {
    this.#state = "released";
    const response = this.#response;
    const firstArgs = method === "writeHead" ? setHeadersOf(response, args) : args;
    if (!response.headersSent) this.#exchange.writeHeaders(headersOf(response));
    if (method === "end" && !production) response.once("close", () => this.#exchange.reportLateChanges());
    return this.#originals[method].apply(response, firstArgs);
  }

  #replay(): void {
    const [[method, args], ...rest] = this.#calls as [Call, ...Call[]];
    this.#restoreHead();
    try {
      this.#release(method, args);
      for (const [laterMethod, laterArgs] of rest) {
        this.#originals[laterMethod].apply(this.#response, laterArgs);
      }
    } catch (error) {
      // What Node throws at the caller of a wrong `write` or `writeHead`; the caller has gone on.
      this.#response.destroy(error as Error);
      return;
    }
    const held = this.#calls.some(([heldMethod]) => heldMethod === "write");
    if (held && !this.#ended && !this.#response.writableNeedDrain) this.#response.emit("drain");
  }

  #fail(error: unknown): void {
    this.#state = "failed";
    this.#calls = [];
    const response = this.#response;
    if (!response.headersSent) {
      // What described the handler's answer must not describe the error's.
      for (const name of response.getHeaderNames()) {
        if (/^(?:content-.*|etag|last-modified|location|transfer-encoding)$/.test(name))
          response.removeHeader(name);
      }
      response.statusCode = 200;
      response.statusMessage = "";
      this.#exchange.writeHeaders(headersOf(response));
    }
    this.#onFailure(error);
  }

  #keepHead(): void {
    const { statusCode, statusMessage } = this.#response;
    this.#head = { status: statusCode, message: statusMessage, headers: { ...this.#response.getHeaders() } };
  }

  /** An error handler that ran after the handler had answered may have changed the head of an answer that stands. */
  #restoreHead(): void {
    const response = this.#response;
    const { status, message, headers } = this.#head!;
    response.statusCode = status;
    response.statusMessage = message;
    for (const name of response.getHeaderNames()) if (!(name in headers)) response.removeHeader(name);
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && response.getHeader(name) !== value)
        response.setHeader(name, value as string);
    }
  }
}

/** The methods as they were. */
export type HoldingMethods = Record<Method, (...args: any[]) => unknown>;

/**
 * Puts the holding methods on a response, or on the prototype of many: one whose `heldBy` is undefined works as ever.
 */
export function holdResponses(
  target: ServerResponse,
  heldBy: (response: ServerResponse) => HeldResponse | undefined,
): HoldingMethods {
  const originals = {} as HoldingMethods;
  for (const method of METHODS) {
    const original = target[method] as (...args: any[]) => unknown;
    originals[method] = original;
    Object.defineProperty(target, method, {
      configurable: true,
      writable: true,
      value(this: ServerResponse, ...args: unknown[]) {
        const held = heldBy(this);
        return held === undefined ? original.apply(this, args) : held.call(method, args);
      },
    });
  }
  return originals;
}

/** Sets the headers that `writeHead` was given as usual ones, so that the session's join them. What is left to pass on. */
function setHeadersOf(response: ServerResponse, args: unknown[]): unknown[] {
  const given = args.at(-1);
  if (typeof given !== "object" || given === null) return args;
  if (!Array.isArray(given)) {
    for (const [name, value] of Object.entries(given))
      if (value !== undefined) response.setHeader(name, value);
  } else {
    // Either [[name, value], …] or [name, value, name, value, …].
    const flat = given.flat(1);
    for (let i = 0; i < flat.length; i += 2) response.removeHeader(String(flat[i]));
    for (let i = 0; i < flat.length; i += 2) response.appendHeader(String(flat[i]), flat[i + 1]);
  }
  return args.slice(0, -1);
}

function headersOf(response: ServerResponse): ResponseHeaders {
  return {
    get(name) {
      const value = response.getHeader(name);
      return value === undefined ? undefined : Array.isArray(value) ? value.join(", ") : String(value);
    },
    set: (name, value) => response.setHeader(name, value),
    append: (name, value) => response.appendHeader(name, value),
  };
}
