import express, { type Express } from "express";
import { expressSessions } from "../../src/adapters/express.js";
import { createSessions, type SessionsOptions } from "../../src/engine/create-sessions.js";
import { sessionEventNames } from "../../src/engine/events.js";
import type { Sessions } from "../../src/engine/sessions.js";
import { type ExpressOidc, expressOidc } from "../../src/oidc/express.js";
import { type OidcError, type OpenidConnect, openidConnect } from "../../src/oidc/index.js";
import type { OpenidConnectOptions } from "../../src/oidc/options.js";
import { memoryStore } from "../../src/stores/memory.js";
import { listen } from "../support/browser.js";
import { SECRET } from "../support/shop.js";
import { Person } from "./person.js";
import { CLIENT_SECRET } from "./provider.js";

/** A small application on Express that people log in to with a provider. Its clock can be moved. */
export interface OidcShop {
  readonly url: string;
  readonly sessions: Sessions<any>;
  /** Why logins failed. */
  readonly failures: OidcError[];
  /** What handlers threw. */
  readonly errors: any[];
  readonly events: any[];
  /** Milliseconds that its clock is ahead. */
  ahead: number;
  readonly oidc: OpenidConnect;
  readonly app: Express;
  person(): Person;
  close(): Promise<void>;
}

/** Where the application will be, before there is one: providers register its addresses. */
export async function openDoor() {
  let app: Express | undefined;
  const door = await listen((request, response) => {
    app!(request, response);
  });
  return {
    url: door.url,
    close: door.close,
    serve(served: Express) {
      app = served;
    },
  };
}

export async function openOidcShop(
  door: Awaited<ReturnType<typeof openDoor>>,
  options: Partial<OpenidConnectOptions> & { issuer: string },
  settings: Partial<SessionsOptions<any>> = {},
): Promise<OidcShop> {
  const failures: OidcError[] = [];
  const errors: any[] = [];
  const events: any[] = [];
  const shop = { ahead: 0 };
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    sweepInterval: false,
    clock: () => Date.now() + shop.ahead,
    ...settings,
  });
  for (const name of sessionEventNames) sessions.on(name, (event) => events.push({ name, ...event }));
  const oidc = await openidConnect({
    clientId: "shop",
    ...(options.clientPrivateKey === undefined && { clientSecret: CLIENT_SECRET }),
    baseUrl: door.url,
    onError: (error) => {
      failures.push(error);
      return undefined;
    },
    ...options,
  });
  const app = express();
  const login: ExpressOidc = expressOidc(oidc);
  app.use(expressSessions(sessions));
  app.use(login);
  app.get("/", ({ session }, res) => {
    const { userId, data, identity, expiresAt } = session;
    res.json({ userId, data, identity, expiresAt });
  });
  app.get("/how", ({ session: { authentication, authenticatedAt } }, res) => {
    res.json({ authentication, authenticatedAt });
  });
  app.post("/cart/:item", (req, res) => {
    req.session.data.cart = [...(req.session.data.cart ?? []), req.params.item];
    res.send("added");
  });
  app.get("/account", login.requireLogin(), (req, res) => {
    res.send(`the account of ${req.session.userId}`);
  });
  app.get("/rechecked", login.requireLogin({ recheckAfter: "10m" }), (req, res) => {
    res.send(`the account of ${req.session.userId}`);
  });
  app.get("/api", async (req, res) => {
    res.send(await oidc.accessToken(req.session));
  });
  app.post("/rotate", async (req, res) => {
    await req.session.rotate();
    res.send("rotated");
  });
  app.get("/strong", async (req, res) => {
    const answer = await oidc.login(
      req.session,
      {
        method: "GET",
        path: "/strong",
        header: (name) => req.get(name),
        form: async () => new URLSearchParams(),
      },
      {
        returnTo: "/",
        prompt: req.query.prompt as "none",
        maxAge: req.query.maxAge ? Number(req.query.maxAge) : undefined,
      },
    );
    for (const [name, value] of answer.headers) res.append(name, value);
    res.status(answer.status).end(answer.body);
  });
  app.use(((error, _req, res, _next) => {
    errors.push(error);
    res.status(error.status ?? 500).send(error.code ?? "failed");
  }) as express.ErrorRequestHandler);
  door.serve(app);
  return Object.assign(shop, {
    url: door.url,
    sessions,
    failures,
    errors,
    events,
    oidc,
    app,
    person: () => new Person(door.url),
    async close() {
      await door.close();
      await sessions.close();
    },
  });
}
