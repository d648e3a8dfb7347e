import type { SessionRequest } from "../engine/request.js";
import type { ResponseHeaders } from "../engine/transport.js";

/** A `Request` of the Fetch standard, as the engine reads it. */
export class WebRequest implements SessionRequest {
  readonly #request: Request;
  readonly remoteAddress: string | undefined;

  constructor(request: Request, remoteAddress: string | undefined) {
    this.#request = request;
    this.remoteAddress = remoteAddress;
  }

  get method(): string {
    return this.#request.method;
  }

  get target(): string {
    const { pathname, search } = new URL(this.#request.url);
    return pathname + search;
  }

  header(name: string): string | undefined {
    // Not every server that makes a Request gives it a Host header; all give it a URL.
    if (name === "host") return this.#request.headers.get("host") ?? new URL(this.#request.url).host;
    // Pseudo-headers of HTTP/2 are no names that Headers takes.
    return name.startsWith(":") ? undefined : (this.#request.headers.get(name) ?? undefined);
  }

  get encrypted(): boolean {
    return this.#request.url.startsWith("https:");
  }
}

/** The headers of a `Response`, as the engine writes them. */
export function webHeaders(headers: Headers): ResponseHeaders {
  return {
    get: (name) => headers.get(name) ?? undefined,
    set: (name, value) => headers.set(name, value),
    append: (name, value) => headers.append(name, value),
  };
}
