// @ts-check
import { Router } from "express";
import { requireRecentLogin } from "holdfast/express";
import { html } from "../html.js";
import { time } from "../views/time.js";
import { field, requireLogin, signedInUser } from "../visitor.js";

/** @param {import("../app.js").Shop} shop */
export function deviceRoutes({ page, sessions, reauthenticateAfter }) {
  const router = Router();
  const recentLogin = requireRecentLogin(reauthenticateAfter, { redirectTo: "/login/confirm" });
  router.use(requireLogin);

  router.get("/", async (req, res) => {
    const devices = await sessions.ofUser(signedInUser(res).id).list();
    const current = devices.filter(({ id }) => id === req.session.id);
    const others = devices.filter(({ id }) => id !== req.session.id);
    page(req, res, {
      title: "Your devices",
      main: html`<h1>Your devices</h1>
        <p>Everywhere that you are signed in. Don’t know one? Sign it out, and it is out at once.</p>
        <ul class="devices">${current.map((device) => deviceItem(device, true))}${others.map((device) => deviceItem(device, false))}</ul>
        ${others.length > 0 && html`<form method="post" action="/account/devices/revoke-others"><button class="button danger">Sign out everywhere else</button></form>`}`,
    });
  });

  router.post("/revoke", recentLogin, async (req, res) => {
    const ended = await sessions.ofUser(signedInUser(res).id).revoke(field(req, "id"));
    req.session.flash("notice", {
      text: ended ? "That device is signed out." : "That device was signed out already.",
    });
    res.redirect(303, "/account/devices");
  });

  router.post("/revoke-others", recentLogin, async (req, res) => {
    const count = await sessions.ofUser(signedInUser(res).id).revokeAll({ except: req.session.id });
    req.session.flash("notice", {
      text: `Signed out on ${count} other ${count === 1 ? "device" : "devices"}.`,
    });
    res.redirect(303, "/account/devices");
  });

  return router;
}

/**
 * @param {import("holdfast").SessionSummary} device
 * @param {boolean} isThis
 */
function deviceItem({ id, client, createdAt, lastSeenAt, remembered }, isThis) {
  const name = [client.browser ?? "Unknown browser", client.system].filter(Boolean).join(" on ");
  return html`<li${isThis && html` class="this-device"`}>
    <div>
      <h2>${name} ${isThis && html`<span class="badge">This device</span>`}</h2>
      <p class="muted">Signed in ${time(createdAt)}${remembered && ", and kept signed in"}<br>Last seen ${time(lastSeenAt)}</p>
    </div>
    ${
      isThis
        ? html`<form method="post" action="/logout"><button class="button small quiet">Sign out</button></form>`
        : html`<form method="post" action="/account/devices/revoke">
            <input type="hidden" name="id" value="${id}">
            <button class="button small danger" aria-label="Sign out ${name}, session ${id.slice(0, 8)}">Sign out</button>
          </form>`
    }
  </li>`;
}
