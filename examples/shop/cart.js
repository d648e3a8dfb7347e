// @ts-check
import { productById } from "./products.js";

/**
 * How many of each product, by product id. Prices are looked up when they are needed, so a session never holds an old one.
 * @typedef {Record<string, number>} Cart
 */

export const MAX_QUANTITY = 999;

/**
 * Sets how many of a product there are; none takes it out.
 *
 * @param {Cart} cart
 * @param {string} productId
 * @param {number} quantity
 */
export function setQuantity(cart, productId, quantity) {
  const whole = Math.min(Math.max(Math.trunc(quantity), 0), MAX_QUANTITY);
  if (whole > 0) cart[productId] = whole;
  else delete cart[productId];
}

/**
 * @param {Cart} cart
 * @param {string} productId
 * @param {number} [quantity]
 */
export function addToCart(cart, productId, quantity = 1) {
  setQuantity(cart, productId, (cart[productId] ?? 0) + quantity);
}

/** @param {Cart} cart */
export function countItems(cart) {
  return Object.values(cart).reduce((sum, quantity) => sum + quantity, 0);
}

/**
 * What the cart holds, with products and prices as they are now.
 *
 * @param {Cart} cart
 */
export function cartLines(cart) {
  return Object.entries(cart).flatMap(([id, quantity]) => {
    const product = productById(id);
    return product === undefined ? [] : [{ product, quantity, cents: product.cents * quantity }];
  });
}

/** @param {ReturnType<typeof cartLines>} lines */
export function totalCents(lines) {
  return lines.reduce((sum, { cents }) => sum + cents, 0);
}

/**
 * Merges two changes of one cart that were made at the same time: of each product, what both added and took is summed.
 *
 * @param {Cart} [base]
 * @param {Cart} [mine]
 * @param {Cart} [theirs]
 */
export function mergeCarts(base = {}, mine = {}, theirs = {}) {
  const merged = { ...theirs };
  for (const id of new Set([...Object.keys(base), ...Object.keys(mine)])) {
    addToCart(merged, id, (mine[id] ?? 0) - (base[id] ?? 0));
  }
  return merged;
}
