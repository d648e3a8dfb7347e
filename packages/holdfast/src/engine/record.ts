import type { StoreCorruptError } from "../errors.js";
import type { StoreRecord } from "../stores/contract.js";
import { isSessionId } from "../token/token.js";
import { areMeans } from "./authentication.js";
import { isPlainObject } from "./codec.js";
import type { FlashEntry } from "./flash.js";
import type { ClientDescription } from "./guard/client.js";
import type { EndReason } from "./users/revocation.js";

/**
 * The payload of a record: what the library keeps, as one line of JSON, a line feed, and the data as the codec wrote it.
 * The data's text is left alone until somebody asks for it, so a request that never looks at its data parses none.
 * A tombstone has only the first line.
 */

/** Who an identity provider says that the user is. */
export interface Identity {
  /** The provider, by its issuer identifier. */
  readonly issuer: string;
  /** The user at that provider: `sub` (OpenID Connect Core 2). */
  readonly subject: string;
  /** The provider's own session: `sid` (OpenID Connect Front-Channel Logout 3). */
  readonly sid?: string | undefined;
  /** Names what is kept of the login apart from the session: tokens. */
  readonly grant?: string | undefined;
}

/** How a user proved who they are; see `MeansOfAuthentication`. */
export interface Means {
  readonly methods?: readonly string[] | undefined;
  readonly level?: number | undefined;
}

/** What a user has proved besides, for a while. Times in milliseconds. */
export interface Elevation extends Means {
  readonly at: number;
  readonly until: number;
}

/** What the library keeps with a living session, apart from the application's data. Times in milliseconds. */
export interface SessionMeta {
  readonly createdAt: number;
  /** The last write. Touches move only the idle deadline. */
  readonly seenAt: number;
  /** When this token was issued; renewal counts from here. */
  readonly tokenAt: number;
  readonly authenticatedAt?: number | undefined;
  /** How the user proved at the login who they are; `acr` is what the identity provider calls it. */
  readonly authentication?: (Means & { readonly acr?: string | undefined }) | undefined;
  readonly elevation?: Elevation | undefined;
  /** Whether the client has changed so that the user has to prove who they are, before anything that asks for a recent login. */
  readonly suspect?: boolean | undefined;
  /** The other clients that its token came from, and that have been answered. */
  readonly seenClients?: readonly string[] | undefined;
  /** Whether the user asked to be remembered: the session has the longer timeouts, and its cookie outlives the browser. */
  readonly remembered?: boolean | undefined;
  /** Names the login that the session began with, under each of its tokens. */
  readonly login?: string | undefined;
  /** Where that login stands among those of its user, where that is not its time. */
  readonly loginOrder?: number | undefined;
  /** Where the user logged in with an identity provider. */
  readonly identity?: Identity | undefined;
  readonly client?: ClientDescription | undefined;
  readonly flash?: readonly FlashEntry[] | undefined;
  /** The id that this session was renewed from, until a request came with the new token. */
  readonly renewedFrom?: string | undefined;
  /** The id of the last renewal's tombstone, which the next renewal removes. */
  readonly predecessor?: string | undefined;
  /** The id that CSRF tokens are bound to, where a renewal has changed it: the one since the last login or `rotate`. */
  readonly root?: string | undefined;
  /** The sealed reference of the old session that this one was made of, where that was left in its place. */
  readonly old?: string | undefined;
}

/** What is left for a while under the id of a token that was replaced or ended. */
export interface Tombstone {
  readonly ended: "renewed" | "rotated" | "logout" | "destroyed" | "revoked";
  readonly at: number;
  /** What a session that was ended from outside was ended for. */
  readonly reason?: EndReason | undefined;
  /** The session that this one was renewed to. */
  readonly successor?: string | undefined;
  /** The session that this one was rotated to: no token leads there, only who ends it from outside. */
  readonly rotatedTo?: string | undefined;
  /** Whether no browser ever came with the token that was renewed, so that the one before it has to lead on from here. */
  readonly lost?: boolean | undefined;
  /** Who logged in, when the token was replaced by a login. */
  readonly userId?: string | undefined;
}

/** A payload, read. */
export type Contents =
  | { readonly meta: SessionMeta; readonly text: string }
  | { readonly tombstone: Tombstone };

const FORMAT = 1;

/** In front of a sealed payload. No other starts so: they are JSON. */
export const SEALED = "sealed:";

export function encodeSession(meta: SessionMeta, text: string): string {
  return `{"format":${FORMAT},${JSON.stringify(meta).slice(1)}\n${text}`;
}

export function encodeTombstone(tombstone: Tombstone): string {
  return JSON.stringify({ format: FORMAT, ...tombstone });
}

/**
 * A record that is nobody's session: a tombstone, or a note of the library's own. Both its deadlines are the same, so no
 * touch can move them.
 */
export function fixedRecord(version: number, payload: string, deadline: number): StoreRecord {
  return { version, payload, idleDeadline: deadline, absoluteDeadline: deadline, userId: null };
}

/** Whether it should be a session's record: a tombstone and a note of the library's own are one line of JSON. */
export function holdsSession({ payload }: StoreRecord): boolean {
  return payload.includes("\n") || !payload.startsWith("{");
}

/** Reads a payload. @throws Error that says what is wrong, without a word of the payload. */
export function decodePayload(payload: string): Contents {
  const lineEnd = payload.indexOf("\n");
  const head = parseHead(lineEnd === -1 ? payload : payload.slice(0, lineEnd));
  if (lineEnd === -1) {
    const { ended, at, successor, rotatedTo } = head;
    if (typeof ended !== "string" || !Number.isFinite(at)) throw new Error("its tombstone is incomplete");
    if (!isSessionId(successor) && (ended === "renewed" || successor !== undefined))
      throw new Error("its tombstone names no successor");
    if (rotatedTo !== undefined && !isSessionId(rotatedTo))
      throw new Error("its tombstone names no session that it was rotated to");
    return { tombstone: head as unknown as Tombstone };
  }
  const { createdAt, seenAt, tokenAt, authenticatedAt, login, loginOrder, client, flash } = head;
  const { authentication, elevation, seenClients, renewedFrom, predecessor, root } = head;
  if (!Number.isFinite(createdAt) || !Number.isFinite(seenAt) || !Number.isFinite(tokenAt)) {
    throw new Error("its times are missing");
  }
  if (authenticatedAt !== undefined && !Number.isFinite(authenticatedAt)) {
    throw new Error("its time of login is malformed");
  }
  if (login !== undefined && typeof login !== "string") {
    throw new Error("the name of its login is malformed");
  }
  if (loginOrder !== undefined && !Number.isFinite(loginOrder)) {
    throw new Error("the order of its login is malformed");
  }
  if (authentication !== undefined && !areMeans(authentication)) {
    throw new Error("its authentication is malformed");
  }
  if (elevation !== undefined && !isElevation(elevation)) throw new Error("its elevation is malformed");
  if (seenClients !== undefined && !Array.isArray(seenClients)) {
    throw new Error("what it says of other clients is malformed");
  }
  if (client !== undefined && !isPlainObject(client)) throw new Error("its client is malformed");
  if (flash !== undefined && !(Array.isArray(flash) && flash.every(isFlashEntry))) {
    throw new Error("its flash messages are malformed");
  }
  if ([renewedFrom, predecessor, root].some((id) => id !== undefined && !isSessionId(id))) {
    throw new Error("its predecessor is malformed");
  }
  return { meta: head as unknown as SessionMeta, text: payload.slice(lineEnd + 1) };
}

function isElevation(elevation: unknown): boolean {
  return (
    areMeans(elevation) &&
    Number.isFinite((elevation as Elevation).at) &&
    Number.isFinite((elevation as Elevation).until)
  );
}

function isFlashEntry(entry: unknown): boolean {
  return Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "string";
}

function parseHead(line: string): Record<string, unknown> {
  let head: unknown;
  try {
    head = JSON.parse(line);
  } catch {
    if (line.startsWith(SEALED)) throw new Error("it is sealed, and `encrypt` is off here");
    throw new Error("its first line is not JSON");
  }
  if (!isPlainObject(head)) throw new Error("its first line is not an object");
  if (head.format !== FORMAT) throw new Error(`its format is not ${FORMAT} (written by a newer Holdfast?)`);
  return head;
}

/** On a record that can't be opened: why. */
const FAULT = Symbol("fault");

/**
 * Stands among a user's records, or everybody's, for one that can't be opened, so that the others can be read: it throws
 * when somebody reads it.
 */
export function unreadable(record: StoreRecord, fault: StoreCorruptError): StoreRecord {
  const { version, idleDeadline, absoluteDeadline, userId } = record;
  // Named one by one: what was noted on the record of what is in it must not go along.
  return Object.assign({ version, payload: "", idleDeadline, absoluteDeadline, userId }, { [FAULT]: fault });
}

/** Why a record can't be opened, where it is one of `unreadable`. */
export function faultOf(record: StoreRecord): StoreCorruptError | undefined {
  return (record as StoreRecord & { [FAULT]?: StoreCorruptError })[FAULT];
}

/** What is wrong with a value that a store returned for a record, or nothing. */
export function recordFault(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "it is not an object";
  const { version, payload, idleDeadline, absoluteDeadline, userId } = value as Record<
    keyof StoreRecord,
    unknown
  >;
  if (!Number.isSafeInteger(version) || (version as number) < 1)
    return "its version is not a positive integer";
  if (typeof payload !== "string") return "its payload is not text";
  if (!Number.isFinite(idleDeadline) || !Number.isFinite(absoluteDeadline))
    return "its deadlines are not numbers";
  if (userId !== null && typeof userId !== "string") return "its user id is neither text nor null";
  return undefined;
}
