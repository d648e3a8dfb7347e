// @ts-check
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import express from "express";
import { sessionConsole } from "holdfast/console";
import { expressSessions } from "holdfast/express";
import { openidConnect } from "holdfast/oidc";
import { expressOidc } from "holdfast/oidc/express";
import { openStore } from "holdfast/stores/url";
import Database from "libsql";
import { companyErrorPage, errorPage, notFound } from "./errors.js";
import { keepJournal } from "./journal.js";
import { openOrders } from "./orders.js";
import { accountRoutes } from "./routes/account.js";
import { cartRoutes } from "./routes/cart.js";
import { catalogueRoutes } from "./routes/catalogue.js";
import { checkoutRoutes } from "./routes/checkout.js";
import { companyRoutes } from "./routes/company.js";
import { deviceRoutes } from "./routes/devices.js";
import { labRoutes } from "./routes/lab.js";
import { loginRoutes } from "./routes/login.js";
import { sessionRoutes } from "./routes/session.js";
import { preventCaching, securityHeaders, useOneLoopbackName } from "./security.js";
import { createShopSessions } from "./sessions.js";
import { openUsers } from "./users.js";
import { createPage } from "./views/page.js";
import { findUser, userOf } from "./visitor.js";

/**
 * @typedef {object} ShopOptions
 * @property {string} dataFolder Where shop.db is kept, and sessions.db unless `sessionStore` names another place.
 * @property {string} [sessionStore] A URL of a database, or the path of a SQLite file.
 * @property {readonly string[] | import("holdfast").SecretSource} secrets
 * @property {boolean} [encrypt] Whether the store holds sessions encrypted.
 * @property {import("holdfast").Duration} idleTimeout
 * @property {readonly string[]} origins Of the shop itself: pages of any other may not send its forms.
 * @property {import("./company.js").CompanyLogin} [companyLogin] Lets people in with their company account.
 * @property {number} [maxDevices] On how many devices one user may be signed in; the next one signs the oldest out. Default: 5.
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
 * @property {import("holdfast/oidc").OpenidConnect} [company]
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
  secrets,
  encrypt,
  idleTimeout,
  origins,
  companyLogin,
  maxDevices = 5,
  reauthenticateAfter = 600_000,
}) {
  const store = await openStore(sessionStore);
  await store.migrate?.();
  const sessions = createShopSessions({ store, secrets, encrypt, idleTimeout, origins, maxDevices });
  const database = new Database(join(dataFolder, "shop.db"));
  const users = await openUsers(database);
  const orders = openOrders(database);
  const page = createPage(keepJournal(sessions));
  const company = companyLogin && (await openCompanyLogin(companyLogin, users));
  /** @type {import("holdfast/console").SessionConsole<import("express").Request>} */
  const sessionsConsole = sessionConsole(sessions, {
    path: "/admin/sessions",
    title: "Holdfast Harbour: sessions",
    guard(req) {
      const user = req.res && userOf(req.res);
      return user?.isAdmin && user.login;
    },
  });
  /** @type {Shop} */
  const shop = { sessions, users, orders, page, company, reauthenticateAfter };

  const app = express();
  app.disable("x-powered-by");
  app.use(securityHeaders(companyLogin && new URL(companyLogin.issuer).origin));
  app.use(express.static(fileURLToPath(new URL("public", import.meta.url))));
  if (companyLogin) app.use(useOneLoopbackName(companyLogin.baseUrl));
  app.use(preventCaching);
  app.use(express.urlencoded({ extended: false, limit: "8kb" }));
  app.use(expressSessions(sessions));
  if (company) app.use(expressOidc(company));
  app.use(findUser(users));
  app.use("/admin/sessions", sessionsConsole.node);
  app.use("/", catalogueRoutes(shop));
  app.use("/cart", cartRoutes(shop));
  app.use("/checkout", checkoutRoutes(shop));
  if (company) app.use("/", companyRoutes(company));
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

/**
 * The company login, and which of the shop's accounts it leads to.
 *
 * @param {import("./company.js").CompanyLogin} companyLogin
 * @param {import("./users.js").Users} users
 */
function openCompanyLogin({ issuer, clientId, clientSecret, baseUrl }, users) {
  return openidConnect({
    issuer,
    clientId,
    clientSecret,
    baseUrl,
    routes: { afterLogin: "/account" },
    afterLogin({ claims, session }) {
      const user = users.ofCompany(claims);
      session.flash("notice", { text: `Welcome, ${user.name}.` });
      return user.id;
    },
    onError: companyErrorPage,
  });
}
