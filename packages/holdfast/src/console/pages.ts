import type { Authentication } from "../engine/authentication.js";
import type { StoredSessionSummary } from "../engine/users/all-sessions.js";
import { charts } from "./charts.js";
import type { History } from "./history.js";
import { type Html, html, named } from "./html.js";
import { COUNT_LIMIT, LIST_LIMIT, type Listing, type Reading, type SessionDetails } from "./reading.js";

/** What every page knows. */
export interface Frame {
  /** Where the console is mounted, as in "/admin/sessions". */
  readonly path: string;
  readonly title: string;
  readonly actor: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly token: string;
}

/** Sessions on one page. */
export const PAGE_SIZE = 50;

/** What the list is asked for. */
export interface Query {
  readonly search: string;
  /** From 1. */
  readonly page: number;
}

export function page({ path, title, actor }: Frame, heading: string, main: Html, script = false): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${heading} · ${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${path}/console.css">
${script && html`<script type="module" src="${path}/console.js"></script>`}
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><a class="brand" href="${path}">${title}</a> <span class="actor">You are ${named(actor)}</span></header>
<main id="main" tabindex="-1">
${main}
</main>
</body>
</html>
`.text;
}

/** The list with its charts. The parts with the class `live` are what a refresh replaces. */
export function overview(
  frame: Frame,
  query: Query,
  listing: Listing | Html,
  history: History,
  reading: Reading,
  notice?: string,
): string {
  const { path } = frame;
  return page(
    frame,
    "Sessions",
    html`<h1>Sessions</h1>
${notice !== undefined && html`<p class="notice" role="status">${notice}</p>`}
<div id="trouble" role="alert"></div>
<section aria-labelledby="charts"><h2 id="charts">The last hour of this process</h2>
<div class="charts live" id="live-charts">${chartsOf(history, reading)}</div></section>
<section aria-labelledby="list"><h2 id="list">Who is here</h2>
<form class="search" method="get" action="${path}" role="search">
<label for="q">User id or session id</label>
<span><input id="q" name="q" type="search" value="${query.search}" maxlength="255" autocomplete="off" autocapitalize="none" spellcheck="false">
<button>Search</button>${query.search !== "" && html` <a class="button quiet" href="${path}">All</a>`}</span>
</form>
<p class="tools" id="tools" hidden><button type="button" id="pause" class="quiet" aria-pressed="false">Pause</button> <span id="refreshed" class="muted"></span></p>
<form method="post" action="${path}/revoke" id="sessions">
<input type="hidden" name="token" value="${frame.token}"><input type="hidden" name="q" value="${query.search}">
<div class="live" id="live-list">${list(frame, query, listing, reading, history)}</div>
</form></section>`,
    true,
  );
}

export function chartsOf(history: History, reading: Reading): Html {
  return charts(history.buckets(), reading.isCountCut);
}

export function list(
  frame: Frame,
  { search, page: wanted }: Query,
  listing: Listing | Html,
  reading: Reading,
  history: History,
): Html {
  if (!("sessions" in listing)) return listing;
  const { sessions, hasMore } = listing;
  const pages = Math.max(1, Math.ceil(sessions.length / PAGE_SIZE));
  const current = Math.min(Math.max(1, wanted), pages);
  const shown = sessions.slice((current - 1) * PAGE_SIZE, current * PAGE_SIZE);
  return html`<p class="count" role="status">${countText(sessions.length, hasMore, search, history.active, reading.isCountCut)}</p>
${
  shown.length > 0 &&
  html`<table class="list" role="table"><caption class="visually-hidden">Sessions, the last seen first</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col"><span class="visually-hidden">Select</span></th><th role="columnheader" scope="col">User</th><th role="columnheader" scope="col">Client</th><th role="columnheader" scope="col">Logged in</th><th role="columnheader" scope="col">Last seen</th><th role="columnheader" scope="col">Ends</th><th role="columnheader" scope="col">Session</th></tr></thead>
<tbody role="rowgroup">${shown.map((session) => row(frame, session))}</tbody></table>
<p class="actions"><button type="button" class="quiet" id="select-all" hidden>Select all on this page</button> <button class="danger" name="what" value="selected">End selected sessions…</button>${oneUser(sessions, search)}</p>`
}${pager(frame, search, current, pages)}`;
}

function countText(
  read: number,
  hasMore: boolean,
  search: string,
  active: number | undefined,
  isCut: boolean,
): string {
  const number = (value: number) => value.toLocaleString("en");
  const sessions = `${number(read)} ${read === 1 ? "session" : "sessions"}`;
  if (search !== "")
    return read === 0 ? "No session found: no such user is here, and no such session." : `${sessions} found.`;
  if (!hasMore) return read === 0 ? "Nobody is here." : `${sessions}.`;
  const all =
    active === undefined
      ? ""
      : isCut
        ? ` of more than ${number(COUNT_LIMIT)}`
        : ` of about ${number(active)}`;
  return (
    `${number(LIST_LIMIT)} sessions${all}: those that the store gave first, by when they were last seen. ` +
    "Search by user to see any of the others."
  );
}

/** Where one user was searched for, all of theirs can be ended at once. */
function oneUser(sessions: readonly StoredSessionSummary[], search: string): Html | false {
  if (search === "" || !sessions.some(({ userId }) => userId === search)) return false;
  return html` <button class="danger" name="what" value="user">End all sessions of ${named(search)}…</button>`;
}

function row({ path, now }: Frame, session: StoredSessionSummary): Html {
  const { id, userId, lastSeenAt, expiresAt, authenticatedAt, client } = session;
  const name = userId ?? "Nobody";
  return html`<tr role="row">
<td role="cell" class="select"><input type="checkbox" name="id" value="${id}" id="select-${id}" aria-label="Select the session ${id.slice(0, 8)} of ${name}"></td>
<td role="cell" data-label="User" class="user">${userId === undefined ? html`<span class="muted">Nobody</span>` : html`<a id="user-${id}" href="${path}?q=${encodeURIComponent(userId)}">${named(userId)}</a>`}</td>
<td role="cell" data-label="Client">${clientText(client)}</td>
<td role="cell" data-label="Logged in">${authenticatedAt === undefined ? html`<span class="muted">no</span>` : time(authenticatedAt, now)}</td>
<td role="cell" data-label="Last seen">${time(lastSeenAt, now)}</td>
<td role="cell" data-label="Ends">${time(expiresAt, now)}</td>
<td role="cell" data-label="Session"><a id="open-${id}" href="${path}/session/${id}" aria-label="Details of session ${id.slice(0, 8)} of ${name}"><code>${id.slice(0, 8)}</code></a></td>
</tr>`;
}

function pager({ path }: Frame, search: string, current: number, pages: number): Html | false {
  if (pages === 1) return false;
  const link = (to: number, label: string) => {
    if (to < 1 || to > pages) return html`<span class="muted">${label}</span>`;
    const query = new URLSearchParams({ ...(search !== "" && { q: search }), page: String(to) });
    return html`<a id="page-${label.toLowerCase()}" href="${path}?${query.toString()}">${label}</a>`;
  };
  return html`<nav class="pager" aria-label="Pages">${link(current - 1, "Previous")} <span>Page ${current} of ${pages}</span> ${link(current + 1, "Next")}</nav>`;
}

function clientText({ browser, system, ip }: StoredSessionSummary["client"]): Html {
  const text = [browser ?? "Unknown", system].filter((part) => part !== undefined).join(" on ");
  return html`${text}${ip !== undefined && html` <span class="muted">${ip}</span>`}`;
}

export function details(frame: Frame, session: SessionDetails): string {
  const { path, now, token } = frame;
  const { id, userId, client } = session;
  const entry = (name: string, value: Html | string) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return page(
    frame,
    `Session ${id.slice(0, 8)}`,
    html`<h1>Session <code>${id.slice(0, 8)}</code></h1>
<dl class="details">
${entry("User", userId === undefined ? html`<span class="muted">Nobody has logged in</span>` : html`<a href="${path}?q=${encodeURIComponent(userId)}">${named(userId)}</a>`)}
${entry("Client", clientText(client))}
${entry("Began", time(session.createdAt, now, true))}
${session.authenticatedAt !== undefined && entry("Logged in", time(session.authenticatedAt, now, true))}
${session.issuer !== undefined && entry("Logged in by", session.issuer)}
${session.authentication !== undefined && means(session.authentication, entry)}
${session.elevatedUntil !== undefined && entry("Elevated until", time(session.elevatedUntil, now, true))}
${session.remembered && entry("Remembered", "yes: its timeouts are the longer ones")}
${entry("Last seen", time(session.lastSeenAt, now, true))}
${entry("Token issued", time(session.tokenAt, now, true))}
${entry("Ends without activity", time(session.expiresAt, now, true))}
${entry("Ends at the latest", time(session.endsAt, now, true))}
${entry("Session id", html`<code class="id">${id}</code>`)}
</dl>
<form method="post" action="${path}/revoke" class="actions"><input type="hidden" name="token" value="${token}"><input type="hidden" name="id" value="${id}">
<button class="danger" name="what" value="selected">End this session…</button> <a class="button quiet" href="${path}">Back to the list</a></form>`,
  );
}

/** How the user has proved who they are. */
function means(
  { methods, level, acr }: Authentication,
  entry: (name: string, value: string) => Html,
): Html | false {
  const parts = [methods.join(", "), level !== undefined && `level ${level}`, acr];
  const text = parts.filter((part) => part).join("; ");
  return text !== "" && entry("Proved by", text);
}

/** What is to be ended: the user's sessions, or those of the ids. */
export interface Ending {
  readonly user: string | undefined;
  readonly ids: readonly string[];
}

export function confirmation(frame: Frame, { user, ids }: Ending, search: string): string {
  const what =
    user !== undefined
      ? html`all sessions of ${named(user)}`
      : html`${ids.length === 1 ? "this session" : `these ${ids.length} sessions`}`;
  return page(
    frame,
    "Are you sure?",
    html`<h1>End ${what}?</h1>
<p>${user === undefined && ids.length === 1 ? "Its browser is" : "Their browsers are"} signed out at once, and what is not stored elsewhere is lost. This can’t be undone.</p>
${user === undefined && html`<ul class="ids">${ids.slice(0, 20).map((id) => html`<li><code class="id">${id}</code></li>`)}${ids.length > 20 && html`<li>and ${ids.length - 20} more</li>`}</ul>`}
<form method="post" action="${frame.path}/revoke" class="actions">
<input type="hidden" name="token" value="${frame.token}"><input type="hidden" name="confirmed" value="yes"><input type="hidden" name="q" value="${search}">
${user !== undefined ? html`<input type="hidden" name="what" value="user">` : html`<input type="hidden" name="what" value="selected">${ids.map((id) => html`<input type="hidden" name="id" value="${id}">`)}`}
<button class="danger">End ${what}</button> <a class="button quiet" href="${frame.path}">Cancel</a>
</form>`,
  );
}

export function message(frame: Frame, heading: string, text: string): string {
  return page(
    frame,
    heading,
    html`<h1>${heading}</h1><p role="alert" class="trouble">${text}</p><p><a class="button quiet" href="${frame.path}">To the list</a></p>`,
  );
}

export function trouble(text: string): Html {
  return html`<p class="trouble">${text}</p>`;
}

const UNITS: ReadonlyArray<[name: Intl.RelativeTimeFormatUnit, milliseconds: number]> = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How far away a time is, with the time itself beside it or, in the list, in its title. */
function time(date: Date, now: number, whole = false): Html {
  const iso = date.toISOString();
  const exact = `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
  const away = date.getTime() - now;
  const [unit, size] = UNITS.find(([, milliseconds]) => Math.abs(away) >= milliseconds) ?? ["second", 1000];
  const text = Math.abs(away) < 10_000 ? "now" : relative.format(Math.round(away / size), unit);
  return whole
    ? html`<time datetime="${iso}">${exact}</time> <span class="muted">(${text})</span>`
    : html`<time datetime="${iso}" title="${exact}">${text}</time>`;
}
