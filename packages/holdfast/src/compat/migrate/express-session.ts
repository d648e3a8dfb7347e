import { ConfigurationError } from "../../errors.js";
import { type ConnectSecret, verifyConnectId } from "../express-session/signature.js";
import type { ConnectStore } from "../express-session/store.js";
import type { Source } from "./index.js";
import { eraseOldCookie, type OldCookieScope, oldCookie, passportUser } from "./old-cookie.js";

/** What is needed of a store for express-session. */
export type OldConnectStore = Pick<ConnectStore, "get" | "destroy"> & Partial<Pick<ConnectStore, "length">>;

/** Sessions of express-session. */
export interface ExpressSessionSource {
  /** What was given to express-session: cookies that it didn't sign with one of these are not looked at. */
  secret: ConnectSecret | readonly ConnectSecret[];
  /** What was given to express-session, or `expressSessionsStore()` for the records of the package express-sessions. */
  store: OldConnectStore;
  /** The cookie's name. Default: "connect.sid". */
  name?: string;
  cookie?: OldCookieScope;
  /** Whose session it is. Default: what Passport notes, `session.passport.user`. */
  userId?: (session: Record<string, any>) => string | undefined;
  /** Makes the new data from the old, without its `cookie`. Default: all of it. */
  data?: (session: Record<string, any>) => Record<string, unknown>;
}

export function expressSessionSource(source: ExpressSessionSource): Source {
  const {
    secret,
    store,
    name = "connect.sid",
    cookie = {},
    userId = passportUser,
    data = (old) => old,
  } = source;
  const secrets = (Array.isArray(secret) ? secret : [secret]) as ConnectSecret[];
  if (secrets.length === 0 || secrets.some((each) => !each))
    throw new ConfigurationError(
      "migrateFrom.expressSession.secret",
      "expected the secret that signed the old cookies",
    );
  if (typeof store?.get !== "function" || typeof store.destroy !== "function")
    throw new ConfigurationError(
      "migrateFrom.expressSession.store",
      "expected the store that express-session had",
    );

  return {
    library: "express-session",

    find(header) {
      const value = oldCookie(header("cookie"), name);
      const sid = value === undefined ? undefined : verifyConnectId(value, secrets);
      if (sid === undefined) return undefined;
      return {
        reference: sid,
        erase: (headers) => eraseOldCookie(headers, name, cookie),
        async load() {
          const session = await read(store, sid);
          if (!session) return undefined;
          const { cookie: attributes, ...old } = session;
          const expires = attributes?.expires ? new Date(attributes.expires).valueOf() : undefined;
          if (expires !== undefined && expires <= Date.now()) return undefined;
          return { data: data(old), userId: userId(old), expires };
        },
      };
    },

    remove: (sid) =>
      new Promise((resolve, reject) => {
        store.destroy(sid, (error) => (error ? reject(error) : resolve()));
      }),

    async remaining() {
      if (typeof store.length !== "function") return undefined;
      return new Promise((resolve, reject) => {
        store.length!((error, count) => (error ? reject(error) : resolve(count)));
      });
    },
  };
}

function read(store: OldConnectStore, sid: string): Promise<Record<string, any> | undefined> {
  return new Promise((resolve, reject) => {
    store.get(sid, (error, session) => {
      if (error && (error as { code?: unknown }).code !== "ENOENT") reject(error);
      else resolve(error || !session ? undefined : { ...session });
    });
  });
}
