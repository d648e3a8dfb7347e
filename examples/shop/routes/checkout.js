// @ts-check
import { Router } from "express";
import { cartLines, mergeCarts, totalCents } from "../cart.js";
import { html } from "../html.js";
import { price } from "../products.js";
import { requireLogin, signedInUser } from "../visitor.js";

/** @param {import("../app.js").Shop} shop */
export function checkoutRoutes({ page, orders }) {
  const router = Router();
  router.use(requireLogin);

  router.get("/", (req, res) => {
    const lines = cartLines(req.session.data.cart);
    if (lines.length === 0) return res.redirect(303, "/cart");
    page(req, res, {
      title: "Check out",
      main: html`<h1>Check out</h1>
        <p>Signed in as <strong>${signedInUser(res).name}</strong>. We deliver by rowing boat to the address on file.</p>
        <table class="order">
          <thead><tr><th scope="col">Product</th><th scope="col">Quantity</th><th scope="col">Price</th></tr></thead>
          <tbody>${lines.map(
            ({ product, quantity, cents }) =>
              html`<tr><th scope="row">${product.name}</th><td>${quantity}</td><td>${price(cents)}</td></tr>`,
          )}</tbody>
          <tfoot><tr><th scope="row" colspan="2">Total</th><td>${price(totalCents(lines))}</td></tr></tfoot>
        </table>
        <form method="post" action="/checkout" class="actions">
          <a class="button quiet" href="/cart">Back to the cart</a>
          <button class="button">Place order</button>
        </form>`,
    });
  });

  router.post("/", async (req, res) => {
    const user = signedInUser(res);
    // Taken in one atomic step, so that a form that is sent twice orders once.
    const cart = await req.session.update((data) => {
      const taken = data.cart;
      data.cart = {};
      return taken;
    });
    if (cartLines(cart).length === 0) return res.redirect(303, "/account");
    try {
      const number = orders.place(user.id, cart);
      req.session.flash("notice", { text: `Thank you! Order ${number} is on its way.` });
      res.redirect(303, `/account/orders/${number}`);
    } catch (error) {
      await req.session.update((data) => {
        data.cart = mergeCarts({}, cart, data.cart);
      });
      throw error;
    }
  });

  return router;
}
