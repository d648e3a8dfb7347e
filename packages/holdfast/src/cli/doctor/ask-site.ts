import type { IncomingMessage } from "node:http";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { type CookieOptions, createCookiePolicy } from "../../token/cookie.js";
import { UsageError } from "../command.js";
import { isLocal, type SetCookie, type SiteAnswer, type SiteFacts } from "./site.js";

const TIMEOUT = 10_000;

/** @throws UsageError where it is no address of a page. */
export function siteAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new UsageError("--url takes the address of a page, as in http://localhost:3000/");
}

/** Requests a page as three browsers would: one without a cookie, the same once more, and one that has forged its own. */
export async function askSite(url: URL, options: CookieOptions | undefined): Promise<SiteFacts> {
  const { overHttps, overHttp } = createCookiePolicy(options);
  const names = [overHttps.name, overHttp.name];
  const answers: { first?: SiteAnswer; second?: SiteAnswer; forged?: SiteAnswer } = {};
  let failure: string | undefined;
  try {
    const first = await ask(url, undefined, names);
    answers.first = first.answer;
    if (first.pair !== undefined) answers.second = (await ask(url, first.pair, names)).answer;
    const name = url.protocol === "https:" ? overHttps.name : overHttp.name;
    answers.forged = (await ask(url, `${name}=${"A".repeat(43)}.${"A".repeat(43)}`, names)).answer;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    failure = `${url.origin} gives no answer: ${message || code}.`;
  }
  return {
    url,
    failure,
    first: answers.first,
    second: answers.second,
    forged: answers.forged,
  };
}

/** The answer, and what a browser would send back of the session's cookie. */
async function ask(
  url: URL,
  cookie: string | undefined,
  names: readonly string[],
): Promise<{ answer: SiteAnswer; pair: string | undefined }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    // A development server's certificate is often one that it made itself.
    const options = {
      headers: { accept: "text/html", ...(cookie && { cookie }) },
      rejectUnauthorized: !isLocal(url),
    };
    const request = (url.protocol === "https:" ? requestHttps : requestHttp)(url, options, resolve);
    request.setTimeout(TIMEOUT, () => request.destroy(new Error("it took more than 10 s")));
    request.once("error", reject);
    request.end();
  });
  response.resume();
  const lines = response.headers["set-cookie"] ?? [];
  const line = lines.find((text) => names.includes(text.split("=", 1)[0]!));
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(response.headers))
    headers[name] = Array.isArray(value) ? value.join(", ") : value;
  const answer = { status: response.statusCode ?? 0, headers, cookie: line && parsed(line) };
  return { answer: answer as SiteAnswer, pair: line?.split(";", 1)[0] };
}

function parsed(line: string): SetCookie {
  const [pair, ...attributes] = line.split(";").map((part) => part.trim()) as [string, ...string[]];
  const split = attributes.map((attribute) => {
    const [name, ...value] = attribute.split("=");
    return [name!.toLowerCase(), value.join("=")];
  });
  const named = Object.fromEntries(split);
  return { name: pair.split("=", 1)[0]!, attributes: named, deletes: named["max-age"] === "0" };
}
