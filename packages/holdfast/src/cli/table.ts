import type { Terminal } from "./terminal.js";
import { columnsOf, cut, visible } from "./visible.js";

export interface Column {
  readonly title: string;
  readonly align?: "right";
  /** Gives way where the screen is too narrow, down to so many columns. */
  readonly least?: number;
}

const GAP = 2;
/** Rows that the widths are taken from; those that follow are cut to them. */
const MEASURED = 200;

/** Prints rows as they come, in columns that fit the screen. Every cell is made visible here. */
export class Table {
  readonly #terminal: Terminal;
  readonly #columns: readonly Column[];
  readonly #screen: number | undefined;
  #widths: number[] | undefined;
  #waiting: string[][] = [];

  /** @param screen the columns to fit; undefined for as many as it takes. */
  constructor(terminal: Terminal, columns: readonly Column[], screen = terminal.columns) {
    this.#terminal = terminal;
    this.#columns = columns;
    this.#screen = screen;
  }

  async row(cells: readonly string[]): Promise<void> {
    const row = cells.map(visible);
    if (this.#widths !== undefined) return this.#print(row);
    this.#waiting.push(row);
    if (this.#waiting.length === MEASURED) await this.end();
  }

  /** Prints what was kept for measuring. */
  async end(): Promise<void> {
    if (this.#widths !== undefined || this.#waiting.length === 0) return;
    this.#widths = this.#measured();
    await this.#print(
      this.#columns.map(({ title }) => title),
      true,
    );
    for (const row of this.#waiting) await this.#print(row);
    this.#waiting = [];
  }

  #measured(): number[] {
    const widths = this.#columns.map(({ title }, index) =>
      Math.max(columnsOf(title), ...this.#waiting.map((row) => columnsOf(row[index]!))),
    );
    if (this.#screen === undefined) return widths;
    let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - this.#screen;
    while (excess > 0) {
      // The widest of those that can give way does, one column at a time.
      let widest = -1;
      for (const [index, { least }] of this.#columns.entries()) {
        if (least === undefined || widths[index]! <= least) continue;
        if (widest === -1 || widths[index]! > widths[widest]!) widest = index;
      }
      if (widest === -1) break;
      widths[widest]!--;
      excess--;
    }
    return widths;
  }

  async #print(row: readonly string[], isHead = false): Promise<void> {
    const cells = row.map((cell, index) => {
      const width = this.#widths![index]!;
      const text = this.#screen === undefined ? cell : cut(cell, width);
      const space = " ".repeat(Math.max(width - columnsOf(text), 0));
      return this.#columns[index]!.align === "right" ? space + text : text + space;
    });
    const line = cells.join(" ".repeat(GAP)).trimEnd();
    await this.#terminal.line(isHead ? this.#terminal.style("bold", line) : line);
  }
}

/** Prints names with their values, one a line. Values are made visible here. */
export async function printFacts(
  terminal: Terminal,
  facts: ReadonlyArray<readonly [string, string | undefined]>,
): Promise<void> {
  const shown = facts.filter((fact): fact is readonly [string, string] => fact[1] !== undefined);
  const width = Math.max(...shown.map(([name]) => name.length));
  for (const [name, value] of shown)
    await terminal.line(`${terminal.style("bold", name.padEnd(width))}  ${visible(value)}`);
}
