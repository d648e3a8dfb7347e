import type { Awaitable, StoreRecord } from "../stores/contract.js";
import type { Verification } from "../token/keyring.js";
import { ActiveSession } from "./active-session.js";
import { arrive, type Candidate, reject } from "./arrive.js";
import { RequestStore } from "./cookie-held.js";
import type { Engine } from "./engine.js";
import { contentsOf, follow, isExpired } from "./follow.js";
import type { SessionRequest } from "./request.js";
import { takeOverOld } from "./takeover.js";
import { MAX_VALUES, type Transport } from "./transport.js";

/**
 * Finds the session of a request: its cookie, the signature, the record, the deadlines. Whatever the cookie holds, this
 * never throws for it; only a store that fails does. A cookie that doesn't verify costs no store call.
 */
export function openSession(engine: Engine, request: SessionRequest): Awaitable<ActiveSession> {
  const transport = engine.transportFor(request);
  if (engine.cookieHeld === undefined) {
    const candidates = verifiedCandidates(engine, transport.values(request), engine.keyring.verify);
    const opened = openCandidates(engine, request, transport, candidates);
    if (engine.migration === undefined) return opened;
    return opened instanceof Promise ? opened.then(takeOverOld) : takeOverOld(opened);
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
      candidates.push(verification);
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
