import type { OidcError, OidcReason } from "./errors.js";
import type { OidcAnswer } from "./exchange.js";

/** What each cause says to the user. Nothing of the request and nothing of the provider's answer is on the page. */
const TEXTS: Record<OidcReason, readonly [title: string, text: string]> = {
  access_denied: ["You are not logged in", "The login was refused or cancelled."],
  login_required: ["Please log in", "Your login has ended."],
  interaction_required: ["Please log in", "The login needs an answer of yours."],
  unknown_login: [
    "This login is over",
    "It has been finished already, it took too long, or it began in another browser. Nothing has happened to your account.",
  ],
  invalid_response: [
    "You are not logged in",
    "The answer of the login service was not valid. Nothing has happened to your account.",
  ],
  client_refused: [
    "Logging in doesn't work",
    "The login service doesn't accept this application. Its operator has to mend that.",
  ],
  provider_unavailable: [
    "Logging in doesn't work right now",
    "The login service can't be reached. Please try again in a moment.",
  ],
  clock: [
    "Logging in doesn't work",
    "The clocks of this application and of the login service differ. Its operator has to mend that.",
  ],
  insufficient_authentication: ["Please log in again", "This needs a newer or a stronger login."],
  user_refused: [
    "You have no access",
    "You are logged in with the login service, but this application has no place for you.",
  ],
  session_ended: ["You are logged out", "The login service has ended your login."],
  token_unavailable: ["Please log in again", "Your login has ended."],
  invalid_logout_token: ["Not valid", "The logout token is not valid."],
};

/** The plain page for a login that failed. */
export function errorPage(error: OidcError, loginPath: string): OidcAnswer {
  const [title, text] = TEXTS[error.reason];
  return {
    status: error.status,
    headers: [
      ["Content-Type", "text/html; charset=utf-8"],
      ["Cache-Control", "no-store"],
      ["Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"],
    ],
    body:
      `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
      `<title>${title}</title><h1>${title}</h1><p>${text}</p><p><a href="${escaped(loginPath)}">Log in</a></p></html>`,
  };
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
