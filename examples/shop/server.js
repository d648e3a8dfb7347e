// @ts-check
/** Starts the demo shop: `node examples/shop/server.js`. README.md lists the environment variables. */
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { createShop } from "./app.js";
import { findCompanyLogin } from "./company.js";
import { sessionSecrets } from "./session-secret.js";

/** Milliseconds that requests in flight have when the server is told to stop. */
const SHUTDOWN_DEADLINE = 5000;

const {
  PORT = "3000",
  HOST = "127.0.0.1",
  SHOP_DATA = fileURLToPath(new URL("data", import.meta.url)),
  SHOP_IDLE_TIMEOUT = "30m",
  APP_BASE_URL,
  SESSION_STORE,
  SESSION_ENCRYPT,
  SHOP_MAX_DEVICES = "5",
  SHOP_REAUTHENTICATE_AFTER = "600",
} = process.env;

// What is kept there is for its owner only: password hashes, and the secret that signs cookies.
process.umask(0o077);
mkdirSync(SHOP_DATA, { recursive: true });

const server = createServer();
server.listen(Number(PORT), HOST);
try {
  await once(server, "listening");
} catch (error) {
  const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
  console.error(
    code === "EADDRINUSE"
      ? `Port ${PORT} is taken. Choose another one: PORT=${Number(PORT) + 1} node examples/shop/server.js`
      : `The shop can't listen on ${HOST}, port ${PORT}: ${message}`,
  );
  process.exit(1);
}
const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
const shopUrl = `http://${HOST.includes(":") ? `[${HOST}]` : HOST}:${port}`;

const companyLogin = await findCompanyLogin({ shopUrl, dataFolder: SHOP_DATA });
const shop = await createShop({
  dataFolder: SHOP_DATA,
  sessionStore: SESSION_STORE,
  secrets: sessionSecrets(SHOP_DATA),
  encrypt: SESSION_ENCRYPT === "1",
  idleTimeout: /** @type {import("holdfast").Duration} */ (SHOP_IDLE_TIMEOUT),
  origins: [shopUrl, APP_BASE_URL].flatMap((address) => (address ? [new URL(address).origin] : [])),
  companyLogin,
  maxDevices: Number(SHOP_MAX_DEVICES),
  reauthenticateAfter: Number(SHOP_REAUTHENTICATE_AFTER) * 1000,
});
server.on("request", shop.app);
console.log(`The shop is open: ${shopUrl}`);
if (companyLogin) console.log(`Its company accounts: ${companyLogin.issuer}`);

/** Lets requests in flight end, then closes the databases. */
function stop() {
  const impatience = setTimeout(() => server.closeAllConnections(), SHUTDOWN_DEADLINE);
  server.close(async () => {
    clearTimeout(impatience);
    await shop.close();
    await companyLogin?.close?.();
  });
}

process.once("SIGTERM", stop);
process.once("SIGINT", stop);
