import { after } from "../../awaitable.js";
import { BrokenSealError, NotSealedError, StoreCorruptError, UnknownKeyError } from "../../errors.js";
import type {
  Awaitable,
  ReplaceResult,
  ScanPage,
  Store,
  StoreCall,
  StoredSession,
  StoreRecord,
} from "../../stores/contract.js";
import type { Keyring } from "../../token/keyring.js";
import type { Sealer } from "../../token/seal.js";
import { SEALED, unreadable } from "../record.js";

/** How payloads are sealed. */
export interface Sealing {
  readonly sealer: Sealer;
  /** Where the keys are set, for messages. */
  readonly option: string;
  /** False on the way back to plain records: then only what is there is opened. */
  readonly seals: boolean;
  /** Whether a record that is not sealed is an error. */
  readonly refusesPlain: boolean;
  /** Keys of its own; undefined where they come from the secrets. */
  readonly keyring: Keyring | undefined;
}

/** Whether a record is sealed, by any key. */
export function isSealed({ payload }: StoreRecord): boolean {
  return payload.startsWith(SEALED);
}

/** The record with its payload sealed, where it is to be. */
export function sealed(sealing: Sealing, id: string, record: StoreRecord): StoreRecord {
  if (!sealing.seals) return record;
  const { version, payload, idleDeadline, absoluteDeadline, userId } = record;
  const envelope = sealing.sealer.seal(payload, contextOf(id, record));
  // Named one by one: what the engine notes on a record of its own says what is in the payload.
  return { version, payload: SEALED + envelope, idleDeadline, absoluteDeadline, userId };
}

/** A record, opened. */
export interface Opened {
  readonly record: StoreRecord;
  /** Whether its next write changes how it is kept: it is plain or sealed by an older key, or the other way about. */
  readonly outdated: boolean;
}

/**
 * The record with its payload as it was before it was sealed.
 * @throws UnknownKeyError, BrokenSealError, NotSealedError
 */
export function opened(
  sealing: Sealing,
  store: string,
  operation: string,
  id: string,
  record: StoreRecord,
): Opened {
  const { version, payload, idleDeadline, absoluteDeadline, userId } = record;
  if (!isSealed(record)) {
    if (sealing.refusesPlain) throw new NotSealedError(store, operation);
    return { record, outdated: sealing.seals };
  }
  const envelope = payload.slice(SEALED.length);
  const unsealed = sealing.sealer.open(envelope, contextOf(id, record));
  if (unsealed === undefined) {
    throw sealing.sealer.claimsKnownKey(envelope)
      ? new BrokenSealError(store, operation)
      : new UnknownKeyError(store, operation, sealing.option);
  }
  return {
    record: { version, payload: unsealed.text, idleDeadline, absoluteDeadline, userId },
    outdated: !sealing.seals || unsealed.sealedByOlderKey,
  };
}

/**
 * What a payload is sealed for. All of it stays as long as the payload does; a touch moves the idle deadline, so that can't be
 * among it, but never past the absolute one.
 */
function contextOf(id: string, { version, absoluteDeadline, userId }: StoreRecord): string {
  return JSON.stringify([id, version, absoluteDeadline, userId]);
}

/**
 * On a record of the store's: the same, opened. Stores that keep records in memory give the same one again and again, and it
 * is opened once.
 */
const OPENED = Symbol("opened");

interface KnownOpen {
  readonly sealing: Sealing;
  readonly id: string;
  /** The sealed payload that it was opened from. */
  readonly payload: string;
  readonly record: StoreRecord;
}

function noteOpened(sealing: Sealing, id: string, record: StoreRecord, open: StoreRecord): void {
  const known: KnownOpen = { sealing, id, payload: record.payload, record: open };
  if (Object.isExtensible(record)) (record as StoreRecord & { [OPENED]?: KnownOpen })[OPENED] = known;
}

/** What is noted of a record, and still true: a store may make its next record by copying this one, with the note. */
function knownOpen(sealing: Sealing, id: string, record: StoreRecord): StoreRecord | undefined {
  const known = (record as StoreRecord & { [OPENED]?: KnownOpen })[OPENED];
  if (known === undefined || known.sealing !== sealing) return undefined;
  if (known.id !== id || known.payload !== record.payload) return undefined;
  const { version, idleDeadline, absoluteDeadline, userId } = known.record;
  if (version !== record.version || absoluteDeadline !== record.absoluteDeadline || userId !== record.userId)
    return undefined;
  if (idleDeadline === record.idleDeadline) return known.record;
  // A touch has moved it. What the engine has noted of the payload goes along.
  const moved = { ...known.record, idleDeadline: record.idleDeadline };
  noteOpened(sealing, id, record, moved);
  return moved;
}

/** A store whose payloads are sealed: the engine before it and the store behind it know nothing of that. */
export class SealedStore implements Store {
  readonly name: string;
  readonly scan: Store["scan"];
  readonly watch: Store["watch"];
  readonly #store: Store;
  readonly #sealing: Sealing;

  constructor(store: Store, sealing: Sealing) {
    this.name = store.name;
    this.#store = store;
    this.#sealing = sealing;
    if (store.watch !== undefined) this.watch = (onChange) => store.watch!(onChange);
    if (store.scan !== undefined)
      this.scan = (cursor, limit, call) => {
        return after(store.scan!(cursor, limit, call), (page) => this.#openPage(page));
      };
  }

  load(id: string, call: StoreCall): Awaitable<StoreRecord | undefined> {
    return after(this.#store.load(id, call), (record) => this.#open("load", id, record));
  }

  create(id: string, record: StoreRecord, call: StoreCall): Awaitable<boolean> {
    return this.#store.create(id, this.#seal(id, record), call);
  }

  replace(
    id: string,
    expectedVersion: number,
    record: StoreRecord,
    call: StoreCall,
  ): Awaitable<ReplaceResult> {
    const sealed = this.#seal(id, record);
    return after(this.#store.replace(id, expectedVersion, sealed, call), (answer) =>
      this.#openAnswer(id, answer),
    );
  }

  touch(id: string, idleDeadline: number, call: StoreCall): Awaitable<boolean> {
    return this.#store.touch(id, idleDeadline, call);
  }

  delete(id: string, call: StoreCall): Awaitable<void> {
    return this.#store.delete(id, call);
  }

  sweep(call: StoreCall): Awaitable<number> {
    return this.#store.sweep(call);
  }

  listByUser(userId: string, call: StoreCall): Awaitable<readonly StoredSession[]> {
    return after(this.#store.listByUser(userId, call), (list) => this.#openList("listByUser", list));
  }

  deleteByUser(userId: string, except: string | undefined, call: StoreCall): Awaitable<readonly string[]> {
    return this.#store.deleteByUser(userId, except, call);
  }

  close(): Awaitable<void> {
    this.#sealing.keyring?.close();
    return this.#store.close();
  }

  #openAnswer(id: string, answer: ReplaceResult): ReplaceResult {
    if (answer?.status !== "conflict") return answer;
    return { status: "conflict", record: this.#open("replace", id, answer.record) };
  }

  #openPage(page: ScanPage): ScanPage {
    return { ...page, sessions: this.#openList("scan", page.sessions) };
  }

  #openList(operation: string, list: readonly StoredSession[]): readonly StoredSession[] {
    if (!Array.isArray(list)) return list;
    return list.map(({ id, record }) => {
      try {
        return { id, record: this.#open(operation, id, record) };
      } catch (error) {
        // It must not keep anybody from seeing, and ending, the others.
        if (error instanceof StoreCorruptError) return { id, record: unreadable(record, error) };
        throw error;
      }
    });
  }

  #open<Found extends StoreRecord | undefined>(operation: string, id: string, record: Found): Found {
    // What is no record is for the engine to refuse.
    if (typeof record?.payload !== "string") return record;
    const known = knownOpen(this.#sealing, id, record);
    if (known !== undefined) return known as Found;
    const open = opened(this.#sealing, this.name, operation, id, record).record;
    if (open !== record) noteOpened(this.#sealing, id, record, open);
    return open as Found;
  }

  #seal(id: string, record: StoreRecord): StoreRecord {
    const kept = sealed(this.#sealing, id, record);
    if (kept !== record) noteOpened(this.#sealing, id, kept, record);
    return kept;
  }
}
