import { ConfigurationError } from "../../errors.js";
import { shown } from "../../shown.js";
import type { CookiePolicy } from "../../token/cookie.js";
import { warn } from "../../warn.js";
import { callListener } from "../events.js";
import type { SessionRequest } from "../request.js";
import { type Explanation, explanation } from "./explanation.js";

/** How many explanations are kept, for `sessions.explanations()` and for who asks by the socket. */
export const KEPT = 50;

/** Tells, for each request, why it has its session or none. */
export class Explainer {
  readonly cookies: CookiePolicy;
  readonly sameSite: "lax" | "strict" | "none";
  readonly #tell: (explanation: Explanation) => void;
  readonly #clock: () => number;
  readonly #last: Explanation[] = [];

  constructor(
    tell: (explanation: Explanation) => void,
    cookies: CookiePolicy,
    sameSite: "lax" | "strict" | "none",
    clock: () => number,
  ) {
    this.#tell = tell;
    this.cookies = cookies;
    this.sameSite = sameSite;
    this.#clock = clock;
  }

  /** The last ones, oldest first. */
  get last(): readonly Explanation[] {
    return [...this.#last];
  }

  tell(told: Explanation): void {
    this.#last.push(told);
    if (this.#last.length > KEPT) this.#last.shift();
    callListener("`explain`", this.#tell, told);
  }

  /** For what a handler does after its answer has begun, and after that was explained. */
  tooLate(request: SessionRequest, action: string): void {
    const text = `${action} came after the response's headers had left, so it is not done`;
    this.tell(explanation({ clock: this.#clock }, request, [{ code: "headers-sent", text }]));
  }

  /** For a request that the option `skip` of the adapter has left out. */
  skipped(request: SessionRequest): void {
    const remark = { code: "skipped", text: "left out by the option `skip`" } as const;
    this.tell(explanation({ clock: this.#clock }, request, [remark]));
  }
}

/** Where an explanation goes, by the option `explain` or the environment; undefined for nowhere. */
export function explanationOutput(
  option: boolean | ((explanation: Explanation) => void) | undefined,
  production: boolean,
): ((explanation: Explanation) => void) | undefined {
  if (option !== undefined && typeof option !== "boolean" && typeof option !== "function")
    throw new ConfigurationError("explain", `expected true, false or a function, got ${shown(option)}`);
  if (!(option ?? isAskedFor(process.env.DEBUG))) return undefined;
  if (production) {
    const how = option === undefined ? "DEBUG" : "explain";
    warn(
      "HOLDFAST_EXPLAIN",
      `${how}: each request is explained, in production: that costs time and a line each.`,
    );
  }
  return typeof option === "function" ? option : writeLine;
}

function writeLine({ line }: Explanation): void {
  process.stderr.write(`${line}\n`);
}

/** The names that `DEBUG` may turn it on by. */
const NAMESPACES = ["holdfast", "holdfast:explain"];

/** Reads `DEBUG` as the package debug does: names with wildcards, by commas or blanks; with "-" before, all but those. */
function isAskedFor(debug: string | undefined): boolean {
  const patterns = (debug ?? "").split(/[\s,]+/).filter((pattern) => pattern !== "");
  const matches = (pattern: string) =>
    NAMESPACES.some((name) =>
      new RegExp(`^${pattern.replace(/[^\w*]/g, "\\$&").replace(/\*/g, ".*")}$`).test(name),
    );
  const excluded = patterns.filter((pattern) => pattern.startsWith("-")).map((pattern) => pattern.slice(1));
  return !excluded.some(matches) && patterns.some((pattern) => !pattern.startsWith("-") && matches(pattern));
}
