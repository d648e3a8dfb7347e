import type { DefaultData } from "../engine/session.js";
import type { SessionSource } from "../engine/sessions.js";
import type { ResponseHeaders } from "../engine/transport.js";
import { ConfigurationError } from "../errors.js";

export interface MintOptions<Data> {
  /** Where the application under test listens: it decides the cookie's name and attributes. Default: "http://localhost". */
  url?: string;
  /** Who is logged in. Default: nobody. */
  userId?: string;
  /** What the session holds, beside what `initial` gives. */
  data?: Partial<Data>;
  /** Headers that the engine looks at: `user-agent`, or what a `transport` function reads. Lower-case names. */
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
    url: string;
    httpOnly: boolean;
    secure: boolean;
    sameSite: "Lax" | "Strict" | "None";
  }>;
}

/**
 * Makes a session as if somebody had come, and logged in where `userId` is given, by way of the engine and the store: what
 * the application then reads is real.
 */
export async function mintSession<Data extends object = DefaultData>(
  sessions: SessionSource<Data>,
  { url = "http://localhost", userId, data, headers = {} }: MintOptions<Data> = {},
): Promise<MintedSession> {
  if (!URL.canParse(url))
    throw new ConfigurationError("url", "expected the address of the application under test");
  const { host, protocol, origin } = new URL(url);
  const all: Record<string, string> = { ...headers, host };
  const exchange = await sessions.open({
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

  const cookies = lines.map((line) => cookieOf(line, origin));
  const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  return { id: session.id, headers: { cookie }, cookie, cookies };
}

function cookieOf(line: string, url: string): MintedSession["cookies"][number] {
  const [pair = "", ...attributes] = line.split("; ");
  const equals = pair.indexOf("=");
  const sameSite = attributes
    .find((attribute) => attribute.startsWith("SameSite="))
    ?.slice("SameSite=".length);
  return {
    name: pair.slice(0, equals),
    value: pair.slice(equals + 1),
    url,
    httpOnly: attributes.includes("HttpOnly"),
    secure: attributes.includes("Secure"),
    sameSite: sameSite as "Lax" | "Strict" | "None",
  };
}
