import type { IncomingMessage } from "node:http";
import type { Request, Response } from "express";
import type { OidcAnswer, OidcRequest } from "./exchange.js";
import { readForm } from "./form.js";

/** A request of Express 4 or 5, as the login needs it. */
export function requestOf(req: Request): OidcRequest {
  return {
    method: req.method,
    path: req.originalUrl,
    header: (name) => req.get(name),
    form: () => readForm(req as IncomingMessage, (req as { body?: unknown }).body),
  };
}

/** Sends an answer of the login by Express. */
export function send(res: Response, { status, headers, body }: OidcAnswer): void {
  res.status(status);
  for (const [name, value] of headers) {
    if (name === "Set-Cookie") res.append(name, value);
    else res.set(name, value);
  }
  res.end(body);
}
