/** On Deno: `deno run --allow-net --allow-env --allow-read --node-modules-dir=manual server-deno.js` */
import process from "node:process";
import { handle, sessions } from "./handler.js";

const server = Deno.serve(
  {
    port: Number(process.env.PORT ?? 3000),
    hostname: "127.0.0.1",
    onListen: ({ port }) => console.log(`Listening on http://127.0.0.1:${port}`),
  },
  (request, { remoteAddr }) => handle(request, remoteAddr.hostname),
);

process.once("SIGTERM", async () => {
  await server.shutdown();
  await sessions.close();
});
