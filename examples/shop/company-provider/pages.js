// @ts-check
import { html } from "../html.js";
import { documentOf } from "../views/document.js";
import { time } from "../views/time.js";
import { people } from "./people.js";

const company = "Holdfast Harbour Company";

/** @param {string} action Where the choice is sent. */
export const loginPage = (action) =>
  frame(
    "Company account",
    html`<h1>Who are you?</h1>
      <p>The shop wants to know. It learns your name and your e-mail address.</p>
      <form method="post" action="${action}" class="choices">
        ${people.map(
          ({ id, name, email }) =>
            html`<button class="button quiet" name="person" value="${id}"><strong>${name}</strong> <span class="email">${email}</span></button>`,
        )}
        <button class="link-button">Cancel</button>
      </form>
      <p class="muted">A provider for development asks for no password.</p>`,
  );

/** @param {ReadonlyArray<{ uid: string, name: string, since: Date }>} logins */
export const loginsPage = (logins) =>
  frame(
    "Company logins",
    html`<h1>Who is signed in</h1>
      <p>Each browser that has signed in with a company account. End one, and its session in the shop ends at once.</p>
      ${logins.length === 0 && html`<p class="muted">Nobody is.</p>`}
      <ul class="devices">${logins.map(
        ({ uid, name, since }) => html`<li>
          <div><h2>${name}</h2><p class="muted">Since ${time(since)}</p></div>
          <form method="post" action="/logins/end">
            <input type="hidden" name="uid" value="${uid}">
            <button class="button small danger">End this login</button>
          </form>
        </li>`,
      )}</ul>`,
  );

/**
 * What the shop leads to, to sign out here as well. The user has asked for it there, so a script sends the form.
 *
 * @param {{ action: string, secret: string }} form
 */
export const signOutPage = ({ action, secret }) =>
  frame(
    "Signing out",
    html`<h1>Signing out</h1>
      <p>Your company login ends, and with it the one in the shop.</p>
      <form method="post" action="${action}">
        <input type="hidden" name="xsrf" value="${secret}">
        <input type="hidden" name="logout" value="yes">
        <button class="button">Sign out</button>
      </form>`,
    ["company-sign-out.js"],
  );

export const signedOutPage = () =>
  frame("Signed out", html`<h1>Signed out</h1><p>You are signed out of your company account.</p>`);

export const errorPage = () =>
  frame(
    "That didn’t work",
    html`<h1>That didn’t work</h1>
      <p>This page is too old, or the shop asked for something that isn’t right. Please start again in the shop.</p>`,
  );

/**
 * @param {string} title
 * @param {import("../html.js").Markup} main
 * @param {readonly string[]} [scripts]
 */
function frame(title, main, scripts = []) {
  const body = html`<header class="site-header"><span class="brand">${company}</span></header>
    <main id="main"><div class="narrow">${main}</div></main>
    <footer class="site-footer"><p>A login provider for development. It runs inside the shop.</p></footer>`;
  return String(documentOf({ title, body, scripts: [...scripts, "local-times.js"] }));
}
