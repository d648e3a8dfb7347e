import { ConfigurationError } from "../errors.js";
import { shown } from "../shown.js";
import type { Store } from "./contract.js";

export interface CookieStoreOptions {
  /**
   * Over how many cookies a session may be spread, about 4 KB each, 1 to 9. Servers limit all headers together: Node to
   * 16 KB, nginx one line (the `Cookie` header is one) to 8 KB. Default: 2.
   */
  maxCookies?: number;
  /**
   * Where to note which sessions were ended, so that a copy of their cookie is good no more: any Holdfast store, at one
   * read a request. A list that is lost brings back what it had ended, so no `memoryStore` in production. Default: none, and
   * then the cookie is good until its deadlines, wherever a copy of it is.
   */
  revocations?: Store;
}

/** Says that sessions are kept in the browser, sealed. */
export interface CookieStore<Revocable extends boolean = boolean> {
  readonly name: "cookie";
  readonly maxCookies: number;
  readonly revocations: Revocable extends true ? Store : Store | undefined;
  /** @internal */
  readonly revocable?: Revocable;
}

/**
 * Sessions that live in the cookie, sealed with AES-256-GCM under the secrets: no store at all, and its price. Overlapping
 * requests overwrite each other's changes, and nobody can list a user's sessions; see `docs/stores/cookie.md`.
 * @throws ConfigurationError for a list that is no store, or a number of cookies that is none.
 */
export function cookieStore(options: CookieStoreOptions & { revocations: Store }): CookieStore<true>;
export function cookieStore(options?: CookieStoreOptions & { revocations?: undefined }): CookieStore<false>;
export function cookieStore(options: CookieStoreOptions = {}): CookieStore {
  const { maxCookies = 2, revocations } = options;
  for (const name of Object.keys(options)) {
    if (name !== "maxCookies" && name !== "revocations")
      throw new ConfigurationError(
        `cookieStore.${name}`,
        "is not an option; there are maxCookies, revocations",
      );
  }
  if (!Number.isInteger(maxCookies) || maxCookies < 1 || maxCookies > 9) {
    throw new ConfigurationError(
      "cookieStore.maxCookies",
      `expected a whole number from 1 to 9, got ${shown(maxCookies)}`,
    );
  }
  if (revocations !== undefined) assertList(revocations);
  return { name: "cookie", maxCookies, revocations };
}

/** The methods of a store that the list needs. */
const LIST_METHODS = ["load", "create", "replace", "sweep", "close"];

function assertList(revocations: unknown): void {
  const candidate = revocations as Record<string, unknown> | null;
  const missing = LIST_METHODS.filter((method) => typeof candidate?.[method] !== "function");
  if (missing.length > 0) {
    throw new ConfigurationError(
      "cookieStore.revocations",
      `expected a Holdfast store, such as sqliteStore({ path }); it has no ${missing.join(", ")}`,
    );
  }
}
