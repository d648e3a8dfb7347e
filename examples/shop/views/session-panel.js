// @ts-check
import { html } from "../html.js";
import { time } from "./time.js";

/** @type {Record<import("holdfast").SessionEventName, string>} */
const MEANINGS = {
  created: "stored for the first time",
  renewed: "routine renewal: a new token",
  rotated: "a new token, the old one is dead",
  migrated: "taken over from another library",
  login: "signed in",
  elevated: "proved more, for a while",
  logout: "signed out",
  revoked: "ended from outside",
  anomaly: "the token came from another browser",
  "refused-login": "more sessions than allowed",
  expired: "past its deadline",
  conflict: "two changes at once, merged",
  "dropped-write": "a change that came too late",
  "rejected-cookie": "a cookie that leads nowhere",
  "csrf-refused": "a request that another site may have caused",
  "guess-limit": "too many tokens that don't verify",
  "store-error": "the store failed",
  "secrets-changed": "other secrets are in force",
  "secrets-refused": "no good new secrets: those of before stay",
};

/**
 * Shows what the server knows of this session. An id is a hash of the token, so it may be shown; the token never is.
 *
 * @param {import("holdfast").Session} session
 * @param {ReturnType<import("../journal.js").Journal["of"]>} entries
 * @param {string} path Of the page that it is on.
 */
export function sessionPanel(session, entries, path) {
  return html`<details class="session-panel">
    <summary>Session <span>${summary(session)}</span></summary>
    <div class="columns">
      <section aria-label="This session">
        ${session.isNew ? nothingStored() : [facts(session), extendForm(path)]}
      </section>
      <section aria-labelledby="panel-events">
        <h2 id="panel-events">Last events</h2>
        ${entries.length === 0 ? html`<p class="muted">None yet.</p>` : html`<ol class="events">${entries.map(event)}</ol>`}
      </section>
    </div>
  </details>`;
}

/** @param {import("holdfast").Session} session */
function summary({ isNew, userId, id }) {
  if (isNew) return "none: nothing is stored for you";
  return html`<code>${id.slice(0, 8)}…</code> ${userId === undefined ? "anonymous" : `user ${userId}`}`;
}

function nothingStored() {
  return html`<p><code>isNew: true</code></p>
    <p class="muted">Looking around stores nothing and sets no cookie. Put something in the cart and a session begins.</p>`;
}

/** @param {import("holdfast").Session} session */
function facts(session) {
  const { id, isNew, userId, createdAt, lastSeenAt, authenticatedAt, authentication, expiresAt, client } =
    session;
  const { elevatedUntil, remembered } = session;
  return html`<dl class="facts">
      <dt>id</dt><dd><code class="id">${id}</code></dd>
      <dt>isNew</dt><dd>${String(isNew)}</dd>
      <dt>userId</dt><dd>${userId ?? "none"}</dd>
      <dt>client</dt><dd>${[client.browser, client.system].filter(Boolean).join(", ") || "unknown"}</dd>
      <dt>createdAt</dt><dd>${time(createdAt)}</dd>
      <dt>authenticatedAt</dt><dd>${authenticatedAt ? time(authenticatedAt) : "never"}</dd>
      <dt>authentication</dt><dd>${authentication?.methods.join(", ") || "none"}</dd>
      <dt>elevatedUntil</dt><dd>${elevatedUntil ? time(elevatedUntil) : "not elevated"}</dd>
      <dt>remembered</dt><dd>${remembered ? "yes" : "no"}</dd>
      <dt>lastSeenAt</dt><dd>${time(lastSeenAt)}</dd>
      <dt>expiresAt</dt><dd><span data-expires-at>${time(expiresAt)}</span> <span data-time-left></span></dd>
    </dl>`;
}

/** @param {string} path */
function extendForm(path) {
  return html`<form method="post" action="/session/extend">
      <input type="hidden" name="returnTo" value="${path}">
      <button class="button small quiet">Extend</button>
    </form>`;
}

/** @param {ReturnType<import("../journal.js").Journal["of"]>[number]} entry */
function event({ at, name, detail, own, sessionId }) {
  return html`<li>
    ${time(at)}
    <span><strong>${name}</strong> ${MEANINGS[name]}${detail && ` (${detail})`}
    ${!own && html`<em>on <code>${sessionId?.slice(0, 8)}…</code>, another device</em>`}</span>
  </li>`;
}
