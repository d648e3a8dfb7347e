import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Arrival, type Send, type Sending, sendOverHttp1 } from "./http.js";

/** A response, read to its end. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Headers;
  readonly setCookie: string[];
}

/** A client over real HTTP that keeps cookies as a browser does: the last `Set-Cookie` that arrives wins. */
export class Browser {
  readonly #base: string;
  readonly #send: Send;
  readonly cookies = new Map<string, string>();

  constructor(base: string, send: Send = sendOverHttp1) {
    this.#base = base;
    this.#send = send;
  }

  get cookieHeader(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  get(path: string, headers: Sending["headers"] = {}): Promise<Answer> {
    return this.#ask("GET", path, headers);
  }

  head(path: string, headers: Sending["headers"] = {}): Promise<Answer> {
    return this.#ask("HEAD", path, headers);
  }

  post(path: string, headers: Sending["headers"] = {}): Promise<Answer> {
    return this.#ask("POST", path, headers);
  }

  /** Sends a request; resolves as soon as the headers have arrived, and takes their cookies. */
  async open(method: string, path: string, sending: Partial<Sending> = {}): Promise<Arrival> {
    const cookie = this.cookieHeader;
    const headers = { ...(cookie && { cookie }), ...sending.headers };
    const arrival = await this.#send(this.#base + path, { method, ...sending, headers });
    for (const line of arrival.headers.getSetCookie()) this.#take(line);
    return arrival;
  }

  /** Another browser that has the same cookies: as an attacker who copied them, or before it hears from another server. */
  twin(base = this.#base): Browser {
    const twin = new Browser(base, this.#send);
    for (const [name, value] of this.cookies) twin.cookies.set(name, value);
    return twin;
  }

  async #ask(method: string, path: string, headers: Sending["headers"]): Promise<Answer> {
    const arrival = await this.open(method, path, { headers });
    const setCookie = arrival.headers.getSetCookie();
    return { status: arrival.status, body: await arrival.text(), headers: arrival.headers, setCookie };
  }

  #take(line: string): void {
    const [pair = "", ...attributes] = line.split("; ");
    const name = pair.slice(0, pair.indexOf("="));
    if (attributes.some(isPast)) this.cookies.delete(name);
    else this.cookies.set(name, pair.slice(name.length + 1));
  }
}

function isPast(attribute: string): boolean {
  return attribute === "Max-Age=0" || /^expires=Thu, 01 Jan 1970/i.test(attribute);
}

/** A server on a free loopback port; `close` ends its connections too. */
export async function listen(
  listener: RequestListener,
): Promise<{ url: string; server: Server; close(): Promise<void> }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, close };
}
