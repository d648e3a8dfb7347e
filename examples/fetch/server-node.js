// @ts-check
/** On Node, which has Request and Response, and no server for them: @hono/node-server is one. `node server-node.js` */
import { serve } from "@hono/node-server";
import { handle, sessions } from "./handler.js";

const server = serve(
  {
    port: Number(process.env.PORT ?? 3000),
    hostname: "127.0.0.1",
    fetch: (request, { incoming }) => handle(request, incoming.socket.remoteAddress),
  },
  ({ port }) => console.log(`Listening on http://127.0.0.1:${port}`),
);

process.once("SIGTERM", () => server.close(() => sessions.close()));
