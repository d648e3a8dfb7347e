import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import Koa3, { type Context } from "koa";
import originalSession from "koa-session";
import dropInSession from "../../../src/compat/koa-session/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { Browser, listen } from "../../support/browser.js";

/** koa-session and the drop-in, in the versions of Koa that both are used with. */

const require = createRequire(import.meta.url);

/** An implementation of `session(options, app)`; only what both have is used of it. */
export interface Subject {
  readonly name: string;
  readonly session: any;
  /** Whether it is the npm package. */
  readonly isOriginal: boolean;
}

export const ORIGINAL: Subject = { name: "koa-session", session: originalSession, isOriginal: true };
export const DROP_IN: Subject = { name: "the drop-in", session: dropInSession, isOriginal: false };
export const SUBJECTS = [ORIGINAL, DROP_IN];

export interface Version {
  readonly name: string;
  readonly Koa: typeof Koa3;
}

export const KOA_2: Version = { name: "Koa 2", Koa: require("koa2") };
export const KOA_3: Version = { name: "Koa 3", Koa: Koa3 };
export const VERSIONS = [KOA_2, KOA_3];

/** `ctx.session` as both have it. */
export type SessionContext = Context & { session: any; sessionOptions: any };
export type Handler = (ctx: SessionContext, next: () => Promise<void>) => unknown;

export const KEY = "some secret hurr";
export const NOW = new Date("2030-01-01T00:00:00Z");
export const MINUTE = 60_000;
export const DAY = 86_400_000;

export interface Served {
  readonly app: Koa3;
  /** What `app.on("error")` was told. */
  readonly errors: any[];
  /** The events of sessions: name, key, value, and the path of the request. */
  readonly events: unknown[];
  readonly url: string;
  browser(): Browser;
  close(): Promise<void>;
}

interface Around {
  /** Middleware before the sessions. */
  before?: Handler;
  /** Called with the application before anything is put into it. */
  prepare?: (app: Koa3) => void;
}

const EVENTS = ["missed", "expired", "invalid", "dropped"];

/** Serves a handler with a session. Without another `genid`, keys count up from "id-1". */
export async function serve(
  { session }: Subject,
  { Koa }: Version,
  options: Record<string, any>,
  handler: Handler,
  { before, prepare }: Around = {},
): Promise<Served> {
  const app = new Koa();
  app.keys = [KEY];
  const errors: any[] = [];
  const events: unknown[] = [];
  app.on("error", (error) => errors.push(error));
  for (const name of EVENTS) {
    app.on(`session:${name}`, ({ key, value, ctx }) => events.push([name, key, value, ctx.path]));
  }
  prepare?.(app);
  if (before) app.use(before as Koa3.Middleware);
  app.use(session(countingIds(options), app));
  app.use(handler as Koa3.Middleware);
  const { url, close } = await listen(app.callback());
  return { app, errors, events, url, browser: () => new Browser(url), close };
}

function countingIds(options: Record<string, any>): Record<string, any> {
  if ("genid" in options || "prefix" in options) return options;
  let count = 0;
  return Object.assign(options, { genid: () => `id-${++count}` });
}

/** Where a session can be kept. */
export interface Place {
  readonly name: string;
  readonly options: () => Record<string, any>;
}

export const COOKIE: Place = { name: "in its cookie", options: () => ({}) };
export const STORE: Place = { name: "in a store", options: () => ({ store: recordingStore() }) };
export const HOLDFAST_STORE: Place = {
  name: "in a Holdfast store",
  options: () => ({ store: memoryStore() }),
};

export function placesOf({ isOriginal }: Subject): Place[] {
  return isOriginal ? [COOKIE, STORE] : [COOKIE, STORE, HOLDFAST_STORE];
}

export interface RecordingStore {
  readonly sessions: Map<string, string>;
  readonly calls: unknown[][];
  /** The methods that fail, with what. */
  readonly failures: Record<string, Error>;
  get(key: string, maxAge: unknown, options: any): Promise<unknown>;
  set(key: string, session: unknown, maxAge: unknown, options: any): Promise<void>;
  destroy(key: string, options: any): Promise<void>;
}

/** A store that notes each call, with the path of the request in place of its context. It answers later, as a real one does. */
export function recordingStore(): RecordingStore {
  const sessions = new Map<string, string>();
  const calls: unknown[][] = [];
  const failures: Record<string, Error> = {};
  const note = async (name: string, ...args: any[]) => {
    const { ctx, ...options } = args.pop();
    calls.push([name, ...args.map((arg) => structuredClone(arg)), { ...options, ctx: ctx.path }]);
    await new Promise((resolve) => setImmediate(resolve));
    if (failures[name]) throw failures[name];
  };
  return {
    sessions,
    calls,
    failures,
    async get(key, maxAge, options) {
      await note("get", key, maxAge, options);
      const text = sessions.get(key);
      return text === undefined ? undefined : JSON.parse(text);
    },
    async set(key, session, maxAge, options) {
      await note("set", key, session, maxAge, options);
      sessions.set(key, JSON.stringify(session));
    },
    async destroy(key, options) {
      await note("destroy", key, options);
      sessions.delete(key);
    },
  };
}

/** Keygrip's MAC of a cookie. */
export function macOf(name: string, value: string, key = KEY): string {
  return createHmac("sha1", key).update(`${name}=${value}`).digest("base64url");
}

/** The cookie header of a value. */
export function cookieOf(value: string, { name = "koa.sess", key = KEY } = {}): { cookie: string } {
  return { cookie: `${name}=${value}; ${name}.sig=${macOf(name, value, key)}` };
}

/** The two `Set-Cookie` lines of a signed cookie. */
export function cookieLines(value: string, attributes = "path=/; httponly", name = "koa.sess"): string[] {
  return [`${name}=${value}; ${attributes}`, `${name}.sig=${macOf(name, value)}; ${attributes}`];
}

/** The attributes of a cookie that lives so long from `NOW` on. */
export function lasting(milliseconds: number): string {
  return `path=/; expires=${new Date(NOW.valueOf() + milliseconds).toUTCString()}; httponly`;
}

/** The lines that remove a cookie. */
export const REMOVED = cookieLines("", "path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly");

/** A session as it is in a cookie. */
export function encoded(session: unknown): string {
  return Buffer.from(JSON.stringify(session)).toString("base64");
}

/** What is in a cookie. */
export function decoded(line = ""): any {
  const [, value = ""] = /=([^;]*)/.exec(line) ?? [];
  return JSON.parse(Buffer.from(value, "base64").toString());
}

/** The lifetime as it is stored beside the data. */
export function lifetime(maxAge = DAY, from = NOW): { _expire: number; _maxAge: number } {
  return { _expire: from.valueOf() + maxAge, _maxAge: maxAge };
}
