import type { ServerResponse } from "node:http";

/** Milliseconds. */
const LONGEST_WAIT = 10_000;

/**
 * Tells, after a commit that failed, the error page from a handler that has not noticed and goes on writing. The page is what
 * follows the end of the handler's answer, what sets a status, or what is written while the error is being told.
 */
export class ErrorPage {
  readonly #response: ServerResponse;
  #handlerHasEnded: boolean;
  #hasBegun = false;
  #hasEnded = false;
  #hasStatus = false;

  constructor(response: ServerResponse, handlerHasEnded: boolean) {
    this.#response = response;
    this.#handlerHasEnded = handlerHasEnded;
    Object.defineProperty(response, "statusCode", {
      configurable: true,
      get: () => 503,
      set: (status: number) => {
        this.#hasStatus = true;
        this.#useStatus(status);
      },
    });
  }

  /** Tells the error: what is written meanwhile is the page. */
  whileToldBy(tell: () => void): void {
    const before = this.#handlerHasEnded;
    this.#handlerHasEnded = true;
    tell();
    this.#handlerHasEnded = before;
  }

  /** Whether a call is the page's; any other is to be dropped. */
  admits(method: "writeHead" | "flushHeaders" | "write" | "end"): boolean {
    if (this.#hasEnded) return false;
    if (!this.#hasBegun && !this.#hasStatus && !this.#handlerHasEnded && method !== "writeHead") {
      if (method === "end") this.#dropEnd();
      return false;
    }
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      // A page that sets no status of its own has the failure's.
      if (!this.#hasStatus) this.#useStatus(503);
    }
    return true;
  }

  ended(): void {
    this.#hasEnded = true;
  }

  /** It was the handler's, or, rarely, that of a page which sets no status and takes its time: that must not hang for ever. */
  #dropEnd(): void {
    this.#handlerHasEnded = true;
    setTimeout(() => {
      if (!this.#hasBegun) this.#response.destroy();
    }, LONGEST_WAIT).unref();
  }

  #useStatus(status: number): void {
    Reflect.deleteProperty(this.#response, "statusCode");
    this.#response.statusCode = status;
  }
}
