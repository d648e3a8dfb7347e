// @ts-check
import { countItems } from "../cart.js";
import { html } from "../html.js";
import { userOf } from "../visitor.js";
import { documentOf } from "./document.js";
import { expiryDialog } from "./expiry-dialog.js";
import { sessionPanel } from "./session-panel.js";

/**
 * A message for the next page, left with `req.session.flash("notice" | "error", message)`.
 * @typedef {{ text: string, link?: { href: string, label: string } }} FlashMessage
 */

/** @typedef {{ title: string, main: import("../html.js").Markup, scripts?: readonly string[] }} PageParts */
/** @typedef {(req: import("express").Request, res: import("express").Response, parts: PageParts) => void} SendPage */

/**
 * Sends pages: the shop's frame around what is given.
 *
 * @param {import("../journal.js").Journal} journal
 * @returns {SendPage}
 */
export function createPage(journal) {
  return (req, res, { title, main, scripts = [] }) => {
    const { session } = req;
    const stored = !session.isNew;
    const body = html`<a class="skip-link" href="#main">Skip to the content</a>
    ${header(req, userOf(res))}
    <main id="main" tabindex="-1">
      ${signedOutNotice(session)}
      ${flashMessages(session)}
      ${main}
    </main>
    ${sessionPanel(session, stored ? journal.of(session, 8) : [], req.originalUrl)}
    <footer class="site-footer">
      <p>A demo of <strong>Holdfast</strong>, session management for Node.js. Nothing here is for sale.</p>
    </footer>
    ${stored && expiryDialog(session)}`;
    const all = [...scripts, "local-times.js", ...(stored ? ["session-clock.js"] : [])];
    res.send(String(documentOf({ title, body, scripts: all })));
  };
}

/**
 * @param {import("express").Request} req
 * @param {import("../users.js").User} [user]
 */
function header(req, user) {
  const count = countItems(req.session.data.cart);
  /** @param {string} href @param {unknown} label */
  const link = (href, label) => html`<li><a href="${href}"${current(req, href)}>${label}</a></li>`;
  return html`<header class="site-header">
    <a class="brand" href="/"><img src="/favicon.svg" alt="" width="32" height="32"> Holdfast <span>Harbour</span></a>
    <nav aria-label="Main">
      <ul>
        ${user?.isAdmin && link("/admin/sessions", "Sessions")}
        ${link("/lab", "Lab")}
        ${user ? link("/account", user.name.split(" ")[0]) : link("/login", "Sign in")}
        ${user && html`<li><form method="post" action="/logout"><button class="link-button">Sign out</button></form></li>`}
        <li>
          <a class="cart-link" href="/cart"${current(req, "/cart")}>Cart
            <span class="count${count === 0 ? " empty" : ""}"><span class="visually-hidden">, items: </span>${count}</span>
          </a>
        </li>
      </ul>
    </nav>
  </header>`;
}

/** @param {import("express").Request} req @param {string} href */
function current(req, href) {
  const path = req.baseUrl + req.path;
  return (path === href || path.startsWith(`${href}/`)) && html` aria-current="page"`;
}

/** @type {Partial<Record<import("holdfast").SessionReason, string>>} */
const SIGNED_OUT = {
  limit: "You were signed out here, because you signed in on another device.",
  revoked: "You were signed out here from another of your devices.",
  "idle-timeout": "You were away for a while, so your session has ended.",
  "absolute-timeout": "Your session was open for a long time, so it has ended. Please sign in again.",
  unknown: "Your session has ended.",
};

/** Why a browser that had a session has none any more. @param {import("holdfast").Session} session */
function signedOutNotice({ reason }) {
  const text = SIGNED_OUT[reason];
  return text && html`<div class="flash notice" role="status"><p>${text}</p></div>`;
}

/** @param {import("holdfast").Session} session */
function flashMessages(session) {
  /** @type {Array<[kind: string, message: FlashMessage]>} */
  const messages = [
    ...session.flash("error").map((message) => /** @type {const} */ (["error", message])),
    ...session.flash("notice").map((message) => /** @type {const} */ (["notice", message])),
  ].map(([kind, message]) => [kind, message]);
  return messages.map(
    ([
      kind,
      { text, link },
    ]) => html`<div class="flash ${kind}" role="${kind === "error" ? "alert" : "status"}">
      <p>${text}${link && html` <a href="${link.href}">${link.label}</a>`}</p>
    </div>`,
  );
}
