import { parseArgs } from "node:util";
import { type Command, type OptionSpec, UsageError } from "./command.js";
import { nearest } from "./nearest.js";

/** Options of every command. */
export const EVERYWHERE: Readonly<Record<string, OptionSpec>> = {
  json: { type: "boolean", about: "for programs: JSON, also for errors" },
  "no-color": { type: "boolean", about: "no colors (so does NO_COLOR in the environment)" },
  help: { type: "boolean", about: "this help" },
};

/** The application's module. */
export const MODULE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  config: {
    type: "string",
    value: "MODULE",
    about: "the application's module that exports its sessions, in place of --store (or HOLDFAST_CONFIG)",
  },
  export: { type: "string", value: "NAME", about: "which export of that module" },
};

/** Where the sessions are: the options of every command that looks at them. */
export const STORE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  store: {
    type: "string",
    value: "URL",
    about: "redis://, postgres://, mysql://, mongodb:// or the path of a SQLite file (or HOLDFAST_STORE)",
  },
  ...MODULE_OPTIONS,
  table: { type: "string", value: "NAME", about: "the table, or MongoDB's collection (holdfast_sessions)" },
  schema: { type: "string", value: "NAME", about: "PostgreSQL's schema (public)" },
  prefix: { type: "string", value: "TEXT", about: "what Redis keys begin with (holdfast:)" },
  "secrets-file": {
    type: "string",
    value: "PATH",
    about: "the secrets of encrypted sessions, one a line (or SESSION_SECRETS in the environment)",
  },
};

export const YES: Readonly<Record<string, OptionSpec>> = {
  yes: { type: "boolean", about: "don't ask" },
};

export interface Arguments {
  readonly options: Record<string, string | boolean | undefined>;
  readonly positionals: string[];
}

/** Stands in front of an argument that begins with a dash and is a session id. No argument can hold it. */
const SESSION_ID_MARK = "\0";

/** The command's options and other arguments. @throws UsageError that names the nearest option for one typed wrong. */
export function readArguments(command: Command, args: readonly string[]): Arguments {
  const specs = { ...command.options, ...EVERYWHERE };
  const { tokens } = parseArgs({
    args: args.map((arg) => (/^-[A-Za-z0-9_-]{42}$/.test(arg) ? SESSION_ID_MARK + arg : arg)),
    options: Object.fromEntries(Object.entries(specs).map(([name, { type }]) => [name, { type }])),
    strict: false,
    tokens: true,
  });
  const options: Arguments["options"] = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(unmarked(token.value));
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    const spec = Object.hasOwn(specs, name) && rawName.startsWith("--") ? specs[name] : undefined;
    if (spec === undefined) {
      const meant = nearest(name, Object.keys(specs));
      const hint = meant === undefined ? "" : ` Did you mean --${meant}?`;
      throw new UsageError(`There is no option ${rawName} of "holdfast ${command.name}".${hint}`);
    }
    if (Object.hasOwn(options, name)) throw new UsageError(`--${name} is given twice`);
    if (spec.type === "boolean") {
      if (value !== undefined) throw new UsageError(`--${name} takes no value`);
      options[name] = true;
    } else {
      const isOption = !inlineValue && value?.startsWith("-");
      if (value === undefined || value === "" || isOption)
        throw new UsageError(`--${name} needs a value: --${name}=${spec.value}`);
      options[name] = unmarked(value);
    }
  }
  if (positionals.length > command.positionals && options.help !== true) {
    // What is there may be a secret that was pasted, so it is not repeated.
    const most = command.positionals === 0 ? "no argument" : `${command.positionals} argument`;
    throw new UsageError(`"holdfast ${command.name}" takes ${most}, and got ${positionals.length}`);
  }
  return { options, positionals };
}

function unmarked(value: string): string {
  return value.startsWith(SESSION_ID_MARK) ? value.slice(1) : value;
}
