/** What applications write that log in with OpenID Connect; it must compile without a cast, and the lines marked must not. */
import { expectTypeOf } from "expect-type";
import express from "express";
import fastify from "fastify";
import { createSessions, memoryStore, type Session, type SessionData } from "holdfast";
import { expressSessions } from "holdfast/express";
import { fastifySessions } from "holdfast/fastify";
import { honoSessions, type SessionEnv } from "holdfast/hono";
import { koaSessions } from "holdfast/koa";
import { type Claims, OidcError, type OidcReason, openidConnect } from "holdfast/oidc";
import { expressOidc } from "holdfast/oidc/express";
import { fastifyOidc, requireLogin } from "holdfast/oidc/fastify";
import { honoOidc } from "holdfast/oidc/hono";
import { koaOidc } from "holdfast/oidc/koa";
import { ExpressOIDC, type UserContext } from "holdfast/oidc/okta";
import { Hono } from "hono";
import Koa from "koa";

interface ShopData {
  cart: string[];
}
const secrets = [process.env.SESSION_SECRET!];
const plain = createSessions<SessionData>({ secrets, store: memoryStore(), initial: () => ({ cart: [] }) });
const shop = createSessions<ShopData>({ secrets, store: memoryStore(), initial: () => ({ cart: [] }) });

const needed = {
  issuer: "https://login.example",
  clientId: "shop",
  clientSecret: process.env.CLIENT_SECRET!,
  baseUrl: "https://shop.example",
};
const oidc = await openidConnect({
  ...needed,
  maxAge: "1h",
  timeout: 5000,
  keepTokens: true,
  routes: { afterLogin: "/account", frontchannelLogout: "/auth/frontchannel-logout" },
  async afterLogin({ claims, accessToken, session }) {
    expectTypeOf(claims).toEqualTypeOf<Claims>();
    expectTypeOf(claims.sub).toEqualTypeOf<string>();
    expectTypeOf(claims.email).toEqualTypeOf<unknown>();
    expectTypeOf(accessToken).toEqualTypeOf<string | undefined>();
    session.data.name = claims.name;
    return claims.email_verified === true ? claims.sub : undefined;
  },
  onError(error) {
    expectTypeOf(error).toEqualTypeOf<OidcError>();
    expectTypeOf(error.reason).toEqualTypeOf<OidcReason>();
    return { status: 303, headers: [["Location", `/sorry?reason=${error.reason}`]], body: "" };
  },
});
await openidConnect({ ...needed, onError: async (error) => console.error(error.code) });
await openidConnect({ ...needed, onError: (error) => console.error(error.code) });

// @ts-expect-error no issuer
await openidConnect({ clientId: "shop", clientSecret: "secret", baseUrl: "https://shop.example" });
// @ts-expect-error no such option
await openidConnect({ ...needed, redirectUri: "https://shop.example/callback" });
// @ts-expect-error no duration
await openidConnect({ ...needed, maxAge: "an hour" });
// @ts-expect-error no such route
oidc.withRoutes({ signIn: "/sign-in" });

// Express
const app = express();
const login = expressOidc(oidc, { routes: { login: "/login" } });
app.use(expressSessions(plain), login);
app.get("/account", login.requireLogin(), async (req, res) => {
  expectTypeOf(await oidc.accessToken(req.session)).toEqualTypeOf<string>();
  expectTypeOf(req.session.identity?.sid).toEqualTypeOf<string | undefined>();
  res.send(req.session.userId);
});
app.get("/admin", login.requireLogin({ recheckAfter: "10m" }), (_req, res) => void res.end());
// @ts-expect-error no such option
login.requireLogin({ maxAge: "10m" });

// Koa
const koa = new Koa();
const koaLogin = koaOidc(oidc);
koa.use(koaSessions(plain)).use(koaLogin).use(koaLogin.requireLogin());

// Fastify
const server = fastify();
server.register(fastifySessions, { sessions: plain });
server.register(fastifyOidc, { oidc: oidc.withRoutes({ login: "/login" }) });
server.get("/account", { onRequest: requireLogin(oidc) }, async ({ session }) => session.userId);
server.addHook("onRequest", requireLogin(oidc, { recheckAfter: 60_000 }));
// @ts-expect-error without what openidConnect gave
server.register(fastifyOidc);

// Hono, with data of its own
const honoLogin = honoOidc(oidc);
new Hono()
  .use(honoSessions(shop))
  .use(honoLogin)
  .get("/account", honoLogin.requireLogin(), (c) => {
    expectTypeOf(c.var.session).toEqualTypeOf<Session<ShopData>>();
    return c.text(c.var.session.userId ?? "");
  });
const typed = new Hono<SessionEnv<ShopData>>();
typed.use(honoSessions(shop)).use(honoLogin);
typed.get("/cart", honoLogin.requireLogin(), (c) => {
  expectTypeOf(c.var.session.data.cart).toEqualTypeOf<string[]>();
  return c.json(c.var.session.data.cart);
});

// Okta's names
const okta = new ExpressOIDC({
  issuer: "https://example.okta.com/oauth2/default",
  client_id: "shop",
  client_secret: "secret",
  appBaseUrl: "https://shop.example",
  scope: "openid profile",
  routes: { login: { path: "/login" }, loginCallback: { path: "/callback", afterCallback: "/home" } },
});
okta.on("ready", () => app.listen(3000));
okta.on("error", (error) => console.error(error));
app.use(okta.router);
app.get("/protected", okta.ensureAuthenticated({ redirectTo: "/welcome", loginHint: "ann" }), (req, res) => {
  expectTypeOf(req.userContext).toEqualTypeOf<UserContext | undefined>();
  expectTypeOf(req.isAuthenticated()).toEqualTypeOf<boolean>();
  req.logout(() => res.send(req.userContext?.tokens.access_token));
});
app.post("/out", okta.forceLogoutAndRevoke());
// @ts-expect-error no such option
new ExpressOIDC({ issuer: "", client_id: "", client_secret: "", appBaseUrl: "", clientId: "" });

export const isOurs = (error: unknown) => error instanceof OidcError && error.reason === "access_denied";
