import type { SessionRequest } from "./request.js";

/**
 * The address of a request's client, for deciding: the peer's, unless that is a trusted proxy. Then it is the last entry of
 * `X-Forwarded-For` that comes from no trusted proxy, for each proxy adds its peer at the end and the client may have written
 * all before. Where everybody is trusted, that is the last entry.
 */
export function clientAddressOf(
  request: SessionRequest,
  trusts: (remoteAddress: string | undefined) => boolean,
): string | undefined {
  const { remoteAddress } = request;
  if (!trusts(remoteAddress)) return remoteAddress;
  const entries = request.header("x-forwarded-for")?.split(",") ?? [];
  let last: string | undefined;
  for (const entry of entries.reverse()) {
    const address = withoutPort(entry.trim());
    if (!isAddress(address)) break;
    last ??= address;
    if (!trusts(address)) return address;
  }
  return last ?? remoteAddress;
}

/**
 * What stands for a client: an IPv4 address, or the first 64 bits of an IPv6 address, for who has one has all of those
 * (RFC 6177).
 */
export function clientKeyOf(address: string): string {
  const [bare = ""] = address.split("%", 1);
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  if (!bare.includes(":")) return bare;
  const [head = "", tail] = bare.split("::");
  const groups = head === "" ? [] : head.split(":");
  // What "::" leaves out are zeros; of the part after it only what reaches into the first four groups counts.
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array<string>(missing).fill("0"), ...after];
  const prefix = all.slice(0, 4).map((group) => (Number.parseInt(group, 16) || 0).toString(16));
  return `${prefix.join(":")}::/64`;
}

/** Some proxies send it: "192.0.2.1:4711", "[2001:db8::1]:4711". */
function withoutPort(entry: string): string {
  const [, inBrackets, plain] = /^(?:\[([^\]]*)\](?::\d+)?|([^:]*):\d+)$/.exec(entry) ?? [];
  return inBrackets ?? plain ?? entry;
}

function isAddress(text: string): boolean {
  return text.length <= 45 && /^(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-f:.]*:[\da-f:.]*)$/i.test(text);
}
