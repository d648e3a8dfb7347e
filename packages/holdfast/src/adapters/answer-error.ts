import { type ServerResponse, STATUS_CODES } from "node:http";
import { shown } from "../shown.js";
import { warn } from "../warn.js";

/** Answers with the error's status and nothing else: what went wrong is for the one who runs the server. */
export function answerError(response: ServerResponse, error: unknown): void {
  warn("HOLDFAST_HANDLER", `a request failed: ${error instanceof Error ? error.stack : shown(error)}`);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status } = (error ?? {}) as { status?: unknown };
  response.statusCode = typeof status === "number" && status >= 400 && STATUS_CODES[status] ? status : 500;
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(STATUS_CODES[response.statusCode]);
}
