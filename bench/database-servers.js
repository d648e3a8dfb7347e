/** Redis and PostgreSQL for a benchmark, found or provided as for the tests (REDIS_URL and POSTGRES_URL win). */
import { once } from "node:events";
import { createConnection } from "node:net";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

/** The tests' files are TypeScript, which Node 20 doesn't read by itself. */
async function loadService(name) {
  const path = fileURLToPath(new URL(`../packages/holdfast/test/services/${name}.ts`, import.meta.url));
  return (await runnerImport(path, { configFile: false, logLevel: "error" })).module;
}

const START = {
  async redis() {
    const { REDIS_URL } = process.env;
    if (REDIS_URL !== undefined) {
      await assertReachable(REDIS_URL, 6379);
      return { url: REDIS_URL, async stop() {} };
    }
    const { redisProgram, startRedis } = await loadService("redis");
    const program = await redisProgram();
    if (program === undefined) return undefined;
    const { url, pid, stop } = await startRedis(program);
    return { url, pid, stop: () => stop() };
  },
  async postgres() {
    const { startPostgres } = await loadService("postgres");
    const server = await startPostgres();
    return server && { url: server.url, stop: () => server.close() };
  },
};

/** A driver would try for ever. */
async function assertReachable(url, defaultPort) {
  const { hostname, port } = new URL(url);
  const socket = createConnection(Number(port || defaultPort), hostname);
  await once(socket, "connect");
  socket.destroy();
}

/**
 * Starts what is named, and says by name what can't be had.
 * @returns {Promise<{ servers: Record<string, { url: string, pid?: number }>, env: Record<string, string>, stop(): Promise<void> }>}
 */
export async function startDatabaseServers(names) {
  // They end with this process, but only where it ends by itself.
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const servers = {};
  for (const name of names) {
    try {
      const server = await START[name]();
      if (server === undefined) console.log(`${name}: SKIPPED, there is no server to be had`);
      else servers[name] = server;
    } catch (error) {
      console.log(`${name}: SKIPPED, ${error.message.split("\n")[0]}`);
    }
  }
  const env = Object.fromEntries(
    Object.entries(servers).map(([name, { url }]) => [`${name.toUpperCase()}_URL`, url]),
  );
  const stop = async () => {
    for (const server of Object.values(servers)) await server.stop();
  };
  return { servers, env, stop };
}
