// @ts-check
import { Router } from "express";
import { html } from "../html.js";
import { price, products } from "../products.js";

/** @param {import("../app.js").Shop} shop */
export function catalogueRoutes({ page }) {
  const router = Router();

  router.get("/", (req, res) => {
    const { cart } = req.session.data;
    page(req, res, {
      title: "Goods that stay put",
      main: html`<section class="hero">
          <h1>Goods that stay put.</h1>
          <p>Eight honest things for the boat, the bench and the kitchen. Fill a cart, sign in, lose your connection,
            restart our server: it will all still be here.</p>
        </section>
        <h2 class="visually-hidden">Products</h2>
        <ul class="products">${products.map((product) => card(product, cart[product.id] ?? 0))}</ul>`,
    });
  });

  return router;
}

/**
 * @param {import("../products.js").Product} product
 * @param {number} quantity
 */
function card({ id, name, description, picture, cents }, quantity) {
  return html`<li class="card">
    <div class="picture">
      <img src="/products/${id}.svg" alt="${picture}" width="160" height="160">
      ${quantity > 0 && html`<span class="in-cart">${quantity} in cart</span>`}
    </div>
    <div class="about">
      <h3 id="name-${id}">${name}</h3>
      <p class="description">${description}</p>
    </div>
    <form method="post" action="/cart">
      <input type="hidden" name="product" value="${id}">
      <span class="price">${price(cents)}</span>
      <button class="button small" id="add-${id}" aria-labelledby="add-${id} name-${id}">Add to cart</button>
    </form>
  </li>`;
}
