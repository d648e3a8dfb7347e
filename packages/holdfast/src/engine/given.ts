import { createHash } from "node:crypto";
import type { Store } from "../stores/contract.js";
import type { CookieStore } from "../stores/cookie.js";
import { isSecretSource } from "../token/secret-source.js";
import type { CookieSessionsOptions, SessionsOptions } from "./create-sessions.js";
import type { Engine } from "./engine.js";

type Options = Partial<Omit<SessionsOptions<any>, "store">> & { store?: Store | CookieStore };

/** What `createSessions` was given, as it was given. The secrets, and the keys of `encrypt`, are not among it: only what can be said of them. */
export interface Given {
  readonly options: Readonly<Omit<Options, "secrets">>;
  /** Where secrets come from that may change, as in "the file /run/secrets/session"; undefined for a list. */
  readonly secretSource: string | undefined;
  /** How many secrets a list has that are set. */
  readonly secretCount: number;
  /** The SHA-256 of each secret, and key of `encrypt`, that is text, to know one again that is written down somewhere. */
  readonly secretDigests: readonly string[];
}

export function given(all: SessionsOptions<any> | CookieSessionsOptions<any>): Given {
  const { secrets, encrypt, ...options }: Options = all;
  const source = isSecretSource(secrets) ? secrets.description : undefined;
  const list = source === undefined ? [secrets].flat().filter(Boolean) : [];
  const { keys, ...sealing } = typeof encrypt === "object" ? encrypt : {};
  const texts = [...list, ...(Array.isArray(keys) ? keys : [])].filter((each) => typeof each === "string");
  return {
    options: { ...options, encrypt: typeof encrypt === "object" ? sealing : encrypt },
    secretSource: source,
    secretCount: list.length,
    secretDigests: texts.map(digestOf),
  };
}

export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

/** By this the command line finds what is behind sessions, whichever copy of the package made them. */
export const BEHIND: unique symbol = Symbol.for("holdfast.behind") as never;

/** What is behind sessions; undefined for a value that is none. */
export function behind(sessions: unknown): Engine | undefined {
  return (sessions as { [BEHIND]?: Engine } | null | undefined)?.[BEHIND];
}
