// @ts-check
import { expect, test } from "vitest";
import { addToCart, cartLines, MAX_QUANTITY, mergeCarts, setQuantity, totalCents } from "./cart.js";

test("a quantity stays between none and the most", () => {
  const cart = {};
  addToCart(cart, "mug", 2);
  addToCart(cart, "mug");
  expect(cart).toEqual({ mug: 3 });
  setQuantity(cart, "mug", 10_000);
  expect(cart).toEqual({ mug: MAX_QUANTITY });
  setQuantity(cart, "mug", -1);
  expect(cart).toEqual({});
});

test("the total takes the prices of today, and leaves out what is no longer sold", () => {
  expect(totalCents(cartLines({ mug: 2, sticker: 1, discontinued: 5 }))).toBe(2 * 1450 + 250);
});

test("changes that two requests made at once are summed for each product", () => {
  const base = { mug: 2, rope: 1 };
  expect(mergeCarts(base, { mug: 3, rope: 1 }, { mug: 4, rope: 1 })).toEqual({ mug: 5, rope: 1 });
  expect(mergeCarts(base, { mug: 2 }, { mug: 2, rope: 1, hat: 1 })).toEqual({ mug: 2, hat: 1 });
  expect(mergeCarts(base, { rope: 1 }, { mug: 3, rope: 1 })).toEqual({ mug: 1, rope: 1 });
  expect(mergeCarts(undefined, { mug: 1 }, undefined)).toEqual({ mug: 1 });
});
