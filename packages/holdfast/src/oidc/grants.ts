import type { Engine } from "../engine/engine.js";
import { Notes } from "./notes.js";

/** What a provider gave with a login. Times in milliseconds since the epoch. */
export interface Tokens {
  readonly idToken?: string | undefined;
  readonly accessToken?: string | undefined;
  /** When to fetch another access token: somewhat before this one ends. Undefined: it is not known to end. */
  readonly refreshAt?: number | undefined;
  readonly refreshToken?: string | undefined;
}

interface Grant {
  /** The tokens, sealed for this grant. */
  readonly sealed: string;
  /** Who refreshes them now, and until when that is to be believed. */
  readonly refresher?: { readonly by: string; readonly until: number } | undefined;
}

/** The tokens of each login, sealed, in a record of their own: refreshing them touches no session. */
export class Grants {
  readonly #engine: Engine;
  readonly #notes: Notes<Grant>;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#notes = new Notes(engine, "grant");
  }

  async add(id: string, tokens: Tokens, until: number): Promise<void> {
    await this.#notes.add(id, { sealed: this.#seal(id, tokens) }, until);
  }

  async read(id: string): Promise<Tokens | undefined> {
    const grant = await this.#notes.read(id);
    return grant && this.#open(id, grant);
  }

  /** Forgets the tokens once the requests that are under way now don't need them any more. */
  async retire(id: string): Promise<void> {
    await this.#notes.shorten(id, this.#engine.clock() + this.#engine.grace);
  }

  async remove(id: string): Promise<void> {
    await this.#notes.remove(id);
  }

  /**
   * Lets one caller of all processes refresh the tokens that `isStale` says need it. `refresh` is called where it is our turn;
   * else this waits for whoever it is, but no longer than the lease. The tokens as they are then; undefined where they are
   * gone.
   * @param lease milliseconds after which a refresh that has not come back is given up.
   */
  async refresh(
    id: string,
    isStale: (tokens: Tokens) => boolean,
    refresh: (tokens: Tokens) => Promise<Tokens>,
    lease: number,
  ): Promise<Tokens | undefined> {
    const by = crypto.randomUUID();
    for (;;) {
      const now = this.#engine.clock();
      const grant = await this.#notes.change(id, 0, (current) => {
        if (current === undefined || !isStale(this.#open(id, current))) return undefined;
        if (current.refresher !== undefined && current.refresher.until > now) return undefined;
        return { ...current, refresher: { by, until: now + lease } };
      });
      if (grant === undefined) return undefined;
      const tokens = this.#open(id, grant);
      if (grant.refresher?.by === by) return this.#take(id, by, tokens, refresh);
      if (!isStale(tokens)) return tokens;
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 50));
    }
  }

  async #take(
    id: string,
    by: string,
    before: Tokens,
    refresh: (tokens: Tokens) => Promise<Tokens>,
  ): Promise<Tokens> {
    let after = before;
    try {
      after = await refresh(before);
      return after;
    } finally {
      await this.#notes.change(id, 0, (current) => {
        if (current?.refresher?.by !== by) return undefined;
        return { sealed: this.#seal(id, after) };
      });
    }
  }

  #seal(id: string, tokens: Tokens): string {
    return this.#engine.keyring.sealer("oidc/tokens").seal(JSON.stringify(tokens), id);
  }

  #open(id: string, { sealed }: Grant): Tokens {
    const opened = this.#engine.keyring.sealer("oidc/tokens").open(sealed, id);
    return opened === undefined ? {} : JSON.parse(opened.text);
  }
}
