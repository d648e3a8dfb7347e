import { once } from "node:events";
import { createInterface } from "node:readline";
import { styleText } from "node:util";
import { EXIT, FailureError, UsageError } from "./command.js";
import { visibleJson } from "./visible.js";

export interface Streams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

type Style = Parameters<typeof styleText>[0];

/** Where a command says what it has to say: results on stdout; progress, questions and errors on stderr. */
export class Terminal {
  readonly json: boolean;
  readonly #streams: Streams;
  readonly #colors: boolean;
  readonly #errorColors: boolean;
  /** Drawn on stderr now, and to be wiped before anything else is. */
  #drawn = false;

  constructor(streams: Streams, options: { json: boolean; noColor: boolean }, env: NodeJS.ProcessEnv) {
    this.#streams = streams;
    this.json = options.json;
    // no-color.org: any value but an empty one. force-color.org likewise.
    const never = options.noColor || Boolean(env.NO_COLOR) || env.TERM === "dumb";
    const always = Boolean(env.FORCE_COLOR) && env.FORCE_COLOR !== "0";
    this.#colors = !never && (always || streams.stdout.isTTY === true);
    this.#errorColors = !never && (always || streams.stderr.isTTY === true);
  }

  /** The columns of the screen; undefined where the output goes somewhere else. */
  get columns(): number | undefined {
    const { stdout } = this.#streams;
    return stdout.isTTY ? Math.max(stdout.columns || 80, 40) : undefined;
  }

  /** Whether somebody can be asked. */
  get asks(): boolean {
    return this.#streams.stdin.isTTY === true && this.#streams.stderr.isTTY === true;
  }

  /** Whether somebody sees progress. */
  get watched(): boolean {
    return !this.json && this.#streams.stderr.isTTY === true;
  }

  style(style: Style, text: string): string {
    return this.#colors ? styled(style, text) : text;
  }

  /** Writes a line, and waits where the reader is slower than we are. */
  async line(text = ""): Promise<void> {
    this.wipe();
    const { stdout } = this.#streams;
    if (!stdout.write(`${text}\n`)) await once(stdout, "drain");
  }

  /** One line of JSON: the answer for programs. */
  async object(value: unknown): Promise<void> {
    await this.line(visibleJson(value));
  }

  /** A line beside the result. */
  note(text: string): void {
    this.wipe();
    this.#streams.stderr.write(`${text}\n`);
  }

  /** What went wrong, in one line. */
  error(code: string, message: string): void {
    const line = message.replace(/\s*\n\s*/g, " ");
    if (this.json) this.note(visibleJson({ error: { code, message: line } }));
    else this.note(`${this.#errorColors ? styled("red", "error") : "error"}: ${line}`);
  }

  /** Draws a line of progress over the one before. */
  draw(text: string): void {
    this.#streams.stderr.write(`\r\u001b[2K${text}`);
    this.#drawn = true;
  }

  wipe(): void {
    if (this.#drawn) this.#streams.stderr.write("\r\u001b[2K");
    this.#drawn = false;
  }

  /**
   * Asks before something that can't be undone.
   * @throws UsageError where nobody can be asked. @throws FailureError where the answer is no.
   */
  async confirm(question: string, yes: boolean): Promise<void> {
    if (yes) return;
    if (!this.asks) {
      throw new UsageError(
        `${question} There is nobody to ask here: run it again with --yes, or in a terminal`,
      );
    }
    this.wipe();
    const { stdin, stderr } = this.#streams;
    const dialog = createInterface({ input: stdin, output: stderr });
    const answer = await new Promise<string>((resolve, reject) => {
      dialog.question(`${question} [y/N] `, resolve);
      dialog.once("SIGINT", () => reject(new Interruption()));
      dialog.once("close", () => resolve(""));
    }).finally(() => dialog.close());
    if (/^y(es)?$/i.test(answer.trim())) return;
    throw new Refusal();
  }
}

/** Somebody answered no. */
export class Refusal extends FailureError {
  readonly exitCode = EXIT.findings;

  constructor() {
    super("Nothing was changed", { code: "ERR_HOLDFAST_CLI_REFUSED" });
  }
}

/** Somebody pressed Ctrl-C at a question. */
export class Interruption extends Error {}

/** Whether there are colors is decided here, not by what Node thinks of stdout. */
function styled(style: Style, text: string): string {
  return (styleText as (style: Style, text: string, options: object) => string)(style, text, {
    validateStream: false,
  });
}
