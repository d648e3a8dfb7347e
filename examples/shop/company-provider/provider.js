// @ts-check
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import express from "express";
import Provider from "oidc-provider";
import { preventCaching, refuseCrossOrigin, securityHeaders } from "../security.js";
import { field } from "../visitor.js";
import { signingKey } from "./keys.js";
import { Memory } from "./memory.js";
import { errorPage, loginPage, loginsPage, signedOutPage, signOutPage } from "./pages.js";
import { personById } from "./people.js";

/** Seconds. */
const [MINUTE, HOUR] = [60, 3600];

/**
 * Starts an OpenID provider for development on a port of its own. What it remembers ends with the process.
 *
 * @param {{ shopUrl: string, port: number, dataFolder: string }} options
 */
export async function startCompanyProvider({ shopUrl, port, dataFolder }) {
  const server = createServer();
  await listen(server, port).catch((error) => {
    if (error.code !== "EADDRINUSE") throw error;
    return listen(server, 0);
  });
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  const issuer = `http://127.0.0.1:${address.port}`;
  const clientId = "holdfast-harbour-shop";
  const clientSecret = randomBytes(32).toString("base64url");
  const memory = new Memory();
  const provider = new Provider(issuer, {
    adapter: (kind) => memory.adapter(kind),
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        token_endpoint_auth_method: "client_secret_post",
        redirect_uris: [`${shopUrl}/auth/callback`],
        post_logout_redirect_uris: [`${shopUrl}/`],
        backchannel_logout_uri: `${shopUrl}/auth/backchannel-logout`,
        backchannel_logout_session_required: true,
        require_auth_time: true,
      },
    ],
    jwks: { keys: [signingKey(dataFolder)] },
    // Cookies belong to a host whatever the port, so the shop gets these, too: they must not have the names of its own.
    cookies: {
      keys: [randomBytes(32).toString("base64url")],
      names: { session: "company-login", interaction: "company-question", resume: "company-resume" },
    },
    claims: { openid: ["sub"], profile: ["name"], email: ["email"] },
    // The ID token says who somebody is, so that the shop need not ask again.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount(_context, id) {
      const person = personById(id);
      return person && { accountId: id, claims: async () => ({ sub: id, ...person }) };
    },
    // Company and shop are one house: nobody is asked whether the one may know of the other.
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({
        clientId: oidc.client.clientId,
        accountId: oidc.session.accountId,
      });
      grant.addOIDCScope(oidc.params.scope);
      await grant.save();
      return grant;
    },
    interactions: { url: (_context, { uid }) => `/login/${uid}` },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource(context) {
          const { secret } = context.oidc.session.state;
          context.body = signOutPage({ action: context.oidc.urlFor("end_session_confirm"), secret });
        },
        postLogoutSuccessSource(context) {
          context.body = signedOutPage();
        },
      },
    },
    ttl: { AccessToken: 5 * MINUTE, Grant: 12 * HOUR, IdToken: HOUR, Interaction: HOUR, Session: 12 * HOUR },
    renderError(context) {
      context.type = "html";
      context.body = errorPage();
    },
    // Its own refuses to send anything to this machine, where the shop is.
    fetch: (address, { dispatcher, ...options }) => fetch(address, options),
  });

  const app = express();
  app.disable("x-powered-by");
  app.use(securityHeaders(shopUrl));
  app.use(express.static(fileURLToPath(new URL("../public", import.meta.url))));
  /** @type {import("express").RequestHandler[]} */
  const form = [refuseCrossOrigin, express.urlencoded({ extended: false, limit: "1kb" })];

  app.get("/login/:uid", preventCaching, async (req, res) => {
    const { uid } = await provider.interactionDetails(req, res);
    res.send(loginPage(`/login/${uid}`));
  });

  app.post("/login/:uid", ...form, async (req, res) => {
    const person = personById(field(req, "person"));
    const result = person
      ? { login: { accountId: person.id } }
      : { error: "access_denied", error_description: "The login was cancelled." };
    await provider.interactionFinished(req, res, result);
  });

  app.get("/", preventCaching, (_req, res) => {
    const logins = memory.sessions().map(({ uid, accountId, loginTs }) => ({
      uid,
      name: personById(accountId)?.name ?? accountId,
      since: new Date(loginTs * 1000),
    }));
    res.send(loginsPage(logins));
  });

  app.post("/logins/end", ...form, async (req, res) => {
    const session = await provider.Session.findByUid(field(req, "uid"));
    for (const id of Object.keys(session?.authorizations ?? {})) {
      const client = await provider.Client.find(id);
      await client?.backchannelLogout(session.accountId, session.sidFor(id));
    }
    await session?.destroy();
    res.redirect(303, "/");
  });

  app.use(provider.callback());
  app.use(
    /** @type {import("express").ErrorRequestHandler} */
    (error, _req, res, next) => {
      if (res.headersSent) return next(error);
      const status = res.statusCode >= 400 ? res.statusCode : (error?.status ?? 500);
      if (status >= 500) console.error(error);
      res.status(status).send(errorPage());
    },
  );
  server.on("request", app);

  return {
    issuer,
    clientId,
    clientSecret,
    baseUrl: shopUrl,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** @param {import("node:http").Server} server @param {number} port */
async function listen(server, port) {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}
