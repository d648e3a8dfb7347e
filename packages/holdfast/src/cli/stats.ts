import { createHash } from "node:crypto";
import type { Engine } from "../engine/engine.js";
import { isExpired } from "../engine/follow.js";
import { decodePayload, holdsSession } from "../engine/record.js";
import type { StoredSession } from "../stores/contract.js";
import { STORE_OPTIONS } from "./arguments.js";
import { type Command, EXIT } from "./command.js";
import { withSessions } from "./open.js";
import { Progress } from "./progress.js";
import { printFacts } from "./table.js";
import { bytes, count, moment } from "./wording.js";

const PAGE = 500;

export const stats: Command = {
  name: "stats",
  about: "count what is in the store",
  takes: "",
  details: [
    "Reads every record once, page by page, and keeps none: memory grows with the number of users only, by some tens of bytes each.",
  ],
  options: STORE_OPTIONS,
  positionals: 0,
  run: (invocation) =>
    withSessions(invocation, async ({ engine, where }) => {
      const { terminal } = invocation;
      const tally = new Tally(engine.clock());
      const progress = new Progress(terminal, "reading the store");
      try {
        for await (const stored of recordsOf(engine)) {
          tally.add(stored);
          progress.step(stored.id);
        }
      } finally {
        progress.end();
      }
      const { result } = tally;
      if (terminal.json) {
        await terminal.object({
          store: where,
          ...result,
          oldest: result.oldest === null ? null : new Date(result.oldest).toISOString(),
        });
        return EXIT.ok;
      }
      const { living, withUser, anonymous, users, ended, notes, expired, unreadable } = result;
      await printFacts(terminal, [
        ["store", where],
        ["living sessions", count(living)],
        ["  with a user", `${count(withUser)} of ${count(users)} ${users === 1 ? "user" : "users"}`],
        ["  anonymous", count(anonymous)],
        ["  oldest began", result.oldest === null ? undefined : moment(result.oldest, engine.clock())],
        ["ended a moment ago", `${count(ended)} (kept for requests that are still on their way)`],
        ["expired", `${count(expired)} (waiting for the sweep)`],
        ["other notes", notes === 0 ? undefined : count(notes)],
        ["not readable", unreadable === 0 ? undefined : count(unreadable)],
        ["size of payloads", `${bytes(result.bytes)}, the largest ${bytes(result.largestBytes)}`],
      ]);
      return EXIT.ok;
    }),
};

/** Every record of the store, once, also where a store gives one twice in a row of pages. */
export async function* recordsOf(engine: Engine): AsyncGenerator<StoredSession, void> {
  let cursor: string | undefined;
  do {
    const page = await engine.store.scan(cursor, PAGE);
    yield* page.sessions;
    cursor = page.next;
  } while (cursor !== undefined);
}

class Tally {
  readonly result = {
    living: 0,
    withUser: 0,
    anonymous: 0,
    users: 0,
    /** Tombstones: what is left for a while of tokens that were replaced or ended. */
    ended: 0,
    /** Notes of the library's own, as of logins with OpenID Connect. */
    notes: 0,
    /** Sessions, tombstones and notes past their deadline, which the store still has. */
    expired: 0,
    unreadable: 0,
    bytes: 0,
    largestBytes: 0,
    /** When the oldest living session began, in milliseconds; null where there is none. */
    oldest: null as number | null,
  };
  readonly #now: number;
  /** Hashes of 48 bits: as numbers, they take a fraction of what the texts would. */
  readonly #users = new Set<number>();

  constructor(now: number) {
    this.#now = now;
  }

  add({ record }: StoredSession): void {
    const { result } = this;
    const size = Buffer.byteLength(record.payload);
    result.bytes += size;
    result.largestBytes = Math.max(result.largestBytes, size);
    if (isExpired(record, this.#now)) {
      result.expired++;
      return;
    }
    try {
      const contents = decodePayload(record.payload);
      if ("tombstone" in contents) {
        result.ended++;
        return;
      }
      result.living++;
      result.oldest = Math.min(result.oldest ?? Number.POSITIVE_INFINITY, contents.meta.createdAt);
      if (record.userId === null) {
        result.anonymous++;
        return;
      }
      result.withUser++;
      this.#users.add(createHash("sha256").update(record.userId).digest().readUIntBE(0, 6));
      result.users = this.#users.size;
    } catch {
      if (holdsSession(record)) result.unreadable++;
      else result.notes++;
    }
  }
}
