// @ts-check
import { cartLines, totalCents } from "./cart.js";

/**
 * @typedef {object} Order
 * @property {number} id
 * @property {Date} placedAt
 * @property {number} cents
 * @property {Array<{ name: string, quantity: number, cents: number }>} lines
 */

/**
 * The shop's table of orders.
 *
 * @param {import("libsql").Database} database
 */
export function openOrders(database) {
  database.exec(
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, placed_at INTEGER NOT NULL, cents INTEGER NOT NULL, lines TEXT NOT NULL)",
  );
  database.exec("CREATE INDEX IF NOT EXISTS orders_by_user ON orders (user_id)");
  const add = database.prepare("INSERT INTO orders (user_id, placed_at, cents, lines) VALUES (?, ?, ?, ?)");
  const one = database.prepare("SELECT * FROM orders WHERE id = ? AND user_id = ?");
  const all = database.prepare("SELECT * FROM orders WHERE user_id = ? ORDER BY id DESC LIMIT 20");

  /** @param {unknown} row @returns {Order} */
  const orderOf = (row) => {
    const { id, placed_at, cents, lines } =
      /** @type {{ id: number, placed_at: number, cents: number, lines: string }} */ (row);
    return { id, placedAt: new Date(placed_at), cents, lines: JSON.parse(lines) };
  };

  return {
    /**
     * @param {string} userId
     * @param {import("./cart.js").Cart} cart
     * @returns {number} The order's number.
     */
    place(userId, cart) {
      const lines = cartLines(cart);
      const kept = lines.map(({ product, quantity, cents }) => ({ name: product.name, quantity, cents }));
      const { lastInsertRowid } = add.run(userId, Date.now(), totalCents(lines), JSON.stringify(kept));
      return Number(lastInsertRowid);
    },

    /**
     * An order of this user; somebody else's is as good as none.
     *
     * @param {string} userId
     * @param {number} id
     */
    find(userId, id) {
      const row = one.get(id, userId);
      return row === undefined ? undefined : orderOf(row);
    },

    /** @param {string} userId */
    ofUser: (userId) => all.all(userId).map(orderOf),
  };
}

/** @typedef {ReturnType<typeof openOrders>} Orders */
