/** What the sessions of all variants hold, about 350 bytes as JSON. */
export function smallData(user) {
  return {
    user: { id: user, name: "Ada Lovelace", roles: ["customer", "editor"] },
    cart: [
      { sku: "tea-green", quantity: 2, price: 790 },
      { sku: "cup-blue", quantity: 1, price: 1450 },
    ],
    locale: "en-GB",
    theme: "dark",
    count: 0,
  };
}

/** The same with 20 KB of orders. */
export function largeData(user) {
  const orders = Array.from({ length: 100 }, (_, n) => ({
    number: `2026-${String(n).padStart(6, "0")}`,
    placed: "2026-11-25T10:00:00.000Z",
    items: [
      { sku: `tea-${n}`, quantity: (n % 5) + 1, price: 790 + n },
      { sku: `cup-${n}`, quantity: 1, price: 1450 + n },
    ],
    address: { street: "12 St James's Square", city: "London", code: "SW1Y 4JH" },
  }));
  return { ...smallData(user), orders };
}

export function dataFor(query) {
  return query.get("size") === "large" ? largeData(query.get("user")) : smallData(query.get("user"));
}
