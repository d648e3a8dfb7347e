// @ts-check
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import express from "express";
import { expressSessions } from "holdfast/express";
import { openStore } from "holdfast/stores/url";
import Database from "libsql";
import { errorPage, notFound } from "./errors.js";
import { keepJournal } from "./journal.js";
import { openOrders } from "./orders.js";
import { accountRoutes } from "./routes/account.js";
import { cartRoutes } from "./routes/cart.js";
import { catalogueRoutes } from "./routes/catalogue.js";
import { checkoutRoutes } from "./routes/checkout.js";
import { deviceRoutes } from "./routes/devices.js";
import { labRoutes } from "./routes/lab.js";
import { loginRoutes } from "./routes/login.js";
import { sessionRoutes } from "./routes/session.js";
import { preventCaching, refuseCrossOrigin, securityHeaders } from "./security.js";
import { createShopSessions } from "./sessions.js";
import { openUsers } from "./users.js";
import { createPage } from "./views/page.js";
import { findUser } from "./visitor.js";

/**
 * @typedef {object} ShopOptions
 * @property {string} dataFolder Where shop.db is kept, and sessions.db unless `sessionStore` names another place.
 * @property {string} [sessionStore] A URL of a database, or the path of a SQLite file.
 * @property {string} secret
 * @property {import("holdfast").Duration} idleTimeout
 * @property {number} [reauthenticateAfter] Milliseconds after a login for which devices are signed out without asking for
 *   the password again. Default: ten minutes.
 */

/**
 * What the routes work with.
 * @typedef {object} Shop
 * @property {import("./sessions.js").ShopSessions} sessions
 * @property {import("./users.js").Users} users
 * @property {import("./orders.js").Orders} orders
 * @property {import("./views/page.js").SendPage} page
 * @property {number} reauthenticateAfter
 */

/**
 * The shop as an Express application.
 *
 * @param {ShopOptions} options
 */
export async function createShop({
  dataFolder,
  sessionStore = join(dataFolder, "sessions.db"),
  secret,
  idleTimeout,
  reauthenticateAfter = 600_000,
}) {
  const store = await openStore(sessionStore);
  await store.migrate?.();
  const sessions = createShopSessions({ store, secret, idleTimeout });
  const database = new Database(join(dataFolder, "shop.db"));
  const users = await openUsers(database);
  const orders = openOrders(database);
  const page = createPage(keepJournal(sessions));
  /** @type {Shop} */
  const shop = { sessions, users, orders, page, reauthenticateAfter };

  const app = express();
  app.disable("x-powered-by");
  app.use(securityHeaders);
  app.use(express.static(fileURLToPath(new URL("public", import.meta.url))));
  app.use(preventCaching, refuseCrossOrigin);
  app.use(express.urlencoded({ extended: false, limit: "8kb" }));
  app.use(expressSessions(sessions), findUser(users));
  app.use("/", catalogueRoutes(shop));
  app.use("/cart", cartRoutes(shop));
  app.use("/checkout", checkoutRoutes(shop));
  app.use("/", loginRoutes(shop));
  app.use("/account/devices", deviceRoutes(shop));
  app.use("/account", accountRoutes(shop));
  app.use("/session", sessionRoutes(shop));
  app.use("/lab", labRoutes(shop));
  app.use(notFound, errorPage);

  return {
    app,
    sessions,
    async close() {
      await sessions.close();
      database.close();
    },
  };
}
