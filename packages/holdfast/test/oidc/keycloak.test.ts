import { createHash, randomBytes } from "node:crypto";
import express from "express";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expressSessions } from "../../src/adapters/express.js";
import { createSessions } from "../../src/engine/create-sessions.js";
import { expressOidc } from "../../src/oidc/express.js";
import { type OidcError, type OpenidConnect, openidConnect } from "../../src/oidc/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { type KeycloakService, provideKeycloak } from "../services/keycloak.js";
import { noteService } from "../services/provision.js";
import { listen } from "../support/browser.js";
import { chromiumArgs, findChromium } from "../support/chromium.js";
import { SECRET } from "../support/shop.js";

/** Logging in with a real Keycloak, in a real browser. */

const PATIENCE = 60_000;
const REALM = `holdfast-${randomBytes(4).toString("hex")}`;
const CLIENT_SECRET = randomBytes(32).toString("base64url");
const PASSWORD = "all that lives is holy";
/** Seconds. */
const TOKEN_LIFETIME = 5;

const executablePath = findChromium();
if (executablePath === undefined) noteService("keycloak", "SKIPPED, there is no Chromium to log in with");
const keycloak = executablePath === undefined ? undefined : await provideKeycloak();

const realm = (applicationUrl: string) => ({
  realm: REALM,
  enabled: true,
  sslRequired: "none",
  accessTokenLifespan: TOKEN_LIFETIME,
  // A refresh token is good once: used twice, it ends all.
  revokeRefreshToken: true,
  refreshTokenMaxReuse: 0,
  eventsEnabled: true,
  enabledEventTypes: ["REFRESH_TOKEN", "REFRESH_TOKEN_ERROR", "LOGIN", "LOGOUT"],
  users: [
    {
      username: "ann",
      enabled: true,
      firstName: "Ann",
      lastName: "Lee",
      email: "ann@example.com",
      emailVerified: true,
      credentials: [{ type: "password", value: PASSWORD, temporary: false }],
    },
  ],
  clients: [
    {
      clientId: "shop",
      enabled: true,
      secret: CLIENT_SECRET,
      standardFlowEnabled: true,
      directAccessGrantsEnabled: false,
      redirectUris: [`${applicationUrl}/auth/callback`],
      attributes: {
        "backchannel.logout.url": `${applicationUrl}/auth/backchannel-logout`,
        "backchannel.logout.session.required": "true",
        "post.logout.redirect.uris": `${applicationUrl}/`,
        "pkce.code.challenge.method": "S256",
      },
    },
  ],
});

describe.skipIf(keycloak === undefined)("Keycloak, in Chromium", { timeout: 2 * PATIENCE }, () => {
  // A suite that is skipped is read all the same.
  const { admin, url: keycloakUrl, control } = keycloak ?? ({} as KeycloakService);
  let browser: Browser;
  let application: Awaited<ReturnType<typeof openApplication>>;

  beforeAll(async () => {
    application = await openApplication(async (url) => {
      await admin("POST", "/realms", realm(url));
      return `${keycloakUrl}/realms/${REALM}`;
    });
    browser = await chromium.launch({ executablePath: executablePath!, args: chromiumArgs });
  }, PATIENCE);

  afterAll(async () => {
    await browser?.close();
    await application?.close();
    if (control === undefined) await admin("DELETE", `/realms/${REALM}`);
    await keycloak!.close();
  }, PATIENCE);

  async function newProfile() {
    const context = await browser.newContext({ baseURL: application.url });
    context.setDefaultTimeout(PATIENCE);
    return { context, page: await context.newPage() };
  }

  /** Answers Keycloak's own login page. */
  async function answerKeycloak(page: Page) {
    await page.getByLabel("Username").fill("ann");
    await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await page.getByRole("button", { name: "Sign In" }).click();
    await page.waitForURL(`${application.url}/**`);
  }

  async function login(page: Page) {
    await page.goto("/auth/login");
    await answerKeycloak(page);
    expect(await shown(page)).toMatchObject({ userId: expect.stringContaining(REALM) });
  }

  const keycloakSessions = async (): Promise<Array<{ id: string }>> => {
    const [ann] = await admin("GET", `/realms/${REALM}/users?username=ann`);
    return admin("GET", `/realms/${REALM}/users/${ann.id}/sessions`);
  };

  const countEvents = async (type: string): Promise<number> =>
    (await admin("GET", `/realms/${REALM}/events?type=${type}&max=1000`)).length;

  test("a login keeps the cart, rotates the token and leads to where the user was going", async () => {
    const { context, page } = await newProfile();
    await page.goto("/");
    await page.getByRole("button", { name: "Add tea" }).click();
    const before = await cookieHeader(context);
    await page.goto("/account");
    expect(new URL(page.url()).origin).toBe(keycloakUrl);
    await answerKeycloak(page);
    expect(page.url()).toBe(`${application.url}/account`);
    await page.goto("/");
    expect(await shown(page)).toMatchObject({ cart: ["tea"], sid: expect.any(String) });
    expect(await application.ask(before)).toMatchObject({ userId: null, cart: [] });
    expect(await application.ask(await cookieHeader(context))).toMatchObject({ cart: ["tea"] });
    await context.close();
  });

  test("two tabs log in at once", async () => {
    const { context, page } = await newProfile();
    const tabs = [page, await context.newPage()] as const;
    for (const [index, tab] of tabs.entries()) {
      await tab.goto(`/auth/login?returnTo=/?tab=${index}`);
      await tab.getByLabel("Username").waitFor();
    }
    await answerKeycloak(tabs[0]);
    // Keycloak takes a tab that waits along as soon as another one has logged in; who is faster logs in as well.
    await Promise.race([
      tabs[1].waitForURL(`${application.url}/**`),
      answerKeycloak(tabs[1]).catch(() => tabs[1].waitForURL(`${application.url}/**`)),
    ]);
    for (const [index, tab] of tabs.entries()) {
      expect(tab.url()).toBe(`${application.url}/?tab=${index}`);
      await tab.reload();
      expect(await shown(tab)).toMatchObject({ userId: expect.stringContaining(REALM) });
    }
    await context.close();
  });

  test("a logout here leaves the login at Keycloak; a logout at both leaves none", async () => {
    const { context, page } = await newProfile();
    await login(page);
    const { sid } = await shown(page);
    await page.getByRole("button", { name: "Leave only here" }).click();
    expect(await shown(page)).toMatchObject({ userId: null });
    expect((await keycloakSessions()).map(({ id }) => id)).toContain(sid);
    // Nobody is asked.
    await page.goto("/auth/login");
    expect(await shown(page)).toMatchObject({ userId: expect.stringContaining(REALM), sid });

    const before = await cookieHeader(context);
    await page.getByRole("button", { name: "Log out" }).click();
    await page.waitForURL(`${application.url}/`);
    expect(await shown(page)).toMatchObject({ userId: null });
    expect(await application.ask(before)).toMatchObject({ userId: null });
    expect((await keycloakSessions()).map(({ id }) => id)).not.toContain(sid);
    await page.goto("/auth/login");
    await page.getByLabel("Username").waitFor();
    await context.close();
  });

  test("an end at Keycloak ends one browser's session, and not the other's", async () => {
    const [first, second] = [await newProfile(), await newProfile()];
    await login(first.page);
    await login(second.page);
    const { sid } = await shown(second.page);
    const cookies = [await cookieHeader(first.context), await cookieHeader(second.context)];
    await admin("DELETE", `/realms/${REALM}/sessions/${sid}`);
    await expect
      .poll(() => application.ask(cookies[1]!), { timeout: PATIENCE })
      .toMatchObject({ userId: null });
    expect(await application.ask(cookies[0]!)).toMatchObject({ userId: expect.any(String) });
    expect(application.failures).toEqual([]);
    await Promise.all([first.context.close(), second.context.close()]);
  });

  test("twenty requests at once refresh a token once", async () => {
    const { context, page } = await newProfile();
    await login(page);
    const cookie = await cookieHeader(context);
    const [before] = await tokens(cookie, 1);
    for (let round = 1; round <= 3; round++) {
      await new Promise((resolve) => setTimeout(resolve, TOKEN_LIFETIME * 1000));
      const refreshed = await countEvents("REFRESH_TOKEN");
      const answers = await tokens(cookie, 20);
      expect(new Set(answers).size).toBe(1);
      expect(answers[0]).toMatch(/^200 /);
      expect(answers[0]).not.toBe(before);
      expect(await countEvents("REFRESH_TOKEN")).toBe(refreshed + 1);
    }
    expect(await countEvents("REFRESH_TOKEN_ERROR")).toBe(0);
    await context.close();
  });

  const tokens = (cookie: string, count: number) =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const response = await fetch(`${application.url}/token`, { headers: { cookie } });
        return `${response.status} ${await response.text()}`;
      }),
    );

  test("new keys at Keycloak are taken: for logins, and for what ends them", async () => {
    const { id } = await admin("GET", `/realms/${REALM}`);
    await admin("POST", `/realms/${REALM}/components`, {
      name: "newer",
      parentId: id,
      providerId: "rsa-generated",
      providerType: "org.keycloak.keys.KeyProvider",
      config: { priority: ["200"], enabled: ["true"], active: ["true"], algorithm: ["RS256"] },
    });
    const { context, page } = await newProfile();
    await login(page);
    const cookie = await cookieHeader(context);
    const { sid } = await shown(page);
    await admin("DELETE", `/realms/${REALM}/sessions/${sid}`);
    await expect.poll(() => application.ask(cookie), { timeout: PATIENCE }).toMatchObject({ userId: null });
    await context.close();
  });

  test.skipIf(control === undefined)(
    "while Keycloak is down nobody is logged out, and then all goes on",
    async () => {
      const { context, page } = await newProfile();
      await login(page);
      const cookie = await cookieHeader(context);
      await control!.stop();
      await new Promise((resolve) => setTimeout(resolve, TOKEN_LIFETIME * 1000));
      expect(await tokens(cookie, 3)).toEqual(Array(3).fill("503 ERR_HOLDFAST_OIDC_PROVIDER_UNAVAILABLE"));
      expect(await application.ask(cookie)).toMatchObject({ userId: expect.any(String) });

      await control!.start();
      expect(await tokens(cookie, 1)).toEqual([expect.stringMatching(/^200 /)]);
      const newcomer = await newProfile();
      await login(newcomer.page);
      await Promise.all([context.close(), newcomer.context.close()]);
    },
    3 * PATIENCE,
  );
});

interface Shown {
  readonly userId: string | null;
  readonly sid: string | null;
  readonly cart: string[];
}

/** An application that shows whose session it is, with a cart. */
async function openApplication(registerAt: (url: string) => Promise<string>) {
  const app = express();
  const door = await listen(app);
  const failures: OidcError[] = [];
  const sessions = createSessions<any>({ secrets: [SECRET], store: memoryStore() });
  const oidc: OpenidConnect = await openidConnect({
    issuer: await registerAt(door.url),
    clientId: "shop",
    clientSecret: CLIENT_SECRET,
    baseUrl: door.url,
    keepTokens: true,
    onError(error) {
      failures.push(error);
    },
  });
  // As in another process with the same store: they share nothing else.
  const other = oidc.withRoutes({});
  const auth = expressOidc(oidc);
  app.use(expressSessions(sessions), auth);
  app.get("/", ({ session: { userId, identity, data } }, res) => {
    const shown: Shown = { userId: userId ?? null, sid: identity?.sid ?? null, cart: data.cart ?? [] };
    res.send(
      `<!doctype html><pre>${JSON.stringify(shown)}</pre>
      <form method="post" action="/cart"><button>Add tea</button></form>
      <form method="post" action="/leave"><button>Leave only here</button></form>
      <form method="post" action="/auth/logout"><button>Log out</button></form>`,
    );
  });
  app.post("/cart", async ({ session }, res) => {
    session.data.cart = [...(session.data.cart ?? []), "tea"];
    res.redirect(303, "/");
  });
  app.post("/leave", async ({ session }, res) => {
    await session.logout();
    res.redirect(303, "/");
  });
  app.get("/account", auth.requireLogin(), (_req, res) => {
    res.send("yours");
  });
  let requests = 0;
  app.get("/token", async ({ session }, res) => {
    const asked = requests++ % 2 === 0 ? oidc : other;
    try {
      // A name for it, as a token is for nobody to see.
      res.send(
        createHash("sha256")
          .update(await asked.accessToken(session))
          .digest("hex"),
      );
    } catch (error) {
      const { status, code } = error as OidcError;
      res.status(status).send(code);
    }
  });
  return {
    url: door.url,
    failures,
    /** What the server shows to a cookie, whoever sends it. */
    async ask(cookie: string): Promise<Shown> {
      const text = await (await fetch(`${door.url}/`, { headers: { cookie } })).text();
      return shownIn(text);
    },
    async close() {
      await door.close();
      await sessions.close();
    },
  };
}

const shown = async (page: Page) => shownIn(await page.content());

function shownIn(text: string): Shown {
  return JSON.parse(/<pre>(.*)<\/pre>/.exec(text)?.[1] ?? "{}");
}

async function cookieHeader(context: BrowserContext) {
  const cookies = await context.cookies("http://127.0.0.1");
  return cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
}
