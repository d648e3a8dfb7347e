import { hash, randomBytes } from "node:crypto";
import { type Duration, milliseconds } from "../../duration.js";
import { ConfigurationError, TooManyGuessesError } from "../../errors.js";
import { shown } from "../../shown.js";
import { warn } from "../../warn.js";
import type { Engine } from "../engine.js";
import type { SessionRequest } from "../request.js";
import { clientAddressOf, clientKeyOf } from "./client-address.js";

/** How many session tokens that don't verify one client may try. */
export interface GuessLimitOptions {
  /** Different values, 1 to 1000. Default: 20. */
  max?: number;
  /** In so long, from the first of them: a fixed window. Default: "1m". */
  per?: Duration;
  /**
   * Names the client of a request; undefined for one that is not limited. Default: the address of the peer, or, behind proxies
   * that `trustProxy` names, the address that they give in `X-Forwarded-For`; of an IPv6 address its first 64 bits.
   */
  client?: (request: SessionRequest) => string | undefined;
}

const OPTION_NAMES: readonly string[] = ["max", "per", "client"] satisfies (keyof GuessLimitOptions)[];

/** The most clients that are kept in mind; beyond, the one whose window began first is forgotten. */
export const MAX_CLIENTS = 10_000;

/** The values of one client that are known again, as numbers. */
const MAX_KNOWN = 32;

/** What one client has tried since its window began. */
interface Guesses {
  readonly since: number;
  count: number;
  readonly known: number[];
}

/**
 * Counts what comes in place of a session's token and doesn't verify, by client. A value that comes again is no new guess: a
 * browser that has an old cookie sends it with everything it asks for.
 */
export class GuessLimit {
  readonly #max: number;
  readonly #window: number;
  readonly #clientOf: ((request: SessionRequest) => string | undefined) | undefined;
  readonly #clients = new Map<string, Guesses>();
  /** Nobody else can tell which values are the same number. */
  readonly #salt = randomBytes(16).toString("latin1");
  #warned = false;

  /** @throws ConfigurationError that names the option. */
  constructor(options: GuessLimitOptions) {
    if (typeof options !== "object" || options === null)
      throw new ConfigurationError("guessLimit", "expected true, false or an object");
    for (const name of Object.keys(options)) {
      if (!OPTION_NAMES.includes(name))
        throw new ConfigurationError(
          `guessLimit.${name}`,
          `is not an option; there are ${OPTION_NAMES.join(", ")}`,
        );
    }
    const { max = 20, per = "1m", client } = options;
    if (!Number.isSafeInteger(max) || max < 1 || max > 1000)
      throw new ConfigurationError("guessLimit.max", `expected a whole number, 1 to 1000, got ${shown(max)}`);
    if (client !== undefined && typeof client !== "function")
      throw new ConfigurationError(
        "guessLimit.client",
        `expected a function of the request, got ${shown(client)}`,
      );
    this.#max = max;
    this.#window = milliseconds("guessLimit.per", per, 1000);
    this.#clientOf = client;
  }

  /** The clients kept in mind. */
  get size(): number {
    return this.#clients.size;
  }

  /**
   * Counts a value that doesn't verify.
   * @returns the error to answer with, where the client has tried too many; undefined where it may go on without a session.
   */
  count(engine: Engine, request: SessionRequest, value: string): TooManyGuessesError | undefined {
    const client = this.#client(engine, request);
    if (client === undefined) return undefined;
    const now = engine.clock();
    const guesses = this.#guessesOf(client, now);
    const number = this.#numberOf(value);
    if (guesses.known.includes(number)) return undefined;

    guesses.count++;
    const end = guesses.since + this.#window;
    if (guesses.count <= this.#max) {
      guesses.known[(guesses.count - 1) % MAX_KNOWN] = number;
      return undefined;
    }
    if (guesses.count === this.#max + 1)
      engine.events.emit("guess-limit", {
        at: new Date(now),
        client,
        guesses: this.#max,
        until: new Date(end),
      });
    return new TooManyGuessesError(Math.max(1, Math.ceil((end - now) / 1000)));
  }

  #client(engine: Engine, request: SessionRequest): string | undefined {
    if (this.#clientOf !== undefined) return named(this.#clientOf(request));
    const address = clientAddressOf(request, engine.trustsProxy);
    if (address !== undefined) return clientKeyOf(address);
    if (!this.#warned) {
      this.#warned = true;
      warn(
        "HOLDFAST_GUESS_LIMIT",
        "guessLimit: the platform doesn't tell the client's address, so nobody is limited. Give the adapter `remoteAddress`, or " +
          "the option a function `client`.",
      );
    }
    return undefined;
  }

  #guessesOf(client: string, now: number): Guesses {
    const known = this.#clients.get(client);
    if (known !== undefined && now < known.since + this.#window) return known;
    // At the end of the map: the first is always the one whose window began first.
    this.#clients.delete(client);
    const guesses: Guesses = { since: now, count: 0, known: [] };
    this.#clients.set(client, guesses);
    if (this.#clients.size > MAX_CLIENTS) this.#clients.delete(this.#clients.keys().next().value!);
    return guesses;
  }

  #numberOf(value: string): number {
    return Number.parseInt(hash("sha256", this.#salt + value, "hex").slice(0, 12), 16);
  }
}

/** Anything else, as a promise, would be another client with each request, and nobody limited. */
function named(client: unknown): string | undefined {
  if (client === undefined || typeof client === "string") return client;
  throw new ConfigurationError(
    "guessLimit.client",
    `the function gave ${shown(client)}, not text or undefined`,
  );
}

/** The option `guessLimit`: true stands for all defaults. */
export function checkedGuessLimit(option: boolean | GuessLimitOptions): GuessLimit | undefined {
  if (option === false) return undefined;
  return new GuessLimit(option === true ? {} : option);
}
