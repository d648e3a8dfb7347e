import { type Duration, milliseconds } from "../duration.js";
import { ConfigurationError } from "../errors.js";
import { isPlainObject } from "./codec.js";
import type { Engine } from "./engine.js";
import type { SessionMeta } from "./record.js";

/** How long sessions live whose user asked to be remembered: `login(userId, { remember: true })`. */
export interface RememberOptions {
  /** Such a session ends when its user has not come for so long. Default: "14d", or `idleTimeout` where that is longer. */
  idleTimeout?: Duration;
  /**
   * Such a session ends so long after its login. Default: "30d", the most that NIST SP 800-63B-4 (2.1.3) has for AAL1, or
   * `absoluteTimeout` where that is longer.
   */
  absoluteTimeout?: Duration;
}

/** Both timeouts of a session, in milliseconds. */
export interface Lifetime {
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
}

const DAY = 86_400_000;

/** How long a session lives: by its login. */
export function lifetimeOf(
  engine: Pick<Engine, "idleTimeout" | "absoluteTimeout" | "remember">,
  meta: Pick<SessionMeta, "remembered">,
): Lifetime {
  return meta.remembered === true && engine.remember !== undefined ? engine.remember : engine;
}

/** @throws ConfigurationError */
export function checkedRemember(option: boolean | RememberOptions, usual: Lifetime): Lifetime | undefined {
  if (option === false) return undefined;
  if (option !== true && !isPlainObject(option as unknown))
    throw new ConfigurationError("remember", "expected true, false or an object with timeouts");
  const { idleTimeout, absoluteTimeout, ...rest } = option === true ? ({} as RememberOptions) : option;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw new ConfigurationError(
      `remember.${unknown}`,
      "is not an option; there are idleTimeout, absoluteTimeout",
    );
  const absolute =
    absoluteTimeout === undefined
      ? Math.max(30 * DAY, usual.absoluteTimeout)
      : milliseconds("remember.absoluteTimeout", absoluteTimeout, 1000);
  const idle =
    idleTimeout === undefined
      ? Math.min(Math.max(14 * DAY, usual.idleTimeout), absolute)
      : milliseconds("remember.idleTimeout", idleTimeout, 1000);
  if (idle > absolute)
    throw new ConfigurationError("remember.idleTimeout", "must not be longer than remember.absoluteTimeout");
  if (absolute < usual.absoluteTimeout)
    throw new ConfigurationError("remember.absoluteTimeout", "must not be shorter than absoluteTimeout");
  if (idle < usual.idleTimeout)
    throw new ConfigurationError("remember.idleTimeout", "must not be shorter than idleTimeout");
  return { idleTimeout: idle, absoluteTimeout: absolute };
}
