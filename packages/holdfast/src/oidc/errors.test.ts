import { describe, expect, it } from "vitest";
import { HoldfastError } from "../errors.js";
import { errorPage } from "./error-page.js";
import { OidcError, type OidcReason, oidcErrorOf } from "./errors.js";

/** An error as the provider's library throws them. */
const thrown = (properties: object, message = "its own message, with a secret") =>
  Object.assign(new Error(message), properties);

it.each<[string, unknown, OidcReason]>([
  ["access_denied", thrown({ error: "access_denied" }), "access_denied"],
  ["login_required", thrown({ error: "login_required" }), "login_required"],
  ["consent_required", thrown({ error: "consent_required" }), "interaction_required"],
  ["interaction_required", thrown({ error: "interaction_required" }), "interaction_required"],
  ["account_selection_required", thrown({ error: "account_selection_required" }), "interaction_required"],
  ["invalid_client", thrown({ error: "invalid_client", status: 400 }), "client_refused"],
  ["server_error", thrown({ error: "server_error" }), "provider_unavailable"],
  ["invalid_grant", thrown({ error: "invalid_grant", status: 400 }), "invalid_response"],
  ["a challenge", thrown({ status: 401 }), "client_refused"],
  ["status 503", thrown({ status: 503 }), "provider_unavailable"],
  ["status 429", thrown({ status: 429 }), "provider_unavailable"],
  ["status 404", thrown({ status: 404 }), "invalid_response"],
  ["an answer of status 502", thrown({ cause: new Response("", { status: 502 }) }), "provider_unavailable"],
  [
    "an answer that is no JSON",
    thrown({ code: "OAUTH_PARSE_ERROR", cause: new Response("") }),
    "invalid_response",
  ],
  ["no answer in time", thrown({ code: "OAUTH_TIMEOUT" }), "provider_unavailable"],
  [
    "no connection",
    thrown({ cause: thrown({ code: "ECONNREFUSED" }, "fetch failed") }),
    "provider_unavailable",
  ],
  ["no keys in time", thrown({ code: "ERR_JWKS_TIMEOUT" }), "provider_unavailable"],
  ["an end that is past", thrown({ cause: { claim: "exp" } }), "clock"],
  ["a time of issue to come", thrown({ cause: thrown({ cause: { claim: "iat" } }) }), "clock"],
  ["a login too long ago", thrown({ cause: { claim: "auth_time" } }), "insufficient_authentication"],
  ["anything else", thrown({ code: "OAUTH_JWT_CLAIM_COMPARISON_FAILED" }), "invalid_response"],
  ["what is no error", "text", "invalid_response"],
  ["nothing", undefined, "invalid_response"],
])("%s is told as a reason, without the words of others", (_, error, reason) => {
  const told = oidcErrorOf(error);
  expect(told).toBeInstanceOf(HoldfastError);
  expect(told.reason).toBe(reason);
  expect(told.code).toBe(`ERR_HOLDFAST_OIDC_${reason.toUpperCase()}`);
  expect(told.message).not.toContain("secret");
  expect(told.cause).toBeUndefined();
});

it("an error of ours stays as it is", () => {
  const error = new OidcError("user_refused", "no");
  expect(oidcErrorOf(error)).toBe(error);
});

describe("the page", () => {
  it("says what has happened in plain words, and none of the error's", () => {
    const { status, headers, body } = errorPage(
      new OidcError("client_refused", "check clientSecret"),
      "/auth/login",
    );
    expect(status).toBe(500);
    expect(body).toContain("<h1>Logging in doesn't work</h1>");
    expect(body).not.toContain("clientSecret");
    expect(Object.fromEntries(headers)).toMatchObject({
      "Content-Type": "text/html; charset=utf-8",
      "Cache-Control": "no-store",
      "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    });
  });

  it("escapes the path of the login", () => {
    expect(errorPage(new OidcError("clock", "x"), '/"><script>').body).not.toContain("<script>");
  });
});
