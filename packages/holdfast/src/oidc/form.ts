import type { IncomingMessage } from "node:http";

/** Bytes; a logout token takes one or two thousand. */
const MAX_FORM = 16_384;

/** A posted form: as a body parser has left it, or read from the request. Empty for anything else. */
export async function readForm(request: IncomingMessage, parsed: unknown): Promise<URLSearchParams> {
  const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return new URLSearchParams();
  if (parsed !== undefined && parsed !== null) return fromParsed(parsed);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_FORM) return new URLSearchParams();
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}

/** Text as it came, or an object of fields. */
export function fromParsed(parsed: unknown): URLSearchParams {
  if (typeof parsed === "string") return new URLSearchParams(parsed);
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(parsed as object)) {
    for (const each of Array.isArray(value) ? value : [value])
      if (typeof each === "string") form.append(name, each);
  }
  return form;
}
