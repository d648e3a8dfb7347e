import { ConfigurationError } from "../../errors.js";
import { unescaped } from "../express-session/cookie.js";
import { type ConnectSecret, verifyConnectId } from "../express-session/signature.js";
import type { ConnectStore } from "../express-session/store.js";
import type { Source } from "./index.js";
import { eraseOldCookie, oldCookie } from "./old-cookie.js";
import { oldRecord } from "./old-record.js";
import { checkCookieName, checkNames, checkSource, type SourceOptions } from "./options.js";

/** What is needed of a store for express-session. */
export type OldConnectStore = Pick<ConnectStore, "get" | "destroy"> & Partial<Pick<ConnectStore, "length">>;

/** Sessions of express-session. Its functions get the session without its `cookie`. */
export interface ExpressSessionSource extends SourceOptions {
  /** What was given to express-session: cookies that it didn't sign with one of these are not looked at. */
  secret: ConnectSecret | readonly ConnectSecret[];
  /** What was given to express-session, or `expressSessionsStore()` for the records of the package express-sessions. */
  store: OldConnectStore;
  /** The cookie's name. Default: "connect.sid". */
  name?: string;
}

const OPTION = "migrateFrom.expressSession";
const OPTION_NAMES = ["secret", "store", "name", "cookie", "userId", "data"];

export function expressSessionSource(source: ExpressSessionSource): Source {
  checkNames(OPTION, source, OPTION_NAMES);
  checkSource(OPTION, source);
  const { secret, store, name = "connect.sid", cookie = {} } = source;
  checkCookieName(`${OPTION}.name`, name);
  const secrets = (Array.isArray(secret) ? secret : [secret]) as ConnectSecret[];
  if (secrets.length === 0 || secrets.some((each) => !each))
    throw new ConfigurationError(`${OPTION}.secret`, "expected the secret that signed the old cookies");
  if (typeof store?.get !== "function" || typeof store.destroy !== "function")
    throw new ConfigurationError(`${OPTION}.store`, "expected the store that express-session had");

  return {
    library: "express-session",

    find(header) {
      const value = oldCookie(header("cookie"), name);
      const sid = value === undefined ? undefined : verifyConnectId(unescaped(value), secrets);
      if (sid === undefined) return undefined;
      return {
        reference: sid,
        inStore: true,
        erase(headers, newName) {
          if (name !== newName) eraseOldCookie(headers, name, cookie);
        },
        async load() {
          const session = await read(store, sid);
          if (session === undefined) return undefined;
          const { cookie: attributes, ...old } = session;
          const expires = attributes?.expires ? new Date(attributes.expires).valueOf() : undefined;
          return oldRecord(OPTION, old, expires, source);
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
      // Stores that keep files say so of one that isn't there.
      if (error && (error as { code?: unknown }).code !== "ENOENT") reject(error);
      else resolve(error || !session ? undefined : { ...session });
    });
  });
}
