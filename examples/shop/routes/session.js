// @ts-check
import { Router } from "express";
import { countdownOf } from "../countdown.js";
import { html } from "../html.js";
import { localPath } from "../security.js";
import { field } from "../visitor.js";

/** @param {import("../app.js").Shop} shop */
export function sessionRoutes({ page }) {
  const router = Router();

  // A page asks this by itself. Did it count as activity, two tabs left open would keep a session alive for ever.
  router.get("/status", ({ session }, res) => {
    session.ignoreActivity();
    res.json(statusOf(session));
  });

  router.post("/extend", async (req, res) => {
    const { session } = req;
    await session.touch();
    if (req.accepts(["html", "json"]) === "json") return res.json(statusOf(session));
    if (session.isNew) return res.redirect(303, "/session/ended");
    session.flash("notice", { text: "Your session goes on." });
    res.redirect(303, localPath(field(req, "returnTo")) ?? "/");
  });

  router.get("/ended", (req, res) => {
    if (!req.session.isNew) return res.redirect(303, "/");
    page(req, res, {
      title: "Your session has ended",
      main: html`<div class="narrow">
        <h1>Your session has ended</h1>
        <p>Nothing had happened for a while, so we ended it to keep you safe. What was in the cart is gone with it.</p>
        <p class="actions"><a class="button" href="/login">Sign in again</a> <a class="button quiet" href="/">To the shop</a></p>
      </div>`,
    });
  });

  return router;
}

/** @param {import("holdfast").Session} session */
function statusOf(session) {
  return session.isNew
    ? { live: false }
    : { live: true, expiresAt: session.expiresAt, ...countdownOf(session) };
}
