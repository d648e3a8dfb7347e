import type { Terminal } from "./terminal.js";

/** What the process ends with. They are documented, and stay. */
export const EXIT = {
  ok: 0,
  /** What was asked for is not there, `doctor` found something, or somebody answered no. */
  findings: 1,
  /** The command line is wrong, or a confirmation is missing. */
  usage: 2,
  /** The store, or the configuration module, can't be used. */
  failure: 3,
  /** As a shell has it for a process that Ctrl-C ended. */
  interrupted: 130,
} as const;

export interface OptionSpec {
  readonly type: "string" | "boolean";
  /** What stands for its value in the help. */
  readonly value?: string;
  readonly about: string;
}

export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly about: string;
  /** What follows the name, as in "ID | --user USER | --all". */
  readonly takes: string;
  /** Paragraphs of the help. */
  readonly details?: readonly string[];
  readonly examples?: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** The most positional arguments that it takes. */
  readonly positionals: number;
  /** @returns the exit code. */
  run(invocation: Invocation): Promise<number>;
}

export interface Invocation {
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
  readonly terminal: Terminal;
}

/** The command line is wrong. */
export class UsageError extends Error {
  readonly code = "ERR_HOLDFAST_USAGE";
}

/** It can't be done: where, and what to do, in one line. */
export class FailureError extends Error {
  readonly code: string;

  constructor(message: string, options: { cause?: unknown; code?: string } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "ERR_HOLDFAST_CLI";
  }
}

/** A text option's value. */
export function text({ options }: Invocation, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** A whole number from an option. @throws UsageError */
export function wholeNumber(invocation: Invocation, name: string, most: number): number | undefined {
  const value = text(invocation, name);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && number <= most) return number;
  throw new UsageError(`--${name} takes a whole number from 1 to ${most}`);
}
