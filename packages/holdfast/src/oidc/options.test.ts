import { expect, it } from "vitest";
import { ConfigurationError } from "../errors.js";
import { checkedOptions, checkedRoutes, type OpenidConnectOptions } from "./options.js";

const GOOD: OpenidConnectOptions = {
  issuer: "https://login.example",
  clientId: "shop",
  clientSecret: "a secret of the application",
  baseUrl: "https://shop.example",
};

it("has defaults for all that can have one", () => {
  expect(checkedOptions(GOOD)).toMatchObject({
    scope: "openid profile email",
    maxLogins: 5,
    maxAge: undefined,
    keepTokens: false,
    logoutAtProvider: true,
    followSessionExpiry: true,
    loginTimeout: 600_000,
    clockTolerance: 30_000,
    timeout: 10_000,
    startTimeout: 60_000,
    routes: {
      callback: "/auth/callback",
      login: "/auth/login",
      logout: "/auth/logout",
      afterLogin: "/",
      afterLogout: "/",
      backchannelLogout: "/auth/backchannel-logout",
      frontchannelLogout: false,
    },
  });
});

it.each<[string, object]>([
  ["issuer", { issuer: undefined }],
  ["issuer", { issuer: "login.example" }],
  ["issuer", { issuer: "http://login.example" }],
  ["issuer", { issuer: "ftp://localhost" }],
  ["issuer", { issuer: "http://localhost.evil.example" }],
  ["clientId", { clientId: "" }],
  ["clientSecret", { clientSecret: undefined }],
  ["clientSecret", { clientSecret: "" }],
  ["clientSecret", { clientSecret: 7 }],
  ["clientSecretMethod", { clientSecretMethod: "query" }],
  ["baseUrl", { baseUrl: "https://shop.example/app" }],
  ["baseUrl", { baseUrl: "http://shop.example" }],
  ["baseUrl", { baseUrl: undefined }],
  ["scope", { scope: "profile" }],
  ["maxLogins", { maxLogins: 0 }],
  ["maxLogins", { maxLogins: 21 }],
  ["maxLogins", { maxLogins: 1.5 }],
  ["maxAge", { maxAge: -1 }],
  ["acrValues", { acrValues: "urn:gold" }],
  ["acrValues", { acrValues: [] }],
  ["prompt", { prompt: "none" }],
  ["afterLogin", { afterLogin: "user" }],
  ["onError", { onError: true }],
  ["parameters", { parameters: { state: "x" } }],
  ["parameters", { parameters: { response_mode: "form_post" } }],
  ["parameters", { parameters: { audience: 7 } }],
  ["keepTokens", { keepTokens: "yes" }],
  ["pushedAuthorizationRequests", { pushedAuthorizationRequests: 1 }],
  ["loginTimeout", { loginTimeout: "soon" }],
  ["timeout", { timeout: 0 }],
  ["clockTolerance", { clockTolerance: "-1s" }],
  ["routes.callback", { routes: { callback: "auth" } }],
  ["routes.callback", { routes: { callback: "//evil.example" } }],
  ["routes.login", { routes: { login: "/\\evil.example" } }],
  ["routes.login", { routes: { login: false } }],
  ["routes.logon", { routes: { logon: "/x" } }],
  ["isuer", { isuer: "https://login.example" }],
])("%s is refused by its name: %j", (option, wrong) => {
  try {
    checkedOptions({ ...GOOD, ...wrong } as OpenidConnectOptions);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as ConfigurationError).option).toBe(option);
    expect((error as Error).message).not.toContain("a secret of");
  }
});

it.each(["http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080", "http://shop.localhost"])(
  "plain HTTP is for this machine: %s",
  (baseUrl) => {
    expect(checkedOptions({ ...GOOD, baseUrl }).baseUrl.origin).toBe(new URL(baseUrl).origin);
  },
);

it("routes that are not given stay, and those that can be off go off", () => {
  const before = checkedRoutes({ login: "/in", frontchannelLogout: "/front" });
  expect(
    checkedRoutes({ callback: "/back", backchannelLogout: false, logout: undefined as any }, before),
  ).toMatchObject({
    login: "/in",
    callback: "/back",
    logout: "/auth/logout",
    backchannelLogout: false,
    frontchannelLogout: "/front",
  });
});
