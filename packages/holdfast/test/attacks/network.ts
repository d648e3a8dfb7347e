import type { createServer, IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Server } from "node:net";
import { listen } from "../support/browser.js";
import { certificateFor } from "../support/certificate.js";

/** A request that went by the attacker in the clear. */
export interface Seen {
  readonly host: string;
  readonly cookie: string | undefined;
}

/**
 * The network between a browser and some sites, as a proxy: by it the browser reaches all of them under their names, and
 * whoever sits on it reads and changes what is not encrypted.
 */
export interface Network {
  readonly proxy: string;
  /** What an on-path attacker has read. */
  readonly seen: readonly Seen[];
  /** What an on-path attacker does to a plain-HTTP request, or answers in place of the site. */
  tamper: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  close(): Promise<void>;
}

/** @param sites what answers, by host; each over HTTPS and over plain HTTP. */
export async function networkOf(sites: Record<string, RequestListener>): Promise<Network> {
  const certificate = certificateFor(...Object.keys(sites));
  const tlsPorts = new Map<string, number>();
  const closing: Array<() => Promise<void>> = [];
  for (const [host, listener] of Object.entries(sites)) {
    const server = createTlsServer(certificate, listener);
    tlsPorts.set(host, await portOf(server));
    closing.push(() => closed(server));
  }

  const seen: Seen[] = [];
  const network: Network = { proxy: "", seen, tamper: undefined, close: async () => {} };
  const { url, server, close } = await listen((request, response) => {
    const { host, pathname, search } = new URL(request.url!);
    seen.push({ host, cookie: request.headers.cookie });
    request.url = pathname + search;
    network.tamper?.(request, response);
    if (response.writableEnded) return;
    const site = sites[host];
    if (site === undefined) response.writeHead(502).end();
    else site(request as any, response as any);
  });
  server.on("connect", (request, socket, head) => {
    const port = tlsPorts.get(request.url!.replace(/:443$/, ""));
    if (port === undefined) return socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    const upstream = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on("error", () => upstream.destroy());
  });
  return Object.assign(network, {
    proxy: url,
    async close() {
      await close();
      for (const one of closing) await one();
    },
  });
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function closed(server: ReturnType<typeof createServer>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
