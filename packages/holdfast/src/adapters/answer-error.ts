import type { ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { RefusedError } from "../errors.js";
import { shown } from "../shown.js";
import { warn } from "../warn.js";
import { describesAnswer, type HeldResponse } from "./held-response.js";

/** Of HTTP/2 (RFC 9113 7). */
const INTERNAL_ERROR = 0x2;

/**
 * Answers with the error's status and nothing else: what went wrong is for the one who runs the server. An answer that is
 * whole already stands, one that has begun is cut off, so that nobody takes it for whole.
 */
export function answerError(response: ServerResponse, error: unknown, held?: HeldResponse): void {
  if (!(error instanceof RefusedError))
    warn("HOLDFAST_HANDLER", `a request failed: ${error instanceof Error ? error.stack : shown(error)}`);
  if (response.writableEnded || held?.hasAnswer) return;
  if (response.headersSent || held?.hasBegun) {
    cutOff(response);
    return;
  }
  for (const name of response.getHeaderNames()) if (describesAnswer(name)) response.removeHeader(name);
  // Not imported: Hono's adapter brings this file to runtimes without node:http, where it is never called.
  const { STATUS_CODES } = process.getBuiltinModule("node:http");
  const { statusCode, status = statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown };
  response.statusCode = typeof status === "number" && status >= 400 && STATUS_CODES[status] ? status : 500;
  const body = STATUS_CODES[response.statusCode]!;
  const { headers = {} } = error instanceof RefusedError ? error : {};
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Content-Length", body.length);
  response.end(body);
}

/** Over HTTP/2, what is destroyed without an error looks like an end that was meant. */
function cutOff(response: ServerResponse): void {
  const { stream } = response as { stream?: ServerHttp2Stream };
  if (stream === undefined) response.destroy();
  else stream.close(INTERNAL_ERROR);
}
