/** `node dist/main.js`, or `PLATFORM=fastify node dist/main.js`. */
import { start } from "./start.js";

const { PORT = "3000", PLATFORM = "express" } = process.env;
const app = await start({ platform: PLATFORM === "fastify" ? "fastify" : "express", port: Number(PORT) });
console.log(`Listening on ${await app.getUrl()}, on Nest's platform for ${PLATFORM}`);
