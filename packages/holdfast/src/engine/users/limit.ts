import { randomBytes } from "node:crypto";
import { ConflictError, TooManySessionsError } from "../../errors.js";
import type { StoreRecord } from "../../stores/contract.js";
import { sessionIdOf } from "../../token/token.js";
import { changeRecord } from "../change-record.js";
import { isPlainObject } from "../codec.js";
import type { Engine } from "../engine.js";
import { fixedRecord, type SessionMeta } from "../record.js";
import { endLivingSessions, type LivingSession, livingSessions, loginOf } from "./living-sessions.js";

/**
 * How many sessions a user may have (OWASP ASVS 5.0, 7.1.2). Both answers hold however many logins come at once, in however many
 * processes:
 *
 * - "end-oldest": each login stores its session, and then ends all but the newest. All of them go by one order, that of the
 *   logins, so whoever looks last leaves just the newest, and nobody ends one of those.
 * - "refuse": each login takes a place in a note of that user's, by compare-and-swap, before it stores its session. A place is
 *   taken by a living session, or by a login under way.
 */

/** Ends the sessions of a user beyond the limit, the oldest logins first. */
export async function enforceLimit(engine: Engine, userId: string): Promise<void> {
  const { maxSessionsPerUser, atSessionLimit } = engine;
  if (atSessionLimit === "refuse" || maxSessionsPerUser === Number.POSITIVE_INFINITY) return;
  await endLivingSessions(
    engine,
    userId,
    { by: "limit", reason: "limit" },
    (living) => beyondNewest(living, maxSessionsPerUser),
    (living) => living.length < maxSessionsPerUser,
  );
}

/** All but those of the newest logins. Of two at the same millisecond the name decides, for everybody in the same way. */
export function beyondNewest(living: readonly LivingSession[], most: number): LivingSession[] {
  // One that is moving to a new token is there twice, and its login may be the newer one under the second.
  const logins = new Map<string, number>();
  for (const session of living) {
    const login = loginOf(session);
    logins.set(login, Math.max(orderOf(session.meta), logins.get(login) ?? 0));
  }
  const newest = [...logins]
    .sort(([a, atA], [b, atB]) => atB - atA || (a < b ? 1 : -1))
    .slice(0, most)
    .map(([login]) => login);
  return living.filter((session) => !newest.includes(loginOf(session)));
}

/** Where a login stands among those of its user: by its time, in milliseconds, unless it had to be put after a later one. */
function orderOf({ createdAt, loginOrder = createdAt }: SessionMeta): number {
  return loginOrder;
}

/**
 * Up to this limit a login looks at the others before it begins, so that it counts as the newest whatever the clocks of the
 * servers say: otherwise it could end itself. Above, that takes as many logins as this within the difference of the clocks.
 */
const FEW_SESSIONS = 10;

/** A login under way keeps its place for this long, in milliseconds. One that takes longer asks for it again. */
const RESERVED = 60_000;
const MAX_ATTEMPTS = 300;

/** When logins that are under way have taken their places, in milliseconds, by their names. */
type Places = Readonly<Record<string, number>>;

/** What one login has of the limit: its name, and, where logins are refused, a place. */
export class Place {
  readonly #engine: Engine;
  readonly #userId: string;
  #login: string;
  #order: number | undefined;
  #until = Number.POSITIVE_INFINITY;

  private constructor(engine: Engine, userId: string, login: string) {
    this.#engine = engine;
    this.#userId = userId;
    this.#login = login;
  }

  /**
   * @param login the name that the session has already, where its user logs in again; whoever asks under one name shares a place.
   * @throws TooManySessionsError
   */
  static async take(engine: Engine, userId: string, login = newLogin()): Promise<Place> {
    const place = new Place(engine, userId, login);
    await (engine.atSessionLimit === "refuse" ? place.#reserve() : place.#comeLast());
    return place;
  }

  get login(): string {
    return this.#login;
  }

  /** Where it stands among the logins of its user, where that is not its time. */
  get order(): number | undefined {
    return this.#order;
  }

  /** Takes another one, where the session turns out to be a new one. @throws TooManySessionsError */
  async another(): Promise<string> {
    await this.giveBack();
    this.#login = newLogin();
    await this.#reserve();
    return this.#login;
  }

  /** Once the session is stored: its record takes the place from now on. @throws TooManySessionsError where it came too late. */
  async settle(): Promise<void> {
    if (this.#engine.clock() >= this.#until) await this.#reserve();
    await this.giveBack();
  }

  /** Gives it back by itself after a while where this fails. */
  async giveBack(): Promise<void> {
    if (!this.#reserves) return;
    const { store } = this.#engine;
    const note = (current: StoreRecord | undefined) => {
      const { [this.#login]: mine, ...others } = this.#read(current);
      return mine === undefined ? undefined : this.#recordOf(others, current);
    };
    await changeRecord(store, this.#key, note).catch(() => {});
  }

  get #reserves(): boolean {
    return this.#engine.atSessionLimit === "refuse";
  }

  get #key(): string {
    return sessionIdOf(`logins under way of user ${this.#userId}`);
  }

  async #comeLast(): Promise<void> {
    const { clock, maxSessionsPerUser } = this.#engine;
    if (maxSessionsPerUser > FEW_SESSIONS) return;
    const living = await livingSessions(this.#engine, this.#userId);
    const newest = Math.max(...living.map(({ meta }) => orderOf(meta)));
    if (newest >= clock()) this.#order = newest + 1;
  }

  async #reserve(): Promise<void> {
    if (!this.#reserves) return;
    const { store, clock, maxSessionsPerUser: most } = this.#engine;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const current = await store.load(this.#key);
      const now = clock();
      const underWay = Object.entries(this.#read(current)).filter(([, at]) => at + RESERVED > now);
      const living = await this.#livingLogins();
      const others = new Set([...living, ...underWay.map(([login]) => login)]);
      others.delete(this.#login);
      if (others.size >= most) throw this.#refused(most);
      const places = {
        ...Object.fromEntries(underWay.filter(([login]) => !living.has(login))),
        [this.#login]: now,
      };
      const record = this.#recordOf(places, current);
      const done =
        current === undefined
          ? await store.create(this.#key, record)
          : (await store.replace(this.#key, current.version, record)).status === "done";
      if (done) {
        this.#until = now + RESERVED;
        return;
      }
    }
    throw new ConflictError(MAX_ATTEMPTS);
  }

  /** Twice, for one look may miss a session that moves to a new token; see `endLivingSessions`. */
  async #livingLogins(): Promise<Set<string>> {
    const first = await livingSessions(this.#engine, this.#userId);
    const second = await livingSessions(this.#engine, this.#userId);
    return new Set([...first, ...second].map(loginOf));
  }

  #refused(limit: number): TooManySessionsError {
    const { events, clock } = this.#engine;
    events.emit("refused-login", { at: new Date(clock()), userId: this.#userId, limit });
    return new TooManySessionsError(limit);
  }

  #recordOf(places: Places, current: StoreRecord | undefined): StoreRecord {
    const deadline = this.#engine.clock() + 2 * RESERVED;
    return fixedRecord((current?.version ?? 0) + 1, JSON.stringify(places), deadline);
  }

  #read(record: StoreRecord | undefined): Places {
    if (record === undefined) return {};
    let places: unknown;
    try {
      places = JSON.parse(record.payload);
    } catch {
      // It is said below.
    }
    if (!isPlainObject(places) || !Object.values(places).every(Number.isFinite))
      throw this.#engine.store.corrupt("load", "a note of logins under way is malformed");
    return places as Places;
  }
}

function newLogin(): string {
  return randomBytes(9).toString("base64url");
}
