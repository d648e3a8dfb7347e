// @ts-check
import { setTimeout as delay } from "node:timers/promises";
import { Router } from "express";
import { addToCart } from "../cart.js";
import { html } from "../html.js";
import { field } from "../visitor.js";

const CHANGES = 20;

/** @param {import("../app.js").Shop} shop */
export function labRoutes({ page }) {
  const router = Router();

  router.get("/", (req, res) => {
    page(req, res, { title: "Lab", main: labPage(), scripts: ["lab.js"] });
  });

  // Before the twenty, so that all of them find a session: without a cookie, each would begin one of its own.
  router.post("/race", async (req, res) => {
    await req.session.update((data) => {
      data.race = { arrived: [] };
    });
    res.json({ stickers: req.session.data.cart.sticker ?? 0 });
  });

  router.post("/race/changes", async (req, res) => {
    const number = Number(field(req, "number"));
    // As long as other work of a request would take, so that the changes overlap for sure.
    await delay(20 + Math.random() * 60);
    await req.session.update((data) => {
      addToCart(data.cart, "sticker");
      data.race ??= { arrived: [] };
      data.race.arrived.push(number);
    });
    res.json({ number });
  });

  router.get("/race", (req, res) => {
    const { cart, race } = req.session.data;
    res.json({ arrived: race?.arrived ?? [], stickers: cart.sticker ?? 0 });
  });

  return router;
}

function labPage() {
  const numbers = Array.from({ length: CHANGES }, (_, index) => index + 1);
  return html`<div class="lab">
    <h1>The lab</h1>
    <p class="lead">Twenty requests change your cart at the same moment. Each adds one kelp sticker. Were the
      session read, changed and written back as a whole, each would overwrite the others, and most stickers would be lost.</p>
    <div class="race" id="race">
      <p><button class="button" type="button" disabled>Fire twenty changes</button></p>
      <ol class="chips" aria-hidden="true">${numbers.map((number) => html`<li>${number}</li>`)}</ol>
      <p class="result" role="status"></p>
      <noscript><p>This one needs JavaScript: a form can’t send twenty requests at once.</p></noscript>
    </div>
    <details>
      <summary>The code on the server</summary>
      <pre tabindex="0"><code>await req.session.update((data) =&gt; {
  addToCart(data.cart, "sticker");
});</code></pre>
      <p><code>update</code> is an atomic read-modify-write, across requests, processes and machines: it works on the
        newest data, and runs again where another request was faster.</p>
    </details>
  </div>`;
}
