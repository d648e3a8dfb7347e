import { createHmac, timingSafeEqual } from "node:crypto";
import { ConfigurationError } from "../../errors.js";
import type { Source } from "./index.js";
import { eraseOldCookie, oldCookie } from "./old-cookie.js";
import { oldRecord } from "./old-record.js";
import { checkCookieName, checkNames, checkSource, type SourceOptions } from "./options.js";

/** Sessions of koa-session. Its functions get the session without `_expire`, `_maxAge` and `_session`. */
export interface KoaSessionSource extends SourceOptions {
  /** The application's `app.keys`: an array of texts, or a Keygrip. Cookies that are not signed are not looked at. */
  keys: readonly string[] | { verify(data: string, signature: string): boolean };
  /** The cookie's name. Default: "koa.sess". */
  key?: string;
  /** The store that koa-session had; without it the data is in the cookie. */
  store?: {
    get(key: string, maxAge: any, options: any): unknown;
    destroy(key: string, options: any): unknown;
  };
  /** How the cookie was decoded. Default: JSON in base64, as koa-session does it. */
  decode?: (value: string) => unknown;
}

const OPTION = "migrateFrom.koaSession";
const OPTION_NAMES = ["keys", "key", "store", "decode", "cookie", "userId", "data"];

export function koaSessionSource(source: KoaSessionSource): Source {
  checkNames(OPTION, source, OPTION_NAMES);
  checkSource(OPTION, source);
  const { keys, key = "koa.sess", store, decode = decodeBase64, cookie = {} } = source;
  checkCookieName(`${OPTION}.key`, key);
  const verify = verifierOf(keys);
  if (store !== undefined && (typeof store?.get !== "function" || typeof store.destroy !== "function"))
    throw new ConfigurationError(`${OPTION}.store`, "expected the store that koa-session had");
  if (typeof decode !== "function")
    throw new ConfigurationError(`${OPTION}.decode`, "expected a function of the cookie's value");
  const inStore = store !== undefined;

  return {
    library: "koa-session",

    find(header) {
      const cookies = header("cookie");
      const value = oldCookie(cookies, key);
      const signature = oldCookie(cookies, `${key}.sig`);
      if (!value || !signature || !verify(`${key}=${value}`, signature)) return undefined;
      return {
        reference: value,
        inStore,
        erase(headers, newName) {
          if (key !== newName) eraseOldCookie(headers, key, cookie);
          eraseOldCookie(headers, `${key}.sig`, cookie);
        },
        async load() {
          const session = inStore ? await store.get(value, undefined, {}) : decoded(decode, value);
          if (typeof session !== "object" || session === null) return undefined;
          const { _expire: expires, _maxAge, _session, ...old } = session as Record<string, any>;
          return oldRecord(OPTION, old, typeof expires === "number" ? expires : undefined, source);
        },
      };
    },

    async remove(reference) {
      await store?.destroy(reference, {});
    },

    // Its stores can't count.
    remaining: async () => undefined,
  };
}

/** The check of Keygrip, with SHA-1 as Koa has it (HMAC-SHA-1 is not broken as plain SHA-1 is: RFC 6194 3.3). */
function verifierOf(keys: KoaSessionSource["keys"]): (data: string, signature: string) => boolean {
  if (typeof (keys as { verify?: unknown })?.verify === "function") {
    const keygrip = keys as { verify(data: string, signature: string): boolean };
    return (data, signature) => keygrip.verify(data, signature);
  }
  const list = keys as readonly string[];
  if (!Array.isArray(list) || list.length === 0 || list.some((key) => typeof key !== "string" || key === ""))
    throw new ConfigurationError(`${OPTION}.keys`, "expected the application's app.keys");
  return (data, signature) => {
    const given = Buffer.from(signature);
    return list.some((key) => {
      const expected = Buffer.from(createHmac("sha1", key).update(data).digest("base64url"));
      return expected.length === given.length && timingSafeEqual(expected, given);
    });
  };
}

function decodeBase64(value: string): unknown {
  return JSON.parse(Buffer.from(value, "base64").toString("utf8"));
}

/** A cookie that was signed and can't be read is none. */
function decoded(decode: (value: string) => unknown, value: string): unknown {
  try {
    return decode(value);
  } catch {
    return undefined;
  }
}
