import { createHmac, type KeyObject } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import express5 from "express";
import dropInSession from "../../../src/compat/express-session/index.js";
import { Browser, listen } from "../../support/browser.js";

/** express-session and the drop-in, in the frameworks that both are used in. */

const require = createRequire(import.meta.url);

/** An implementation of `session(options)`; only what both have is used of it. */
export interface Subject {
  readonly name: string;
  readonly session: any;
  /** Whether it is the npm package. */
  readonly isOriginal: boolean;
  /** The store of an application that chooses none; undefined for the default one. */
  readonly store?: () => unknown;
}

export const ORIGINAL: Subject = {
  name: "express-session",
  session: require("express-session"),
  isOriginal: true,
};

export const DROP_IN: Subject = { name: "the drop-in", session: dropInSession, isOriginal: false };

export interface Framework {
  readonly name: string;
  readonly create: () => any;
}

export const EXPRESS_4: Framework = { name: "Express 4", create: require("express4") };
export const EXPRESS_5: Framework = { name: "Express 5", create: express5 };
export const CONNECT: Framework = { name: "Connect", create: require("connect") };
export const FRAMEWORKS = [EXPRESS_4, EXPRESS_5, CONNECT];

export type Request = IncomingMessage & { [key: string]: any };
export type Handler = (req: Request, res: ServerResponse, next: (error?: unknown) => void) => unknown;

export const SECRET = "keyboard cat";

/** The value that a session's cookie has. */
export function signedId(id: string, secret: string | Buffer | KeyObject = SECRET): string {
  const mac = createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "");
  return encodeURIComponent(`s:${id}.${mac}`);
}

/** The cookie header of a session id. */
export function cookieOf(id: string, secret?: string | Buffer | KeyObject): { cookie: string } {
  return { cookie: `connect.sid=${signedId(id, secret)}` };
}

export interface Served {
  readonly url: string;
  /** What the application's error handler was told. */
  readonly errors: any[];
  browser(): Browser;
  close(): Promise<void>;
}

interface Around {
  /** Middleware before the sessions. */
  before?: readonly Handler[];
  /** Called with the application before anything is put into it. */
  prepare?: (app: any) => void;
}

/** Serves a handler with a session; ids count up from "id-1". `options` go over the usual ones. */
export async function serve(
  subject: Subject,
  framework: Framework,
  options: Record<string, any>,
  handler: Handler,
  { before = [], prepare }: Around = {},
): Promise<Served> {
  let count = 0;
  const usual = {
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
    genid: () => `id-${++count}`,
    ...(subject.store && { store: subject.store() }),
  };
  const app = framework.create();
  prepare?.(app);
  for (const middleware of before) app.use(middleware);
  app.use(subject.session({ ...usual, ...options }));
  app.use(handler);
  const errors: any[] = [];
  // Four parameters make it an error handler.
  app.use((error: any, _req: Request, res: ServerResponse, _next: unknown) => {
    errors.push(error);
    if (res.headersSent) return;
    res.statusCode = 500;
    res.end(`error: ${error?.message}`);
  });
  const { url, close } = await listen(app);
  return { url, errors, browser: () => new Browser(url), close };
}

export function sendJson(res: ServerResponse, value: unknown): void {
  res.setHeader("Content-Type", "application/json");
  res.end(JSON.stringify(value) ?? "undefined");
}

/** A store that notes each call, made of the subject's own `Store`. It answers later, as a real one does. */
export function recordingStore({ session }: Subject, { withTouch = true } = {}): any {
  const sessions = new Map<string, string>();
  const calls: string[] = [];
  class RecordingStore extends session.Store {
    readonly sessions = sessions;
    readonly calls = calls;
    /** What each method answers in place of success. */
    readonly failures: Record<string, unknown> = {};

    get(sid: string, callback: (error: unknown, session?: unknown) => void): void {
      calls.push(`get ${sid}`);
      setImmediate(() => {
        const text = sessions.get(sid);
        callback(this.failures.get ?? null, text === undefined ? null : JSON.parse(text));
      });
    }

    set(sid: string, data: unknown, callback?: (error?: unknown) => void): void {
      calls.push(`set ${sid} ${JSON.stringify(data)}`);
      if (this.failures.set === undefined) sessions.set(sid, JSON.stringify(data));
      setImmediate(() => callback?.(this.failures.set));
    }

    destroy(sid: string, callback?: (error?: unknown) => void): void {
      calls.push(`destroy ${sid}`);
      if (this.failures.destroy === undefined) sessions.delete(sid);
      setImmediate(() => callback?.(this.failures.destroy));
    }
  }
  const store: any = new RecordingStore();
  if (withTouch) {
    store.touch = (sid: string, data: any, callback?: (error?: unknown) => void) => {
      calls.push(`touch ${sid} ${JSON.stringify(data.cookie)}`);
      const text = sessions.get(sid);
      if (text !== undefined) sessions.set(sid, JSON.stringify({ ...JSON.parse(text), cookie: data.cookie }));
      setImmediate(() => callback?.(store.failures.touch));
    };
  }
  return store;
}

/** Runs one of a session's methods that take a callback. */
export function called(run: (done: (error?: unknown) => void) => void): Promise<unknown> {
  return new Promise((resolve) => run((error) => resolve(error)));
}
