// @ts-check
import { Router } from "express";
import { html } from "../html.js";
import { localPath } from "../security.js";
import { demoUsers } from "../users.js";
import { field, requireLogin, signedInUser, userOf } from "../visitor.js";

/** @param {import("../app.js").Shop} shop */
export function loginRoutes({ page, users, company }) {
  const router = Router();

  router.get("/login", (req, res) => {
    const returnTo = localPath(req.query.returnTo);
    if (userOf(res)) return res.redirect(303, returnTo ?? "/account");
    page(req, res, { title: "Sign in", main: loginForm(returnTo, company !== undefined) });
  });

  router.post("/login", async (req, res) => {
    const returnTo = localPath(field(req, "returnTo"));
    const user = await users.authenticate(field(req, "login"), field(req, "password"));
    if (user === undefined) {
      req.session.flash("error", { text: "This name and password don’t go together." });
      return res.redirect(303, `/login${query(returnTo)}`);
    }
    // Nobody takes over what the user before has left.
    if (req.session.userId !== undefined && req.session.userId !== user.id) await req.session.logout();
    await req.session.login(user.id, {
      remember: field(req, "remember") === "on",
      methods: ["pwd"],
      level: 1,
    });
    req.session.flash("notice", { text: `Welcome, ${user.name}.` });
    res.redirect(303, returnTo ?? "/account");
  });

  router.post("/logout", async (req, res) => {
    await req.session.logout();
    req.session.flash("notice", { text: "You are signed out." });
    res.redirect(303, "/");
  });

  router.get("/login/confirm", requireLogin, (req, res) => {
    page(req, res, {
      title: "Is it you?",
      main: req.session.identity
        ? confirmWithCompany(localPath(req.query.returnTo))
        : confirmForm(signedInUser(res), localPath(req.query.returnTo)),
    });
  });

  router.post("/login/confirm", requireLogin, async (req, res) => {
    const returnTo = localPath(field(req, "returnTo"));
    const user = await users.authenticate(signedInUser(res).login, field(req, "password"));
    if (user === undefined) {
      req.session.flash("error", { text: "That is not your password." });
      return res.redirect(303, `/login/confirm${query(returnTo)}`);
    }
    // Not another login: who wanted to be remembered still is.
    await req.session.elevate({ methods: ["pwd"], level: 1 });
    res.redirect(303, returnTo ?? "/account");
  });

  return router;
}

/** @param {string} [returnTo] */
const query = (returnTo) => (returnTo ? `?returnTo=${encodeURIComponent(returnTo)}` : "");

/**
 * @param {string | undefined} returnTo
 * @param {boolean} withCompany
 */
function loginForm(returnTo, withCompany) {
  return html`<div class="narrow">
    <h1>Sign in</h1>
    ${returnTo && html`<p>Sign in to go on. What is in your cart stays in it.</p>`}
    <form method="post" action="/login" class="stacked">
      ${returnTo && html`<input type="hidden" name="returnTo" value="${returnTo}">`}
      <label for="login">Name</label>
      <input id="login" name="login" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="100">
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required maxlength="200">
      <label class="check"><input name="remember" type="checkbox"> Keep me signed in on this device</label>
      <button class="button">Sign in</button>
    </form>
    ${
      withCompany &&
      html`<p class="or">or</p>
        <a class="button quiet wide" href="/auth/login${query(returnTo)}">Sign in with your company account</a>`
    }
    <aside class="hint" aria-labelledby="demo-users">
      <h2 id="demo-users">This is a demo: be one of these</h2>
      <dl>${demoUsers.map(
        ({ login, password, isAdmin }) =>
          html`<div><dt><code>${login}</code></dt><dd><code>${password}</code>${isAdmin && " (sees everybody’s sessions)"}</dd></div>`,
      )}</dl>
    </aside>
  </div>`;
}

/**
 * @param {import("../users.js").User} user
 * @param {string} [returnTo]
 */
function confirmForm(user, returnTo) {
  return html`<div class="narrow">
    <h1>Is it you?</h1>
    <p>Your last sign-in was a while ago. Enter the password of <strong>${user.login}</strong> to go on.</p>
    <form method="post" action="/login/confirm" class="stacked">
      ${returnTo && html`<input type="hidden" name="returnTo" value="${returnTo}">`}
      <input type="hidden" name="login" value="${user.login}" autocomplete="username">
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required maxlength="200">
      <button class="button">Go on</button>
    </form>
  </div>`;
}

/** @param {string} [returnTo] */
function confirmWithCompany(returnTo) {
  return html`<div class="narrow">
    <h1>Is it you?</h1>
    <p>Your last sign-in was a while ago. Sign in with your company account once more to go on.</p>
    <p><a class="button" href="/login/confirm/company${query(returnTo)}">Go on</a></p>
  </div>`;
}
