import bowser from "bowser";
import { RecentMap } from "../../token/recent-map.js";
import type { Engine } from "../engine.js";
import type { SessionRequest } from "../request.js";
import { clientAddressOf, networkIn } from "./client-address.js";

/** A coarse description of the client that a session was made for, to show its user among their devices. */
export interface ClientDescription {
  /** As in "Firefox"; undefined where the User-Agent doesn't tell. */
  readonly browser?: string;
  /** As in "Windows" or "iOS". */
  readonly system?: string;
  /** The address of the client, as far as the framework knows it; only with the option `rememberIp`. */
  readonly ip?: string;
  /** The network that the address is in, as in "192.0.2.0/24"; only where the option `clientChange` looks at it. */
  readonly network?: string;
}

/** User agents are at most this long; what follows is not worth parsing. */
const MAX_USER_AGENT = 512;

/** A client that nobody knows is called what it calls itself, so only what looks like a name is taken for one. */
const NAME = /^[\w .+-]{1,40}$/;

/** What a client's User-Agent says that it is: names, no versions. */
export type ClientFamilies = Pick<ClientDescription, "browser" | "system">;

/** What has been read of the last User-Agents: most requests bring one that has come before, and reading one takes long. */
const known = new RecentMap<ClientFamilies>(1000);

/** The families of a request's browser and system. */
export function familiesOf(request: SessionRequest): ClientFamilies {
  const userAgent = request.header("user-agent")?.slice(0, MAX_USER_AGENT) ?? "";
  let families = known.get(userAgent);
  if (families === undefined) {
    families = readUserAgent(userAgent);
    known.set(userAgent, families);
  }
  return families;
}

function readUserAgent(userAgent: string): ClientFamilies {
  const { browser, os } = userAgent ? bowser.parse(userAgent) : { browser: undefined, os: undefined };
  return {
    ...(browser?.name && NAME.test(browser.name) && { browser: browser.name }),
    ...(os?.name && NAME.test(os.name) && { system: os.name }),
  };
}

type Watching = Pick<Engine, "rememberIp" | "clientWatch" | "trustsProxy">;

/** Describes a request's client by its User-Agent, and by its address as far as the options want that. */
export function describeClient(request: SessionRequest, engine: Watching): ClientDescription | undefined {
  const address = engine.rememberIp ? (request.clientAddress ?? request.remoteAddress) : undefined;
  const network = engine.clientWatch?.watch.includes("network") ? networkOf(request, engine) : undefined;
  const description = {
    ...familiesOf(request),
    ...(address && { ip: address }),
    ...(network && { network }),
  };
  return Object.keys(description).length > 0 ? description : undefined;
}

/** The network that a request's client is in, as in "192.0.2.0/24", by the option `clientChange`; undefined where it has no address. */
export function networkOf(
  request: SessionRequest,
  { clientWatch, trustsProxy }: Pick<Engine, "clientWatch" | "trustsProxy">,
): string | undefined {
  // Where no proxy is trusted here, the framework may know one.
  const address = trustsProxy(request.remoteAddress)
    ? clientAddressOf(request, trustsProxy)
    : (request.clientAddress ?? request.remoteAddress);
  if (address === undefined || clientWatch === undefined) return undefined;
  return networkIn(address, clientWatch.ipv4Prefix, clientWatch.ipv6Prefix);
}
