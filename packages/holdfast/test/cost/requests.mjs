/** Requests to the engine, without a server, for measurements in processes of their own that run the built package. */

/** From a browser over HTTPS, with this cookie. */
export function requestWith(cookie) {
  const headers = { host: "shop.example", cookie };
  return {
    method: "GET",
    target: "/",
    header: (name) => headers[name],
    encrypted: true,
    remoteAddress: "192.0.2.1",
  };
}

/** Stores a session with this data, and gives a request that comes with its cookie. */
export async function startSession(sessions, data) {
  const exchange = await sessions.open(requestWith(undefined));
  Object.assign(exchange.session.data, data);
  return requestWith(await endedWithCookie(exchange));
}

/** Ends a request; the name=value of the cookie that its response sets, if any. */
export async function endedWithCookie(exchange) {
  await exchange.commit();
  let cookie;
  exchange.writeHeaders({
    get: () => undefined,
    set() {},
    append(name, line) {
      if (name === "Set-Cookie") cookie = line.split(";", 1)[0];
    },
  });
  return cookie;
}

/** Of usual size, about 250 bytes as JSON. */
export const smallData = () => ({
  user: { id: "u-4711", name: "Ada Lovelace", roles: ["customer", "editor"] },
  cart: [
    { sku: "tea-green", quantity: 2, price: 790 },
    { sku: "cup-blue", quantity: 1, price: 1450 },
  ],
  theme: "dark",
  count: 0,
});

/** About 20 KB as JSON. */
export const largeData = () => ({
  ...smallData(),
  orders: Array.from({ length: 200 }, (_, n) => ({
    number: `2026-${n}`,
    items: [{ sku: `tea-${n}`, quantity: 1, price: 790 }],
    city: "London",
  })),
});
