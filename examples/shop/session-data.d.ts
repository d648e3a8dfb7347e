import type { Cart } from "./cart.js";

/** What this shop keeps in a session: `req.session.data` has this type everywhere. */
declare module "holdfast" {
  interface SessionData {
    cart: Cart;
    /** The last race of the lab page: which of its changes have arrived. */
    race?: { arrived: number[] };
  }
}
