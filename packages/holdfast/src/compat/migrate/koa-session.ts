import { createHmac, timingSafeEqual } from "node:crypto";
import { ConfigurationError } from "../../errors.js";
import type { Source } from "./index.js";
import { eraseOldCookie, type OldCookieScope, oldCookie, passportUser } from "./old-cookie.js";

/** Sessions of koa-session. */
export interface KoaSessionSource {
  /** The application's `app.keys`: an array of texts, or a Keygrip. Cookies that are not signed are not looked at. */
  keys: readonly string[] | { verify(data: string, signature: string): boolean };
  /** The cookie's name. Default: "koa.sess". */
  key?: string;
  /** The store that koa-session had; without it the data is in the cookie. */
  store?: {
    get(key: string, maxAge: unknown, options: object): unknown;
    destroy(key: string, options: object): unknown;
  };
  /** How the cookie was decoded. Default: JSON in base64, as koa-session does it. */
  decode?: (value: string) => unknown;
  cookie?: OldCookieScope;
  /** Whose session it is. Default: what Passport notes, `session.passport.user`. */
  userId?: (session: Record<string, any>) => string | undefined;
  /** Makes the new data from the old. Default: all of it. */
  data?: (session: Record<string, any>) => Record<string, unknown>;
}

export function koaSessionSource(source: KoaSessionSource): Source {
  const { keys, key = "koa.sess", store, decode = decodeBase64, cookie = {} } = source;
  const { userId = passportUser, data = (old) => old } = source;
  const verify = verifierOf(keys);
  if (store !== undefined && (typeof store?.get !== "function" || typeof store.destroy !== "function"))
    throw new ConfigurationError("migrateFrom.koaSession.store", "expected the store that koa-session had");

  return {
    library: "koa-session",

    find(header) {
      const cookies = header("cookie");
      const value = oldCookie(cookies, key);
      const signature = oldCookie(cookies, `${key}.sig`);
      if (!value || !signature || !verify(`${key}=${value}`, signature)) return undefined;
      return {
        reference: value,
        erase(headers) {
          eraseOldCookie(headers, key, cookie);
          eraseOldCookie(headers, `${key}.sig`, cookie);
        },
        async load() {
          const session = (
            store === undefined ? decoded(decode, value) : await store.get(value, undefined, {})
          ) as Record<string, any> | undefined;
          if (typeof session !== "object" || session === null) return undefined;
          const { _expire: expires, _maxAge, _session, ...old } = session;
          if (typeof expires === "number" && expires <= Date.now()) return undefined;
          return {
            data: data(old),
            userId: userId(old),
            expires: typeof expires === "number" ? expires : undefined,
          };
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
    throw new ConfigurationError("migrateFrom.koaSession.keys", "expected the application's app.keys");
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
