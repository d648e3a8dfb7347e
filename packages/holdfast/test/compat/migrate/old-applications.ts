import type { OldConnectStore } from "../../../src/compat/migrate/index.js";
import { type Answer, Browser, listen } from "../../support/browser.js";

/**
 * Applications on the libraries that sessions are migrated from: the real ones, over real HTTP. Their browsers log in as with
 * Passport, which notes the user in `session.passport.user`.
 */

// Named by a text, for some bring no types of their own.
const load = async (name: string): Promise<any> => import(name);
export const expressSession = (await load("express-session")).default;
const express = (await load("express")).default;
const Koa = (await load("koa")).default;
const koaSession = (await load("koa-session")).default;

export const OLD_SECRET = "the secret of the old application";
export const OLD_KEYS = ["the first key of the old application", "an older one"];
export const HOUR = 3_600_000;

export interface OldApplication {
  readonly url: string;
  close(): Promise<void>;
}

/** An application on express-session. */
export async function oldExpress(options: Record<string, unknown>): Promise<OldApplication> {
  const app = express();
  const defaults = { secret: OLD_SECRET, resave: false, saveUninitialized: false };
  app.use(expressSession({ ...defaults, ...options }));
  app.post("/login/:user", (req: any, res: any) => {
    Object.assign(req.session, { passport: { user: req.params.user }, cart: ["book"] });
    res.send("welcome");
  });
  app.post("/set/:key/:value", (req: any, res: any) => {
    req.session[req.params.key] = req.params.value;
    res.send("set");
  });
  app.get("/session", (req: any, res: any) => {
    const { cookie: _cookie, ...data } = req.session;
    res.json(data);
  });
  return listen(app);
}

/** An application on koa-session: in cookies, or with `store` in that. */
export async function oldKoa(options: Record<string, unknown> = {}): Promise<OldApplication> {
  const app = new Koa();
  app.keys = OLD_KEYS;
  app.use(koaSession(options, app));
  app.use((ctx: any) => {
    const [, step, ...words] = ctx.path.split("/");
    if (step === "login") Object.assign(ctx.session, { passport: { user: words[0] }, cart: ["book"] });
    if (step === "set") ctx.session[words[0]] = words[1];
    ctx.body = ctx.session.toJSON();
  });
  return listen(app.callback());
}

/** Logs in at an old application, and gives `browser`, which is at the new one, the cookies of that. */
export async function loggedIn(old: OldApplication, browser: Browser, user = "ada"): Promise<Browser> {
  const before = new Browser(old.url);
  const answer = await before.post(`/login/${user}`);
  if (answer.status !== 200) throw new Error(`the old application answered ${answer.status}`);
  for (const [name, value] of before.cookies) browser.cookies.set(name, value);
  return browser;
}

export const dataOf = (answer: Answer) => JSON.parse(answer.body).data;

/** The names of the cookies that an answer sets, and those that it deletes. */
export function cookiesOf({ setCookie }: Answer): { set: string[]; erased: string[] } {
  const named = (lines: string[]) => lines.map((line) => line.slice(0, line.indexOf("=")));
  const erases = (line: string) => line.includes("; Max-Age=0");
  return {
    set: named(setCookie.filter((line) => !erases(line))),
    erased: named(setCookie.filter(erases)),
  };
}

/** The old application's store as the migration sees it: its calls are noted, and can fail or hang. */
export class WatchedOldStore implements OldConnectStore {
  readonly calls: string[] = [];
  failing: readonly string[] = [];
  hanging: readonly string[] = [];
  /** Called before an answer to `get` is asked for. */
  beforeGet: () => Promise<void> = async () => {};
  readonly #store: any;

  constructor(store: any) {
    this.#store = store;
  }

  get(sid: string, callback: (error: any, session?: any) => void): void {
    if (!this.#answers("get", callback)) return;
    this.beforeGet().then(() => this.#store.get(sid, callback));
  }

  destroy(sid: string, callback?: (error?: unknown) => void): void {
    if (this.#answers("destroy", callback)) this.#store.destroy(sid, callback);
  }

  length(callback: (error: any, length?: number) => void): void {
    this.#store.length(callback);
  }

  #answers(method: string, callback?: (error: unknown) => void): boolean {
    this.calls.push(method);
    if (this.failing.includes(method)) callback?.(new Error("the old store is down"));
    return !this.failing.includes(method) && !this.hanging.includes(method);
  }
}

/** How many records a store for express-session has. */
export const countOf = (store: any): Promise<number> =>
  new Promise((resolve, reject) =>
    store.length((error: unknown, count: number) => (error ? reject(error) : resolve(count))),
  );
