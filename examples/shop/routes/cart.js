// @ts-check
import { Router } from "express";
import { addToCart, cartLines, MAX_QUANTITY, setQuantity, totalCents } from "../cart.js";
import { html } from "../html.js";
import { price, productById } from "../products.js";
import { field } from "../visitor.js";

/** @param {import("../app.js").Shop} shop */
export function cartRoutes({ page }) {
  const router = Router();

  router.get("/", (req, res) => {
    const lines = cartLines(req.session.data.cart);
    page(req, res, {
      title: "Cart",
      main: html`<h1>Your cart</h1>${lines.length === 0 ? emptyCart() : filledCart(lines)}`,
    });
  });

  router.post("/", (req, res) => {
    const product = productById(field(req, "product"));
    if (product === undefined) return res.redirect(303, "/");
    // A plain change, stored before the redirect leaves. Should another request change the cart meanwhile, they are merged.
    addToCart(req.session.data.cart, product.id);
    req.session.flash("notice", {
      text: `${product.name} is in your cart.`,
      link: { href: "/cart", label: "View cart" },
    });
    res.redirect(303, "/");
  });

  router.post("/:product", (req, res) => {
    const product = productById(req.params.product);
    const quantity = Number(field(req, "quantity"));
    if (product === undefined || field(req, "quantity") === "" || !Number.isInteger(quantity)) {
      req.session.flash("error", { text: "Please give a whole number." });
    } else {
      setQuantity(req.session.data.cart, product.id, quantity);
      const text = quantity > 0 ? `${product.name}: quantity changed.` : `${product.name} removed.`;
      req.session.flash("notice", { text });
    }
    res.redirect(303, "/cart");
  });

  return router;
}

function emptyCart() {
  return html`<p class="muted">There is nothing in it yet.</p>
    <p><a class="button" href="/">Look around</a></p>`;
}

/** @param {ReturnType<typeof cartLines>} lines */
function filledCart(lines) {
  return html`<ul class="cart">${lines.map(cartLine)}</ul>
    <div class="cart-total">
      <p>Total <strong>${price(totalCents(lines))}</strong></p>
      <p class="actions"><a class="button quiet" href="/">Keep shopping</a> <a class="button" href="/checkout">Check out</a></p>
    </div>`;
}

/** @param {ReturnType<typeof cartLines>[number]} line */
function cartLine({ product: { id, name, cents }, quantity, cents: lineCents }) {
  return html`<li>
    <img src="/products/${id}.svg" alt="" width="64" height="64">
    <div class="name"><h2 id="line-${id}">${name}</h2><p class="muted">${price(cents)} each</p></div>
    <form method="post" action="/cart/${id}" class="quantity">
      <label for="quantity-${id}">Quantity<span class="visually-hidden"> of ${name}</span></label>
      <input id="quantity-${id}" name="quantity" type="number" inputmode="numeric" min="0" max="${MAX_QUANTITY}" required value="${quantity}">
      <button class="button small quiet">Change</button>
    </form>
    <strong class="price">${price(lineCents)}</strong>
    <form method="post" action="/cart/${id}">
      <input type="hidden" name="quantity" value="0">
      <button class="link-button" aria-label="Remove ${name}">Remove</button>
    </form>
  </li>`;
}
