/** On Bun: `bun server-bun.js` */
import { handle, sessions } from "./handler.js";

const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  hostname: "127.0.0.1",
  fetch: (request, server) => handle(request, server.requestIP(request)?.address),
});
console.log(`Listening on http://127.0.0.1:${server.port}`);

process.once("SIGTERM", async () => {
  await server.stop();
  await sessions.close();
});
