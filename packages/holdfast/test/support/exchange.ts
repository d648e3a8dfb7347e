import type { Exchange } from "../../src/engine/exchange.js";
import type { SessionRequest } from "../../src/engine/request.js";

/** A request for the engine, without a server: from a browser over HTTPS, unless `headers` or `encrypted` say otherwise. */
export function requestWith(
  cookie: string | undefined,
  headers: Record<string, string> = {},
  encrypted = true,
): SessionRequest {
  const all: Record<string, string | undefined> = { host: "shop.example", cookie, ...headers };
  return { method: "GET", target: "/", header: (name) => all[name], encrypted, remoteAddress: "192.0.2.1" };
}

/** Ends an exchange; the lines that its response would carry, by lower-case name. */
export async function finish(exchange: Exchange<any>): Promise<Record<string, string[]>> {
  await exchange.commit();
  const lines: Record<string, string[]> = {};
  exchange.writeHeaders({
    get: (name) => lines[name.toLowerCase()]?.join(", "),
    set(name, value) {
      lines[name.toLowerCase()] = [value];
    },
    append(name, value) {
      const key = name.toLowerCase();
      lines[key] = [...(lines[key] ?? []), value];
    },
  });
  return lines;
}

/** The name=value of the session cookie that an exchange sets; undefined where it sets none. */
export async function finishedCookie(exchange: Exchange<any>): Promise<string | undefined> {
  return (await finish(exchange))["set-cookie"]?.[0]?.split(";", 1)[0];
}
