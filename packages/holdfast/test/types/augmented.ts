/** What an application writes; it must compile without a cast, and the lines marked must not. */
import { expectTypeOf } from "expect-type";
import express from "express";
import { createSessions, memoryStore, type SessionSummary } from "holdfast";
import { expressSessions } from "holdfast/express";
import { sqliteStore } from "holdfast/stores/sqlite";

interface Item {
  id: string;
  quantity: number;
}

declare module "holdfast" {
  interface SessionData {
    cart: Item[];
    coupon?: string;
  }
}

const sessions = createSessions({
  secrets: [process.env.SESSION_SECRET!],
  store: sqliteStore({ path: "sessions.db" }),
  idleTimeout: "30m",
  absoluteTimeout: "12h",
  renewAfter: "1h",
  initial: () => ({ cart: [] }),
  merge: { cart: "append" },
});

const app = express();
app.use(expressSessions(sessions));
app.get("/", async (req, res) => {
  expectTypeOf(req.session.data.cart).toEqualTypeOf<Item[]>();
  expectTypeOf(req.session.data.coupon).toEqualTypeOf<string | undefined>();
  req.session.data.cart.push({ id: "tea", quantity: 1 });
  const count = await req.session.update((data) => {
    data.cart.push({ id: "tea", quantity: 1 });
    return data.cart.length;
  });
  expectTypeOf(count).toEqualTypeOf<number>();
  expectTypeOf(req.session.userId).toEqualTypeOf<string | undefined>();
  expectTypeOf(await sessions.ofUser("ada").list()).toEqualTypeOf<SessionSummary[]>();
  await req.session.login("ada", { keep: ["cart"] });

  // @ts-expect-error a key that isn't there
  await req.session.login("ada", { keep: ["basket"] });
  // @ts-expect-error not in the data's type
  req.session.data.basket = 1;
  // @ts-expect-error the wrong type
  req.session.data.coupon = 1;
  // @ts-expect-error the session can't be assigned
  req.session = null;
  res.end();
});

sessions.on("login", (event) => {
  expectTypeOf(event).toEqualTypeOf<{ at: Date; sessionId: string; userId: string }>();
});
// @ts-expect-error no such event
sessions.on("signed-in", () => {});

// @ts-expect-error data with a key that must be there needs `initial`
createSessions<{ cart: Item[] }>({ secrets: [], store: memoryStore() });
createSessions<{ cart?: Item[] }>({ secrets: [], store: memoryStore() });
createSessions<{ cart: Item[] }>({ secrets: [], store: memoryStore(), initial: () => ({ cart: [] }) });
// @ts-expect-error not a duration
createSessions<{ cart?: Item[] }>({ secrets: [], store: memoryStore(), idleTimeout: "30 minutes" });
// @ts-expect-error not a key of the data
createSessions<{ cart?: Item[] }>({ secrets: [], store: memoryStore(), merge: { basket: "append" } });
