// @ts-check
import { Router } from "express";
import { html } from "../html.js";
import { price } from "../products.js";
import { time } from "../views/time.js";
import { requireLogin, signedInUser } from "../visitor.js";

/** @param {import("../app.js").Shop} shop */
export function accountRoutes({ page, orders }) {
  const router = Router();
  router.use(requireLogin);

  router.get("/", (req, res) => {
    const user = signedInUser(res);
    page(req, res, {
      title: "Account",
      main: html`<h1>${user.name}</h1>
        ${companyAccount(req.session)}
        <p><a class="button quiet" href="/account/devices">Your devices</a></p>
        <h2>Your orders</h2>
        ${orderList(orders.ofUser(user.id))}`,
    });
  });

  router.get("/orders/:number", (req, res, next) => {
    const order = orders.find(signedInUser(res).id, Number(req.params.number) || 0);
    if (order === undefined) return next();
    page(req, res, {
      title: `Order ${order.id}`,
      main: html`<h1>Order ${order.id}</h1>
        <p class="muted">Placed ${time(order.placedAt)}</p>
        <table class="order">
          <thead><tr><th scope="col">Product</th><th scope="col">Quantity</th><th scope="col">Price</th></tr></thead>
          <tbody>${order.lines.map(
            ({ name, quantity, cents }) =>
              html`<tr><th scope="row">${name}</th><td>${quantity}</td><td>${price(cents)}</td></tr>`,
          )}</tbody>
          <tfoot><tr><th scope="row" colspan="2">Total</th><td>${price(order.cents)}</td></tr></tfoot>
        </table>
        <p><a class="button quiet" href="/account">All your orders</a></p>`,
    });
  });

  return router;
}

/** @param {import("holdfast").Session} session */
function companyAccount({ identity }) {
  return (
    identity && html`<p class="muted">A company account, at <code>${new URL(identity.issuer).host}</code></p>`
  );
}

/** @param {import("../orders.js").Order[]} orders */
function orderList(orders) {
  if (orders.length === 0) return html`<p class="muted">None yet.</p>`;
  return html`<ul class="rows">${orders.map(
    ({ id, placedAt, cents }) => html`<li>
      <a href="/account/orders/${id}">Order ${id}</a> ${time(placedAt)} <strong class="price">${price(cents)}</strong>
    </li>`,
  )}</ul>`;
}
