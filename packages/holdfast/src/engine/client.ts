import bowser from "bowser";
import type { SessionRequest } from "./request.js";

/** A coarse description of the client that a session was made for, to show its user among their devices. */
export interface ClientDescription {
  /** As in "Firefox"; undefined where the User-Agent doesn't tell. */
  readonly browser?: string;
  /** As in "Windows" or "iOS". */
  readonly system?: string;
  /** The address of the client, as far as the framework knows it; only with the option `rememberIp`. */
  readonly ip?: string;
}

/** User agents are at most this long; what follows is not worth parsing. */
const MAX_USER_AGENT = 512;

/** A client that nobody knows is called what it calls itself, so only what looks like a name is taken for one. */
const NAME = /^[\w .+-]{1,40}$/;

/** Describes a request's client by its User-Agent: browser and system family, no versions. */
export function describeClient(request: SessionRequest, rememberIp: boolean): ClientDescription | undefined {
  const userAgent = request.header("user-agent")?.slice(0, MAX_USER_AGENT);
  const { browser, os } = userAgent ? bowser.parse(userAgent) : { browser: undefined, os: undefined };
  const address = request.clientAddress ?? request.remoteAddress;
  const description = {
    ...(browser?.name && NAME.test(browser.name) && { browser: browser.name }),
    ...(os?.name && NAME.test(os.name) && { system: os.name }),
    ...(rememberIp && address && { ip: address }),
  };
  return Object.keys(description).length > 0 ? description : undefined;
}
