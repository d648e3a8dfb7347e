/** What an application on Hono writes; it must compile without a cast, and the lines marked must not. */
import type { HttpBindings } from "@hono/node-server";
import { expectTypeOf } from "expect-type";
import { createSessions, memoryStore, type Session, type SessionData } from "holdfast";
import { honoSessions, type SessionEnv } from "holdfast/hono";
import { type Context, Hono } from "hono";
import { createFactory, createMiddleware } from "hono/factory";

interface Item {
  id: string;
  quantity: number;
}
interface ShopData {
  cart: Item[];
  coupon?: string;
}

const sessions = createSessions<ShopData>({
  secrets: [process.env.SESSION_SECRET!],
  store: memoryStore(),
  initial: () => ({ cart: [] }),
});

// 1. The type comes with the middleware, along the chain.
new Hono().use(honoSessions(sessions)).get("/", async (c) => {
  expectTypeOf(c.var.session).toEqualTypeOf<Session<ShopData>>();
  expectTypeOf(c.get("session")).toEqualTypeOf<Session<ShopData>>();
  expectTypeOf(c.var.session.data.cart).toEqualTypeOf<Item[]>();
  expectTypeOf(await c.var.openSession()).toEqualTypeOf<Session<ShopData>>();
  const count = await c.var.session.update((data) => data.cart.push({ id: "tea", quantity: 1 }));
  expectTypeOf(count).toEqualTypeOf<number>();
  await c.var.session.login("ada", { keep: ["cart"] });

  // @ts-expect-error a key that isn't there
  await c.var.session.login("ada", { keep: ["basket"] });
  // @ts-expect-error not in the data's type
  c.var.session.data.basket = 1;
  // @ts-expect-error the wrong type
  c.var.session.data.coupon = 1;
  // @ts-expect-error the session can't be assigned
  c.var.session = null;
  return c.json({ count });
});

// 2. Or the application says it, and has variables and bindings of its own beside it.
type Env = SessionEnv<ShopData> & { Bindings: HttpBindings; Variables: { user?: { name: string } } };
const app = new Hono<Env>();
app.use(honoSessions(sessions));
app.use("/account/*", honoSessions(sessions, { lazy: true, skip: (c) => c.req.path === "/account/logo" }));
app.get("/", (c) => {
  expectTypeOf(c.var.session.data.coupon).toEqualTypeOf<string | undefined>();
  expectTypeOf(c.var.user).toEqualTypeOf<{ name: string } | undefined>();
  return c.text(c.env.incoming.url ?? "");
});

// 3. Sub-applications, middleware and functions of one's own.
const account = new Hono<Env>().get("/", (c) => c.text(c.var.session.userId ?? "nobody"));
app.route("/account", account);
export const requireUser = createMiddleware<Env>(async (c, next) => {
  if (c.var.session.userId === undefined) return c.redirect("/", 303);
  await next();
});
export const cartOf = (c: Context<Env>) => c.var.session.data.cart;
createFactory<Env>().createHandlers(honoSessions(sessions), (c) => c.json(c.var.session.data.cart));

// 4. Without data of its own, the session has the augmented type.
const plain = createSessions<SessionData>({
  secrets: [],
  store: memoryStore(),
  initial: () => ({ cart: [] }),
});
new Hono<SessionEnv>().use(honoSessions(plain)).get("/", (c) => {
  expectTypeOf(c.var.session).toEqualTypeOf<Session<SessionData>>();
  return c.body(null);
});

// @ts-expect-error the application says that its sessions hold something else
new Hono<SessionEnv<{ wishes?: string[] }>>().get("/", (c) => c.json(c.var.session.data.cart));
// @ts-expect-error no such option
honoSessions(sessions, { lasy: true });
