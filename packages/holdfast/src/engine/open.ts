import type { Awaitable, StoreRecord } from "../stores/contract.js";
import type { Verification } from "../token/keyring.js";
import { sessionIdOf } from "../token/token.js";
import { ActiveSession, type TokenStanding } from "./active-session.js";
import { RequestStore } from "./cookie-held.js";
import type { Engine } from "./engine.js";
import type { CookieRejection } from "./events.js";
import { contentsOf, type Destination, follow, isExpired, type LiveSession } from "./follow.js";
import type { SessionRequest } from "./request.js";
import { MAX_VALUES, type Transport } from "./transport.js";

interface Candidate {
  readonly token: string;
  readonly id: string;
  readonly signedByOlderKey: boolean;
}

/**
 * Finds the session of a request: its cookie, the signature, the record, the deadlines. Whatever the cookie holds, this
 * never throws for it; only a store that fails does. A cookie that doesn't verify costs no store call.
 */
export function openSession(engine: Engine, request: SessionRequest): Awaitable<ActiveSession> {
  const transport = engine.transportFor(request);
  if (engine.cookieHeld === undefined) {
    const candidates = verifiedCandidates(engine, transport.values(request), engine.keyring.verify);
    return openCandidates(engine, request, transport, candidates);
  }
  const store = new RequestStore(engine.cookieHeld);
  const take = (value: string) => store.take(value, transport);
  const candidates = verifiedCandidates(engine, transport.values(request), take);
  return openCandidates({ ...engine, store }, request, transport, candidates);
}

function openCandidates(
  engine: Engine,
  request: SessionRequest,
  transport: Transport,
  candidates: readonly Candidate[],
): Awaitable<ActiveSession> {
  const [candidate] = candidates;
  if (candidate === undefined) return new ActiveSession(engine, request, transport, "none");
  if (candidates.length > 1) return openAmbiguous(engine, request, transport, candidates);

  const loaded = engine.store.load(candidate.id);
  const open = (record: StoreRecord | undefined) =>
    openCandidate(engine, request, transport, candidate, record);
  return loaded instanceof Promise ? loaded.then(open) : open(loaded);
}

function verifiedCandidates(
  engine: Engine,
  values: readonly string[],
  verify: (value: string) => Verification,
): Candidate[] {
  if (values.length > MAX_VALUES) {
    reject(engine, "too-many");
    return [];
  }
  const candidates: Candidate[] = [];
  for (const value of values) {
    const verification = verify(value);
    if ("refused" in verification) {
      reject(engine, verification.refused);
    } else if (!candidates.some(({ token }) => token === verification.token)) {
      candidates.push({ ...verification, id: sessionIdOf(verification.token) });
    }
  }
  return candidates;
}

function openCandidate(
  engine: Engine,
  request: SessionRequest,
  transport: Transport,
  candidate: Candidate,
  record: StoreRecord | undefined,
): Awaitable<ActiveSession> {
  const active = new ActiveSession(engine, request, transport, "none");
  // The usual case takes no promise: a record that is a living session.
  if (record !== undefined && !isExpired(record, engine.clock())) {
    const contents = contentsOf(engine, record);
    if ("meta" in contents) {
      active.standing = candidate.signedByOlderKey ? "signed-by-older-key" : "current";
      active.adopt(candidate.id, candidate.token, { record, ...contents });
      active.received = record;
      return active;
    }
  }
  return follow(engine, candidate.id, record).then((destination) => arrive(active, candidate, destination));
}

/** Binds a new active session to where its token has led. */
async function arrive(
  active: ActiveSession,
  candidate: Candidate,
  destination: Destination,
): Promise<ActiveSession> {
  const { engine } = active;
  switch (destination.kind) {
    case "live": {
      const standing = standingOf(engine, candidate, destination);
      if (standing === undefined) {
        reject(engine, "renewed", candidate.id);
      } else {
        active.standing = standing;
        active.adopt(destination.id, destination.renewal ? undefined : candidate.token, destination.stored);
      }
      return active;
    }
    case "expired": {
      const { id, record } = destination;
      await engine.store.delete(id);
      engine.events.emit("expired", {
        at: new Date(engine.clock()),
        sessionId: id,
        userId: record.userId ?? undefined,
        timeout: record.idleDeadline < record.absoluteDeadline ? "idle" : "absolute",
      });
      return active;
    }
    case "ended":
      reject(engine, "ended", candidate.id);
      // Whoever logged out, or got a new token, has been told by a cookie that this late request must not overwrite. A
      // browser whose session was revoked from elsewhere has not.
      if (
        destination.tombstone.ended !== "revoked" &&
        engine.clock() < destination.tombstone.at + engine.grace
      ) {
        active.standing = "stale";
      }
      return active;
    case "none":
      reject(engine, "unknown", candidate.id);
      return active;
  }
}

/** How a verified token stands to the living session that it leads to; undefined where it is good no more. */
function standingOf(
  engine: Engine,
  candidate: Candidate,
  { renewal, stored }: LiveSession,
): TokenStanding | undefined {
  if (renewal === undefined) return candidate.signedByOlderKey ? "signed-by-older-key" : "current";
  if (engine.clock() < renewal.at + engine.grace) return "in-grace";
  // Nobody has come with the new token: its response got lost, and this browser has only the old one.
  return stored.meta.renewedFrom === undefined ? undefined : "renewal-lost";
}

/** Several cookies verify: the session is used only if exactly one of them leads to a living one (cookie tossing). */
async function openAmbiguous(
  engine: Engine,
  request: SessionRequest,
  transport: Transport,
  candidates: readonly Candidate[],
): Promise<ActiveSession> {
  const opened: ActiveSession[] = [];
  for (const candidate of candidates) {
    const record = await engine.store.load(candidate.id);
    const active = await openCandidate(engine, request, transport, candidate, record);
    if (active.record !== undefined) opened.push(active);
  }
  if (opened.length === 1) return opened[0]!;
  if (opened.length > 1) reject(engine, "ambiguous");
  return new ActiveSession(engine, request, transport, "none");
}

function reject(engine: Engine, reason: CookieRejection, sessionId?: string): void {
  engine.events.emit("rejected-cookie", { at: new Date(engine.clock()), reason, sessionId });
}
