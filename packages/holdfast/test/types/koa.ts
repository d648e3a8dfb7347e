/** What an application on Koa writes; it must compile without a cast, and the lines marked must not. */
import { expectTypeOf } from "expect-type";
import { createSessions, memoryStore, type Session, type SessionData } from "holdfast";
import { koaSessions } from "holdfast/koa";
import Koa, { type Context, type Middleware } from "koa";

// `SessionData` is augmented in augmented.ts, as it is once in an application.
const sessions = createSessions({
  secrets: [process.env.SESSION_SECRET!],
  store: memoryStore(),
  initial: () => ({ cart: [] }),
});

const app = new Koa();
app.use(koaSessions(sessions));
app.use(koaSessions(sessions, { lazy: true, skip: (ctx) => ctx.path.startsWith("/public/") }));
app.use(async (ctx, next) => {
  expectTypeOf(ctx.session).toEqualTypeOf<Session<SessionData>>();
  expectTypeOf(ctx.session.data.coupon).toEqualTypeOf<string | undefined>();
  expectTypeOf(await ctx.openSession()).toEqualTypeOf<Session<SessionData>>();
  ctx.session.data.cart.push({ id: "tea", quantity: 1 });
  await ctx.session.login("ada", { keep: ["cart"] });
  await next();

  // @ts-expect-error not in the data's type
  ctx.session.data.basket = 1;
  // @ts-expect-error the wrong type
  ctx.session.data.coupon = 1;
  // @ts-expect-error the session can't be assigned
  ctx.session = null;
});

// The application's own state and context stay as they are.
interface State {
  user?: { name: string };
}
const typed = new Koa<State, { greet(name: string): string }>();
typed.use(koaSessions(sessions));
typed.use((ctx) => {
  expectTypeOf(ctx.state.user).toEqualTypeOf<{ name: string } | undefined>();
  expectTypeOf(ctx.session.userId).toEqualTypeOf<string | undefined>();
  ctx.body = ctx.greet(ctx.session.userId ?? "nobody");
});

// Functions of one's own, apart from the application.
export const requireUser: Middleware = (ctx, next) => {
  if (ctx.session.userId === undefined) ctx.throw(401);
  return next();
};
export const cartOf = (ctx: Context) => ctx.session.data.cart;

// @ts-expect-error no such option
koaSessions(sessions, { lasy: true });
// @ts-expect-error the options are for createSessions
koaSessions({ secrets: [] });
