/** What an application on koa-session has, with another import; it must compile without a cast, and the lines marked must not. */
import { expectTypeOf } from "expect-type";
import { memoryStore } from "holdfast";
import session, {
  type CreateSessionOptions,
  createSession,
  type Session,
  type SessionOptions,
  type SessionStore,
} from "holdfast/compat/koa-session";
import Koa, { type Context, type Middleware } from "koa";

const app = new Koa();
app.keys = ["some secret hurr"];

const CONFIG: CreateSessionOptions = {
  key: "koa.sess",
  maxAge: 86_400_000,
  autoCommit: true,
  overwrite: true,
  httpOnly: true,
  signed: true,
  rolling: false,
  renew: false,
  secure: true,
  sameSite: null,
};
app.use(session(CONFIG, app));
app.use(session(app));
app.use(session(app, { maxAge: "session" }));
app.use(createSession({ domain: "example.com", path: "/", partitioned: true }, app));

const sessions = new Map<string, object>();
const store: SessionStore = {
  async get(key, maxAge, { ctx, rolling }) {
    expectTypeOf(maxAge).toEqualTypeOf<number | "session" | undefined>();
    expectTypeOf(ctx).toEqualTypeOf<Context>();
    expectTypeOf(rolling).toEqualTypeOf<boolean>();
    return sessions.get(key);
  },
  async set(key, session, _maxAge, { changed }) {
    expectTypeOf(changed).toEqualTypeOf<boolean>();
    sessions.set(key, session);
  },
  async destroy(key) {
    sessions.delete(key);
  },
};
class ContextStore {
  readonly ctx: Context;
  constructor(ctx: Context) {
    this.ctx = ctx;
  }
  async get(key: string): Promise<unknown> {
    return sessions.get(key);
  }
  async set(key: string, session: object, maxAge: number): Promise<void> {
    if (maxAge > 0) sessions.set(key, session);
  }
  async destroy(key: string): Promise<void> {
    sessions.delete(key);
  }
}
app.use(
  session({ store, genid: (ctx) => ctx.get("x-key"), valid: (_ctx, data) => data.user !== undefined }, app),
);
app.use(session({ ContextStore, beforeSave: (ctx, session) => (session.path = ctx.path) }, app));
app.use(session({ store: memoryStore(), userId: (session) => session.user }, app));
app.use(
  session({ externalKey: { get: (ctx) => ctx.get("key"), set: (ctx, key) => ctx.set("key", key) } }, app),
);

app.use(async (ctx) => {
  expectTypeOf(ctx.session).toEqualTypeOf<Session>();
  expectTypeOf(ctx.sessionOptions).toEqualTypeOf<SessionOptions>();
  ctx.session.views = (ctx.session.views || 0) + 1;
  expectTypeOf(ctx.session.isNew).toEqualTypeOf<boolean>();
  expectTypeOf(ctx.session.externalKey).toEqualTypeOf<string | undefined>();
  expectTypeOf(ctx.session.populated).toEqualTypeOf<boolean>();
  expectTypeOf(ctx.session.length).toEqualTypeOf<number>();
  ctx.session.maxAge = 1000;
  ctx.session.maxAge = "session";
  await ctx.session.save();
  await ctx.session.manuallyCommit();
  await ctx.session.regenerate();
  ctx.session.save((error) => ctx.app.emit("error", error));
  ctx.session = { user: "ada" };
  ctx.session = null;
  ctx.body = ctx.session?.views;

  // @ts-expect-error neither an object nor null
  ctx.session = "text";
  // @ts-expect-error a number or "session"
  ctx.session.maxAge = "1d";
  // @ts-expect-error can't be set
  ctx.session.externalKey = "key";
});

// Functions of one's own, apart from the application.
export const requireUser: Middleware = (ctx, next) => {
  if (ctx.session.user === undefined) ctx.throw(401);
  return next();
};

// @ts-expect-error no such option
session({ maxaage: 1 }, app);
// @ts-expect-error an application is needed
session({});
// @ts-expect-error a store needs set
session({ store: { get: store.get, destroy: store.destroy } }, app);
