import { ConfigurationError, HoldfastError, InvalidArgumentError, StoreError } from "../errors.js";
import { EXIT, FailureError, UsageError } from "./command.js";
import { withoutSecrets } from "./location.js";
import { Refusal } from "./terminal.js";
import { visible } from "./visible.js";

/** How a failure ends the process, and what is said of it in one line. */
export interface Failure {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
}

/** Options of `openStore` that the command line has under the same names. */
const STORE_SETTINGS = ["openStore", "table", "schema", "prefix"];

/** @param location the store's, which no message may quote. */
export function failureOf(error: unknown, location: string): Failure {
  const { exitCode, code, message } = described(error);
  return { exitCode, code, message: visible(withoutSecrets(message, location)) };
}

function described(error: unknown): Failure {
  if (error instanceof UsageError) return { exitCode: EXIT.usage, code: error.code, message: error.message };
  if (error instanceof Refusal) return { exitCode: error.exitCode, code: error.code, message: error.message };
  if (error instanceof FailureError)
    return { exitCode: EXIT.failure, code: error.code, message: `${error.message}${causeOf(error)}` };
  if (error instanceof StoreError)
    return { exitCode: EXIT.failure, code: error.code, message: `${error.message}${causeOf(error)}` };
  if (error instanceof ConfigurationError) {
    const exitCode = STORE_SETTINGS.includes(error.option) ? EXIT.usage : EXIT.failure;
    const message = error.message
      .replace(/^(openStore|sqliteStore\.(path|table)): /, "--store: ")
      .replace(/^(table|schema|prefix): /, "--$1: ");
    return { exitCode, code: error.code, message };
  }
  if (error instanceof InvalidArgumentError)
    return { exitCode: EXIT.usage, code: error.code, message: error.message };
  if (error instanceof HoldfastError)
    return { exitCode: EXIT.failure, code: error.code, message: error.message };
  return {
    exitCode: EXIT.failure,
    code: "ERR_HOLDFAST_CLI",
    message: `${textOf(error)} (DEBUG=holdfast shows where)`,
  };
}

/** What the driver said, and what to do about it. */
function causeOf(error: Error): string {
  if (error.cause === undefined) return "";
  const text = textOf(error.cause);
  const hint = HINTS.find(([pattern]) => pattern.test(text))?.[1];
  return ` ${text}${hint === undefined ? "" : `. ${hint}`}`;
}

const HINTS: ReadonlyArray<readonly [RegExp, string]> = [
  [/ECONNREFUSED|max retries per request/i, "Does the server run there?"],
  [/ENOTFOUND|EAI_AGAIN/, "Is the host's name right?"],
  [/ETIMEDOUT|timed? ?out/i, "Is there a firewall in between?"],
  [
    /password|authenticat|NOAUTH|WRONGPASS|Access denied|permission denied/i,
    "Check the user, the password and the rights in the URL",
  ],
  [/certificate|self[- ]signed|TLS|SSL/i, "Check the TLS settings in the URL"],
];

function textOf(error: unknown): string {
  // Node tries every address of a host, and puts what each answered into an error without a message.
  const { message, code, errors } = error as { message?: string; code?: string; errors?: unknown[] };
  if (message) return message;
  return errors?.length ? textOf(errors[0]) : (code ?? String(error));
}
