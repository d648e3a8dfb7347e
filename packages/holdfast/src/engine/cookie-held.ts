import { StoreCorruptError, UnsupportedError } from "../errors.js";
import type { Awaitable, ReplaceResult, StoredSession, StoreRecord } from "../stores/contract.js";
import type { Verification } from "../token/keyring.js";
import { SEAL_BYTES, type Sealer } from "../token/seal.js";
import { sessionIdOf } from "../token/token.js";
import { decodePayload, encodeTombstone, fixedRecord, type Tombstone } from "./record.js";
import type { EngineStore } from "./store-client.js";
import type { Transport } from "./transport.js";
import type { Revocations } from "./users/revocations.js";

/**
 * Sessions that live in their cookie. The engine works with them as with any other: what a request's cookie holds is put
 * into a store that lasts as long as the request, and what is in there at its end is sealed into the cookie again.
 */
export interface CookieHeld {
  readonly sealer: Sealer;
  /** Undefined: a cookie is good until its deadlines. */
  readonly revocations: Revocations | undefined;
}

/** What is sealed beside the payload, at most, without the user id. */
const FRAME_BYTES = 110;

/** The bytes of payload that fit into so many characters of sealed text. */
export function payloadRoom(characters: number): number {
  return Math.floor((characters * 3) / 4) - SEAL_BYTES - FRAME_BYTES;
}

/** The sealed text for the cookie. It opens in a cookie of this name only. */
export function sealSession(
  { sealer }: CookieHeld,
  transport: Transport,
  token: string,
  record: StoreRecord,
): string {
  const { version, idleDeadline, absoluteDeadline, userId, payload } = record;
  const frame = JSON.stringify([token, version, idleDeadline, absoluteDeadline, userId]);
  return sealer.seal(`${frame}\n${payload}`, transport.name);
}

/** The store of one request: the sessions that its cookies held, and what becomes of them. */
export class RequestStore implements EngineStore {
  readonly name = "cookie";
  readonly #held: CookieHeld;
  readonly #records = new Map<string, StoreRecord>();

  constructor(held: CookieHeld) {
    this.#held = held;
  }

  /** Opens the value of a cookie and takes in the session that it holds. Never throws. */
  take(value: string, transport: Transport): Verification {
    const opened = this.#held.sealer.open(value, transport.name);
    if (opened === undefined) return { refused: value === "" ? "malformed" : "forged" };
    try {
      const lineEnd = opened.text.indexOf("\n");
      const [token, version, idleDeadline, absoluteDeadline, userId] = JSON.parse(
        opened.text.slice(0, lineEnd),
      );
      const payload = opened.text.slice(lineEnd + 1);
      decodePayload(payload);
      const id = sessionIdOf(token);
      const record: StoreRecord = { version, payload, idleDeadline, absoluteDeadline, userId };
      const other = this.#records.get(id);
      // As where the cookie's path was changed, and the browser has the one of before, too.
      if (other === undefined || isNewer(record, other)) this.#records.set(id, record);
      return { token, id, signedByOlderKey: opened.sealedByOlderKey };
    } catch {
      return { refused: "malformed" }; // Written by a newer Holdfast.
    }
  }

  load(id: string): Awaitable<StoreRecord | undefined> {
    const record = this.#records.get(id);
    const { revocations } = this.#held;
    if (record === undefined || revocations === undefined) return record;
    return revocations.find(id, record).then((tombstone) => (tombstone ? buried(record, tombstone) : record));
  }

  create(id: string, record: StoreRecord): boolean {
    this.#records.set(id, record);
    return true;
  }

  replace(id: string, expectedVersion: number, record: StoreRecord): Awaitable<ReplaceResult> {
    const current = this.#records.get(id);
    if (current === undefined) return { status: "gone" };
    if (current.version !== expectedVersion) return { status: "conflict", record: current };
    const { revocations } = this.#held;
    if (revocations !== undefined) return this.#replaceUnlessEnded(revocations, id, current, record);
    this.#records.set(id, record);
    return { status: "done" };
  }

  async #replaceUnlessEnded(
    revocations: Revocations,
    id: string,
    current: StoreRecord,
    record: StoreRecord,
  ): Promise<ReplaceResult> {
    const contents = decodePayload(record.payload);
    const ended =
      "tombstone" in contents
        ? await revocations.end(id, current, contents.tombstone)
        : await revocations.find(id, current);
    if (ended !== undefined) return { status: "conflict", record: buried(current, ended) };
    this.#records.set(id, record);
    return { status: "done" };
  }

  async touch(id: string, idleDeadline: number): Promise<boolean> {
    const record = await this.load(id);
    if (record === undefined || idleDeadline <= record.idleDeadline || idleDeadline > record.absoluteDeadline)
      return false;
    this.#records.set(id, { ...record, idleDeadline });
    return true;
  }

  delete(id: string): void {
    this.#records.delete(id);
  }

  /** Cookies are removed by the browsers. */
  sweep(): number {
    return 0;
  }

  /** Nobody can list what is in other browsers. */
  listByUser(): StoredSession[] {
    return [];
  }

  deleteByUser(): string[] {
    return [];
  }

  scan(): never {
    throw new UnsupportedError("Nobody can list sessions that live in cookies.");
  }

  corrupt(operation: string, fault: string): StoreCorruptError {
    return new StoreCorruptError("cookie", operation, fault);
  }

  close(): void {}
}

/** Of two records of one session: a touch moves the deadline and leaves the version. */
function isNewer(record: StoreRecord, other: StoreRecord): boolean {
  if (record.version !== other.version) return record.version > other.version;
  return record.idleDeadline > other.idleDeadline;
}

/** What a session's record has become when it ended. */
function buried({ version, absoluteDeadline }: StoreRecord, tombstone: Tombstone): StoreRecord {
  return fixedRecord(version + 1, encodeTombstone(tombstone), absoluteDeadline);
}
