import { createRequire } from "node:module";
import { EVERYWHERE, readArguments } from "./arguments.js";
import { type Command, EXIT, type OptionSpec, UsageError } from "./command.js";
import { doctor } from "./doctor.js";
import { failureOf } from "./failures.js";
import { withoutSecrets } from "./location.js";
import { ls } from "./ls.js";
import { nearest } from "./nearest.js";
import { reencrypt } from "./reencrypt.js";
import { revoke } from "./revoke.js";
import { secret } from "./secret.js";
import { show } from "./show.js";
import { stats } from "./stats.js";
import { sweep } from "./sweep.js";
import { Interruption, type Streams, Terminal } from "./terminal.js";
import { visible } from "./visible.js";

export const COMMANDS: readonly Command[] = [secret, ls, show, revoke, stats, sweep, reencrypt, doctor];

/** Runs a command line. @returns the exit code. */
export async function run(
  args: readonly string[],
  streams: Streams,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const flag = (name: string) => args.includes(`--${name}`);
  const terminal = new Terminal(streams, { json: flag("json"), noColor: flag("no-color") }, env);
  const location = storeIn(args) ?? env.HOLDFAST_STORE ?? "";
  showWarnings(terminal, location);
  try {
    return await runCommand(args, terminal);
  } catch (error) {
    terminal.wipe();
    if (error instanceof Interruption) return EXIT.interrupted;
    const { exitCode, code, message } = failureOf(error, location);
    terminal.error(code, message);
    if (env.DEBUG) {
      const stack = withoutSecrets((error as Error)?.stack ?? "", location);
      terminal.note(stack.split("\n").map(visible).join("\n"));
    }
    return exitCode;
  }
}

async function runCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const at = args.findIndex((arg) => !arg.startsWith("-"));
  const name = at === -1 ? undefined : args[at];
  if (name === undefined || name === "help") {
    const asked = args[at + 1];
    if (name === "help" && asked !== undefined) return help(commandCalled(asked), terminal);
    if (args.includes("--version")) {
      await terminal.line(version());
      return EXIT.ok;
    }
    const isAsked = name === "help" || args.length === 0 || args.includes("--help") || args.includes("-h");
    if (!isAsked)
      throw new UsageError(`A command is missing: ${COMMANDS.map(({ name }) => name).join(", ")}`);
    await overview(terminal);
    return args.length === 0 ? EXIT.usage : EXIT.ok;
  }
  const command = commandCalled(name);
  const rest = [...args.slice(0, at), ...args.slice(at + 1)].map((arg) => (arg === "-h" ? "--help" : arg));
  const { options, positionals } = readArguments(command, rest);
  if (options.help === true) return help(command, terminal);
  return command.run({ options, positionals, terminal });
}

function commandCalled(name: string): Command {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  const names = COMMANDS.map((candidate) => candidate.name);
  const meant = nearest(name, names);
  const hint = meant === undefined ? `There are ${names.join(", ")}.` : `Did you mean ${meant}?`;
  throw new UsageError(`There is no command "${name.slice(0, 40)}". ${hint}`);
}

/** The store's location before anything is checked: no message may quote it. */
function storeIn(args: readonly string[]): string | undefined {
  const at = args.findIndex((arg) => arg === "--store" || arg.startsWith("--store="));
  return at === -1 ? undefined : args[at] === "--store" ? args[at + 1] : args[at]!.slice("--store=".length);
}

/** In place of Node's way, which names the process and the place in the code. */
function showWarnings(terminal: Terminal, location: string): void {
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (warning.name !== "HoldfastWarning" || terminal.json) return;
    // They are for a server that goes on running. Here the command fails, and says why.
    if (["HOLDFAST_REDIS_CONNECTION", "HOLDFAST_MONGODB"].includes((warning as { code?: string }).code ?? ""))
      return;
    terminal.note(`warning: ${failureOf(new UsageError(warning.message), location).message}`);
  });
}

function version(): string {
  return createRequire(import.meta.url)("../../package.json").version;
}

async function overview(terminal: Terminal): Promise<void> {
  await terminal.line("Usage: npx holdfast COMMAND [OPTIONS]\n");
  await terminal.line("Commands:");
  for (const { name, about } of COMMANDS)
    await terminal.line(`  ${terminal.style("bold", name.padEnd(10))}${about}`);
  await terminal.line(
    "\nnpx holdfast COMMAND --help tells of each. Exit codes: 0 done, 1 nothing found, findings, or the answer was no,\n2 the command line is wrong, 3 the store or the module can't be used.",
  );
}

async function help(
  { name, about, takes, details = [], examples = [], options }: Command,
  terminal: Terminal,
) {
  await terminal.line(`Usage: npx holdfast ${`${name} ${takes}`.trim()} [OPTIONS]\n`);
  await terminal.line(`${about[0]!.toUpperCase()}${about.slice(1)}.`);
  const width = Math.min(terminal.columns ?? 100, 120);
  for (const paragraph of details) await terminal.line(`\n${wrapped(paragraph, width, 0)}`);
  await terminal.line("\nOptions:");
  const rows = Object.entries({ ...options, ...EVERYWHERE }).map(([option, spec]) => [
    flagOf(option, spec),
    spec.about,
  ]);
  const column = Math.max(...rows.map(([flag]) => flag!.length)) + 4;
  for (const [flag, what] of rows)
    await terminal.line(
      `  ${terminal.style("bold", flag!.padEnd(column - 2))}${wrapped(what!, width, column)}`,
    );
  if (examples.length > 0) await terminal.line("\nExamples:");
  for (const example of examples) await terminal.line(`  ${example}`);
  return EXIT.ok;
}

function flagOf(name: string, { value }: OptionSpec): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}

function wrapped(text: string, width: number, indent: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width - indent) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}
