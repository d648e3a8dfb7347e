import type { SessionRequest } from "../request.js";

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
  const bare = bareAddress(address);
  if (!bare.includes(":")) return bare;
  const prefix = groupsOf(bare).slice(0, 4);
  return `${prefix.map((group) => group.toString(16)).join(":")}::/64`;
}

/** The network of an address by the bits that name it, as in "192.0.2.0/24" and "2001:db8:7::/48"; undefined for what is none. */
export function networkIn(address: string, ipv4Prefix: number, ipv6Prefix: number): string | undefined {
  const bare = bareAddress(address);
  if (!isAddress(bare)) return undefined;
  if (bare.includes(":")) {
    const groups = masked(groupsOf(bare), 16, ipv6Prefix).slice(0, Math.ceil(ipv6Prefix / 16));
    const tail = groups.length < 8 ? "::" : "";
    return `${groups.map((group) => group.toString(16)).join(":")}${tail}/${ipv6Prefix}`;
  }
  return `${masked(bare.split(".").map(Number), 8, ipv4Prefix).join(".")}/${ipv4Prefix}`;
}

/** The numbers of an address, each of `size` bits, with nothing left of it after the first `prefix` bits. */
function masked(parts: readonly number[], size: number, prefix: number): number[] {
  return parts.map((part, index) => {
    const kept = Math.min(Math.max(prefix - index * size, 0), size);
    return part & (((1 << kept) - 1) << (size - kept));
  });
}

/** Without the zone, and an IPv4 address that is written as IPv6 as what it is. */
function bareAddress(address: string): string {
  const [bare = ""] = address.split("%", 1);
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
}

/** The eight numbers of an IPv6 address. */
function groupsOf(bare: string): number[] {
  const [head = "", tail] = bare.split("::");
  const groups = head === "" ? [] : head.split(":");
  // What "::" leaves out are zeros.
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array<string>(missing).fill("0"), ...after].slice(0, 8);
  return all.map((group) => (Number.parseInt(group, 16) || 0) & 0xffff);
}

/** Some proxies send it: "192.0.2.1:4711", "[2001:db8::1]:4711". */
function withoutPort(entry: string): string {
  const [, inBrackets, plain] = /^(?:\[([^\]]*)\](?::\d+)?|([^:]*):\d+)$/.exec(entry) ?? [];
  return inBrackets ?? plain ?? entry;
}

function isAddress(text: string): boolean {
  return text.length <= 45 && /^(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-f:.]*:[\da-f:.]*)$/i.test(text);
}
