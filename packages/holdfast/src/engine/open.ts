import { after } from "../awaitable.js";
import type { TooManyGuessesError } from "../errors.js";
import type { Awaitable, StoreRecord } from "../stores/contract.js";
import type { Verification } from "../token/keyring.js";
import { ActiveSession } from "./active-session.js";
import { arrive, type Candidate, reject } from "./arrive.js";
import { RequestStore } from "./cookie-held.js";
import type { Engine } from "./engine.js";
import { contentsOf, follow, isExpired } from "./follow.js";
import { checkClient } from "./guard/client-change.js";
import type { SessionReason } from "./reason.js";
import type { SessionRequest } from "./request.js";
import { takeOverOld } from "./takeover.js";
import { MAX_VALUES, type Transport } from "./transport.js";

/**
 * Finds the session of a request: its cookie, the signature, the record, the deadlines. Whatever the cookie holds, this
 * never throws for it, unless a limit of guesses says so; only a store that fails does. A cookie that doesn't verify costs no store call.
 */
export function openSession(engine: Engine, request: SessionRequest): Awaitable<ActiveSession> {
  const transport = engine.transportFor(request);
  if (engine.cookieHeld === undefined) {
    const found = verifiedCandidates(engine, request, transport.values(request), engine.keyring.verify);
    const opened = openCandidates(engine, request, transport, found);
    const { migration, clientWatch } = engine;
    if (migration === undefined && clientWatch === undefined) return opened;
    const arrived = migration === undefined ? opened : after(opened, takeOverOld);
    return clientWatch === undefined ? arrived : after(arrived, (active) => checkClient(active, clientWatch));
  }
  const store = new RequestStore(engine.cookieHeld);
  const take = (value: string) => store.take(value, transport);
  const found = verifiedCandidates(engine, request, transport.values(request), take);
  return openCandidates({ ...engine, store }, request, transport, found);
}

function openCandidates(
  engine: Engine,
  request: SessionRequest,
  transport: Transport,
  found: readonly Candidate[] | SessionReason,
): Awaitable<ActiveSession> {
  if (typeof found === "string") return withoutSession(engine, request, transport, found);
  if (found.length > 1) return openAmbiguous(engine, request, transport, found);
  const candidate = found[0]!;

  const loaded = engine.store.load(candidate.id, true);
  const open = (record: StoreRecord | undefined) =>
    openCandidate(engine, request, transport, candidate, record);
  return loaded instanceof Promise ? loaded.then(open) : open(loaded);
}

/** What verifies of the values that came, or, where nothing does, why. @throws TooManyGuessesError */
function verifiedCandidates(
  engine: Engine,
  request: SessionRequest,
  values: readonly string[],
  verify: (value: string) => Verification,
): readonly Candidate[] | SessionReason {
  if (values.length === 0) return "none-sent";
  if (values.length > MAX_VALUES) return reject(engine, "too-many");
  let refused: SessionReason | undefined;
  let limited: TooManyGuessesError | undefined;
  const candidates: Candidate[] = [];
  for (const value of values) {
    const verification = verify(value);
    if ("refused" in verification) {
      refused = reject(engine, verification.refused);
      limited = engine.guessLimit?.count(engine, request, value) ?? limited;
    } else if (!candidates.some(({ token }) => token === verification.token)) {
      candidates.push(verification);
    }
  }
  // Whoever shares an address with one who guesses, and has a token of ours, is let through.
  if (candidates.length === 0 && limited !== undefined) throw limited;
  return candidates.length === 0 && refused !== undefined ? refused : candidates;
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
      active.reason = "living";
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
  let reason: SessionReason = "ambiguous";
  for (const candidate of candidates) {
    const record = await engine.store.load(candidate.id, true);
    const active = await openCandidate(engine, request, transport, candidate, record);
    if (active.record !== undefined) opened.push(active);
    else reason = active.reason;
  }
  if (opened.length === 1) return opened[0]!;
  if (opened.length > 1) reason = reject(engine, "ambiguous");
  return withoutSession(engine, request, transport, reason);
}

function withoutSession(
  engine: Engine,
  request: SessionRequest,
  transport: Transport,
  reason: SessionReason,
): ActiveSession {
  const active = new ActiveSession(engine, request, transport, "none");
  active.reason = reason;
  if (reason === "none-sent" && transport.isWithheld(request)) {
    // The browser may have a session that it didn't send: a new one would take its place.
    active.reason = "withheld";
    active.standing = "stale";
  }
  return active;
}
