import { type IncomingHttpHeaders, request } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";

export interface Sending {
  readonly method: string;
  /** A list sends a line for each. */
  readonly headers: Record<string, string | string[]>;
  /** Goes away in the middle: over HTTP/1.1 by closing the connection, over HTTP/2 by resetting the stream. */
  readonly signal?: AbortSignal | undefined;
}

/** A response whose headers have arrived. Nothing reads its body but who asks for it. */
export interface Arrival {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readable;
  text(): Promise<string>;
}

/** Sends a request, without a body. Where `fetch` would add headers, follow redirects or hide a 304, this doesn't. */
export type Send = (url: string, sending: Sending) => Promise<Arrival>;

/** Over HTTP/1.1. */
export const sendOverHttp1: Send = (url, sending) =>
  new Promise((resolve, reject) => {
    request(url, { ...sending })
      .on("response", (response) => resolve(arrival(response.statusCode!, response.headers, response)))
      .on("error", reject)
      .end();
  });

/** Over HTTP/2 without TLS, by one connection for each server. */
export function sendOverHttp2(): Send {
  const connections = new Map<string, ClientHttp2Session>();

  const connectionTo = (origin: string) => {
    const open = connections.get(origin);
    if (open !== undefined) return open;
    // What is wrong with it is told to each of its requests.
    const connection = connect(origin).on("error", () => {});
    connection.on("close", () => connections.delete(origin));
    connections.set(origin, connection);
    return connection;
  };

  return (url, { method, headers, signal }) =>
    new Promise((resolve, reject) => {
      const { origin, pathname, search } = new URL(url);
      const line = { ":method": method, ":path": pathname + search };
      const stream: ClientHttp2Stream = connectionTo(origin).request(
        { ...line, ...headers },
        { endStream: true, ...(signal && { signal }) },
      );
      stream.on("response", ({ ":status": status, ...rest }) => resolve(arrival(status!, rest, stream)));
      stream.on("error", reject);
      stream.on("close", () => reject(new Error("the stream was closed without an answer")));
    });
}

function arrival(status: number, received: IncomingHttpHeaders, body: Readable): Arrival {
  const headers = new Headers();
  for (const [name, value] of Object.entries(received)) {
    for (const line of [value ?? []].flat()) headers.append(name, line);
  }
  // Whoever reads is told of an error; whoever has gone away doesn't want to know.
  body.on("error", () => {});
  return {
    status,
    headers,
    body,
    text: () => text(body),
  };
}
