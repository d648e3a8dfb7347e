import type { Terminal } from "./terminal.js";
import { count } from "./wording.js";

const REDRAWN = 100;
const BAR = 24;
/** The characters of base64url in the order in which most stores sort ids. */
const DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/** A bar on stderr, where somebody sees it, or nothing. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #doing: string;
  readonly #total: number | undefined;
  readonly #start = performance.now();
  #done = 0;
  #lastId = "";
  /** Whether ids have come in the order that tells how far along they are. */
  #ordered = true;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** @param total how many there will be, where that is known. */
  constructor(terminal: Terminal, doing: string, total?: number) {
    this.#terminal = terminal;
    this.#doing = doing;
    this.#total = total;
    if (!terminal.watched) return;
    // What takes no time needs no bar.
    this.#drawnAt = this.#start;
    this.#timer = setInterval(() => this.#draw(), REDRAWN * 2);
    this.#timer.unref();
  }

  /** One more is done. Its id tells how far a walk through the ids has come, where the total isn't known. */
  step(id = ""): void {
    this.#done++;
    if (this.#timer === undefined) return;
    if (id < this.#lastId) this.#ordered = false;
    this.#lastId = id;
    if (performance.now() - this.#drawnAt >= REDRAWN) this.#draw();
  }

  /** So many are done. */
  reach(done: number, cursor = ""): void {
    this.#done = done - 1;
    this.step(cursor);
  }

  get done(): number {
    return this.#done;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#terminal.wipe();
  }

  #draw(): void {
    this.#drawnAt = performance.now();
    const seconds = Math.floor((this.#drawnAt - this.#start) / 1000);
    const share = this.#share();
    const numbers = this.#done === 0 ? "" : `  ${count(this.#done)}`;
    const of = this.#total === undefined ? "" : ` of ${count(this.#total)}`;
    if (share === undefined) {
      this.#terminal.draw(`${this.#doing}${numbers}  ${seconds}s`);
      return;
    }
    const filled = Math.round(share * BAR);
    const bar = "█".repeat(filled) + "░".repeat(BAR - filled);
    this.#terminal.draw(
      `${this.#doing}  ${bar} ${String(Math.floor(share * 100)).padStart(3)}%${numbers}${of}`,
    );
  }

  /** Ids are hashes, spread evenly: where the last one stands among all possible ones is how far the walk has come. */
  #share(): number | undefined {
    if (this.#total !== undefined) return Math.min(this.#done / Math.max(this.#total, 1), 1);
    if (!this.#ordered || this.#lastId === "") return undefined;
    const [first, second] = [DIGITS.indexOf(this.#lastId[0]!), DIGITS.indexOf(this.#lastId[1]!)];
    return (first * 64 + second) / 4096;
  }
}
