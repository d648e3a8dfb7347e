// @ts-check

const HEADERS = {
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
};

/**
 * @param {string} [partner] The origin of another site that forms may lead to: browsers hold a redirect that answers a form,
 *   as the one from signing out here to signing out there, against the policy, too.
 * @returns {import("express").RequestHandler}
 */
export function securityHeaders(partner) {
  const policy =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
    `form-action 'self'${partner === undefined ? "" : ` ${partner}`}; base-uri 'none'; frame-ancestors 'none'`;
  return (_req, res, next) => {
    res.set("Content-Security-Policy", policy).set(HEADERS);
    next();
  };
}

/**
 * Refuses what another site makes a browser send (cross-site request forgery). Browsers say where a request comes from in
 * Sec-Fetch-Site, older ones in Origin; what has neither does not come from a browser, and carries nobody's cookie. For the
 * company's provider, which has no sessions of Holdfast's: the shop itself is behind their CSRF guard.
 *
 * @type {import("express").RequestHandler}
 */
export const refuseCrossOrigin = (req, res, next) => {
  if (["GET", "HEAD", "OPTIONS"].includes(req.method)) return next();
  const site = req.get("Sec-Fetch-Site");
  const origin = req.get("Origin");
  const allowed =
    site !== undefined
      ? site === "same-origin" || site === "none"
      : origin === undefined || origin === `${req.protocol}://${req.get("Host")}`;
  if (allowed) return next();
  res.status(403);
  next(new Error("a cross-origin request was refused"));
};

/** Every page shows something about its reader, so none may be kept. @type {import("express").RequestHandler} */
export const preventCaching = (_req, res, next) => {
  res.set("Cache-Control", "no-store");
  next();
};

/** Whether a host name is this machine's for itself. @param {string} hostname */
export const isLoopback = (hostname) => /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);

/**
 * Leads from this machine's other names to the one that a login comes back to: localhost and 127.0.0.1 are two sites, each
 * with its own cookies.
 *
 * @param {string} shopUrl
 * @returns {import("express").RequestHandler}
 */
export function useOneLoopbackName(shopUrl) {
  const { hostname, origin } = new URL(shopUrl);
  return (req, res, next) => {
    const isOther = req.hostname !== hostname && isLoopback(req.hostname) && isLoopback(hostname);
    if (isOther && req.method === "GET") return res.redirect(302, origin + req.originalUrl);
    next();
  };
}

/**
 * A path of this shop to go to, from a form or a link, or undefined: never another site's address.
 *
 * @param {unknown} value
 */
export function localPath(value) {
  if (typeof value !== "string" || !value.startsWith("/")) return undefined;
  const base = "http://shop.invalid";
  if (!URL.canParse(value, base)) return undefined;
  const { origin, pathname, search } = new URL(value, base);
  // "/.//elsewhere.example" comes out of the parser as a path that a browser takes for another site.
  return origin === base && !pathname.startsWith("//") ? pathname + search : undefined;
}
