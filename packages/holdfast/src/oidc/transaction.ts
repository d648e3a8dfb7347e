import { createHash } from "node:crypto";
import { activeOf, type Session } from "../engine/session.js";
import { cookieValues } from "../token/cookie.js";
import type { Sealer } from "../token/seal.js";
import type { OidcRequest } from "./exchange.js";

/** One login that is under way: what the answer is checked against, and where it leads. */
export interface Transaction {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly returnTo: string;
  /** When it began, in milliseconds. */
  readonly at: number;
  /** Seconds; what was asked of the provider. */
  readonly maxAge?: number | undefined;
  readonly acrValues?: readonly string[] | undefined;
  /** Nobody was to be asked anything. */
  readonly silent?: boolean | undefined;
}

/** Of all their cookies together: servers take 16 KiB of headers, and a browser that sends more is locked out. */
const MAX_BYTES = 8192;

const NAME = /^[\w-]+$/;

/**
 * The logins of one browser that are under way: each in a short-lived sealed cookie of its own, so that several tabs can log
 * in at once. The cookie of another browser, or of another login, doesn't fit the answer's `state`.
 */
export class Transactions {
  readonly #prefix: string;
  readonly #attributes: string;
  readonly #lifetime: number;
  readonly #limit: number;

  /** @param lifetime milliseconds. @param limit the most logins of one browser at the same time. */
  constructor(baseUrl: URL, lifetime: number, limit: number) {
    const secure = baseUrl.protocol === "https:";
    this.#prefix = secure ? "__Host-oidc-" : "oidc-";
    // Lax: the provider sends the browser back by a link of its own.
    this.#attributes = `; Path=/; HttpOnly${secure ? "; Secure" : ""}; SameSite=Lax`;
    this.#lifetime = lifetime;
    this.#limit = limit;
  }

  /** The `Set-Cookie` lines that begin a login, and end the oldest where there are too many. */
  begin(session: Session<any>, request: OidcRequest, transaction: Transaction): string[] {
    const name = this.#nameOf(transaction.state);
    const sealed = sealerOf(session).seal(JSON.stringify(transaction), name);
    const maxAge = Math.floor(this.#lifetime / 1000);
    const newestFirst = this.#underWay(session, request).sort((a, b) => b.at - a.at);
    let room = MAX_BYTES - name.length - sealed.length;
    const tooMany = newestFirst.filter((other, index) => {
      room -= other.bytes;
      return index >= this.#limit - 1 || room < 0;
    });
    return [
      ...tooMany.map((other) => this.#erase(other.name)),
      `${name}=${sealed}; Max-Age=${maxAge}${this.#attributes}`,
    ];
  }

  /** The login that an answer belongs to, and the line that makes it the last answer; undefined where there is none. */
  end(
    session: Session<any>,
    request: OidcRequest,
    state: string,
  ): { transaction: Transaction; erase: string } | undefined {
    const name = this.#nameOf(state);
    const transaction = this.#read(session, request, name);
    if (transaction?.state !== state) return undefined;
    return { transaction, erase: this.#erase(name) };
  }

  #underWay(session: Session<any>, request: OidcRequest): Array<{ name: string; at: number; bytes: number }> {
    const cookies = new Map<string, number>();
    for (const pair of (request.header("cookie") ?? "").split(";")) {
      const name = pair.split("=", 1)[0]!.trim();
      if (NAME.test(name) && name.startsWith(this.#prefix)) cookies.set(name, pair.length);
    }
    return [...cookies].map(([name, bytes]) => {
      return { name, bytes, at: this.#read(session, request, name)?.at ?? 0 };
    });
  }

  #read(session: Session<any>, request: OidcRequest, name: string): Transaction | undefined {
    const values = cookieValues(request.header("cookie"), name, 1);
    if (values.length !== 1) return undefined;
    const opened = sealerOf(session).open(values[0]!, name);
    if (opened === undefined) return undefined;
    const transaction: Transaction = JSON.parse(opened.text);
    const now = activeOf(session).engine.clock();
    return transaction.at + this.#lifetime > now ? transaction : undefined;
  }

  #nameOf(state: string): string {
    return this.#prefix + createHash("sha256").update(state).digest("base64url").slice(0, 16);
  }

  #erase(name: string): string {
    return `${name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT${this.#attributes}`;
  }
}

function sealerOf(session: Session<any>): Sealer {
  return activeOf(session).engine.keyring.sealer("oidc/login");
}
