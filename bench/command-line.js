import { parseArgs } from "node:util";

/**
 * Reads `--name value` options; each has a default, and says what it is for. Lists are separated by commas.
 * @param {Record<string, { value: string | number | string[] | number[], choices?: string[], help: string }>} options
 */
export function readOptions(command, options) {
  const flags = { help: { type: "boolean" } };
  for (const name of Object.keys(options)) flags[name] = { type: "string" };
  let given;
  try {
    given = parseArgs({ options: flags }).values;
  } catch (error) {
    fail(error.message);
  }
  if (given.help) {
    const lines = Object.entries(options).map(
      ([name, { value, choices, help }]) =>
        `  --${name.padEnd(12)} ${help}${choices ? ` (of: ${choices.join(", ")})` : ""}. Default: ${value}`,
    );
    console.log(`${command} [options]\n${lines.join("\n")}`);
    process.exit(0);
  }
  const settings = {};
  for (const [name, { value, choices }] of Object.entries(options)) {
    settings[name] = given[name] === undefined ? value : parsed(name, given[name], value, choices);
  }
  return settings;
}

function parsed(name, text, example, choices) {
  const isList = Array.isArray(example);
  const parts = isList ? text.split(",") : [text];
  const values = parts.map((part) => {
    if (choices !== undefined && !choices.includes(part))
      fail(`--${name}: ${part} is none of ${choices.join(", ")}`);
    if (typeof (isList ? example[0] : example) !== "number") return part;
    const number = numberOf(part);
    if (!(number > 0)) fail(`--${name}: ${part} is no number above 0`);
    return number;
  });
  return isList ? values : values[0];
}

/** Also "10k" and "1m". */
function numberOf(text) {
  const [, digits, unit] = /^([\d.]+)([km]?)$/i.exec(text) ?? [];
  return Number(digits) * { "": 1, k: 1e3, m: 1e6 }[unit?.toLowerCase() ?? ""];
}

function fail(message) {
  console.error(`${message}\nSee --help.`);
  process.exit(2);
}
