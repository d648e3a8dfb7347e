import express from "express";
import { createSessions } from "holdfast";
import { expressSessions } from "holdfast/express";
import { openidConnect } from "holdfast/oidc";
import { expressOidc } from "holdfast/oidc/express";
import { sqliteStore } from "holdfast/stores/sqlite";

/** An application with a login, on a store that other processes have open, too. Prints its address. */
const { SECRET, STORE, ISSUER, BASE_URL, AHEAD } = process.env;

const sessions = createSessions({
  secrets: [SECRET],
  store: sqliteStore({ path: STORE }),
  sweepInterval: false,
  idleTimeout: "12h",
  clock: () => Date.now() + Number(AHEAD),
});
const oidc = await openidConnect({
  issuer: ISSUER,
  clientId: "shop",
  clientSecret: "the application's secret at the provider, 64",
  baseUrl: BASE_URL,
  keepTokens: true,
});

const app = express();
app.use(expressSessions(sessions));
app.use(expressOidc(oidc));
app.get("/", ({ session }, res) => {
  res.json({ userId: session.userId });
});
app.get("/api", async (req, res) => {
  res.send(await oidc.accessToken(req.session));
});
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
