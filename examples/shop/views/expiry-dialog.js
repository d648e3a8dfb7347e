// @ts-check

import { countdownOf } from "../countdown.js";
import { html } from "../html.js";

/**
 * What session-clock.js opens before the session expires. Its button is a form like any other.
 *
 * @param {import("holdfast").Session} session
 */
export function expiryDialog(session) {
  const { endsIn, warnAt } = countdownOf(session);
  return html`<dialog id="expiry" role="alertdialog" aria-labelledby="expiry-title" aria-describedby="expiry-text"
      data-ends-in="${endsIn}" data-warn-at="${warnAt}">
    <h2 id="expiry-title">Are you still there?</h2>
    <p id="expiry-text">For your safety, your session is about to end, because nothing has happened for a while.</p>
    <p class="countdown" aria-hidden="true">–:––</p>
    <p class="visually-hidden" role="status"></p>
    <form method="post" action="/session/extend"><button class="button" autofocus>Keep me here</button></form>
  </dialog>`;
}
