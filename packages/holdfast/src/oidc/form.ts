import type { IncomingMessage } from "node:http";

/** Bytes; a logout token takes one or two thousand. */
export const MAX_FORM = 16_384;

/** A posted form: as a body parser has left it, or read from the request. Empty for anything else. */
export async function readForm(request: IncomingMessage, parsed: unknown): Promise<URLSearchParams> {
  const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return new URLSearchParams();
  if (parsed !== undefined && parsed !== null && !(isEmpty(parsed) && !request.readableDidRead))
    return fromParsed(parsed);
  const chunks: Buffer[] = [];
  let size = 0;
  // What is too long is left unread, and the connection stays, for the answer has to go there.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_FORM) return new URLSearchParams();
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}

/** What a parser for other bodies leaves, as one for JSON does: the form itself has yet to be read. */
function isEmpty(parsed: unknown): boolean {
  return typeof parsed === "object" && Object.keys(parsed as object).length === 0;
}

/** Text or bytes as they came, or an object of fields. */
export function fromParsed(parsed: unknown): URLSearchParams {
  if (typeof parsed === "string") return new URLSearchParams(parsed);
  if (parsed instanceof Uint8Array) return new URLSearchParams(new TextDecoder().decode(parsed));
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(parsed as object)) {
    for (const each of Array.isArray(value) ? value : [value])
      if (typeof each === "string") form.append(name, each);
  }
  return form;
}
