// @ts-check
import { Router } from "express";
import { localPath } from "../security.js";
import { requireLogin } from "../visitor.js";

/**
 * What the shop wants of the company login beside what `expressOidc` answers.
 *
 * @param {import("holdfast/oidc").OpenidConnect} company
 */
export function companyRoutes(company) {
  const router = Router();

  // Who is signed in at the company comes back from there unasked; this one asks.
  router.get("/login/confirm/company", requireLogin, async (req, res) => {
    const request = {
      method: req.method,
      path: req.originalUrl,
      header: (/** @type {string} */ name) => req.get(name),
      form: async () => new URLSearchParams(),
    };
    const returnTo = localPath(req.query.returnTo);
    sendAnswer(res, await company.login(req.session, request, { prompt: "login", returnTo }));
  });

  router.post("/logout", async (req, res) => {
    const answer = await company.logout(req.session);
    req.session.flash("notice", { text: "You are signed out." });
    sendAnswer(res, answer);
  });

  return router;
}

/**
 * @param {import("express").Response} res
 * @param {import("holdfast/oidc").OidcAnswer} answer
 */
function sendAnswer(res, { status, headers, body }) {
  for (const [name, value] of headers) res.append(name, value);
  res.status(status).end(body);
}
