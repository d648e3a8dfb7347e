/** Text that is HTML already. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template takes: everything is escaped but other templates; nothing is nothing. */
export type Insert = Html | string | number | false | undefined | readonly Insert[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A template of HTML, for text and quoted attributes. */
export function html(strings: TemplateStringsArray, ...values: Insert[]): Html {
  return new Html(String.raw({ raw: strings }, ...values.map(rendered)));
}

function rendered(value: Insert): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(rendered).join("");
  return String(value).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** Text that somebody chose, as a person can read it: characters that turn the direction, or that nobody sees, are written out. */
export function named(text: string): Html {
  const visible = text.replace(
    /[\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  return html`<bdi>${visible}</bdi>`;
}
