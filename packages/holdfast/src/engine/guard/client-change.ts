import { ConfigurationError, SessionGoneError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { Awaitable } from "../../stores/contract.js";
import type { ActiveSession, MetaChanges } from "../active-session.js";
import { isPlainObject } from "../codec.js";
import type { SessionMeta } from "../record.js";
import { endLiving } from "../users/living-sessions.js";
import { write } from "../write.js";
import { type ClientFamilies, familiesOf, networkOf } from "./client.js";

/**
 * Notices that the token of a user's session comes from another client than the one that the session began with: another browser or
 * system family, or another network (OWASP Session Management Cheat Sheet: binding the session ID to other user properties). A client
 * says about itself what it likes, so this is a trip-wire, and no proof of either.
 */

/** What of a client may be looked at. */
export type ClientProperty = "browser" | "system" | "network";

/** What a changed client leads to. */
export type ClientChangeAnswer =
  /** The event `anomaly`, and nothing else. */
  | "observe"
  /** The session goes on, but its login counts as long ago, and it is elevated no more, until its user logs in again. */
  | "reauthenticate"
  /** The session ends, everywhere. Its reason is "anomaly". */
  | "end";

/** A client that the session's token came from, as far as it is looked at. */
export interface SeenClient {
  readonly browser?: string | undefined;
  readonly system?: string | undefined;
  /** As in "192.0.2.0/24". */
  readonly network?: string | undefined;
}

/** That the token of a session came from another client than the session began with. */
export interface ClientChange {
  readonly sessionId: string;
  readonly userId: string;
  /** What has changed. */
  readonly changed: readonly ClientProperty[];
  readonly from: SeenClient;
  readonly to: SeenClient;
}

export interface ClientChangeOptions {
  /**
   * What to do, or a function that says it; its "ignore" is for good. It is asked once for each other client of a session, by the
   * request that brings it, which waits for the answer. What it throws goes to the framework.
   */
  answer: ClientChangeAnswer | ((change: ClientChange) => Awaitable<ClientChangeAnswer | "ignore">);
  /**
   * What to look at: the browser's and the system's family, without versions, so that an update is none; and the network that the
   * client's address is in, which changes whenever a phone leaves the house. Default: ["browser", "system"].
   */
  watch?: readonly ClientProperty[];
  /** The bits of an IPv4 address that are its network, 8 to 32. Default: 24. */
  ipv4Prefix?: number;
  /** The bits of an IPv6 address that are its network, 16 to 128. Default: 48. */
  ipv6Prefix?: number;
}

const ANSWERS: readonly unknown[] = ["observe", "reauthenticate", "end"];
const PROPERTIES: readonly ClientProperty[] = ["browser", "system", "network"];
const OPTION_NAMES: readonly string[] = ["answer", "watch", "ipv4Prefix", "ipv6Prefix"];

/** The most other clients that are kept with a session. Whoever has come by more is known by the last ones. */
const MAX_SEEN = 8;

/** The option `clientChange`, checked. */
export interface ClientWatch {
  readonly answer: ClientChangeOptions["answer"];
  readonly watch: readonly ClientProperty[];
  readonly ipv4Prefix: number;
  readonly ipv6Prefix: number;
}

/** @throws ConfigurationError */
export function checkedClientChange(
  option: false | ClientChangeAnswer | ClientChangeOptions,
): ClientWatch | undefined {
  if (option === false) return undefined;
  const options: unknown = typeof option === "string" ? { answer: option } : option;
  if (!isPlainObject(options))
    throw new ConfigurationError("clientChange", `expected false, ${ANSWERS.join(", ")} or an object`);
  const unknown = Object.keys(options).find((name) => !OPTION_NAMES.includes(name));
  if (unknown !== undefined)
    throw new ConfigurationError(
      `clientChange.${unknown}`,
      `is not an option; there are ${OPTION_NAMES.join(", ")}`,
    );
  const {
    answer,
    watch = ["browser", "system"],
    ipv4Prefix = 24,
    ipv6Prefix = 48,
  } = options as {
    [Name in keyof ClientChangeOptions]: ClientChangeOptions[Name];
  } as ClientChangeOptions;
  if (typeof answer !== "function" && !ANSWERS.includes(answer))
    throw new ConfigurationError(
      "clientChange.answer",
      `expected "observe", "reauthenticate", "end" or a function, got ${shown(answer)}`,
    );
  if (!Array.isArray(watch) || watch.length === 0 || !watch.every((each) => PROPERTIES.includes(each)))
    throw new ConfigurationError(
      "clientChange.watch",
      'expected a list of "browser", "system" and "network"',
    );
  return {
    answer,
    watch,
    ipv4Prefix: bits("ipv4Prefix", ipv4Prefix, 8, 32),
    ipv6Prefix: bits("ipv6Prefix", ipv6Prefix, 16, 128),
  };
}

function bits(name: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number;
  throw new ConfigurationError(
    `clientChange.${name}`,
    `expected a whole number from ${least} to ${most}, got ${shown(value)}`,
  );
}

/** Looks at the client of a request whose session is a user's. Where it is the one that it was, that costs no promise. */
export function checkClient(active: ActiveSession, watched: ClientWatch): Awaitable<ActiveSession> {
  const { engine, record, meta, userId } = active;
  if (record === undefined || userId === undefined) return active;
  const families = familiesOf(active.request);
  const network = watched.watch.includes("network") ? networkOf(active.request, engine) : undefined;
  const changed = watched.watch.filter((property) => isChanged(property, meta, families, network));
  if (changed.length === 0) return active;
  const name = JSON.stringify(watched.watch.map((property) => seen(property, families, network) ?? ""));
  if (meta.seenClients?.includes(name)) return active;

  const from: SeenClient = {};
  const to: SeenClient = {};
  for (const property of watched.watch) {
    Object.assign(from, { [property]: meta.client?.[property] });
    Object.assign(to, { [property]: seen(property, families, network) });
  }
  return answerChange(active, watched, { sessionId: active.id, userId, changed, from, to }, name);
}

function seen(
  property: ClientProperty,
  families: ClientFamilies,
  network: string | undefined,
): string | undefined {
  return property === "network" ? network : families[property];
}

function isChanged(
  property: ClientProperty,
  { client }: SessionMeta,
  families: ClientFamilies,
  network: string | undefined,
): boolean {
  if (property !== "network") return client?.[property] !== families[property];
  // A session from before it was looked at has none, and an address may be unknown, as on a Unix socket.
  return client?.network !== undefined && network !== undefined && client.network !== network;
}

async function answerChange(
  active: ActiveSession,
  { answer }: ClientWatch,
  change: ClientChange,
  name: string,
): Promise<ActiveSession> {
  const { engine } = active;
  const chosen = typeof answer === "function" ? await answer(change) : answer;
  if (chosen !== "ignore" && !ANSWERS.includes(chosen))
    throw new ConfigurationError(
      "clientChange.answer",
      `the function gave ${shown(chosen)}, not "observe", "reauthenticate", "end" or "ignore"`,
    );
  const tell = () => {
    if (chosen !== "ignore")
      engine.events.emit("anomaly", { at: new Date(engine.clock()), ...change, answer: chosen });
  };
  if (chosen === "end") {
    const ended = await active.exclusively(() =>
      endLiving(
        engine,
        { id: active.id, record: active.record! },
        { by: "anomaly", reason: "anomaly" },
        tell,
      ),
    );
    active.startAfresh("nothing");
    active.reason = ended ? "anomaly" : "unknown";
    return active;
  }

  // Of several requests that bring it, one is the first to note it, and tells.
  let isFirst = true;
  const changes = (before: SessionMeta): MetaChanges => {
    const known = before.seenClients ?? [];
    isFirst = !known.includes(name);
    return {
      seenClients: isFirst ? [...known, name].slice(-MAX_SEEN) : known,
      ...(chosen === "reauthenticate" && isFirst && { suspect: true, elevation: undefined }),
    };
  };
  try {
    await active.exclusively(async () => {
      await write(active, undefined, undefined, changes);
    });
  } catch (error) {
    if (!(error instanceof SessionGoneError)) throw error;
    active.startAfresh("nothing");
    active.reason = "unknown";
    return active;
  }
  if (isFirst) tell();
  return active;
}
