const UNITS: ReadonlyArray<readonly [string, number]> = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
];

/** A length of time in milliseconds, by its largest unit: "3d", "27m", "0s". */
export function span(milliseconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(milliseconds) >= size) ?? ["s", 1000];
  return `${Math.floor(Math.abs(milliseconds) / size)}${unit}`;
}

/** As in "3m ago" and "in 27m". */
export function relative(time: number, now: number): string {
  if (Math.abs(time - now) < 1000) return "now";
  return time < now ? `${span(now - time)} ago` : `in ${span(time - now)}`;
}

/** As in "2026-11-25 16:04:27 UTC (3m ago)". */
export function moment(time: number, now: number): string {
  return `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC (${relative(time, now)})`;
}

const NUMBERS = new Intl.NumberFormat("en-US");

export function count(number: number): string {
  return NUMBERS.format(number);
}

/** As in "1 session" and "1,204 sessions". */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function bytes(number: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; number >= 1024 && unit < units.length - 1; unit++) number /= 1024;
  return `${unit === 0 ? count(number) : number.toFixed(1)} ${units[unit]}`;
}
