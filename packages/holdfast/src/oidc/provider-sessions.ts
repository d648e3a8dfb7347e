import type { Engine } from "../engine/engine.js";
import type { Identity } from "../engine/record.js";
import { endLivingSessions, type LivingSession } from "../engine/users/living-sessions.js";
import { Grants } from "./grants.js";
import { Notes } from "./notes.js";

/** Whose the sessions are that a provider's session, or its user, led to here. */
interface Binding {
  readonly userIds: readonly string[];
  /** When the provider ended it, in milliseconds: no login that was under way then may still begin a session. */
  readonly endedAt?: number;
}

/** A user may be several here, over time; more than this is no honest history. */
const MAX_USERS = 20;

/** Finds the sessions that a provider wants ended, by its session (`sid`) or by its user (`sub`). */
export class ProviderSessions {
  readonly #engine: Engine;
  readonly #bindings: Notes<Binding>;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#bindings = new Notes(engine, "provider session");
  }

  /** Notes, before a login, whose session it is going to be. */
  async bind({ issuer, subject, sid }: Identity, userId: string): Promise<void> {
    const until = this.#engine.clock() + this.#engine.absoluteTimeout;
    const add = (binding: Binding | undefined): Binding => ({
      ...binding,
      userIds: [...new Set([userId, ...(binding?.userIds ?? [])])].slice(0, MAX_USERS),
    });
    await this.#bindings.change(subKey(issuer, subject), until, add);
    if (sid !== undefined) await this.#bindings.change(sidKey(issuer, sid), until, add);
  }

  /** Whether the provider has ended its session, or all of its user's since a time. */
  async hasEnded({ issuer, subject, sid }: Identity, since: number): Promise<boolean> {
    if (sid !== undefined && (await this.#bindings.read(sidKey(issuer, sid)))?.endedAt !== undefined)
      return true;
    const { endedAt } = (await this.#bindings.read(subKey(issuer, subject))) ?? {};
    return endedAt !== undefined && endedAt >= since;
  }

  /** Ends every session that came of a provider's session, or where that is not named of its user. The number ended. */
  async end(issuer: string, subject: string | undefined, sid: string | undefined): Promise<number> {
    const engine = this.#engine;
    const key = sid === undefined ? subKey(issuer, subject!) : sidKey(issuer, sid);
    const endedAt = engine.clock();
    const binding = await this.#bindings.change(key, endedAt + engine.absoluteTimeout, (before) => ({
      userIds: before?.userIds ?? [],
      endedAt,
    }));
    const isMeant = (identity: Identity | undefined) =>
      identity?.issuer === issuer &&
      (sid === undefined || identity.sid === sid) &&
      (subject === undefined || identity.subject === subject);
    const grants = new Set<string>();
    let ended = 0;
    for (const userId of binding?.userIds ?? []) {
      const meant = (living: readonly LivingSession[]) =>
        living.filter(({ meta: { identity } }) => {
          if (!isMeant(identity)) return false;
          if (identity!.grant !== undefined) grants.add(identity!.grant);
          return true;
        });
      ended += await endLivingSessions(engine, userId, { by: "revoke", reason: "revoked" }, meant);
    }
    for (const grant of grants) await new Grants(engine).remove(grant);
    return ended;
  }
}

function sidKey(issuer: string, sid: string): string {
  return JSON.stringify(["sid", issuer, sid]);
}

function subKey(issuer: string, subject: string): string {
  return JSON.stringify(["sub", issuer, subject]);
}
