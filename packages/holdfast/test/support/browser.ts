import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

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
  readonly cookies = new Map<string, string>();

  constructor(base: string) {
    this.#base = base;
  }

  get cookieHeader(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#request("GET", path, headers);
  }

  post(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#request("POST", path, headers);
  }

  /** Another browser that has the same cookies, as an attacker who copied them. */
  twin(): Browser {
    const twin = new Browser(this.#base);
    for (const [name, value] of this.cookies) twin.cookies.set(name, value);
    return twin;
  }

  async #request(method: string, path: string, headers: Record<string, string>): Promise<Answer> {
    const cookie = this.cookieHeader;
    const response = await fetch(this.#base + path, {
      method,
      redirect: "manual",
      headers: { ...(cookie && { cookie }), ...headers },
    });
    const setCookie = response.headers.getSetCookie();
    for (const line of setCookie) this.#take(line);
    return { status: response.status, body: await response.text(), headers: response.headers, setCookie };
  }

  #take(line: string): void {
    const [pair = "", ...attributes] = line.split("; ");
    const name = pair.slice(0, pair.indexOf("="));
    if (attributes.includes("Max-Age=0")) this.cookies.delete(name);
    else this.cookies.set(name, pair.slice(name.length + 1));
  }
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
