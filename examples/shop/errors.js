// @ts-check
import { SessionGoneError } from "holdfast";
import { html } from "./html.js";
import { documentOf } from "./views/document.js";

/** Seconds. */
const RETRY_AFTER = 5;

/** @type {import("express").RequestHandler} */
export const notFound = (_req, res) => {
  send(res, 404, "This page drifted off", "There is nothing at this address, or not any more.");
};

/**
 * The last resort. Needs no session: the store may be what failed.
 *
 * @type {import("express").ErrorRequestHandler}
 */
export const errorPage = (error, _req, res, next) => {
  if (res.headersSent) return next(error);
  if (error instanceof SessionGoneError) {
    return send(res, 401, "Your session has ended", "You were signed out elsewhere. Nothing was changed.");
  }
  const status = res.statusCode >= 400 ? res.statusCode : Number(error?.status) || 500;
  if (status === 503) {
    console.error(error);
    res.set("Retry-After", String(RETRY_AFTER));
    return send(
      res,
      503,
      "Back in a moment",
      "We can’t reach your session right now. You are still signed in and your cart is safe: please try again in a few seconds.",
    );
  }
  if (status >= 400 && status < 500) {
    return send(res, status, "That didn’t work", "The shop can’t accept this request. Nothing was changed.");
  }
  console.error(error);
  send(res, 500, "Something broke", "It is our fault, and we have made a note of it. Nothing was charged.");
};

/**
 * What a company login ends in that fails.
 *
 * @param {import("holdfast/oidc").OidcError} error
 * @returns {import("holdfast/oidc").OidcAnswer}
 */
export function companyErrorPage(error) {
  const { status, reason } = error;
  const [title, text] =
    reason === "access_denied"
      ? ["You are not signed in", "The company said no, or you changed your mind."]
      : reason === "unknown_login"
        ? [
            "This sign-in is over",
            "It is finished already, it took too long, or it began in another browser.",
          ]
        : ["That didn’t work", "We can’t sign you in with your company account right now."];
  if (status >= 500) console.error(error);
  return {
    status,
    headers: [["Content-Type", "text/html; charset=utf-8"]],
    body: noticePage(status, title, text),
  };
}

/**
 * @param {import("express").Response} res
 * @param {number} status
 * @param {string} title
 * @param {string} text
 */
function send(res, status, title, text) {
  res.status(status).send(noticePage(status, title, text));
}

/** @param {number} status @param {string} title @param {string} text */
function noticePage(status, title, text) {
  const body = html`<main id="main" class="notice-page">
    <p class="eyebrow">${status}</p>
    <h1>${title}</h1>
    <p>${text}</p>
    <p><a class="button" href="/">To the shop</a></p>
  </main>`;
  return String(documentOf({ title, body }));
}
