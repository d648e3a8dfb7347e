// @ts-check

/**
 * Looks the session's user up, as `res.locals.user`. The session of an account that is gone ends.
 *
 * @param {import("./users.js").Users} users
 * @returns {import("express").RequestHandler}
 */
export function findUser(users) {
  return async (req, res, next) => {
    res.locals.user = users.byId(req.session.userId);
    if (req.session.userId !== undefined && res.locals.user === undefined) await req.session.destroy();
    next();
  };
}

/** @param {import("express").Response} res @returns {import("./users.js").User | undefined} */
export const userOf = (res) => res.locals.user;

/** Behind `requireLogin`. @param {import("express").Response} res @returns {import("./users.js").User} */
export const signedInUser = (res) => res.locals.user;

/** @type {import("express").RequestHandler} */
export const requireLogin = (req, res, next) => {
  if (userOf(res)) return next();
  res.redirect(303, `/login?returnTo=${encodeURIComponent(pageOf(req))}`);
};

/** Where to come back to: for a form, the page that it is on, which is where its routes are mounted. */
function pageOf(/** @type {import("express").Request} */ req) {
  return req.method === "GET" ? req.originalUrl : req.baseUrl;
}

/**
 * A field of the form that was sent, as text.
 *
 * @param {import("express").Request} req
 * @param {string} name
 */
export function field(req, name) {
  const value = req.body?.[name];
  return typeof value === "string" ? value : "";
}
