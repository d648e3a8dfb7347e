// @ts-check
/**
 * Counts down to the end of the session: warns before, offers to go on, and leaves the page when it is over.
 *
 * The page says how long there is. Only when it would warn, and when it would leave, does it ask the server, in a way that
 * doesn't extend the session: another tab may have been used meanwhile.
 */

/** @typedef {{ live: false } | { live: true, endsIn: number, warnAt: number, expiresAt: string }} Status */

const dialog = /** @type {HTMLDialogElement} */ (document.querySelector("#expiry"));
const countdown = /** @type {HTMLElement} */ (dialog.querySelector(".countdown"));
const announcement = /** @type {HTMLElement} */ (dialog.querySelector("[role=status]"));
const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));

/** Seconds left at which a screen reader is told. */
const ANNOUNCED = [90, 60, 30, 10];

let warnAt = Number(dialog.dataset.warnAt);
let deadline = Date.now() + Number(dialog.dataset.endsIn);

/** @param {Status} status */
function follow(status) {
  if (!status.live) return location.replace("/session/ended");
  ({ warnAt } = status);
  deadline = Date.now() + status.endsIn;
  const time = document.querySelector("[data-expires-at] time");
  if (time instanceof HTMLTimeElement) {
    time.dateTime = status.expiresAt;
    time.textContent = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" }).format(
      new Date(status.expiresAt),
    );
  }
  if (status.endsIn > warnAt) dialog.close();
  show();
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function ask(path, init) {
  try {
    const response = await fetch(path, { ...init, headers: { Accept: "application/json" } });
    if (response.ok) follow(await response.json());
  } catch {
    // Offline, or the server is restarting: the next tick asks again.
  }
}

function show() {
  const seconds = Math.max(Math.ceil((deadline - Date.now()) / 1000), 0);
  const text = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  countdown.textContent = text;
  const left = document.querySelector("[data-time-left]");
  if (left) left.textContent = `(in ${text})`;
  if (dialog.open && ANNOUNCED.includes(seconds)) announcement.textContent = `${seconds} seconds left.`;
}

async function tick() {
  show();
  const left = deadline - Date.now();
  if (left <= 0) await check();
  else if (left <= warnAt && !dialog.open) {
    await check();
    if (deadline - Date.now() <= warnAt && !dialog.open) dialog.showModal();
  }
}

const check = () => ask("/session/status");
const extend = () => ask("/session/extend", { method: "POST" });

form.addEventListener("submit", (event) => {
  event.preventDefault();
  extend();
});

// A dialog that is closed with the Escape key has been seen by somebody who is there.
dialog.addEventListener("cancel", extend);

// Back from another tab, or from the history: the page may be long out of date.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") check();
});
addEventListener("pageshow", (event) => {
  if (event.persisted) check();
});

// What the page says may be a touch older than what the server has by now.
check();
setInterval(tick, 1000);
