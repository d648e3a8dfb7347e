import type { IncomingMessage } from "node:http";

/** A request as the console reads it, whatever framework it came through. */
export interface ReceivedRequest {
  readonly method: string;
  /** Path and query as the browser sent them. */
  readonly target: string;
  header(name: string): string | undefined;
  /** The fields of a form; undefined for what is none. */
  form(): Promise<URLSearchParams | undefined>;
}

/** A form of a thousand session ids takes 60 KB. */
const LARGEST = 256 * 1024;

const isForm = (type: string | null | undefined) =>
  /^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(type ?? "");

export function fromFetch(request: Request): ReceivedRequest {
  const { pathname, search } = new URL(request.url);
  return {
    method: request.method,
    target: pathname + search,
    header: (name) => request.headers.get(name) ?? undefined,
    async form() {
      if (!isForm(request.headers.get("content-type"))) return undefined;
      let text = "";
      const decoder = new TextDecoder();
      for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
        text += decoder.decode(chunk, { stream: true });
        if (text.length > LARGEST) return undefined;
      }
      return new URLSearchParams(text);
    },
  };
}

export function fromNode(request: IncomingMessage, context: unknown): ReceivedRequest {
  const { originalUrl, url } = request as IncomingMessage & { originalUrl?: string };
  return {
    method: request.method ?? "GET",
    target: originalUrl ?? url ?? "/",
    header(name) {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    },
    async form() {
      if (!isForm(request.headers["content-type"])) return undefined;
      const parsed = parsedBody(request, context);
      if (parsed !== undefined) return formOf(parsed);
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of request) {
        size += chunk.length;
        if (size > LARGEST) return undefined;
        chunks.push(chunk);
      }
      return new URLSearchParams(Buffer.concat(chunks).toString());
    },
  };
}

/** What a body parser has read already, in front of us: then nothing is left in the stream. */
function parsedBody(request: IncomingMessage, context: unknown): unknown {
  const { body, request: ofKoa } = (context ?? {}) as { body?: unknown; request?: { body?: unknown } };
  const candidates = [(request as { body?: unknown }).body, ofKoa?.body, body];
  return candidates.find((each) => typeof each === "string" || (typeof each === "object" && each !== null));
}

function formOf(parsed: unknown): URLSearchParams {
  if (typeof parsed === "string") return new URLSearchParams(parsed);
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(parsed as Record<string, unknown>)) {
    // Some parsers make an object of a long list.
    const values = typeof value === "object" && value !== null ? Object.values(value) : [value];
    for (const each of values) if (typeof each === "string") form.append(name, each);
  }
  return form;
}
