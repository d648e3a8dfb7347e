import type { DefaultData } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import type { ResponseHeaders } from "../engine/transport.js";
import { ConfigurationError } from "../errors.js";
import { shown } from "../shown.js";

export interface MintOptions<Data> {
  /** Where the application under test listens: it decides the cookie's name and attributes. Default: "http://localhost". */
  url?: string;
  /** Who is logged in. Default: nobody. */
  userId?: string;
  /** What the session holds, beside what `initial` gives. */
  data?: Partial<Data>;
  /** Headers that the engine looks at: `User-Agent`, or what a `transport` function reads. */
  headers?: Readonly<Record<string, string>>;
}

/** A session in the store, with its secret in every form that tests need. */
export interface MintedSession {
  /** The session id, as `session.id` gives it. */
  readonly id: string;
  /** The request headers that carry it, for `fetch`, supertest's `.set(headers)` and Fastify's `inject({ headers })`. */
  readonly headers: Readonly<Record<string, string>>;
  /** For `.set("Cookie", cookie)`; empty where sessions travel as bearer tokens. */
  readonly cookie: string;
  /** For Playwright's `context.addCookies(cookies)`. */
  readonly cookies: ReadonlyArray<{
    name: string;
    value: string;
    /** The host of `url`; with a dot before it, the `cookie.domain` of the application. */
    domain: string;
    path: string;
    httpOnly: boolean;
    secure: boolean;
    sameSite: "Lax" | "Strict" | "None";
  }>;
}

/**
 * Makes a session as if somebody had come, and logged in where `userId` is given, by way of the engine and the store: what
 * the application then reads is real.
 * @throws ConfigurationError for a `url` that is none of http or https, and what `session.login` and the store throw.
 */
export async function mintSession<Data extends object = DefaultData>(
  sessions: SessionSource<Data>,
  { url = "http://localhost", userId, data, headers = {} }: MintOptions<Data> = {},
): Promise<MintedSession> {
  const { host, hostname, protocol, pathname, search } = addressOf(url);
  const all: Record<string, string> = { host };
  for (const [name, value] of Object.entries(headers)) all[name.toLowerCase()] = value;
  const exchange = await sessions.open({
    method: "GET",
    target: pathname + search,
    header: (name) => all[name],
    encrypted: protocol === "https:",
    remoteAddress: "127.0.0.1",
  });
  const { session } = exchange;
  Object.assign(session.data, data);
  if (userId === undefined) await session.save();
  else await session.login(userId);
  if (session.isNew) await session.update(() => {});
  await exchange.commit();

  const lines: string[] = [];
  let token = "";
  const sink: ResponseHeaders = {
    get: () => undefined,
    set(name, value) {
      if (name === "Session-Token") token = value;
    },
    append: (_name, value) => lines.push(value),
  };
  exchange.writeHeaders(sink);
  if (token !== "")
    return { id: session.id, headers: { authorization: `Bearer ${token}` }, cookie: "", cookies: [] };

  const cookies = lines.map((line) => cookieOf(line, hostname));
  const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  return { id: session.id, headers: { cookie }, cookie, cookies };
}

function addressOf(url: string): URL {
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address?.protocol === "http:" || address?.protocol === "https:") return address;
  throw new ConfigurationError(
    "url",
    `expected the address of the application under test, as in "http://localhost:3000", got ${shown(url)}`,
  );
}

function cookieOf(line: string, hostname: string): MintedSession["cookies"][number] {
  const [pair = "", ...attributes] = line.split("; ");
  const equals = pair.indexOf("=");
  const attribute = (name: string) =>
    attributes.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1);
  const domain = attribute("Domain");
  return {
    name: pair.slice(0, equals),
    value: pair.slice(equals + 1),
    domain: domain === undefined ? hostname : `.${domain}`,
    path: attribute("Path") ?? "/",
    httpOnly: attributes.includes("HttpOnly"),
    secure: attributes.includes("Secure"),
    sameSite: attribute("SameSite") as "Lax" | "Strict" | "None",
  };
}
