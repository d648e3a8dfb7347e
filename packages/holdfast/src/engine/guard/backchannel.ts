import { pathOf, type SessionRequest } from "../request.js";

/** The paths that another server posts to, which proves itself by what it posts: a provider's logout tokens. */
const paths = new Set<string>();

/** Lets the CSRF guard know a path of the library's own. */
export function addBackchannel(path: string): void {
  paths.add(path);
}

/**
 * Whether another server is calling, which is no browser and has none of its headers. Only where no cookie came: nobody's name
 * is used then, whatever else may answer at this path.
 */
export function isBackchannel(request: SessionRequest): boolean {
  return paths.size > 0 && request.header("cookie") === undefined && paths.has(pathOf(request.target));
}
